//! ADD: archives and what is fetched.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use jettison_image::Digest;

use super::super::Stat;
use super::{Bench, copy, ids, listing};
use crate::build::Cancel;
use crate::files::{Download, Downloaded, FetchOptions, FilesError, Ownership, Source, fetch, identity, is_remote};
use crate::ids::Ids;
use crate::plan::Copy;

/// A tar with a folder, a file, a link and a hard link.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut append = |path: &str, entry_type, mode, content: &str, link: Option<&str>| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(entry_type);
        header.set_mode(mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        if let Some(link) = link {
            header.set_link_name(link).expect("a link");
        }
        builder.append_data(&mut header, path, content.as_bytes()).expect("appends");
    };
    append("d/", tar::EntryType::Directory, 0o750, "", None);
    append("d/a", tar::EntryType::Regular, 0o640, "hello", None);
    append("d/l", tar::EntryType::Symlink, 0o777, "", Some("a"));
    append("d/h", tar::EntryType::Link, 0o640, "", Some("d/a"));
    append("implied/b", tar::EntryType::Regular, 0o600, "b", None);
    builder.into_inner().expect("finishes")
}

fn packed(command: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new(command)
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command} is needed: {error}"));
    child.stdin.take().expect("a pipe").write_all(bytes).expect("writes");
    child.wait_with_output().expect("ends").stdout
}

#[test]
fn add_unpacks_archives_by_their_content() {
    let plain = archive();
    let expected = ["x/", "x/d/", "x/d/a", "x/d/h", "x/d/l -> a", "x/implied/", "x/implied/b"];
    for command in ["", "gzip", "bzip2", "xz"] {
        let bench = Bench::new(&["plain"]);
        let bytes = if command.is_empty() { plain.clone() } else { packed(command, &plain) };
        fs::write(bench.context("file"), bytes).expect("writes");
        symlink("file", bench.context("link")).expect("links");
        let add = Copy { is_add: true, ..copy(&["link"], "/x") };
        bench.check(&add, &expected);
        assert_eq!(fs::read_to_string(bench.image("x/d/h")).expect("reads"), "hello");
        assert_eq!((bench.mode("x/d"), bench.mode("x/d/a"), bench.mode("x/implied")), (0o750, 0o640, 0o755));
        assert_eq!(bench.image("x/d").metadata().expect("is there").mtime(), 1_000_000);
        if ids() == Ids::Many {
            assert_eq!(bench.image("x/d/l").symlink_metadata().expect("is there").uid(), 7);
        }
        // COPY does not, nor ADD that is told not to, nor either with what is no tar.
        for copy in [copy(&["file"], "/y/"), Copy { unpack: Some(false), destination: "/z/".to_owned(), ..add.clone() }]
        {
            bench.run(&copy).expect("copies");
        }
        assert!(bench.image("y/file").is_file() && bench.image("z/link").is_file());
        bench.run(&Copy { unpack: Some(true), ..copy(&["file"], "/w") }).expect("copies");
        assert!(bench.image("w/d/a").is_file());
        bench.run(&Copy { sources: vec!["plain".to_owned()], destination: "/v".to_owned(), ..add }).expect("copies");
        assert!(bench.image("v").is_file());
    }
    let bench = Bench::new(&[]);
    fs::write(bench.context("file"), zstd::encode_all(&plain[..], 3).expect("packs")).expect("writes");
    fs::write(bench.context("text.gz"), packed("gzip", b"no tar")).expect("writes");
    bench.run(&Copy { is_add: true, ..copy(&["file", "text.gz"], "/x/") }).expect("adds");
    assert!(bench.image("x/d/a").is_file() && bench.image("x/text.gz").is_file());
}

