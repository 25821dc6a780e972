//! Which files need which, in trees that are laid out as distributions do.

use hashbrown::HashMap;
use jettison_image::elf::{Environment, Linkage, Program, Reach, has_checksum_beside};
use jettison_image::{Config, Digest, Layer, Limits, Tree};

use crate::assembled::{Assembly, NEEDED, RPATH, RUNPATH, SONAME, library, program};

/// A tree of files, and what follows from it.
struct Image {
    layer: Layer,
    contents: HashMap<String, Vec<u8>>,
    programs: HashMap<Digest, Program>,
}

/// A file's content, or where a link leads to.
enum File {
    Is(Vec<u8>),
    To(&'static str),
}

fn elf(file: &Assembly) -> File {
    File::Is(file.bytes())
}

fn text(content: &str) -> File {
    File::Is(content.as_bytes().to_vec())
}

/// A library without anything.
fn bare() -> File {
    elf(&library(&[]))
}

impl Image {
    fn of(files: Vec<(&str, File)>) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        let (mut contents, mut programs) = (HashMap::new(), HashMap::new());
        for (path, file) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_mode(0o755);
            match file {
                File::Is(content) => {
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice()).expect("packs");
                    programs.extend(Program::of(&content).map(|program| (Digest::of(&content), program)));
                    contents.insert(path.to_owned(), content);
                }
                File::To(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, path, target).expect("packs");
                }
            }
        }
        let bytes = builder.into_inner().expect("packs");
        let layer = Layer::read(bytes.as_slice(), Limits::default()).expect("a layer");
        Self { layer, contents, programs }
    }

    fn with<T>(&self, variables: &[(&str, &str)], ask: impl FnOnce(&Tree<'_>, &Linkage) -> T) -> T {
        let tree = Tree::of([&self.layer]).expect("a tree");
        let environment = Environment::from_variables(variables.iter().copied(), "/srv");
        let mut content = |node| self.contents.get(&*String::from_utf8_lossy(&tree.path(node))).cloned();
        let linkage = Linkage::of(&tree, &self.programs, &environment, &mut content);
        ask(&tree, &linkage)
    }

    /// What a file needs, then what it misses.
    fn needs(&self, path: &str, variables: &[(&str, &str)]) -> String {
        self.with(variables, |tree, linkage| {
            let node = tree.find(path.as_bytes()).expect("is there");
            let missing = linkage.missing(node).iter().map(|name| [b"no ", name.as_slice()].concat());
            let mut needs: Vec<Vec<u8>> = linkage.needs(node).iter().map(|&node| tree.path(node)).collect();
            needs.sort();
            let all = needs.into_iter().chain(missing).map(|path| String::from_utf8(path).expect("ASCII"));
            all.collect::<Vec<_>>().join(" ")
        })
    }
}

#[test]
fn programs_need_loader_libraries_and_the_links_on_the_way() {
    let image = Image::of(vec![
        ("lib", File::To("usr/lib")),
        ("lib64", File::To("usr/lib64")),
        ("usr/lib64/ld-linux-x86-64.so.2", bare()),
        ("usr/lib/x86_64-linux-gnu/liba.so.1", File::To("liba.so.1.2")),
        ("usr/lib/x86_64-linux-gnu/liba.so.1.2", elf(&library(&[(NEEDED, "libb.so"), (NEEDED, "libc.so.6")]))),
        ("usr/lib/libb.so", bare()),
        ("usr/bin/a", elf(&program(&[(NEEDED, "liba.so.1"), (NEEDED, "libnone.so")]))),
        ("bin", File::To("usr/bin")),
    ]);
    assert_eq!(
        image.needs("usr/bin/a", &[]),
        "lib lib64 usr/lib/x86_64-linux-gnu/liba.so.1 usr/lib/x86_64-linux-gnu/liba.so.1.2 \
         usr/lib64/ld-linux-x86-64.so.2 no libnone.so"
    );
    assert_eq!(image.needs("usr/lib/x86_64-linux-gnu/liba.so.1.2", &[]), "lib usr/lib/libb.so no libc.so.6");
    assert_eq!(image.needs("usr/lib/x86_64-linux-gnu/liba.so.1", &[]), "usr/lib/x86_64-linux-gnu/liba.so.1.2");
    image.with(&[], |tree, linkage| {
        let root = tree.find(b"usr/bin/a").expect("is there");
        let all = linkage.closure([root], Reach::Needs);
        assert!(all.contains(&tree.find(b"usr/lib/libb.so").unwrap()) && all.contains(&root));
        assert_eq!(all.len(), 9, "with the folders that links lead to");
    });
}

