//! Reading back what was written, and having it judged: nothing is put in place before.

use std::time::Instant;

use anyhow::{Context as _, Result};
use jettison_image::{Digest, Layer, Tree};
use jettison_ir::{Measure, OptimizeReport, SecretFates, Verdict, with_edits};
use jettison_store::{Output, Reference, Scans, Selector, StoredImage, Transport, Wanted};
use jettison_verify::{Reads, Side, judge};

use super::listing::Instance;
use super::{Request, Work};
use crate::load::{Loaded, load_into, stored_bytes};
use crate::parallel;
use crate::printer::Printer;
use crate::progress::Stage;

/// Reads back what was written, and has the judge compare each instance with the input.
pub(super) fn judge_all(
    request: &Request<'_>,
    works: Vec<Work<'_>>,
    instances: &[Instance],
    output: &Output,
    is_index: bool,
    (start, printer): (Instant, &Printer),
    scans: &Scans,
) -> Result<Vec<OptimizeReport>> {
    let unreadable = "the written image cannot be read back";
    works.iter().flat_map(|work| work.members).for_each(|read| scans.remember(&read.scanned, &read.layers));
    let transport =
        Some(if output.staged().transport == Some(Transport::Oci) { Transport::Oci } else { Transport::OciArchive });
    let selector = instances.first().filter(|_| !is_index).map(|instance| Selector::Digest(instance.digest()));
    let staged = Reference { selector, transport, ..output.staged() };
    let platform = works[0].loaded().image.config.platform();
    let wanted = if is_index { Wanted::All } else { Wanted::Platform(platform) };
    let images = output.reopen(&staged, &wanted, request.read.limits()).context(unreadable)?.images;
    let stage =
        Stage::start(printer, format!("reading back {}", request.output), images.iter().map(stored_bytes).sum());
    let shown = Reference { path: staged.path.clone(), transport: None, selector: None };
    let numbered = works.into_iter().enumerate().collect();
    let reports = parallel::each(numbered, parallel::at_once(), |(number, work)| {
        let mut judged = Vec::new();
        for instance in instances.iter().filter(|instance| instance.work == number) {
            let digest = instance.digest();
            let is_this =
                |image: &&StoredImage| image.stored_manifest.as_ref().is_some_and(|(_, d)| d.digest == digest);
            let image = images.iter().find(is_this).context("the written image is not where it was written to")?;
            let after =
                load_into(&shown, image.clone(), request.read, None, scans, &stage, None).context(unreadable)?;
            let before = &work.members[instance.member];
            judged.push((instance, before, judged_one(&work, after)?));
        }
        Ok(report_all(request, &work, judged, start))
    })?;
    stage.end();
    Ok(reports.into_iter().flatten().collect())
}

/// What an instance is, as it was read back.
struct Judged {
    after: Measure,
    verdict: Verdict,
    secrets: SecretFates,
}

fn judged_one(work: &Work<'_>, after: Loaded) -> Result<Judged> {
    let after_tree = Tree::of(after.layers())?;
    let before = Side { tree: &work.unit.upper, config: &work.loaded().image.config };
    let written = Side { tree: &after_tree, config: &after.image.config };
    let verdict = with_edits(&work.unit, &work.outcome.plan.edits, |changes, edits| -> Verdict {
        let mut old = |node| work.unit.content(node);
        // What was written is known by its digest: a content of that digest is the content.
        let mut new = |node| {
            let planned = changes.upper().find(&after_tree.path(node))?;
            let content = edits.content(&work.unit, changes.upper(), planned)?;
            (Digest::of(&content) == after_tree.attributes(node).digest).then_some(content)
        };
        judge(before, written, &work.outcome.claims, Some(Reads { before: &mut old, after: &mut new }))
    })?;
    Ok(Judged {
        after: measure(&after, work.unit.base.layers, &after_tree),
        verdict,
        secrets: SecretFates::of(work.unit.secrets.clone(), work.unit.instructions.clone(), after.layers()),
    })
}

/// A report for each instance of an image.
fn report_all(
    request: &Request<'_>,
    work: &Work<'_>,
    judged: Vec<(&Instance, &Loaded, Judged)>,
    start: Instant,
) -> Vec<OptimizeReport> {
    let declines: Vec<String> =
        work.outcome.declines.iter().map(|(pass, decline)| format!("{pass}: {}", decline.reason)).collect();
    let report = |(number, (instance, before, judged)): (usize, (&Instance, &Loaded, Judged))| OptimizeReport {
        input: request.input.to_string(),
        output: request.shown_output(),
        level: request.level.to_string(),
        platform: work.loaded().image.config.platform().to_string(),
        packing: instance.format.map(|format| format.to_string()),
        is_further: number > 0,
        base: work.unit.base.evidence.to_string(),
        digest: instance.digest().to_string(),
        before: measure(before, work.unit.base.layers, &work.unit.upper),
        after: judged.after,
        acted: work.outcome.acted.clone(),
        receipt: work.receipt.clone(),
        secrets: judged.secrets,
        notes: if number > 0 { Vec::new() } else { work.notes.clone() },
        declines: declines.clone(),
        verdict: judged.verdict,
        took: start.elapsed(),
    };
    judged.into_iter().enumerate().map(report).collect()
}

fn measure(loaded: &Loaded, base_layers: usize, tree: &Tree<'_>) -> Measure {
    let layers: Vec<&Layer> = loaded.layers().collect();
    Measure {
        layers: layers.len(),
        base_layers,
        stored: loaded.scanned.iter().map(|layer| layer.stored_size).sum(),
        unpacked: layers.iter().map(|layer| layer.size).sum(),
        entries: layers.iter().map(|layer| layer.entries.len()).sum(),
        paths: tree.walk().count(),
    }
}
