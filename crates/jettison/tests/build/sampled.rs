//! Some of the cases by other users and with the fallbacks; the suite of real tools builds more of them.

use crate::suite::{Way, run};
use crate::ways;

/// Of so many cases one is built.
const ONE_OF: usize = 12;

#[test]
fn as_an_ordinary_user() {
    assert_eq!(run(Way { one_of: ONE_OF, ..ways::with_one_id() }), 0);
}

#[test]
fn as_a_user_with_subordinate_ids() {
    if !ways::is_root() {
        eprintln!("only root can give somebody subordinate ids: not tested");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run(Way { one_of: ONE_OF, ..ways::with_many_ids(folder.path()) }), 1);
}

#[test]
fn by_copying() {
    run(Way { one_of: ONE_OF, ..ways::by_snapshotter("copy") });
}
