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
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet", "-p", "jettison-passes", "--test", "corpus"]).env("JETTISON_BLESS", "1");
    ensure!(cargo.current_dir(workspace_root()?).status()?.success(), "a law is broken");
    Ok(())
}
