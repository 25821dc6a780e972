//! What an optimization did, measured.

use std::time::Duration;

use crate::receipt::Receipt;
use crate::secret::SecretFates;
use crate::verdict::Verdict;

/// Numbers of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// All layers.
    pub layers: usize,
    /// Those of the base.
    pub base_layers: usize,
    /// The layers' bytes as stored.
    pub stored: u64,
    /// The layers' bytes unpacked.
    pub unpacked: u64,
    /// Entries in all layers' tars.
    pub entries: usize,
    /// Paths that a container sees.
    pub paths: usize,
}

/// A pass that changed the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// The pass.
    pub name: &'static str,
    /// How many findings it had.
    pub findings: usize,
    /// The unpacked bytes that the own layers became smaller by, exactly; negative where they grew.
    pub saved: i64,
    /// Own layers before and after.
    pub layers: (usize, usize),
}

/// The report of one image's optimization.
#[derive(Clone, Debug)]
pub struct OptimizeReport {
    /// The input as named by the user.
    pub input: String,
    /// The output as named by the user.
    pub output: String,
    /// The level.
    pub level: String,
    /// The image's platform.
    pub platform: String,
    /// What this instance of the image is packed by, where there are several.
    pub packing: Option<String>,
    /// Whether it is not the first instance of its image: all but its bytes was said of that one.
    pub is_further: bool,
    /// What shows where the base ends.
    pub base: String,
    /// The digest of the manifest that was written.
    pub digest: String,
    /// The input.
    pub before: Measure,
    /// The output, measured on what was written.
    pub after: Measure,
    /// The passes that acted, in order.
    pub acted: Vec<Acted>,
    /// What was changed of what a container sees.
    pub receipt: Receipt,
    /// The secrets that the input ships, and what became of them.
    pub secrets: SecretFates,
    /// What is worth knowing: dropped referrers, links that were followed, a rewrite that did not pay.
    pub notes: Vec<String>,
    /// Why passes left something alone, for `--remarks`.
    pub declines: Vec<String>,
    /// The judge's verdict on the written output.
    pub verdict: Verdict,
    /// From start to the verdict.
    pub took: Duration,
}
