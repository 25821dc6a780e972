//! Finds what a build logged: logs of package managers and tools, registers of logins, dumps of crashed programs.

use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "logs-tell-of-the-build",
    holds: "no program reads what a build logged; programs make the logs that they append to",
}];

pub(crate) const PASS: Pass = Pass {
    name: "build-logs",
    summary: "logs, registers of logins and dumps that were left by the build",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("build_logs.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run(unit, plan, PASS.name)
}
