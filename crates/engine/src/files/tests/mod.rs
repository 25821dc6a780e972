//! Tests of selecting and applying together: what BuildKit's COPY and ADD do with a context and an image.

mod add;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use jettison_image::Digest;
use jettison_syntax::ignore::Ignore;
use tempfile::TempDir;

use super::{Applied, Digests, FilesError, Known, Ownership, Source, Stat, Target, apply, select};
use crate::build::Cancel;
use crate::ids::Ids;
use crate::plan::{Copy, CopySource};

/// A context, an image, and what lies outside of both.
struct Bench {
    folder: TempDir,
    ignore: String,
    owners: Ownership,
    owner: Option<(u32, u32)>,
    time: Option<i64>,
}

fn ids() -> Ids {
    if rustix::process::geteuid().is_root() { Ids::Many } else { Ids::One }
}

fn copy(sources: &[&str], destination: &str) -> Copy {
    Copy {
        is_add: false,
        from: CopySource::Context,
        sources: sources.iter().map(|&source| source.to_owned()).collect(),
        heredocs: Vec::new(),
        destination: destination.to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        checksum: None,
        keep_git_dir: false,
        unpack: None,
    }
}

impl Bench {
    /// A bench with files in its context (folders end with a slash, `name -> target` are links).
    fn new(context: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bench = Self { folder, ignore: String::new(), owners: Ownership::Root, owner: None, time: None };
        fs::create_dir(bench.image("")).expect("makes");
        fill(&bench.context(""), context);
        bench
    }

    fn context(&self, path: &str) -> PathBuf {
        self.folder.path().join("context").join(path)
    }

    fn image(&self, path: &str) -> PathBuf {
        self.folder.path().join("image").join(path)
    }

    fn with_image(self, files: &[&str]) -> Self {
        fill(&self.image(""), files);
        self
    }

    fn digest(&self, copy: &Copy) -> Result<Digest, FilesError> {
        let (root, ignore) = (self.context(""), Ignore::parse(&self.ignore));
        let source = Source { root: Some(&root), ignore: Some(&ignore), owners: self.owners, ids: ids(), fetched: &[] };
        Ok(select(copy, &source, &())?.digest())
    }

    fn run(&self, copy: &Copy) -> Result<Applied, FilesError> {
        let (root, ignore) = (self.context(""), Ignore::parse(&self.ignore));
        let source = Source { root: Some(&root), ignore: Some(&ignore), owners: self.owners, ids: ids(), fetched: &[] };
        self.run_from(copy, &source)
    }

    fn run_from(&self, copy: &Copy, source: &Source<'_>) -> Result<Applied, FilesError> {
        let selection = select(copy, source, &())?;
        let (root, cancel) = (self.image(""), Cancel::default());
        let (owner, time) = (self.owner, self.time);
        apply(&selection, copy, &Target { root: &root, owner, ids: ids(), time, observer: None, cancel: &cancel })
    }

    /// Copies, and compares what is in the image then.
    fn check(&self, copy: &Copy, expected: &[&str]) {
        if let Err(error) = self.run(copy) {
            panic!("{copy:?}: {error}");
        }
        assert_eq!(listing(&self.image("")), expected, "{copy:?}");
    }

    fn mode(&self, path: &str) -> u32 {
        self.image(path).symlink_metadata().expect("is there").mode() & 0o7777
    }
}

fn fill(root: &Path, files: &[&str]) {
    fs::create_dir_all(root).expect("makes");
    for file in files {
        let (path, link) = file.split_once(" -> ").map_or((*file, None), |(path, link)| (path, Some(link)));
        let at = root.join(path);
        fs::create_dir_all(at.parent().expect("a parent")).expect("makes");
        match link {
            Some(target) => symlink(target, &at).expect("links"),
            None if path.ends_with('/') => fs::create_dir_all(&at).expect("makes"),
            None => fs::write(&at, format!("content of {path}")).expect("writes"),
        }
    }
}

