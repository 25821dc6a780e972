//! Finds files that a build left in the folders for temporary files.

use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "temporary-files-are-of-the-build",
    holds: "what lies in folders for temporary files was for the build that left it there",
}];

pub(crate) const PASS: Pass = Pass {
    name: "temporary-files",
    summary: "files in /tmp and /var/tmp that were left by the build",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("temporary_files.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run(unit, plan, PASS.name)
}
