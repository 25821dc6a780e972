require "mkmf"
create_makefile("rot13/rot13")
