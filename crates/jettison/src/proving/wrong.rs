//! A pass that is wrong on purpose, in builds for testing only: `JETTISON_WRONG_PASS='OLD=>NEW'` replaces a text in
//! instructions and claims that the image stays the same. Proofs must catch it every time.

use std::env;

use jettison_ir::source::{SourceClaim, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;

static PASS: Pass = Pass {
    name: "wrong-on-purpose",
    summary: "nothing: it is for tests",
    level: Level::O1,
    safety: Safety::Exact,
    page: "",
    aliases: &[],
    run: Run::Source(run),
};

/// The pass, where the environment asks for it.
pub(crate) fn pass() -> Option<&'static Pass> {
    replacement().map(|_| &PASS)
}

fn replacement() -> Option<(String, String)> {
    let text = env::var("JETTISON_WRONG_PASS").ok()?;
    let (old, new) = text.split_once("=>")?;
    Some((old.to_owned(), new.to_owned()))
}

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let Some((old, new)) = replacement() else { return Vec::new() };
    let text = unit.tree.text();
    let found = text.match_indices(&old).map(|(start, _)| {
        let span = Span::new(start, start + old.len());
        let edits = vec![TextEdit::replace(span, new.clone())];
        SourceRemark::Found(SourceFinding::fixed(span, format!("{old} is wrongly {new}"), edits, SourceClaim::Same))
    });
    found.collect()
}
