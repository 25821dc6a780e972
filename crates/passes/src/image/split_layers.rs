//! Finds own layers beyond the number that is wanted: each repeats folders and costs a request. With `--layers auto` it
//! finds own layers that are not those that pulls are fast with.

use std::sync::Arc;

use jettison_image::changes::{Cut, Part};
use jettison_image::text::LayerText;
use jettison_image::{Changes, Layer};
use jettison_ir::{Claim, Edit, Finding, Fix, ImageUnit, Level, Own, Pass, Plan, Remark, Run, Safety, pulling_limit};

pub(crate) const PASS: Pass = Pass {
    name: "split-layers",
    summary: "own layers beyond the number wanted (one, unless --layers says more)",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("split_layers.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    if unit.pulling.is_some() {
        return for_pulling(unit, plan);
    }
    let is_regrouped = matches!(plan.own, Own::Written(Cut::Ranges(at_most)) if at_most <= unit.own_layers);
    if is_regrouped { Vec::new() } else { beyond(unit, unit.own_layers) }
}

/// What is to be said of own layers beyond so many.
fn beyond(unit: &ImageUnit<'_>, at_most: usize) -> Vec<Remark> {
    // The lowest layers can stay for themselves; each above them is one too many.
    let surplus = unit.own().iter().enumerate().skip(at_most);
    surplus
        .map(|(at, _)| {
            let fix = Fix { edit: Edit::Regroup { at_most }, claim: Claim::NoDifference };
            Remark::Found(Finding::of(unit.base.layers + at, fix))
        })
        .collect()
}

fn for_pulling(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    // This pass has looked at the own layers before, and found that one is better.
    if unit.own().is_empty() || matches!(plan.own, Own::Written(Cut::Ranges(_))) {
        return Vec::new();
    }
    let Some(grouping) = unit.grouping(plan.edits.packages()) else { return Vec::new() };
    if matches!(&plan.own, Own::Grouped(planned) if **planned == grouping) {
        return Vec::new();
    }
    let changes = Changes::between(&unit.lower, &unit.upper);
    let parts = changes.grouped(&grouping);
    if plan.own == Own::AsShipped && are(unit.own(), &changes, &parts) {
        return Vec::new();
    }
    let before: u64 = unit.own().iter().map(|layer| layer.size).sum();
    let after: u64 = parts.iter().map(|part| changes.size(part)).sum();
    if after > pulling_limit(before) {
        return beyond(unit, 1);
    }
    let fix = Fix { edit: Edit::Group(Arc::new(grouping)), claim: Claim::NoDifference };
    let what = "own layers are not grouped by what owns their files".to_owned();
    vec![Remark::Found(Finding { what, ..Finding::of(unit.base.layers, fix) })]
}

/// Whether layers are what would be written. One layer for all is left as it is.
fn are(own: &[&Layer], changes: &Changes<'_, '_>, parts: &[Part]) -> bool {
    let is_same = |(&layer, part): (&&Layer, &Part)| LayerText::of(layer) == LayerText::of(&changes.layer(part));
    own.len() == parts.len() && (own.len() == 1 || own.iter().zip(parts).all(is_same))
}