/// The paths below a folder, written as [`fill`] takes them.
fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("lists") {
            let path = entry.expect("lists").path();
            let name = path.strip_prefix(root).expect("below").display().to_string();
            let metadata = path.symlink_metadata().expect("is there");
            if metadata.is_dir() {
                found.push(format!("{name}/"));
                waiting.push(path);
            } else if metadata.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).expect("reads").display()));
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn files_and_folders_go_where_buildkit_puts_them() {
    /// Sources, destination, what is in the image before, and after.
    type Case<'a> = (&'a [&'a str], &'a str, &'a [&'a str], &'a [&'a str]);
    let files = ["a", "dir/b", "dir/sub/c", "link -> dir", "empty/"];
    let cases: [Case<'_>; 15] = [
        (&["a"], "/x", &[], &["x"]),
        (&["a"], "/x/", &[], &["x/", "x/a"]),
        (&["a"], "/x/.", &[], &["x/", "x/a"]),
        (&["a"], "/x", &["x/"], &["x/", "x/a"]),
        (&["a"], "/new/deep/x", &[], &["new/", "new/deep/", "new/deep/x"]),
        (&["dir"], "/x", &[], &["x/", "x/b", "x/sub/", "x/sub/c"]),
        (&["dir/"], "/x/", &["x/old"], &["x/", "x/b", "x/old", "x/sub/", "x/sub/c"]),
        (&["link"], "/x", &[], &["x/", "x/b", "x/sub/", "x/sub/c"]),
        (&["a", "dir"], "/x/", &[], &["x/", "x/a", "x/b", "x/sub/", "x/sub/c"]),
        (&["dir", "a"], "/x", &[], &["x/", "x/a", "x/b", "x/sub/", "x/sub/c"]),
        (&["a", "link/b"], "/x", &[], &["x"]),
        (&["a", "link/b"], "/x", &["x/"], &["x/", "x/a", "x/b"]),
        (&["link/b"], "/x/", &[], &["x/", "x/b"]),
        (&["."], "/", &[], &["a", "dir/", "dir/b", "dir/sub/", "dir/sub/c", "empty/", "link -> dir"]),
        (&["/empty"], "/x", &[], &["x/"]),
    ];
    for (sources, destination, image, expected) in cases {
        Bench::new(&files).with_image(image).check(&copy(sources, destination), expected);
    }
}

#[test]
fn wildcards_match_as_in_go() {
    let files = ["a1.txt", "a2.txt", "b[1].txt", "d1/x", "d1/deep/x", "d2/y", "to -> a1.txt"];
    let cases: [(&[&str], &[&str]); 9] = [
        (&["a*.txt"], &["x/", "x/a1.txt", "x/a2.txt"]),
        (&["a?.txt", "b[[]1].txt"], &["x/", "x/a1.txt", "x/a2.txt", "x/b[1].txt"]),
        (&["d*"], &["x/", "x/deep/", "x/deep/x", "x/x", "x/y"]),
        (&["*/x"], &["x/", "x/x"]),
        (&["d[^1]"], &["x/", "x/y"]),
        (&["t*"], &["x/", "x/to"]),
        (&["*/*/x"], &["x/", "x/x"]),
        (&["a1.txt", "nothing*"], &["x/", "x/a1.txt"]),
        // BuildKit makes nothing at all of a wildcard that nothing matches.
        (&["nothing*"], &[]),
    ];
    for (sources, expected) in cases {
        Bench::new(&files).check(&copy(sources, "/x/"), expected);
    }
    let bench = Bench::new(&files);
    assert!(matches!(bench.run(&copy(&["a[.txt"], "/x/")), Err(FilesError::Pattern { .. })));
    assert!(matches!(bench.run(&copy(&["no/*.txt"], "/x/")), Err(FilesError::NotFound { .. })));
    // A link among the matches is followed, as BuildKit follows it: what arrives is a file.
    bench.run(&copy(&["t*"], "/y/")).expect("copies");
    assert_eq!(fs::read_to_string(bench.image("y/to")).expect("reads"), "content of a1.txt");
}

