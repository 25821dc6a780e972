//! Finds RUN instructions that follow each other, and makes one of them where that means the same.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::Kind;

use crate::analysis::hazards::{self, Refusal};
use crate::analysis::join::{self, Part};

pub(crate) const PASS: Pass = Pass {
    name: "adjacent-runs",
    summary: "RUN instructions that follow each other: a layer each where one does",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("adjacent_runs.md"),
    aliases: &["DL3059"],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    for stage in unit.stages() {
        let mut group: Vec<Part<'_>> = Vec::new();
        for at in stage.instructions.clone() {
            if unit.kind(at) != Kind::Run {
                close(unit, &mut group, &mut remarks);
                continue;
            }
            let previous = (at > 0 && unit.kind(at - 1) == Kind::Run).then(|| at - 1);
            let open = group.last().map(|part| part.at);
            let part = hazards::alone(unit, at).and_then(|_| match open {
                Some(first) => hazards::between(unit, first, at),
                None => Ok(()),
            });
            match part.and_then(|()| Part::of(unit, at, open)) {
                Ok(part) => group.push(part),
                Err(refusal) => {
                    close(unit, &mut group, &mut remarks);
                    let own = hazards::alone(unit, at).and_then(|_| Part::of(unit, at, None));
                    // A RUN that stands alone anyway has nothing to be said about.
                    let next = unit.instructions().get(at + 1).is_some_and(|next| next.body.kind == Kind::Run);
                    if previous.is_some() || (own.is_err() && next) {
                        remarks.push(declined(unit, at, refusal));
                    }
                    group.extend(own);
                }
            }
        }
        close(unit, &mut group, &mut remarks);
    }
    remarks
}

fn declined(unit: &SourceUnit<'_>, at: usize, refusal: Refusal) -> SourceRemark {
    let Refusal { code, reason } = refusal;
    SourceRemark::Declined(SourceDecline { span: unit.instruction(at).span, code, reason })
}

/// Proposes to merge a group, and starts the next one.
fn close(unit: &SourceUnit<'_>, group: &mut Vec<Part<'_>>, remarks: &mut Vec<SourceRemark>) {
    let mut parts = std::mem::take(group);
    if parts.len() < 2 {
        return;
    }
    join::separate_lookups(&mut parts);
    let (first, last) = (parts[0].at, parts[parts.len() - 1].at);
    match join::join(unit, &parts) {
        Ok(text) => {
            let span = unit.instruction(first).span.to(unit.instruction(last).span);
            let message = format!("{} RUN instructions follow each other: one layer does", parts.len());
            let edits = vec![TextEdit::replace(span, text)];
            remarks.push(SourceRemark::Found(SourceFinding::fixed(span, message, edits, SourceClaim::Same)));
        }
        Err(refusal) => remarks.push(declined(unit, last, refusal)),
    }
}
