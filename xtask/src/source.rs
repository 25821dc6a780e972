//! Commands about Dockerfiles: speed, agreement with hadolint, and the table of the corpus.

pub(crate) mod agreement;
pub(crate) mod bench;
mod corpus;
mod peers;
mod rules;

use std::process::Command;

use anyhow::{Result, ensure};

use crate::bench::workspace_root;

/// Runs the laws over the corpus, which write their table.
///
/// # Errors
/// A law is broken.
pub(crate) fn bless() -> Result<()> {
    ensure!(written("corpus")?, "a law is broken");
    Ok(())
}

/// Writes the page of assumptions.
///
/// # Errors
/// Passes that say two things by one name.
pub(crate) fn assumptions() -> Result<()> {
    ensure!(written("assumptions")?, "the page cannot be written");
    Ok(())
}

/// Runs a test of the passes that writes what it compares; says whether it ended well.
fn written(test: &str) -> Result<bool> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet", "-p", "jettison-passes", "--test", test]).env("JETTISON_BLESS", "1");
    Ok(cargo.current_dir(workspace_root()?).status()?.success())
}
