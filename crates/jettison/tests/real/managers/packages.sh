#!/bin/sh
# Makes repositories of six small packages: /repo for dnf and zypper, /pkgs for pacman. gcc makes a program that is linked
# with a library of its own, needs cpp for that, and recommends documentation.
set -e
mkdir -p /made /repo /pkgs
cd /made

printf 'int help(void) { return 7; }\n' >help.c
printf 'int help(void);\nint main(void) { return help() == 7 ? 0 : 1; }\n' >app.c
gcc -shared -fPIC -Wl,-soname,libhelp.so.1 -o libhelp.so.1 help.c
ln -s libhelp.so.1 libhelp.so
gcc -o app app.c -L. -lhelp

root() { mkdir -p "/made/roots/$1/$2" && cd "/made/roots/$1/$2"; }
script() { printf '#!/bin/sh\n%s\n' "$2" >"$1" && chmod 755 "$1"; }
(root gcc usr/bin && script gcc 'cpp && cp /usr/share/gcc/app "$1"')
(root gcc usr/share/gcc && cp /made/app .)
(root cpp usr/bin && script cpp true)
(root gcc-docs usr/share/gcc-docs && head -c 100000 /dev/urandom >text)
(root libhelp usr/lib && cp /made/libhelp.so.1 .)
(root runs usr/bin && script runs 'echo it runs')
(root runs usr/share/doc/runs && echo 'how it runs' >README && echo terms >copyright)
(root runs usr/share/locale/de/LC_MESSAGES && head -c 20000 /dev/urandom >runs.mo)
(root idle usr/bin && script idle 'echo it idles')

for name in gcc cpp gcc-docs libhelp runs idle; do
    cat >"$name.spec" <<END
Name: $name
Version: 1.0
Release: 1
Summary: $name
License: MIT
AutoReqProv: no
$([ "$name" != gcc ] || printf 'Requires: cpp\nRequires: libhelp\nRecommends: gcc-docs')
%description
$name
%install
cp -r /made/roots/$name/* %{buildroot}
%files
$(cd "roots/$name" && find . -type f | sed 's/^\.//')
END
    rpmbuild -bb --quiet --define '_topdir /made/rpm' --define '_build_id_links none' --define 'debug_package %{nil}' "$name.spec"

    (
        cd "roots/$name"
        cat >.PKGINFO <<END
pkgname = $name
pkgbase = $name
pkgver = 1.0-1
pkgdesc = $name
builddate = 1700000000
size = 1000
arch = any
$([ "$name" != gcc ] || printf 'depend = cpp\ndepend = libhelp')
END
        bsdtar --format=mtree --options='!all,use-set,type,uid,gid,mode,time,size,sha256,link' -czf .MTREE .PKGINFO usr
        bsdtar --uid 0 --gid 0 -cf - .PKGINFO .MTREE usr | zstd -q >"/pkgs/$name-1.0-1-any.pkg.tar.zst"
    )
done
cp rpm/RPMS/*/*.rpm /repo
createrepo_c --quiet /repo
cd /pkgs && repo-add -q own.db.tar.gz ./*.pkg.tar.zst
