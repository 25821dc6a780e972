//! Finds caches of languages' tools: archives, modules and build results.

use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "caches-are-filled-again",
    holds: "a tool that finds its cache empty fetches or makes again what it needs, and nothing else reads the cache",
}];

pub(crate) const PASS: Pass = Pass {
    name: "tool-caches",
    summary: "caches of pip, npm, go, cargo, maven and other tools of languages",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("tool_caches.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run(unit, plan, PASS.name)
}