#[test]
fn archives_replace_what_is_in_their_way() {
    let mut bench = Bench::new(&[]).with_image(&["x/d/a/deep", "x/d/kept", "x/implied -> /real", "real/"]);
    bench.owner = Some((12, 34));
    fs::write(bench.context("file"), archive()).expect("writes");
    bench.run(&Copy { is_add: true, ..copy(&["file"], "/x") }).expect("adds");
    // Links lead within the folder that is unpacked to, as for a process whose root it is.
    assert!(bench.image("x/d/a").is_file() && bench.image("x/d/kept").is_file() && bench.image("x/real/b").is_file());
    let at = bench.image("x/d/a");
    let stat = Stat::from(&at.metadata().expect("is there"));
    assert_eq!(identity::owner_of(|| at, &stat, ids()), (12, 34));
    let truncated = archive()[..1026].to_vec();
    fs::write(bench.context("file"), truncated).expect("writes");
    let result = bench.run(&Copy { is_add: true, ..copy(&["file"], "/x") });
    assert!(matches!(result, Err(FilesError::Archive { .. })), "{result:?}");
}

/// Serves one file, whatever it is asked for.
struct Server(Vec<u8>, Option<u64>);

impl Download for Server {
    fn download(&self, _url: &str, to: &Path) -> Result<Downloaded, Box<dyn std::error::Error + Send + Sync>> {
        fs::write(to, &self.0)?;
        Ok(Downloaded { modified: self.1.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)) })
    }
}

#[test]
fn urls_are_fetched_and_checked() {
    let bench = Bench::new(&["a"]);
    let cancel = Cancel::default();
    let content = archive();
    let digest = Digest::of(&content).to_string();
    let server = Server(content, Some(1_000_000));
    let url = "https://example.org/dir/file.tar?v=1";
    let mut number = 0;
    let mut fetching = |copy: &Copy, offline| {
        number += 1;
        let folder = bench.folder.path().join(format!("fetched{number}"));
        fs::create_dir(&folder).expect("makes");
        fetch(copy, &FetchOptions { folder: &folder, offline, download: &server, cancel: &cancel })
    };
    let add = Copy { is_add: true, checksum: Some(digest.clone()), ..copy(&[url], "/x/") };
    assert!(is_remote(&add) && !is_remote(&copy(&["a"], "/x")));
    let fetched = fetching(&add, false).expect("fetches");
    let root = bench.context("");
    let source = Source { root: Some(&root), ignore: None, owners: Ownership::Root, ids: ids(), fetched: &fetched };
    bench.run_from(&add, &source).expect("adds");
    assert_eq!((listing(&bench.image("x")), bench.mode("x/file.tar")), (vec!["file.tar".to_owned()], 0o600));
    assert_eq!(bench.image("x/file.tar").metadata().expect("is there").mtime(), 1_000_000);
    let unpacked = Copy { unpack: Some(true), destination: "/y".to_owned(), ..add.clone() };
    bench.run_from(&unpacked, &source).expect("adds");
    assert!(bench.image("y/d/a").is_file());
    let both = Copy {
        sources: vec![url.to_owned(), "a".to_owned()],
        checksum: None,
        destination: "/z/".to_owned(),
        ..add.clone()
    };
    bench.run_from(&both, &source).expect("adds");
    assert_eq!(listing(&bench.image("z")), ["a", "file.tar"]);

    assert!(matches!(fetching(&add, true), Err(FilesError::Offline { .. })));
    let with = |checksum: &str| Copy { checksum: Some(checksum.to_owned()), ..add.clone() };
    let wrong = format!("sha256:{}", "0".repeat(64));
    let message = fetching(&with(&wrong), false).expect_err("differs").to_string();
    assert!(message.contains(&wrong) && message.contains(&digest), "{message}");
    let wrong = format!("sha512:{}", "0".repeat(128));
    assert!(matches!(fetching(&with(&wrong), false), Err(FilesError::Checksum { .. })));
    for bad in ["md5:00", "sha256:00", &digest[7..]] {
        assert!(matches!(fetching(&with(bad), false), Err(FilesError::ChecksumUse { .. })), "{bad}");
    }
    let as_copy = Copy { is_add: false, checksum: None, ..add.clone() };
    assert!(matches!(fetching(&as_copy, false), Err(FilesError::OnlyAdd { .. })));
    let local = Copy { sources: vec!["a".to_owned()], ..add };
    assert!(matches!(fetching(&local, false), Err(FilesError::ChecksumUse { .. })));
}
