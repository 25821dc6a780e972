//! The examples: each release form is what `rewrite` makes of its Dockerfile, to the byte, and stays as it is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::run;

fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folders = fs::read_dir(root).expect("the examples").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn each_release_form_is_what_rewrite_makes() {
    let folders = examples();
    assert!(folders.len() >= 3, "{folders:?}");
    for folder in folders {
        let expected = fs::read_to_string(folder.join("Dockerfile.release")).expect("a release form");
        for name in ["Dockerfile", "Dockerfile.release"] {
            let file = folder.join(name);
            let ran = run(&format!("rewrite -O2 -o - -f {}", file.display())).ok();
            assert_eq!(ran.out, expected, "{}", file.display());
        }
    }
}