#[test]
fn missing_sources_are_named_with_a_hint() {
    let mut bench = Bench::new(&["src/Main.rs", "secret"]);
    bench.ignore = "secret\n".to_owned();
    for (source, message) in [
        ("nowhere", "\"/nowhere\": not found"),
        ("src/main.rs", "\"/src/main.rs\": not found (did you mean \"/src/Main.rs\"?)"),
        ("../../secret", "\"/secret\": not found (it is there, but the ignore file excludes it)"),
        ("secrte", "\"/secrte\": not found"),
    ] {
        assert_eq!(bench.run(&copy(&[source], "/x")).expect_err(source).to_string(), message);
    }
}

#[test]
fn ignore_files_hide_what_they_exclude() {
    let files = ["a.log", "b", "node/x", "node/keep/y", "deep/a.log", "Dockerfile", ".dockerignore", "only/a.log"];
    let mut bench = Bench::new(&files);
    bench.ignore = "**/*.log\nnode\n!node/keep\nonly\n".to_owned();
    bench.check(
        &copy(&["."], "/x"),
        &["x/", "x/.dockerignore", "x/Dockerfile", "x/b", "x/deep/", "x/node/", "x/node/keep/", "x/node/keep/y"],
    );
    assert!(matches!(bench.run(&copy(&["only"], "/z")), Err(FilesError::NotFound { .. })));
    assert!(matches!(bench.run(&copy(&["node/x"], "/z")), Err(FilesError::NotFound { .. })));
    bench.run(&copy(&["*.log", "nod*"], "/z/")).expect("copies");
    assert_eq!(listing(&bench.image("z")), ["keep/", "keep/y"]);
    // What is hidden does not count.
    let before = bench.digest(&copy(&["."], "/x")).expect("selects");
    fs::write(bench.context("node/x"), "other").expect("writes");
    assert_eq!(bench.digest(&copy(&["."], "/x")).expect("selects"), before);
}

#[test]
fn parents_and_excludes_choose() {
    let files = ["a/b/c.txt", "a/b/d.md", "a/e.txt", "f.txt", "x.jar", "x-sources.jar"];
    let with = |sources: &[&str], exclude: &[&str], parents| Copy {
        parents,
        exclude: exclude.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..copy(sources, "/x/")
    };
    let cases: [(Copy, &[&str]); 8] = [
        (with(&["a/b/c.txt"], &[], true), &["x/", "x/a/", "x/a/b/", "x/a/b/c.txt"]),
        (with(&["a/./b/c.txt"], &[], true), &["x/", "x/b/", "x/b/c.txt"]),
        (with(&["**/*.txt"], &[], true), &["x/", "x/a/", "x/a/b/", "x/a/b/c.txt", "x/a/e.txt", "x/f.txt"]),
        (with(&["a/b"], &["**/*.md"], true), &["x/", "x/a/", "x/a/b/", "x/a/b/c.txt"]),
        (with(&["a"], &["b"], false), &["x/", "x/e.txt"]),
        (with(&["a"], &["b", "!b/d.md"], false), &["x/", "x/b/", "x/b/d.md", "x/e.txt"]),
        (with(&["*.jar"], &["*-sources.jar"], false), &["x/", "x/x.jar"]),
        (with(&["a/*/nothing"], &[], true), &["x/"]),
    ];
    for (copy, expected) in cases {
        Bench::new(&files).check(&copy, expected);
    }
    let missing = Bench::new(&files).run(&with(&["a/nothing"], &[], true));
    assert!(matches!(missing, Err(FilesError::NotFound { .. })), "{missing:?}");
    let bad = Bench::new(&files).run(&with(&["a"], &["["], false));
    assert!(matches!(bad, Err(FilesError::Filter { .. })), "{bad:?}");
}

