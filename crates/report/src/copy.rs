//! What was copied, and what of it had to be sent.

use std::fmt::Write as _;

use serde::Serialize;

use crate::text::bytes;

/// An image that was copied from one place to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// Where it was.
    pub source: String,
    /// Where it is now.
    pub target: String,
    /// The digest of the manifest or index that its name stands for.
    pub digest: String,
    /// Manifests: one for each platform, and one for each attestation.
    pub manifests: usize,
    /// Configs and layers, each once.
    pub blobs: usize,
    /// Their bytes as stored.
    pub bytes: u64,
    /// What was not copied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What became of the blobs, where the target is on a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed: Option<PushReport>,
}

/// What became of the blobs of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// Blobs that were there.
    pub there: usize,
    /// Blobs that another repository of the registry had.
    pub mounted: usize,
    /// Blobs that were uploaded.
    pub uploaded: usize,
    /// The bytes of these.
    pub uploaded_bytes: u64,
}

/// For people.
#[must_use]
pub fn copy_human(report: &CopyReport) -> String {
    let mut out = format!("{} → {}\n{}\n", report.source, report.target, report.digest);
    let manifests = if report.manifests == 1 { "manifest" } else { "manifests" };
    let _ = write!(out, "{} {manifests}, {} blobs, {}", report.manifests, report.blobs, bytes(report.bytes));
    if let Some(pushed) = &report.pushed {
        let _ = write!(out, "; {}", push_human(pushed));
    }
    out.push('\n');
    for what in &report.left_out {
        let _ = writeln!(out, "left out: {what}");
    }
    out
}

/// What became of the blobs of a push, in one line.
#[must_use]
pub fn push_human(pushed: &PushReport) -> String {
    let mut parts = vec![format!("{} uploaded ({})", pushed.uploaded, bytes(pushed.uploaded_bytes))];
    if pushed.mounted > 0 {
        parts.push(format!("{} mounted", pushed.mounted));
    }
    if pushed.there > 0 {
        parts.push(format!("{} there already", pushed.there));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_says_what_was_sent_and_what_was_not() {
        let pushed = PushReport { there: 2, mounted: 1, uploaded: 1, uploaded_bytes: 12_000 };
        let report = CopyReport {
            source: "app.tar".to_owned(),
            target: "docker://localhost:5000/app:v1".to_owned(),
            digest: "sha256:00".to_owned(),
            manifests: 1,
            blobs: 4,
            bytes: 1_234_567,
            left_out: Vec::new(),
            pushed: Some(pushed),
        };
        let expected = "app.tar → docker://localhost:5000/app:v1\nsha256:00\n\
            1 manifest, 4 blobs, 1.2 MB; 1 uploaded (12.0 kB), 1 mounted, 2 there already\n";
        assert_eq!(copy_human(&report), expected);
        let left_out = vec!["linux/s390x".to_owned()];
        let local = CopyReport { manifests: 2, left_out, pushed: None, ..report };
        assert!(copy_human(&local).ends_with("2 manifests, 4 blobs, 1.2 MB\nleft out: linux/s390x\n"));
    }
}
