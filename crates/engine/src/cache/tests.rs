//! The cache under kills, damage and company.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use jettison_image::{Digest, Layer};

use super::{Cache, CacheError, Filter, Import, Snapshot, StepRecord, export};
use crate::files::{Digests as _, Known, Stat};
use crate::ids::{Ids, Owners};
use crate::plan::CacheSharing;
use crate::snapshot::{Kind, Snapshotter};

fn key(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// A snapshot with a file of that content.
fn made(cache: &Cache, text: &str) -> Snapshot {
    let work = cache.work().expect("a folder");
    let snapshotter = Snapshotter::probe(cache.folder(), Some(Kind::Copy), Ids::One).expect("copies");
    let workspace = snapshotter.workspace(&[], work.path()).expect("a workspace");
    fs::write(workspace.root().join("file"), text).expect("writes");
    symlink("file", workspace.root().join("link")).expect("links");
    let layer = workspace.finish(&Default::default(), &Owners::default()).expect("finishes");
    cache.adopt(work, &layer, None).expect("adopts")
}

fn record(cache: &Cache, name: &str, snapshot: &Snapshot, parents: &[&Snapshot]) {
    let parents = parents.iter().map(|parent| parent.id().to_owned()).collect();
    let record =
        StepRecord { snapshot: Some(snapshot.id().to_owned()), parents, created: 7, took_ms: 1, is_base: false };
    cache.record(key(name), &record).expect("records");
}

fn works(cache: &Cache) -> usize {
    fs::read_dir(cache.folder().join("work")).expect("reads").count()
}

#[test]
fn results_are_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = {
        let cache = Cache::open(folder.path()).expect("opens");
        let snapshot = made(&cache, "one");
        record(&cache, "a", &snapshot, &[]);
        assert_eq!(works(&cache), 0);
        snapshot.layer().expect("a layer")
    };
    let cache = Cache::open(folder.path()).expect("opens");
    let (found, snapshot) = cache.step(key("a")).expect("a hit");
    let snapshot = snapshot.expect("a snapshot");
    assert_eq!((found.created, &*snapshot.layer().expect("a layer")), (7, &*layer));
    assert_eq!(fs::read_to_string(snapshot.folder().join("file")).expect("reads"), "one");
    assert!(cache.step(key("b")).is_none());
}

#[test]
fn what_is_not_whole_is_no_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    let (one, two) = (made(&cache, "one"), made(&cache, "two"));
    record(&cache, "two", &two, &[&one]);
    assert!(cache.step(key("two")).is_some());
    fs::remove_dir_all(folder.path().join("snapshots").join(one.id())).expect("removes");
    assert!(cache.step(key("two")).is_none(), "its parent is gone");
    fs::write(folder.path().join("steps").join(key("two").hex()), "{").expect("writes");
    assert!(cache.step(key("two")).is_none(), "the record is damaged");
    assert!(cache.snapshot("../..").is_none());
}

#[test]
fn leftovers_of_killed_processes_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    let alive = cache.work().expect("a folder");
    let dead = folder.path().join("work/deadbeefaa");
    fs::create_dir_all(dead.join("fs/deep")).expect("makes");
    fs::write(dead.join("lock"), "").expect("writes");
    let other = Cache::open(folder.path()).expect("opens");
    assert!(!dead.exists() && alive.path().exists());
    assert_eq!(works(&other), 1);
    drop(alive);
    assert_eq!(works(&other), 0);
}

#[test]
fn a_cache_of_another_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Cache::open(folder.path()).expect("opens"));
    fs::write(folder.path().join("version"), "99\n").expect("writes");
    let error = Cache::open(folder.path()).expect_err("refuses").to_string();
    assert!(error.contains("99") && error.contains(&folder.path().display().to_string()), "{error}");
}

#[test]
fn a_damaged_layer_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    let id = made(&cache, "one").id().to_owned();
    record(&cache, "one", &cache.snapshot(&id).expect("there"), &[]);
    fs::write(folder.path().join("snapshots").join(&id).join("layer"), "no layer").expect("writes");
    let (_, snapshot) = cache.step(key("one")).expect("it looks whole");
    snapshot.expect("a snapshot").layer().expect_err("it is damaged");
    assert!(cache.step(key("one")).is_none());
}