#[test]
fn what_is_there_is_merged_or_replaced() {
    let files = ["dir/a", "dir/sub/b", "file"];
    let bench = Bench::new(&files).with_image(&["x/sub/old", "x/a -> /x/kept", "x/kept"]);
    bench.check(&copy(&["dir"], "/x"), &["x/", "x/a", "x/kept", "x/sub/", "x/sub/b", "x/sub/old"]);
    assert_eq!(fs::read_to_string(bench.image("x/kept")).expect("reads"), "content of x/kept");
    let over_file = Bench::new(&files).with_image(&["x/sub"]).run(&copy(&["dir"], "/x"));
    assert_eq!(over_file.expect_err("fails").to_string(), "cannot copy a folder to \"/x/sub\", which is not a folder");
    let over_link = Bench::new(&files).with_image(&["x/sub -> /y", "y/"]).run(&copy(&["dir"], "/x"));
    assert!(matches!(over_link, Err(FilesError::FolderOverFile { .. })), "{over_link:?}");
    let over_folder = Bench::new(&files).with_image(&["x/a/"]).run(&copy(&["dir"], "/x"));
    assert_eq!(over_folder.expect_err("fails").to_string(), "cannot replace the folder \"/x/a\" with a file");
    let through_file = Bench::new(&files).with_image(&["x"]).run(&copy(&["file"], "/x/y/z"));
    assert_eq!(through_file.expect_err("fails").to_string(), "\"/x\" is not a folder");
}

#[test]
fn links_never_lead_out_of_a_context_or_an_image() {
    let mut bench = Bench::new(&["etc/passwd", "root -> /", "up -> ../..", "abs -> /etc/passwd", "dir/far -> /etc"]);
    let outside = bench.folder.path().join("outside");
    fs::create_dir(&outside).expect("makes");
    fs::write(outside.join("secret"), "secret").expect("writes");
    symlink(&outside, bench.context("escape")).expect("links");
    for source in ["root/etc/passwd", "up/etc/passwd", "abs", "../../etc/passwd", "dir/far/passwd", "root/up/root/abs"]
    {
        bench.run(&copy(&[source], "/found")).expect(source);
        assert_eq!(fs::read_to_string(bench.image("found")).expect("reads"), "content of etc/passwd", "{source}");
    }
    for source in ["escape/secret", "escape", "../outside/secret"] {
        assert!(matches!(bench.run(&copy(&[source], "/x")), Err(FilesError::NotFound { .. })), "{source}");
    }
    // Within a tree that is copied links stay what they are.
    bench.run(&copy(&["."], "/all")).expect("copies");
    assert_eq!(fs::read_link(bench.image("all/escape")).expect("reads"), outside);
    bench.ignore = "etc/passwd".to_owned();
    assert!(matches!(bench.run(&copy(&["abs"], "/x")), Err(FilesError::NotFound { .. })));

    // Destinations: through links of the image, as the image sees them.
    let bench =
        Bench::new(&["a", "out/b"]).with_image(&["real/", "to -> /real", "up -> ../../../..", "dangling -> /made"]);
    let outside = bench.folder.path().join("outside");
    fs::create_dir(&outside).expect("makes");
    symlink(&outside, bench.image("out")).expect("links");
    for destination in ["/to/x", "/up/real/y", "/dangling/z", "/out/w", "/../../real/v"] {
        bench.run(&copy(&["a"], destination)).expect(destination);
    }
    bench.run(&copy(&["a"], "/to")).expect("copies");
    for path in ["real/x", "real/y", "made/z", "real/v", "real/a"] {
        assert!(bench.image(path).is_file(), "{path}");
    }
    assert!(bench.image(outside.to_str().expect("a name").trim_start_matches('/')).join("w").is_file());
    let over_link = bench.run(&copy(&["."], "/"));
    assert!(matches!(over_link, Err(FilesError::FolderOverFile { .. })), "{over_link:?}");
    assert_eq!(fs::read_dir(&outside).expect("lists").count(), 0);
}

