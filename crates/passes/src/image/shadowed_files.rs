//! Finds files that own layers ship and no container can see: overwritten, deleted, hidden, or shipped
//! again for a change of mode, owner or time.

use std::collections::BTreeMap;

use jettison_ir::{Claim, Decline, Edit, Finding, Fix, ImageUnit, Level, Own, Pass, Plan, Remark, Run, Safety};

pub(crate) const PASS: Pass = Pass {
    name: "shadowed-files",
    summary: "files that no container sees: overwritten, deleted, hidden, or shipped again for a chmod",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("shadowed_files.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    // Layers that are written anew hold only what is seen.
    if plan.own != Own::AsShipped {
        return Vec::new();
    }
    let base = unit.base.layers;
    let mut groups = BTreeMap::new();
    let mut kept = BTreeMap::new();
    for hidden in unit.upper.hidden() {
        let size = unit.upper.entry(hidden.shipped).map_or(0, |(_, entry)| entry.size);
        let (groups, key) = if hidden.shipped.layer < base {
            (&mut kept, (hidden.shipped.layer, hidden.by.layer, None))
        } else {
            (&mut groups, (hidden.shipped.layer, hidden.by.layer, Some(hidden.cause)))
        };
        let group: &mut (usize, u64) = groups.entry(key).or_default();
        group.0 += 1;
        group.1 += size;
    }
    let found = groups.into_iter().map(|((shipped_by, hidden_by, cause), (files, bytes))| {
        let fix = Fix { edit: Edit::DropHidden, claim: Claim::NoDifference };
        Remark::Found(Finding { hidden_by: Some(hidden_by), cause, files, bytes, ..Finding::of(shipped_by, fix) })
    });
    let declined = kept.into_iter().map(|((shipped_by, hidden_by, _), (files, bytes))| {
        let (shipped_by, hidden_by) = (shipped_by + 1, hidden_by + 1);
        let reason = format!(
            "{files} files with {bytes} bytes of base layer {shipped_by} are hidden by layer {hidden_by}, \
             and base layers stay as they are so that they stay shared"
        );
        Remark::Declined(Decline { layer: Some(shipped_by - 1), reason, stays: Vec::new() })
    });
    found.chain(declined).collect()
}
