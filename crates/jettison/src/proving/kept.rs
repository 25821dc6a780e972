//! Proofs that were made before. One holds for as long as the Dockerfile, the base images, the copied files, the
//! arguments and what was asked for are the same.

use anyhow::Result;
use jettison_image::Digest;
use jettison_ir::Proof;
use jettison_ir::source::{Observations, PackagesSeen};
use jettison_passes::Rewritten;
use serde::{Deserialize, Serialize};

use super::{Prover, Smoke};
use crate::building::progress::Progress;
use crate::building::run::{Engine, explain};

/// Changes when proofs of an earlier version say less than today's.
const VERSION: u32 = 3;

/// A proof, and the text that it is about.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The digest of the rewritten form.
    text: String,
    pub(super) proof: Proof,
    /// Whether it rests on what RUN instructions were seen to do.
    pub(super) is_watched: bool,
    /// What was seen of packages, where something depended on that.
    pub(super) packages: Option<PackagesSeen>,
}

/// What a proof is kept under; none where the build depends on what cannot be known before it.
pub(super) fn key(prover: &Prover<'_>) -> Result<Option<Digest>> {
    let progress = Progress::start(prover.progress, prover.printer.is_quiet());
    let identified = prover.engine.identify(prover.request, &progress, prover.cancel);
    progress.end();
    let identity =
        identified.map_err(|unfinished| explain(unfinished, prover.request, prover.hints_at_shell, prover.printer))?;
    let smoke: Vec<&str> = prover.smoke.iter().map(Smoke::text).collect();
    let limits = prover.request.timeout.filter(|_| !smoke.is_empty());
    let all = |identity| format!("proof {VERSION} {identity} {} {smoke:?} {limits:?}", prover.wish);
    Ok(identity.map(|identity| Digest::of(all(identity).as_bytes())))
}

/// The rewritten form as one digest.
fn digest(rewritten: &Rewritten) -> String {
    let ignore = rewritten.ignore.as_deref().unwrap_or_default();
    let parts = [rewritten.tree.text(), ignore].map(|text| Digest::of(text.as_bytes()).to_string());
    Digest::of(parts.concat().as_bytes()).to_string()
}

impl Kept {
    pub(super) fn of(rewritten: &Rewritten, proof: &Proof, observations: Option<&Observations>) -> Self {
        let packages = observations.and_then(|observations| observations.packages.as_deref().cloned());
        let is_watched = proof.is_observed || packages.is_some();
        Self { text: digest(rewritten), proof: proof.clone(), is_watched, packages }
    }

    /// What was kept; what cannot be read is none.
    pub(super) fn find(engine: &dyn Engine, key: Digest) -> Option<Self> {
        serde_json::from_slice(&engine.kept(key)?).ok()
    }

    pub(super) fn is_of(&self, rewritten: &Rewritten) -> bool {
        self.text == digest(rewritten)
    }

    pub(super) fn keep(&self, engine: &dyn Engine, key: Digest) -> Result<()> {
        engine.keep(key, &serde_json::to_vec(self)?)
    }
}
