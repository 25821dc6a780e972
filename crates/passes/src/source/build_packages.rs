//! Finds packages that only a build needs and that the image keeps: those that nothing removes, and those that a later
//! layer hides.

use std::collections::{HashMap, HashSet};

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::packages::Manager;

use crate::analysis::build_group;
use crate::analysis::build_needs::BuildNeeds;
use crate::analysis::build_steps::{Step, step};
use crate::analysis::build_tools::{BuildPackage, build_package};

pub(crate) const PASS: Pass = Pass {
    name: "build-packages",
    summary: "packages that only a build needs and that the image keeps",
    level: Level::O1,
    safety: Safety::Assuming(&[FOR_BUILDING, LIBRARIES]),
    page: include_str!("build_packages.md"),
    aliases: &["DD063"],
    run: Run::Source(run),
};

/// That what a name says of a package holds for the image, too.
const FOR_BUILDING: Assumption = Assumption {
    name: "packages-named-for-building-are-not-needed-at-run-time",
    holds: "what runs in the image calls no compiler and no build tool that the Dockerfile does not show it calling",
};

/// That the libraries which the Dockerfile names are those that are needed.
const LIBRARIES: Assumption = Assumption {
    name: "run-time-libraries-are-installed-by-name",
    holds: "what a build leaves needs no other library of the packages that it was built with",
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let shipping = unit.stages().iter().filter(|stage| unit.outline.ships(stage.index));
    let runs = shipping.flat_map(|stage| stage.instructions.clone()).filter(|at| unit.kind(*at) == Kind::Run);
    let steps: Vec<Step> = runs.map(|at| step(unit, at)).collect();
    let mut remarks = removed_later(&steps);
    let (fixed, others) = removed(unit, &steps);
    remarks.extend(kept(unit, &steps, &fixed));
    remarks.extend(others);
    remarks
}

/// The removals that can be written, and the reasons where none can. The steps of the former are told.
fn removed(unit: &SourceUnit<'_>, steps: &[Step]) -> (HashSet<usize>, Vec<SourceRemark>) {
    let (mut fixed, mut remarks) = (HashSet::new(), Vec::new());
    let may = unit.options.level >= Level::Os && unit.may_assume(&FOR_BUILDING) && unit.may_assume(&LIBRARIES);
    let installs = |step: &&Step| {
        let shows_all = unit.packages(step.at).is_some_and(|seen| seen.has_smoke);
        step.installed.iter().any(|(name, ..)| shows_all || build_package(name).is_some())
    };
    let mut candidates = steps.iter().filter(installs).filter(|_| may).peekable();
    if candidates.peek().is_none() {
        return (fixed, remarks);
    }
    let needs = BuildNeeds::of(unit);
    for step in candidates {
        let Some((span, removal)) = build_group::removal(unit, step.at, &needs) else { continue };
        let span = unit.source_span(step.at, span);
        remarks.push(match removal {
            Ok(removal) => {
                fixed.insert(step.at);
                let names: Vec<&str> = removal.names.iter().map(String::as_str).collect();
                let message = if removal.is_for_building { only_to_build(&names) } else { unused(&names) };
                let help = (!removal.notes.is_empty()).then(|| removal.notes.join("; "));
                let claim = SourceClaim::PackagesGone(removal.names);
                SourceRemark::Found(SourceFinding { help, ..SourceFinding::fixed(span, message, removal.edits, claim) })
            }
            Err((code, reason)) => SourceRemark::Declined(SourceDecline { span, code, reason }),
        });
    }
    (fixed, remarks)
}

/// Removals of what an earlier layer holds.
fn removed_later(steps: &[Step]) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let mut installed: HashMap<&str, usize> = HashMap::new();
    for step in steps {
        let hidden: Vec<&str> = step
            .removed
            .iter()
            .map(String::as_str)
            .filter(|name| !step.installed.iter().any(|(own, ..)| own == name) && installed.contains_key(name))
            .collect();
        if let Some(span) = step.removal
            && !hidden.is_empty()
        {
            let message = format!("{} removed here stays in the layer that an earlier RUN made", hidden.join(", "));
            let help = "install, use and remove it in one RUN, or build in a stage of its own".to_owned();
            remarks.push(SourceRemark::Found(SourceFinding::advice(span, message, help)));
        }
        for name in &step.removed {
            installed.remove(name.as_str());
        }
        installed.extend(step.installed.iter().map(|(name, ..)| (name.as_str(), step.at)));
    }
    remarks
}

/// Packages that serve to build, in a RUN that builds, which nothing removes and nothing later uses.
fn kept(unit: &SourceUnit<'_>, steps: &[Step], fixed: &HashSet<usize>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let mut is_needed_later = unit.instructions().iter().any(|instruction| instruction.body.kind == Kind::Onbuild);
    for step in steps.iter().rev() {
        is_needed_later |= step.is_opaque || step.removes_unknown || !step.removed.is_empty();
        let is_build =
            |name: &str| build_package(name).is_some_and(|package| !matches!(package, BuildPackage::Tool(_)));
        let names: Vec<&(String, Manager, Span)> = step.installed.iter().filter(|(name, ..)| is_build(name)).collect();
        if let Some((_, manager, span)) = names.first().copied()
            && step.builds
            && !is_needed_later
            && !fixed.contains(&step.at)
        {
            let list: Vec<&str> = names.iter().map(|(name, ..)| name.as_str()).collect();
            let message = only_to_build(&list);
            remarks.push(SourceRemark::Found(SourceFinding::advice(*span, message, help(*manager).to_owned())));
        }
        is_needed_later |= step.builds;
    }
    remarks.reverse();
    remarks
}

fn only_to_build(names: &[&str]) -> String {
    let are = if names.len() == 1 { "is" } else { "are" };
    format!("{} {are} only needed to build, and in the image for good", names.join(", "))
}

fn unused(names: &[&str]) -> String {
    let are = if names.len() == 1 { "is" } else { "are" };
    format!("{} {are} used by nothing that was seen once the RUN is done, and in the image for good", names.join(", "))
}

fn help(manager: Manager) -> &'static str {
    match manager {
        Manager::Apk => {
            "install them with --virtual .build-deps, and end the RUN with apk del --no-network .build-deps; the \
             libraries that a -dev package brings and the result needs have to be named on their own"
        }
        Manager::AptGet | Manager::Apt | Manager::Aptitude => {
            "end the RUN with apt-get purge -y --auto-remove and their names; the libraries that a -dev package brings \
             and the result needs have to be installed on their own"
        }
        _ => "remove them at the end of the RUN, or build in a stage of its own and copy the result",
    }
}
