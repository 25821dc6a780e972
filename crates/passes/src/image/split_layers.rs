//! Finds own layers beyond the number that is wanted: each repeats folders and costs a request.

use jettison_image::changes::Cut;
use jettison_ir::{Claim, Edit, Finding, Fix, ImageUnit, Level, Own, Pass, Plan, Remark, Run, Safety};

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
    let base = unit.base.layers;
    let own = unit.own();
    let regrouped = matches!(plan.own, Own::Written(Cut::Ranges(at_most)) if at_most <= unit.own_layers);
    if own.len() <= unit.own_layers || regrouped {
        return Vec::new();
    }
    // The lowest layers can stay for themselves; each above them is one too many.
    let surplus = own.iter().enumerate().skip(unit.own_layers);
    surplus
        .map(|(at, _)| {
            let fix = Fix { edit: Edit::Regroup { at_most: unit.own_layers }, claim: Claim::NoDifference };
            Remark::Found(Finding::of(base + at, fix))
        })
        .collect()
}
