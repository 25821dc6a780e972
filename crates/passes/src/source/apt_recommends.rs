//! Finds installations that bring what packages only recommend.

use jettison_ir::source::{
    PackagesSeen, SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit,
};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::packages::PackageCommand;

use crate::analysis::build_evidence::Evidence;
use crate::analysis::calls::{Call, calls};
use crate::analysis::recommends::{Brings, brings, help, switches_in};

pub(crate) const PASS: Pass = Pass {
    name: "apt-recommends",
    summary: "installations that bring what packages only recommend",
    level: Level::O1,
    safety: Safety::Assuming(&[SHOWN]),
    page: include_str!("apt_recommends.md"),
    aliases: &["DL3015", "DD003", "DS029"],
    run: Run::Source(run),
};

/// That the commands show all of the image's work.
const SHOWN: Assumption = Assumption {
    name: "smoke-commands-show-what-the-image-needs",
    holds: "what is only recommended and was used by nothing that was seen is not needed",
};

/// So many packages are named that are left out.
const NAMED: usize = 8;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let shipping: Vec<_> = unit.stages().iter().filter(|stage| unit.outline.ships(stage.index)).collect();
    // A setting holds for what follows, in stages built on this one too.
    let mut turned_off = Vec::new();
    for at in shipping.iter().flat_map(|stage| stage.instructions.clone()) {
        let line = unit.tree.line(unit.instruction(at));
        turned_off.extend(switches_in(line));
        let Some(script) = unit.script(at) else { continue };
        for call in calls(script) {
            let Some(command) = &call.package else { continue };
            let Some(brings) = brings(command) else { continue };
            if turned_off.contains(&brings.switch) {
                continue;
            }
            let first = command.name_span;
            let span = unit.source_span(at, command.verb_span.map_or(first, |verb| first.to(verb)));
            let message = format!("{} install brings what its packages {}", brings.program, brings.what);
            let advice = || SourceFinding::advice(span, message.clone(), help(command, &brings));
            let may = unit.options.level >= Level::Os && unit.may_assume(&SHOWN);
            let Some(seen) = unit.packages(at).filter(|_| may) else {
                remarks.push(SourceRemark::Found(advice()));
                continue;
            };
            match without(unit, at, &call, command, &brings, seen) {
                Ok(Without { edits, gone, help }) => {
                    let claim = SourceClaim::PackagesGone(gone);
                    let finding = SourceFinding::fixed(span, message, edits, claim);
                    remarks.push(SourceRemark::Found(SourceFinding { help: Some(help), ..finding }));
                }
                Err((code, reason)) => {
                    remarks.push(SourceRemark::Found(advice()));
                    remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                }
            }
        }
    }
    remarks
}

/// An installation without what is only recommended, but for what was used.
struct Without {
    edits: Vec<TextEdit>,
    gone: Vec<String>,
    help: String,
}

fn without(
    unit: &SourceUnit<'_>,
    at: usize,
    call: &Call<'_>,
    command: &PackageCommand,
    brings: &Brings,
    seen: &PackagesSeen,
) -> Result<Without, (&'static str, String)> {
    let refuse = |code, reason: &str| Err((code, reason.to_owned()));
    if !seen.has_smoke {
        return refuse("no-smoke", "no smoke command shows what the image needs of it");
    }
    if command.unknown || command.packages.iter().any(|package| package.is_file) {
        return refuse("unknown-packages", "not all of the packages are named");
    }
    let (gone, kept) = Evidence { unit, at, seen }.only_recommended(command);
    if gone.is_empty() {
        return refuse("all-used", "nothing of what is only recommended can be left out: it is needed, or was used");
    }
    let Some(last) = command.packages.iter().map(|package| package.span).max_by_key(|span| span.end) else {
        return refuse("unknown-packages", "the packages are not named");
    };
    let verb = command.verb_span.unwrap_or(command.name_span);
    if !call.span().contains(verb) || verb.end > last.start {
        return refuse("odd-place", "its packages come before the word that installs them");
    }
    let insert = |span: Span, text: String| TextEdit::insert(unit.source_span(at, span).end, text);
    let mut edits = vec![insert(verb, format!(" {}", brings.option))];
    if !kept.is_empty() {
        edits.push(insert(last, kept.iter().map(|(name, _)| format!(" {name}")).collect()));
    }
    let bytes = |name: &&str| seen.packages.get(*name).map_or(0, |package| package.bytes);
    let mut gone: Vec<&str> = gone.into_iter().collect();
    gone.sort_by_key(|name| (std::cmp::Reverse(bytes(name)), *name));
    let more = gone.len().saturating_sub(NAMED);
    let named = gone.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let mut notes = vec![match more {
        0 => format!("left out: {named}"),
        more => format!("left out: {named} and {more} more"),
    }];
    notes.extend(kept.iter().map(|(name, used)| format!("{name} is kept by its name: {used}")));
    let gone = gone.into_iter().map(str::to_owned).collect();
    Ok(Without { edits, gone, help: notes.join("; ") })
}