#[test]
fn other_peoples_folders_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("thesis.tex"), "").expect("writes");
    let before = fs::metadata(folder.path()).expect("metadata").permissions();
    assert!(matches!(Cache::open(folder.path()), Err(CacheError::Occupied { .. })));
    assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1);
    assert_eq!(fs::metadata(folder.path()).expect("metadata").permissions(), before);
    fs::remove_file(folder.path().join("thesis.tex")).expect("removes");
    fs::create_dir(folder.path().join("images")).expect("makes");
    Cache::open(folder.path()).expect("local images may be there first");
    fs::write(folder.path().join("version"), "").expect("writes");
    Cache::open(folder.path()).expect("an empty version is none");
}

#[test]
fn pruning_spares_what_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    let used = made(&cache, "used");
    record(&cache, "used", &used, &[]);
    let unused = made(&cache, "unused").id().to_owned();
    record(&cache, "unused", &cache.snapshot(&unused).expect("there"), &[&used]);
    let mount = cache.mount("/var/cache", CacheSharing::Shared).expect("mounts");
    let pruned = cache.prune(Filter { all: true, ..Filter::default() }).expect("prunes");
    assert_eq!((pruned.snapshots.count, pruned.mounts.count, pruned.in_use), (1, 0, 2));
    assert!(cache.step(key("used")).is_some() && cache.step(key("unused")).is_none());
    drop((used, mount));
    let pruned = cache.prune(Filter { all: true, ..Filter::default() }).expect("prunes");
    assert_eq!((pruned.snapshots.count, pruned.mounts.count, pruned.in_use), (1, 1, 0));
    let usage = cache.du(&folder.path().join("images")).expect("counts");
    assert_eq!((usage.steps.count, usage.mounts.count), (0, 0));
}

#[test]
fn the_least_recently_used_goes_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    for name in ["old", "new"] {
        let snapshot = made(&cache, &name.repeat(50_000));
        record(&cache, name, &snapshot, &[]);
    }
    let old = fs::File::open(folder.path().join("steps").join(key("old").hex())).expect("opens");
    let hours = Duration::from_secs(7200);
    old.set_modified(std::time::SystemTime::now() - hours).expect("sets");
    let none = cache.prune(Filter { older_than: Some(hours * 2), ..Filter::default() }).expect("prunes");
    assert_eq!(none.snapshots.count, 0);
    let total = cache.du(&folder.path().join("images")).expect("counts").steps.bytes;
    let pruned = cache.prune(Filter { keep_bytes: Some(total - 1), ..Filter::default() }).expect("prunes");
    assert_eq!(pruned.snapshots.count, 1);
    assert!(cache.step(key("old")).is_none() && cache.step(key("new")).is_some());
}

#[test]
fn what_lies_upon_others_goes_before_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    let mut chain: Vec<Snapshot> = Vec::new();
    for name in ["a", "b", "c"] {
        let snapshot = made(&cache, &name.repeat(50_000));
        record(&cache, name, &snapshot, &chain.iter().collect::<Vec<_>>());
        chain.push(snapshot);
    }
    drop(chain);
    for name in ["a", "b", "c"] {
        let path = folder.path().join("steps").join(key(name).hex());
        fs::File::open(path).expect("opens").set_modified(std::time::SystemTime::UNIX_EPOCH).expect("sets");
    }
    let total = cache.du(&folder.path().join("images")).expect("counts").steps.bytes;
    cache.prune(Filter { keep_bytes: Some(total - 1), ..Filter::default() }).expect("prunes");
    assert!(cache.step(key("b")).is_some() && cache.step(key("c")).is_none());
}

#[test]
fn private_mounts_are_each_ones_own_and_shared_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path()).expect("opens");
    let one = cache.mount("x", CacheSharing::Private).expect("mounts");
    let two = cache.mount("x", CacheSharing::Private).expect("mounts");
    assert!(one.path() != two.path() && one.is_new() && two.is_new());
    let first = one.path().to_owned();
    drop((one, two));
    let again = cache.mount("x", CacheSharing::Private).expect("mounts");
    assert!(again.path() == first && !again.is_new());
    drop(again);
    let one = cache.mount("x", CacheSharing::Shared).expect("mounts");
    let two = cache.mount("x", CacheSharing::Shared).expect("mounts");
    assert_eq!(one.path(), two.path());
}