#[test]
fn modes_times_and_attributes_are_kept() {
    let bench = Bench::new(&["dir/sub/a", "dir/sub/l -> a", "run"]);
    let time = UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    let set = |path: &str, mode: u32| {
        fs::set_permissions(bench.context(path), fs::Permissions::from_mode(mode)).expect("sets");
        fs::File::open(bench.context(path)).and_then(|file| file.set_modified(time)).expect("sets");
    };
    let name = "user.note";
    rustix::fs::setxattr(bench.context("dir/sub/a"), name, b"x", rustix::fs::XattrFlags::empty()).expect("sets");
    for reserved in ["user.overlay.opaque", "user.jettison.owner"] {
        let at = bench.context("dir/sub/a");
        rustix::fs::setxattr(at, reserved, b"1:1", rustix::fs::XattrFlags::empty()).expect("sets");
    }
    set("dir/sub/a", 0o4711);
    set("dir/sub", 0o1555);
    set("dir", 0o700);
    let applied = bench.run(&copy(&["dir"], "/x/y")).expect("copies");
    assert_eq!((bench.mode("x/y/sub/a"), bench.mode("x/y/sub")), (0o4711, 0o1555));
    // A destination that is made is a builder's folder, not the source's.
    assert_eq!((bench.mode("x"), bench.mode("x/y")), (0o755, 0o755));
    for path in ["x/y", "x/y/sub", "x/y/sub/a"] {
        assert_eq!(bench.image(path).metadata().expect("is there").modified().expect("has"), time, "{path}");
    }
    let mut value = [0_u8; 8];
    let a = bench.image("x/y/sub/a");
    assert_eq!(rustix::fs::getxattr(&a, name, &mut value[..]).expect("is there"), 1);
    assert!(rustix::fs::getxattr(&a, "user.overlay.opaque", &mut value[..]).is_err());
    let inode = a.metadata().expect("is there").ino();
    assert_eq!(applied.digests, HashMap::from([(inode, Digest::of(b"content of dir/sub/a"))]));
    fs::set_permissions(bench.context("dir/sub"), fs::Permissions::from_mode(0o755)).expect("sets");

    let chmod = |text: &str| Copy { chmod: Some(text.to_owned()), ..copy(&["dir"], "/z") };
    bench.run(&chmod("u=rwX,go=rX")).expect("copies");
    assert_eq!((bench.mode("z/sub/a"), bench.mode("z/sub"), bench.mode("z")), (0o755, 0o755, 0o755));
    bench.run(&chmod("0640")).expect("copies");
    assert_eq!((bench.mode("z/sub"), bench.mode("z")), (0o640, 0o755));
    fs::set_permissions(bench.image("z/sub"), fs::Permissions::from_mode(0o755)).expect("sets");
    assert_eq!(bench.mode("z/sub/a"), 0o640);
    assert!(matches!(bench.run(&chmod("999")), Err(FilesError::Mode { .. })));
}

#[test]
fn one_time_can_stand_for_all() {
    let mut bench = Bench::new(&["dir/a", "dir/l -> a"]);
    bench.time = Some(1_000);
    bench.run(&copy(&["dir"], "/x/y")).expect("copies");
    for path in ["x/y", "x/y/a", "x/y/l"] {
        assert_eq!(bench.image(path).symlink_metadata().expect("is there").mtime(), 1_000, "{path}");
    }
}

