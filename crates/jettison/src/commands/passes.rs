//! `jettison passes` and `jettison explain`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use jettison_passes::{PASSES, SelectionError};

use crate::printer::Printer;

pub(crate) fn list(printer: &Printer) -> Result<ExitCode> {
    let width = PASSES.iter().map(|pass| pass.name.len()).max().unwrap_or_default();
    let mut out = String::new();
    for pass in PASSES {
        writeln!(out, "{}  {:width$}  {}", pass.level, pass.name, pass.summary)?;
    }
    printer.result(&out)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn explain(name: &str, printer: &Printer) -> Result<ExitCode> {
    let pass = PASSES.iter().find(|pass| pass.name == name);
    let pass = pass.ok_or_else(|| SelectionError { name: name.to_owned() })?;
    printer.result(&format!("{}\nLevel {}, {}.\n", pass.page.trim_end(), pass.level, pass.safety))?;
    Ok(ExitCode::SUCCESS)
}
