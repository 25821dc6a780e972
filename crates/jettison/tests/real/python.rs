//! Programs from PyPI in an environment of their own.

use std::path::{Path, PathBuf};

/// A program of the environment that has the reference parser and Syft.
pub(crate) fn program(name: &str) -> PathBuf {
    let python = std::env::var_os("JETTISON_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python3"), PathBuf::from);
    let program = python.with_file_name(name);
    assert!(
        program.exists(),
        "{} does not exist: `pip install -r crates/jettison/tests/real/requirements.txt` into an environment there, or run ./test, which does",
        program.display()
    );
    program
}