#[test]
fn hard_links_and_special_files_stay_what_they_are() {
    let mut bench = Bench::new(&["dir/a", "dir/z"]);
    bench.owners = Ownership::Kept;
    fs::hard_link(bench.context("dir/a"), bench.context("dir/b")).expect("links");
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o620);
    rustix::fs::mknodat(rustix::fs::CWD, bench.context("dir/pipe"), fifo, mode, 0).expect("makes");
    let _socket = std::os::unix::net::UnixListener::bind(bench.context("dir/socket")).expect("binds");
    bench.check(&copy(&["dir"], "/x"), &["x/", "x/a", "x/b", "x/pipe", "x/socket", "x/z"]);
    let inode = |path: &str| bench.image(path).metadata().expect("is there").ino();
    assert!(inode("x/a") == inode("x/b") && inode("x/a") != inode("x/z"));
    // A client of BuildKit does not send sockets.
    bench.owners = Ownership::Root;
    bench.run(&copy(&["dir"], "/y")).expect("copies");
    assert_eq!(listing(&bench.image("y")), ["a", "b", "pipe", "z"]);
}

#[test]
fn owners_are_given_or_recorded() {
    let mut bench = Bench::new(&["dir/a", "dir/l -> a"]);
    bench.owner = Some((12, 34));
    let applied = bench.run(&copy(&["dir"], "/new/x")).expect("copies");
    let owner = |path: &str| {
        let at = bench.image(path);
        let stat = Stat::from(&at.symlink_metadata().expect("is there"));
        super::identity::owner_of(|| at, &stat, ids())
    };
    // The folders that are made for it belong to them too.
    for path in ["new", "new/x", "new/x/a"] {
        assert_eq!(owner(path), (12, 34), "{path}");
    }
    let link = bench.image("new/x/l").symlink_metadata().expect("is there");
    match ids() {
        Ids::Many => assert_eq!((link.uid(), link.gid(), applied.owners.by_inode.len()), (12, 34, 0)),
        // Only root of some namespace can record it at the link.
        Ids::One => assert_eq!(applied.owners.by_inode, HashMap::from([(link.ino(), (12, 34))])),
    }
    if ids() == Ids::Many {
        std::os::unix::fs::lchown(bench.context("dir/a"), Some(5), Some(6)).expect("gives");
        bench.owner = None;
        for (owners, expected) in [(Ownership::Root, (0, 0)), (Ownership::Kept, (5, 6))] {
            bench.owners = owners;
            bench.run(&copy(&["dir"], "/y")).expect("copies");
            let metadata = bench.image("y/a").metadata().expect("is there");
            assert_eq!((metadata.uid(), metadata.gid()), expected);
        }
    }
}

#[test]
fn heredocs_are_files() {
    let bench = Bench::new(&[]);
    let heredocs = vec![("one".to_owned(), b"1".to_vec()), ("two".to_owned(), b"2".to_vec())];
    let copy = Copy { heredocs: heredocs.clone(), ..copy(&[], "/x/") };
    bench.check(&copy, &["x/", "x/one", "x/two"]);
    assert_eq!((bench.mode("x/one"), fs::read(bench.image("x/two")).expect("reads")), (0o644, b"2".to_vec()));
    let single =
        Copy { heredocs: heredocs[..1].to_vec(), destination: "/y".to_owned(), chmod: Some("755".to_owned()), ..copy };
    bench.run(&single).expect("copies");
    assert_eq!((bench.mode("y"), fs::read(bench.image("y")).expect("reads")), (0o755, b"1".to_vec()));
}

#[test]
fn the_digest_covers_what_is_copied_and_no_times() {
    let bench = Bench::new(&["dir/a", "dir/l -> a", "dir/sub/"]);
    let copy = copy(&["dir"], "/x");
    let digest = || bench.digest(&copy).expect("selects");
    let first = digest();
    fs::File::open(bench.context("dir/a")).and_then(|file| file.set_modified(UNIX_EPOCH)).expect("sets");
    assert_eq!(digest(), first);
    let mut seen = vec![first];
    let mut differs = |what: &str| {
        let digest = digest();
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    };
    fs::write(bench.context("dir/a"), "other").expect("writes");
    differs("content");
    fs::set_permissions(bench.context("dir/a"), fs::Permissions::from_mode(0o600)).expect("sets");
    differs("mode");
    fs::rename(bench.context("dir/a"), bench.context("dir/b")).expect("renames");
    differs("name");
    fs::remove_file(bench.context("dir/l")).expect("removes");
    symlink("b", bench.context("dir/l")).expect("links");
    differs("link target");
    fs::hard_link(bench.context("dir/b"), bench.context("dir/c")).expect("links");
    differs("hard link");
    fs::remove_file(bench.context("dir/c")).expect("removes");
    fs::copy(bench.context("dir/b"), bench.context("dir/c")).expect("copies");
    differs("no hard link");
    rustix::fs::setxattr(bench.context("dir/b"), "user.a", b"x", rustix::fs::XattrFlags::empty()).expect("sets");
    differs("attribute");
    fs::remove_dir(bench.context("dir/sub")).expect("removes");
    differs("folder");
}