#[test]
fn libraries_of_other_architectures_are_passed_over() {
    let mut other = library(&[]);
    (other.is_64, other.machine) = (false, 3);
    let image = Image::of(vec![
        ("etc/ld.so.conf", text("/lib32\n/opt")),
        ("lib32/liba.so", elf(&other)),
        ("opt/liba.so", text("/* a linker's script */")),
        ("usr/lib/liba.so", bare()),
        ("a", elf(&library(&[(NEEDED, "liba.so")]))),
    ]);
    assert_eq!(image.needs("a", &[]), "usr/lib/liba.so");
}

#[test]
fn folders_come_in_the_order_of_the_loader() {
    let files = |dynamic: &'static [(u64, &'static str)]| {
        let user = elf(&library(dynamic));
        let mut files = vec![("opt/app/bin/a", user), ("etc/ld.so.conf", text("include ld.so.conf.d/*.conf # more"))];
        files.push(("etc/ld.so.conf.d/x.conf", text("/opt/conf\n")));
        files.push(("etc/ld.so.conf.d/x.old", text("/opt/old\n")));
        let places = ["opt/app/lib/l.so", "opt/env/l.so", "opt/conf/l.so", "opt/old/l.so", "usr/lib/l.so"];
        files.extend(places.map(|place| (place, bare())));
        Image::of(files)
    };
    let environment = [("LD_LIBRARY_PATH", "/nowhere:/opt/env")];
    let rpath = files(&[(NEEDED, "l.so"), (RPATH, "$ORIGIN/../lib")]);
    assert_eq!(rpath.needs("opt/app/bin/a", &environment), "opt/app/lib/l.so");
    let runpath = files(&[(NEEDED, "l.so"), (RUNPATH, "${ORIGIN}/../lib")]);
    assert_eq!(runpath.needs("opt/app/bin/a", &environment), "opt/env/l.so");
    assert_eq!(runpath.needs("opt/app/bin/a", &[]), "opt/app/lib/l.so");
    let neither = files(&[(NEEDED, "l.so")]);
    assert_eq!(neither.needs("opt/app/bin/a", &[]), "opt/conf/l.so");
    let both = files(&[(NEEDED, "l.so"), (RPATH, "/opt/old"), (RUNPATH, "/none")]);
    assert_eq!(both.needs("opt/app/bin/a", &[]), "opt/conf/l.so", "RPATH counts only without RUNPATH");
    let path = files(&[(NEEDED, "/opt/old/l.so")]);
    assert_eq!(path.needs("opt/app/bin/a", &environment), "opt/old/l.so");
}

#[test]
fn origin_is_also_where_a_link_lies() {
    let image = Image::of(vec![
        ("opt/x/bin/a", elf(&library(&[(NEEDED, "l.so"), (RUNPATH, "$ORIGIN")]))),
        ("usr/lib/x/a", File::To("/opt/x/bin/a")),
        ("usr/lib/x/l.so", bare()),
    ]);
    assert_eq!(image.needs("opt/x/bin/a", &[]), "usr/lib/x/l.so");
}

#[test]
fn libraries_are_loaded_with_the_rpath_of_those_before_them() {
    let image = Image::of(vec![
        ("opt/bin/a", elf(&program(&[(NEEDED, "l.so"), (RPATH, "/opt/lib")]))),
        ("lib64/ld-linux-x86-64.so.2", bare()),
        ("opt/lib/l.so", elf(&library(&[(NEEDED, "m.so")]))),
        ("opt/lib/m.so", elf(&library(&[(NEEDED, "n.so"), (RUNPATH, "/none")]))),
        ("opt/lib/n.so", bare()),
    ]);
    assert_eq!(image.needs("opt/lib/l.so", &[]), "opt/lib/m.so");
    assert_eq!(image.needs("opt/lib/m.so", &[]), "no n.so", "a RUNPATH of its own takes the others away");
}

