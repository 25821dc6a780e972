//! Finds bases whose tag goes over to new versions by itself, such as `node:20` and `debian:stable`.

use std::collections::BTreeSet;

use jettison_ir::source::{SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::Arguments;
use jettison_syntax::view::Origin;

use crate::analysis::families::Reference;

pub(crate) const PASS: Pass = Pass {
    name: "unpinned-base",
    summary: "bases whose tag goes over to new versions by itself, such as node:20",
    level: Level::O2,
    safety: Safety::Advice,
    page: include_str!("unpinned_base.md"),
    aliases: &[],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let mut seen = BTreeSet::new();
    for stage in unit.stages() {
        let Origin::Image(image) = &stage.base else { continue };
        if !Reference::read(image).moves() || !seen.insert(image.as_str()) {
            continue;
        }
        let instruction = unit.instruction(stage.from);
        let Arguments::Words(words) = &instruction.body.arguments else { continue };
        let span = instruction.logical.source_span(words[0]);
        let message = format!("{image} goes over to new versions by itself, so that builds differ from week to week");
        let help = "name the whole version, and a digest (image:tag@sha256:…) where builds must be the same; tools that \
                    propose updates keep both fresh";
        remarks.push(SourceRemark::Found(SourceFinding::advice(span, message, help.to_owned())));
    }
    remarks
}