/// Counts how often contents are asked for and remembered.
#[derive(Default)]
struct Memory(Mutex<HashMap<(u64, u64), Known>>);

impl Digests for Memory {
    fn get(&self, stat: &Stat) -> Option<Known> {
        self.0.lock().expect("locks").get(&stat.inode).copied()
    }

    fn put(&self, stat: &Stat, known: Known) {
        assert_eq!(self.0.lock().expect("locks").insert(stat.inode, known), None);
    }
}

#[test]
fn remembered_digests_are_believed_until_a_file_changes_under_way() {
    let bench = Bench::new(&["dir/a", "dir/b"]);
    let (root, memory, cancel) = (bench.context(""), Memory::default(), Cancel::default());
    let source = Source { root: Some(&root), ignore: None, owners: Ownership::Root, ids: ids(), fetched: &[] };
    let copy = copy(&["dir"], "/x");
    let first = select(&copy, &source, &memory).expect("selects");
    assert_eq!(memory.0.lock().expect("locks").len(), 2);
    let again = select(&copy, &source, &memory).expect("selects");
    assert_eq!(first.digest(), again.digest());
    assert_eq!((again.bytes(), again.entries()), (32, 3));
    fs::write(bench.context("dir/b"), "changed by now").expect("writes");
    let image = bench.image("");
    let target = Target { root: &image, owner: None, ids: ids(), time: None, observer: None, cancel: &cancel };
    let applied = apply(&again, &copy, &target).expect("copies");
    let inode = bench.image("x/a").metadata().expect("is there").ino();
    assert_eq!(applied.digests, HashMap::from([(inode, Digest::of(b"content of dir/a"))]));
    cancel.cancel();
    assert!(matches!(apply(&again, &copy, &target), Err(FilesError::Cancelled)));
}

#[test]
fn devices_are_made_or_recorded() {
    let bench = Bench::new(&["dir/a"]);
    for ids in [Ids::One, ids()] {
        let from = bench.context("dir").join("null");
        let node = (super::identity::NodeKind::Char, 1, 3);
        super::identity::make_node(&from, node, 0o620, ids).expect("makes");
        let root = bench.context("");
        let source = Source { root: Some(&root), ignore: None, owners: Ownership::Kept, ids, fetched: &[] };
        let (copy, cancel, image) = (copy(&["dir"], "/x"), Cancel::default(), bench.image(""));
        let selection = select(&copy, &source, &()).expect("selects");
        let target = Target { root: &image, owner: Some((12, 34)), ids, time: None, observer: None, cancel: &cancel };
        apply(&selection, &copy, &target).expect("copies");
        let to = bench.image("x/null");
        let metadata = to.symlink_metadata().expect("is there");
        let stat = Stat::from(&metadata);
        assert_eq!(super::identity::node_of(|| to.clone(), &stat), Some(node));
        assert_eq!(super::identity::owner_of(|| to.clone(), &stat, ids), (12, 34));
        assert_eq!(metadata.is_file(), ids == Ids::One);
        fs::remove_file(from).expect("removes");
        fs::remove_dir_all(bench.image("x")).expect("removes");
    }
}