#[test]
fn forms_for_kinds_of_processors_are_needed_too() {
    let image = Image::of(vec![
        ("usr/lib/x86_64-linux-gnu/l.so", bare()),
        ("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/l.so", bare()),
        ("usr/lib/x86_64-linux-gnu/tls/l.so", bare()),
        ("usr/lib/glibc-hwcaps/x86-64-v3/l.so", bare()),
        ("a", elf(&library(&[(NEEDED, "l.so")]))),
    ]);
    let found = "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/l.so usr/lib/x86_64-linux-gnu/l.so \
                 usr/lib/x86_64-linux-gnu/tls/l.so";
    assert_eq!(image.needs("a", &[]), found);
}

#[test]
fn what_is_preloaded_is_needed_by_programs() {
    let image = Image::of(vec![
        ("a", elf(&program(&[]))),
        ("lib64/ld-linux-x86-64.so.2", bare()),
        ("opt/p.so", bare()),
        ("usr/lib/q.so", bare()),
        ("etc/ld.so.preload", text("q.so # for all\n")),
    ]);
    let found = image.needs("a", &[("LD_PRELOAD", "/opt/p.so /opt/none.so")]);
    assert_eq!(found, "lib64/ld-linux-x86-64.so.2 opt/p.so usr/lib/q.so");
    assert_eq!(image.needs("lib64/ld-linux-x86-64.so.2", &[]), "");
}

#[test]
fn musl_has_its_own_folders_and_its_own_libraries() {
    let mut user = program(&[(NEEDED, "libz.so.1"), (NEEDED, "libc.musl-x86_64.so.1"), (NEEDED, "libpthread.so.0")]);
    user.interpreter = Some("/lib/ld-musl-x86_64.so.1");
    let files = |paths: Option<&str>| {
        let mut files = vec![
            ("lib/ld-musl-x86_64.so.1", bare()),
            ("lib/libc.musl-x86_64.so.1", File::To("ld-musl-x86_64.so.1")),
            ("usr/lib/libz.so.1", bare()),
            ("opt/libz.so.1", bare()),
            ("a", elf(&user)),
        ];
        files.extend(paths.map(|paths| ("etc/ld-musl-x86_64.path", text(paths))));
        Image::of(files)
    };
    let own = "lib/ld-musl-x86_64.so.1 lib/libc.musl-x86_64.so.1";
    assert_eq!(files(None).needs("a", &[]), format!("{own} usr/lib/libz.so.1"));
    assert_eq!(files(Some("/lib:/opt")).needs("a", &[]), format!("{own} opt/libz.so.1"));
    assert_eq!(files(Some("/lib")).needs("a", &[]), format!("{own} no libz.so.1"));
}

#[test]
fn scripts_need_their_interpreters() {
    let image = Image::of(vec![
        ("usr/bin/dash", bare()),
        ("bin/sh", File::To("/usr/bin/dash")),
        ("usr/bin/env", bare()),
        ("usr/local/bin/python3", File::To("../../bin/python3.11")),
        ("usr/bin/python3.11", bare()),
        ("opt/bin/python3", bare()),
        ("a", text("#!/bin/sh -e\n")),
        ("b", text("#!/usr/bin/env python3\n")),
        ("c", text("#!/usr/bin/env none\n")),
        ("d", text("#!/none\n")),
    ]);
    assert_eq!(image.needs("a", &[]), "bin/sh usr/bin/dash");
    assert_eq!(image.needs("b", &[]), "usr/bin/env usr/bin/python3.11 usr/local/bin/python3");
    assert_eq!(image.needs("b", &[("PATH", "/opt/bin:/usr/bin")]), "opt/bin/python3 usr/bin/env");
    assert_eq!(image.needs("c", &[]), "usr/bin/env no none");
    assert_eq!(image.needs("d", &[]), "no /none");
}

