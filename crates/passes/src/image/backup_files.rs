//! Finds earlier states of files: of databases and configuration, of shells' histories, of what editors had open.

use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "backups-are-not-read",
    holds: "no program reads the earlier states of files that others leave beside them",
}];

pub(crate) const PASS: Pass = Pass {
    name: "backup-files",
    summary: "earlier states of databases, histories of shells, backups and swap files of editors",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("backup_files.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run(unit, plan, PASS.name)
}
