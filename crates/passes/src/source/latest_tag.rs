//! Finds bases whose tag moves: `latest`, or none at all.

use jettison_ir::source::{SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::Arguments;
use jettison_syntax::view::Origin;

pub(crate) const PASS: Pass = Pass {
    name: "latest-tag",
    summary: "bases without a tag, or with the tag latest: what is built changes from day to day",
    level: Level::O1,
    safety: Safety::Advice,
    page: include_str!("latest_tag.md"),
    aliases: &["DL3006", "DL3007"],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    for stage in unit.stages() {
        let Origin::Image(image) = &stage.base else { continue };
        let Some(state) = tag_state(image) else { continue };
        let instruction = unit.instruction(stage.from);
        let Arguments::Words(words) = &instruction.body.arguments else { continue };
        let span = instruction.logical.source_span(words[0]);
        let message = format!("{image} {state}, so that what is built changes from day to day");
        let help = "name a version, and a digest where builds must be the same".to_owned();
        remarks.push(SourceRemark::Found(SourceFinding::advice(span, message, help)));
    }
    remarks
}

/// What is loose about an image's tag; nothing where it has one, or a digest.
fn tag_state(image: &str) -> Option<&'static str> {
    if image.contains('@') {
        return None;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        None => Some("has no tag"),
        Some((_, "latest")) => Some("has the tag latest"),
        Some(_) => None,
    }
}