#[test]
fn what_may_be_opened_is_found_wherever_it_lies() {
    let mut user = library(&[]);
    user.texts = b"\0libnss_%s.so%s\0/opt/plugins/x.so\0libp.so.1\0".to_vec();
    let image = Image::of(vec![
        ("a", elf(&user)),
        ("lib/libnss_dns.so.2", bare()),
        ("lib/libnss.so.2", bare()),
        ("opt/plugins/x.so", bare()),
        ("opt/other/libp.so.1", File::To("libp.so.1.0")),
        ("opt/other/libp.so.1.0", elf(&library(&[(SONAME, "libp.so.1")]))),
        ("opt/text/libp.so.1", text("no library")),
    ]);
    image.with(&[], |tree, linkage| {
        let root = tree.find(b"a").expect("is there");
        let mut found: Vec<Vec<u8>> = linkage.may_open(root).iter().map(|&node| tree.path(node)).collect();
        found.sort();
        assert_eq!(
            found,
            [b"lib/libnss_dns.so.2".to_vec(), b"opt/other/libp.so.1".to_vec(), b"opt/plugins/x.so".to_vec()]
        );
        assert!(linkage.needs(root).is_empty());
        assert_eq!(linkage.closure([root], Reach::Needs).len(), 1);
        assert_eq!(linkage.closure([root], Reach::MayOpen).len(), 5, "with what the link leads to");
    });
}

#[test]
fn loops_have_an_end() {
    let image = Image::of(vec![
        ("x", File::To("y")),
        ("y", File::To("x")),
        ("etc/ld.so.conf", text("include ld.so.conf\ninclude /x/*\n/x")),
        ("usr/lib/a.so", elf(&library(&[(NEEDED, "b.so"), (RPATH, "/x:$ORIGIN/$ORIGIN")]))),
        ("usr/lib/b.so", elf(&library(&[(NEEDED, "a.so"), (RPATH, "$ORIGIN/..")]))),
    ]);
    assert_eq!(image.needs("usr/lib/a.so", &[]), "usr/lib/b.so");
    assert_eq!(image.needs("x", &[]), "");
}

#[test]
fn an_environment_is_that_of_the_config() {
    let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},
        "config":{"Env":["LD_LIBRARY_PATH=/a::/b","PATH=/x:/y"],"WorkingDir":"/srv"}}"#;
    let environment = Environment::of(&Config::parse(config.as_bytes()).expect("a config"));
    assert_eq!(environment.library_path, [b"/a".to_vec(), b"/srv".to_vec(), b"/b".to_vec()]);
    assert_eq!(environment.path, [b"/x", b"/y"]);
    assert_eq!(Environment::from_variables([], "/").path.len(), 6);
}

#[test]
fn checksums_are_found_by_all_names_of_a_file() {
    let image = Image::of(vec![
        ("usr/lib64/libgcrypt.so.20.4.1", bare()),
        ("usr/lib64/libgcrypt.so.20", File::To("libgcrypt.so.20.4.1")),
        ("usr/lib64/.libgcrypt.so.20.hmac", text("1")),
        ("usr/lib64/libsoftokn3.so", bare()),
        ("usr/lib64/libsoftokn3.chk", text("1")),
        ("usr/bin/sshd", bare()),
        ("usr/bin/other", bare()),
        ("usr/lib64/ossl-modules/fips.so", bare()),
        ("usr/lib64/fipscheck/sshd.hmac", text("1")),
    ]);
    image.with(&[], |tree, _| {
        let beside = |path: &str| {
            let found = has_checksum_beside(tree, tree.find(path.as_bytes()).expect("is there"));
            found.map(|node| String::from_utf8(tree.path(node)).expect("ASCII"))
        };
        assert_eq!(beside("usr/lib64/libgcrypt.so.20.4.1").as_deref(), Some("usr/lib64/.libgcrypt.so.20.hmac"));
        assert_eq!(beside("usr/lib64/libsoftokn3.so").as_deref(), Some("usr/lib64/libsoftokn3.chk"));
        assert_eq!(beside("usr/bin/sshd").as_deref(), Some("usr/lib64/fipscheck/sshd.hmac"));
        assert_eq!(beside("usr/lib64/ossl-modules/fips.so").as_deref(), Some("usr/lib64/ossl-modules/fips.so"));
        assert_eq!(beside("usr/bin/other"), None);
    });
}
