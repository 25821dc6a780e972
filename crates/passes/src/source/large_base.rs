//! Finds shipped bases that have smaller tags in their own family, and shipped toolchains.

use jettison_ir::source::{SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::Arguments;
use jettison_syntax::view::{Origin, Stage};

use crate::analysis::families::{Reference, SmallerBase};

pub(crate) const PASS: Pass = Pass {
    name: "large-base",
    summary: "shipped bases with smaller tags in their own family, and shipped toolchains",
    level: Level::O2,
    safety: Safety::Advice,
    page: include_str!("large_base.md"),
    aliases: &[],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let Some((stage, image)) = shipped_base(unit.stages()) else { return Vec::new() };
    let reference = Reference::read(image);
    let smaller = reference.smaller();
    let message = match (reference.is_toolchain(), &smaller[..]) {
        (true, _) => format!("{image} ships its compilers and build tools"),
        (false, []) => return Vec::new(),
        (false, smaller) => {
            let names: Vec<&str> = smaller.iter().map(|one| one.reference.as_str()).collect();
            format!("{image} has smaller tags: {}", names.join(", "))
        }
    };
    let mut help: Vec<String> = Vec::new();
    if reference.is_toolchain() {
        help.push(
            "build in one stage, and copy what was built into a last one that starts from a small base".to_owned(),
        );
    }
    help.extend(smaller.iter().map(|SmallerBase { reference, note }| format!("{reference}: {note}")));
    let instruction = unit.instruction(stage.from);
    let Arguments::Words(words) = &instruction.body.arguments else { return Vec::new() };
    let span = instruction.logical.source_span(words[0]);
    vec![SourceRemark::Found(SourceFinding::advice(span, message, help.join("; ")))]
}

/// The image below the last stage, and the stage that starts from it.
fn shipped_base(stages: &[Stage]) -> Option<(&Stage, &str)> {
    let mut stage = stages.last()?;
    loop {
        match &stage.base {
            Origin::Stage(below) => stage = &stages[*below],
            Origin::Image(image) => return Some((stage, image)),
            Origin::Scratch | Origin::Unknown => return None,
        }
    }
}
