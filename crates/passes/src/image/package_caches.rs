//! Finds what package managers of distributions fetched: indexes and archives.

use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "indexes-are-fetched-again",
    holds: "nothing reads a package manager's indexes and archives but the manager, which fetches them again",
}];

pub(crate) const PASS: Pass = Pass {
    name: "package-caches",
    summary: "indexes and archives that apt, apk, dnf, yum, zypper and pacman fetched",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("package_caches.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run(unit, plan, PASS.name)
}
