//! What is made once for all processes of a test program, and copied by each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// So long it counts: packages of distributions move.
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// Copies into a folder what `make` puts into an empty one. It is made anew by another program and where it is old.
pub(crate) fn copy(name: &str, into: &Path, make: impl FnOnce(&Path)) {
    let program = fs::metadata(env!("CARGO_BIN_EXE_jettison")).and_then(|program| program.modified());
    let made = program.expect("the program").duration_since(UNIX_EPOCH).expect("a time").as_nanos();
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kept = all.join(format!("{name}-{made}"));
    let lock = fs::File::create(kept.with_extension("lock")).expect("a file");
    lock.lock().expect("a lock");
    if !is_fresh(&kept) {
        for older in siblings(all, name) {
            fs::remove_dir_all(&older).expect("removes");
        }
        let folder = tempfile::tempdir_in(all).expect("a folder");
        make(folder.path());
        fs::rename(folder.keep(), &kept).expect("renames");
    }
    let copied = Command::new("cp").arg("-a").arg(kept.join(".")).arg(into).status().expect("cp runs");
    assert!(copied.success(), "{copied}");
}

fn is_fresh(kept: &Path) -> bool {
    let made = fs::metadata(kept).and_then(|kept| kept.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < FRESH))
}

/// What programs of before left under the same name.
fn siblings(folder: &Path, name: &str) -> Vec<PathBuf> {
    let start = format!("{name}-");
    let all = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_one = |path: &PathBuf| {
        let end = path.file_name().and_then(|own| own.to_str()?.strip_prefix(&start));
        path.is_dir() && end.is_some_and(|end| end.bytes().all(|byte| byte.is_ascii_digit()))
    };
    all.filter(is_one).collect()
}
