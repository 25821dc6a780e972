//! All of the build suite's cases by a user with one id, half of them by one with subordinate ids, a third of them with the fallbacks for trees, and all attacks.

use crate::suite::{Way, run};
use crate::{hostile, ways};

#[test]
fn as_an_ordinary_user() {
    assert_eq!(run(ways::with_one_id()), 0);
}

#[test]
fn as_a_user_with_subordinate_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run(Way { one_of: 2, ..ways::with_many_ids(folder.path()) }), 1);
}

/// Of the cases that are built with the fallbacks for trees.
const ONE_OF: usize = 3;

#[test]
fn by_copying() {
    assert_eq!(run(Way { one_of: ONE_OF, ..ways::by_snapshotter("copy") }), 0);
}

#[test]
fn by_fuse_overlayfs() {
    assert_eq!(run(Way { one_of: ONE_OF, ..ways::by_snapshotter("fuse-overlayfs") }), 0);
}

#[test]
fn attacks_above_copies() {
    hostile::all_attacks(ways::by_snapshotter("copy"));
}

#[test]
fn attacks_above_fuse_overlayfs() {
    hostile::all_attacks(ways::by_snapshotter("fuse-overlayfs"));
}

#[test]
fn attacks_by_a_user_with_subordinate_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    hostile::all_attacks(ways::with_many_ids(folder.path()));
}
