//! Takes packages away that somebody asked to be gone, as their manager would: with what is there for them alone.

use std::collections::BTreeSet;

use jettison_image::packages::Packages;
use jettison_ir::{Assumption, Claim, Decline, Edit, Finding, Fix, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use super::build_only_packages::listed;
use crate::analysis::image::mentions::Mentions;
use crate::analysis::image::removal::{Users, Wish};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "asked-packages-are-not-used",
    holds: "packages that `--purge` and `--virtual` name are used by nothing but what needs them by their databases, loads or \
            runs their files, or is the image's command",
}];

pub(crate) const PASS: Pass = Pass {
    name: "asked-packages",
    summary: "packages that --purge and --virtual name, with what is there for them alone",
    level: Level::O1,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("asked_packages.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let (purge, virtuals) = (&unit.options.purge, &unit.options.virtuals);
    if (purge.is_empty() && virtuals.is_empty()) || !plan.edits.packages().is_empty() {
        return Vec::new();
    }
    let databases = match unit.packages() {
        Ok(databases) => databases,
        Err(error) => return vec![decline(format!("no packages are taken away: {error}"))],
    };
    let mut named: Vec<BTreeSet<usize>> = databases.iter().map(|_| BTreeSet::new()).collect();
    for (name, is_group) in purge.iter().map(|name| (name, false)).chain(virtuals.iter().map(|name| (name, true))) {
        match find(databases, name, is_group) {
            Ok((database, at)) => named[database].insert(at),
            Err(reason) => return vec![decline(reason)],
        };
    }
    let mentions = Mentions::of(unit);
    let mut remarks = Vec::new();
    for (database, packages) in databases.iter().enumerate().filter(|(database, _)| !named[*database].is_empty()) {
        let users = Users::new(unit, plan, (database, packages), &mentions);
        let removal = users.removal(&named[database], Wish::Asked);
        let refused = named[database].iter().find(|at| !removal.gone.contains(at));
        if let Some(at) = refused {
            // All that was asked for goes, or nothing.
            let name = &packages.packages[*at].name;
            return vec![decline(format!("{name} cannot be removed: {}", users.chain(&removal, *at)))];
        }
        let (layer, files, bytes) = users.weight(&removal.gone);
        let names = removal.gone.iter().map(|at| packages.packages[*at].name.clone()).collect();
        let edit = Edit::RemovePackages(removal.gone.iter().map(|at| (database, *at)).collect());
        let fix = Fix { edit, claim: Claim::PackagesGone(names) };
        let what = format!("{}: asked to be gone", listed(packages, &removal.gone));
        let help = "remove them in the RUN that installs them".to_owned();
        remarks.push(Remark::Found(Finding { what, help, files, bytes, ..Finding::of(layer, fix) }));
    }
    remarks
}

/// The database that has a package, and its place there. A group is a package that is nothing but a name for others.
fn find(databases: &[Packages], name: &str, is_group: bool) -> Result<(usize, usize), String> {
    let mut found = databases.iter().enumerate().filter_map(|(at, packages)| Some((at, packages.position(name)?)));
    let Some((database, at)) = found.next() else {
        return Err(format!("{name} cannot be removed: no database of the image has it"));
    };
    let packages = &databases[database];
    let is_name_only = packages.packages[at].files.is_empty() && !packages.packages[at].depends.is_empty();
    if is_group && !is_name_only && !packages.is_group(&packages.packages[at]) {
        return Err(format!("{name} cannot be removed by --virtual: it is a package of its own; --purge removes it"));
    }
    Ok((database, at))
}

fn decline(reason: String) -> Remark {
    Remark::Declined(Decline { layer: None, reason, stays: Vec::new() })
}