#[test]
fn digests_are_remembered_until_the_file_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("cache")).expect("opens");
    let file = folder.path().join("file");
    fs::write(&file, "one").expect("writes");
    let stat = |path: &Path| Stat::from(&fs::metadata(path).expect("metadata"));
    let known = |text: &str, is_plain| Known { digest: key(text), is_plain };
    let digests = cache.digests();
    digests.put(&stat(&file), known("fresh", true));
    assert_eq!(digests.get(&stat(&file)), None, "it may change again within its time's resolution");
    // The system's own files changed long ago.
    let old = [stat(Path::new("/etc/passwd")), stat(Path::new("/etc/group"))];
    digests.put(&old[0], known("passwd", true));
    digests.put(&old[1], known("group", false));
    assert_eq!(digests.get(&old[0]), Some(known("passwd", true)), "within one build too");
    digests.save().expect("saves");
    let again = cache.digests();
    assert_eq!(again.get(&old[0]), Some(known("passwd", true)));
    assert_eq!(again.get(&old[1]), Some(known("group", false)));
    assert_eq!(again.get(&stat(&file)), None);
    // Whoever restores size and mtime cannot restore the ctime.
    let mut restored = old[0];
    restored.ctime.1 ^= 1;
    assert_eq!(again.get(&restored), None);
    again.put(&restored, known("changed", true));
    again.save().expect("saves");
    let third = cache.digests();
    assert_eq!(third.get(&restored), Some(known("changed", true)));
    assert_eq!((third.get(&old[0]), third.get(&old[1])), (None, Some(known("group", false))));
    let stored = cache.folder().join("digests-2");
    let mut bytes = fs::read(&stored).expect("reads");
    bytes[3] ^= 1;
    fs::write(&stored, bytes).expect("writes");
    assert_eq!(cache.digests().get(&old[1]), None, "damaged ones are none");
}

#[test]
fn an_exported_cache_gives_the_same_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("one")).expect("opens");
    let (below, above) = (made(&cache, "below"), made(&cache, "above"));
    record(&cache, "below", &below, &[]);
    record(&cache, "above", &above, &[&below]);
    let out = folder.path().join("out");
    export(&cache, &[key("below"), key("above")], &out).expect("exports");
    let before = fs::read(out.join("index.json")).expect("reads");
    export(&cache, &[key("below"), key("above")], &out).expect("exports again");
    assert_eq!(fs::read(out.join("index.json")).expect("reads"), before);
    let blobs = fs::read_dir(out.join("blobs/sha256")).expect("reads").flatten();
    let texts: Vec<Vec<u8>> = blobs.map(|blob| fs::read(blob.path()).expect("reads")).collect();
    let says_what_it_is = |text: &Vec<u8>| String::from_utf8_lossy(text).contains("and no image");
    assert_eq!(texts.iter().filter(|text| says_what_it_is(text)).count(), 1, "the manifest does");
    let other = Cache::open(&folder.path().join("two")).expect("opens");
    let import = Import::open(&out).expect("opens");
    let (record, snapshot) = import.step(&other, key("above"), Ids::One).expect("reads").expect("a hit");
    let snapshot = snapshot.expect("a snapshot");
    let (expected, found): (&Layer, &Layer) = (&above.layer().expect("a layer"), &snapshot.layer().expect("a layer"));
    assert_eq!(expected, found);
    assert_eq!(fs::read_to_string(snapshot.folder().join("link")).expect("reads"), "above");
    assert_eq!(record.parents.len(), 1);
    assert!(other.step(key("above")).is_some(), "it is in the cache now");
    assert!(import.step(&other, key("nothing"), Ids::One).expect("reads").is_none());
    for blob in fs::read_dir(out.join("blobs/sha256")).expect("reads").flatten() {
        fs::write(blob.path(), "damaged").expect("writes");
    }
    assert!(matches!(Import::open(&out), Err(CacheError::Damaged { .. })));
    fs::remove_file(out.join("index.json")).expect("removes");
    assert!(matches!(export(&cache, &[], &out), Err(CacheError::Foreign { .. })), "the folder is not ours any more");
}
