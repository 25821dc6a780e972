//! Finds packages that served to build, which nothing that stays needs: compilers, headers, build tools, clients of version
//! control, and what is there for these alone.

use std::collections::BTreeSet;

use jettison_image::packages::{Package, Packages};
use jettison_ir::{Assumption, Claim, Decline, Edit, Finding, Fix, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::build_tools::{build_package, compiles_where_used};
use crate::analysis::image::calls::library;
use crate::analysis::image::mentions::Mentions;
use crate::analysis::image::removal::{Held, Removal, Users, Wish};

/// How many names are listed.
const NAMED: usize = 4;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "uses-are-visible",
    holds: "what a container uses of compilers, headers, build tools and clients of version control shows in what its packages \
            need, its files load and run, and its command names",
}];

pub(crate) const PASS: Pass = Pass {
    name: "build-only-packages",
    summary: "compilers, headers and build tools that nothing that stays needs, with their entries in the package database",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("build_only_packages.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let databases = match unit.packages() {
        Ok(databases) => databases,
        Err(error) => return vec![decline(format!("no packages are taken away: {error}"))],
    };
    let named: Vec<BTreeSet<usize>> = databases.iter().map(candidates).collect();
    let gone_already =
        |database: usize| named[database].iter().all(|at| plan.edits.packages().contains(&(database, *at)));
    if (0..databases.len()).all(gone_already) {
        return Vec::new();
    }
    let mentions = Mentions::of(unit);
    if let Some(reason) = builds_later(unit) {
        return vec![decline(reason)];
    }
    let mut remarks = Vec::new();
    for (database, packages) in databases.iter().enumerate().filter(|(database, _)| !gone_already(*database)) {
        let users = Users::new(unit, plan, (database, packages), &mentions);
        let removal = users.removal(&named[database], Wish::Found);
        remarks.extend(declines(packages, &users, &removal, &named[database]));
        if !removal.gone.is_empty() {
            remarks.push(Remark::Found(finding(database, packages, &users, &removal)));
        }
    }
    remarks
}

/// Packages that serve to build, by their name or by what their distribution says of them.
fn candidates(packages: &Packages) -> BTreeSet<usize> {
    let serves = |package: &Package| {
        build_package(&package.name).is_some() || matches!(package.section.as_str(), "libdevel" | "vcs")
    };
    let mut all: BTreeSet<usize> = (0..packages.packages.len()).filter(|at| serves(&packages.packages[*at])).collect();
    // A name for nothing but such packages is no use of them.
    let is_group_of_these = |at: &usize| {
        let members = packages.members(*at);
        packages.is_group(&packages.packages[*at]) && !members.is_empty() && members.iter().all(|one| all.contains(one))
    };
    let groups: Vec<usize> = (0..packages.packages.len()).filter(is_group_of_these).collect();
    all.extend(groups);
    all
}

/// Why compilers may be wanted when the image runs, although nothing shows it.
fn builds_later(unit: &ImageUnit<'_>) -> Option<String> {
    if Mentions::is_only_shell(unit) {
        let reason = "no packages that serve to build are taken away: the image's command is none or a shell, which does \
                      not tell what it is for; --purge NAME takes them away";
        return Some(reason.to_owned());
    }
    let settings = unit.config.settings();
    let on_build = settings.get("config").and_then(|config| config.get("OnBuild")?.as_array());
    if on_build.is_some_and(|all| !all.is_empty()) {
        return Some(
            "no packages that serve to build are taken away: images are built from this one (ONBUILD)".to_owned(),
        );
    }
    let tree = &unit.upper;
    let compiling = tree.walk().filter_map(|node| library(tree, node)).find(|name| compiles_where_used(name));
    compiling
        .map(|name| format!("no packages that serve to build are taken away: {name} is there, which calls compilers"))
}

fn finding(database: usize, packages: &Packages, users: &Users<'_, '_>, removal: &Removal) -> Finding {
    let (layer, files, bytes) = users.weight(&removal.gone);
    let names: Vec<String> = removal.gone.iter().map(|at| packages.packages[*at].name.clone()).collect();
    let what = format!("{} served to build", listed(packages, &removal.gone));
    let help = "remove them in the RUN that installs them (`apk add --virtual .build … && … && apk del .build`, \
                `apt-get purge --auto-remove …`), or build in a stage of its own"
        .to_owned();
    let edit = Edit::RemovePackages(removal.gone.iter().map(|at| (database, *at)).collect());
    let fix = Fix { edit, claim: Claim::PackagesGone(names) };
    Finding { what, help, files, bytes, ..Finding::of(layer, fix) }
}

/// The names of some packages, those first that serve to build by themselves.
pub(super) fn listed(packages: &Packages, of: &BTreeSet<usize>) -> String {
    let mut names: Vec<&str> = of.iter().map(|at| packages.packages[*at].name.as_str()).collect();
    names.sort_by_key(|name| (build_package(name).is_none(), name.len()));
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len().min(NAMED)].join(", ");
    match more {
        0 => shown,
        1 => format!("{shown} and 1 more package"),
        _ => format!("{shown} and {more} more packages"),
    }
}

/// Those that serve to build and stay, each with its reason; those of the base together.
fn declines(packages: &Packages, users: &Users<'_, '_>, removal: &Removal, named: &BTreeSet<usize>) -> Vec<Remark> {
    let of_base = removal.held.iter().filter(|(at, held)| **held == Held::ByBase && named.contains(at));
    let of_base: BTreeSet<usize> = of_base.map(|(at, _)| *at).collect();
    let base = (!of_base.is_empty()).then(|| {
        let listed = listed(packages, &of_base);
        let stay = if of_base.len() == 1 { "stays" } else { "stay" };
        decline(format!(
            "{listed} {stay}: base layers stay as they are so that they stay shared; --squash-all merges them"
        ))
    });
    let others = removal.held.iter().filter(|(at, held)| {
        !of_base.contains(at) && (named.contains(at) || matches!(held, Held::Unseen | Held::ByName(..)))
    });
    let others =
        others.map(|(at, _)| decline(format!("{} stays: {}", packages.packages[*at].name, users.chain(removal, *at))));
    base.into_iter().chain(others).collect()
}

fn decline(reason: String) -> Remark {
    Remark::Declined(Decline { layer: None, reason, stays: Vec::new() })
}
