//! `jettison passes` and `jettison explain`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use jettison_ir::{Pass, Run};
use jettison_passes::{PASSES, SelectionError, assumptions, is_named};

use crate::printer::Printer;

/// What a pass looks at.
fn subject(pass: &Pass) -> &'static str {
    match pass.run {
        Run::Image(_) => "image",
        Run::Source(_) => "Dockerfile",
        Run::Development(_) => "development",
    }
}

pub(crate) fn list(printer: &Printer) -> Result<ExitCode> {
    let width = PASSES.iter().map(|pass| pass.name.len()).max().unwrap_or_default();
    let mut out = String::new();
    for pass in PASSES {
        write!(out, "{}  {:11}  {:width$}  {}", pass.level, subject(pass), pass.name, pass.summary)?;
        if !pass.aliases.is_empty() {
            write!(out, " ({})", pass.aliases.join(", "))?;
        }
        out.push('\n');
    }
    printer.result(&out)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn explain(name: &str, printer: &Printer) -> Result<ExitCode> {
    let pages: Vec<String> = PASSES.iter().filter(|pass| is_named(pass, name)).map(page).collect();
    let text = if pages.is_empty() { assumption(name)? } else { pages.join("\n") };
    printer.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn page(pass: &Pass) -> String {
    let aliases = match pass.aliases {
        [] => String::new(),
        aliases => format!("Other linters' codes: {}.\n", aliases.join(", ")),
    };
    format!("{}\n{aliases}Level {}, {}.\n", pass.page.trim_end(), pass.level, pass.safety)
}

/// What an assumption says, and which passes make it.
fn assumption(name: &str) -> Result<String, SelectionError> {
    let found = |pass: &&Pass| assumptions(pass).iter().find(|one| one.name == name);
    let passes: Vec<&Pass> = PASSES.iter().filter(|pass| found(pass).is_some()).collect();
    let Some(assumption) = passes.first().and_then(found) else {
        return Err(SelectionError { name: name.to_owned() });
    };
    let names: Vec<&str> = passes.iter().map(|pass| pass.name).collect();
    Ok(format!(
        "# {name}\n\nAn assumption: {}.\n\nPasses that make it: {}. `--skip {name}` has them go without it.\n",
        assumption.holds,
        names.join(", ")
    ))
}
