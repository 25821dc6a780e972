"""Packages beside those of the script that is named: build tools by their names, which depend on each other."""
import sys

exec(open(sys.argv[2]).read())
COMPILER = b'#!/bin/sh\nprintf "#!/bin/sh\\necho it runs\\n" > "$2" && chmod 755 "$2"\n'
pkg('musl-dev', '1-r0', [('usr/include/stdio.h', 'f', 0o644, b'int puts(const char *);\n' * 100)])
pkg('gcc', '1-r0', [('usr/bin/gcc', 'f', 0o755, COMPILER), ('usr/libexec/cc1', 'f', 0o755, blob('cc1', 1 << 20))], deps=['musl-dev'])
pkg('make', '1-r0', [('usr/bin/make', 'f', 0o755, b'#!/bin/sh\necho made\n')])
pkg('other', '1-r0', [('usr/bin/other', 'f', 0o755, b'#!/bin/sh\necho the other one\n')], deps=['musl-dev'])
