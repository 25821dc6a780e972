//! Keeps apk from leaving its index of packages: `--no-cache` instead of `apk update`, or the removal of the index.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::packages::{Manager, PackageCommand, Verb};
use jettison_syntax::shell::{AndOr, CommandKind, List, Node, Operator, Pipeline, Script};

use crate::analysis::calls::{Call, calls};
use crate::analysis::folders::Folder;
use crate::analysis::later::{self, First};
use crate::analysis::leftovers::{self, INDEXES, Leftover, Made, Role};

pub(crate) const PASS: Pass = Pass {
    name: "apk-cache",
    summary: "the index of packages that apk leaves behind",
    level: Level::O2,
    safety: Safety::Assuming(&[INDEXES]),
    page: include_str!("apk_cache.md"),
    aliases: &["DL3019", "DD025"],
    run: Run::Source(run),
};

const INDEX: Leftover = Leftover {
    hints: &["apk"],
    what: "its index of packages",
    folders: &[Folder::At("/var/cache/apk")],
    is_roots: true,
    role,
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &["/etc/apk/cache", "setup-apkcache"],
    removed_as: &[],
    removal: |_: &Made<'_>| Some(vec!["rm -rf /var/cache/apk/*".to_owned()]),
};

/// Options that fetch the index again, which `--no-cache` does as well.
const FETCHES: [&str; 3] = ["-U", "--update", "--update-cache"];

fn role(command: &PackageCommand, _: &str) -> Role {
    if command.manager != Manager::Apk {
        return Role::default();
    }
    let keeps = !command.has_option(&["--no-cache"]);
    let offline = command.has_option(&["--no-network"]);
    Role {
        makes: keeps && !offline && matches!(command.verb, Verb::Update | Verb::Install | Verb::Upgrade),
        needs: keeps
            && (offline && command.verb != Verb::Remove || matches!(command.verb, Verb::Query | Verb::Download)),
        clears: command.verb == Verb::Clean,
        elsewhere: command.has_option(&["--root", "-p", "--cache-dir"]),
    }
}

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if !unit.may_assume(&INDEXES) || !unit.tree.text().contains("apk") {
        return Vec::new();
    }
    let needed = later::needed_by(unit, &|at| needs_offline(unit, at));
    let shipped = later::shipped(unit);
    let is_kept = INDEX.keeps.iter().any(|text| unit.tree.text().contains(text));
    let kept = is_kept.then_some(leftovers::KEPT);
    let mut remarks = Vec::new();
    for stage in unit.stages().iter().filter(|stage| shipped[stage.index]) {
        for at in stage.instructions.clone() {
            let has_apk = unit.tree.line(unit.instruction(at)).contains("apk")
                || unit.text(at).is_some_and(|text| text.text.contains("apk"));
            if unit.kind(at) != Kind::Run || !has_apk {
                continue;
            }
            match leftovers::examine(unit, at, &INDEX, needed[at], kept) {
                Ok(None) => {}
                Ok(Some(finding)) => remarks.push(SourceRemark::Found(without_cache(unit, at).unwrap_or(finding))),
                // Options need no place for a command.
                Err((code, reason)) => remarks.push(match without_cache(unit, at) {
                    Some(finding) if OF_PLACE.contains(&code) => SourceRemark::Found(finding),
                    _ => {
                        let span = unit.instruction(at).span;
                        SourceRemark::Declined(SourceDecline { span, code, reason })
                    }
                }),
            }
        }
    }
    remarks
}

/// Refusals that are about a further command alone.
const OF_PLACE: [&str; 8] = [
    "in-function",
    "background",
    "negated",
    "exit-on-error",
    "here-document",
    "replaced-shell",
    "not-root",
    "other-user",
];

/// A later installation without a network; any other fetches the index again by itself.
fn needs_offline(unit: &SourceUnit<'_>, at: usize) -> Option<First> {
    if unit.kind(at) != Kind::Run {
        return None;
    }
    let offline = unit.instruction(at).body.flag("network").is_some_and(|flag| flag.value() == Some("none"));
    let script = unit.script(at)?;
    let needs = |call: &Call<'_>| {
        let command = call.package.as_ref().filter(|command| command.manager == Manager::Apk);
        command
            .is_some_and(|command| command.verb != Verb::Remove && (offline || command.has_option(&["--no-network"])))
    };
    calls(script).iter().any(needs).then_some(First::Needs)
}

/// The change of a RUN to `--no-cache`, where nothing in it needs an index that stays.
fn without_cache(unit: &SourceUnit<'_>, at: usize) -> Option<SourceFinding> {
    let script = leftovers::whole_script(unit, at).ok()?;
    let calls = calls(script);
    let mut edits = Vec::new();
    let mut first = None;
    let mut last_update = None;
    let mut installs = 0;
    for call in &calls {
        let Some(command) = call.package.as_ref().filter(|command| command.manager == Manager::Apk) else { continue };
        let role = role(command, "");
        if role.needs {
            return None;
        }
        if !role.makes {
            // It fetches the index again, as it has the option.
            installs += usize::from(matches!(command.verb, Verb::Install | Verb::Upgrade));
            if installs > 0 {
                last_update = None;
            }
            continue;
        }
        first = first.or(Some(call.span()));
        if command.verb == Verb::Update {
            edits.push(TextEdit::delete(droppable(unit, at, script, call.span())?));
            last_update = Some(call.span());
            continue;
        }
        last_update = None;
        let fetches = command.options.iter().find(|option| FETCHES.contains(&option.span.of(&script.text)));
        let verb = command.verb_span.filter(|span| !span.is_empty())?;
        edits.push(match fetches {
            Some(option) => TextEdit::replace(unit.source_span(at, option.span), "--no-cache"),
            None => TextEdit::insert(unit.source_span(at, verb).end, " --no-cache"),
        });
    }
    // An index that no installation follows was fetched for something else.
    let first = first.filter(|_| last_update.is_none())?;
    let span = unit.source_span(at, first);
    let claim = SourceClaim::Gone(vec!["/var/cache/apk/**".to_owned()]);
    Some(SourceFinding::fixed(span, "apk leaves its index of packages in the image".to_owned(), edits, claim))
}

/// What is taken out so that an `apk update` is gone: it and what joins it to the next command. None where it decides
/// about more than that, or where comments stand there.
fn droppable(unit: &SourceUnit<'_>, at: usize, script: &Script, update: Span) -> Option<Span> {
    let mut next = None;
    script.walk(&mut |node| {
        if let Node::List(list) = node {
            next = next.or_else(|| follower(list, update));
        }
    });
    let (from, to) = (unit.source_span(at, update), unit.source_span(at, next?));
    let gap = unit.tree.text().get(from.end as usize..to.start as usize)?;
    (!gap.contains('#')).then_some(Span { start: from.start, end: to.start })
}

/// What follows a command that stands alone in a list, or in an and-list.
fn follower(list: &List, update: Span) -> Option<Span> {
    let at = list.items.iter().position(|item| item.span.contains(update))?;
    let and_or: &AndOr = &list.items[at].and_or;
    let is_it = |pipeline: &Pipeline| {
        let is_simple = matches!(&pipeline.commands[..], [command] if matches!(command.kind, CommandKind::Simple(_)));
        pipeline.span == update && !pipeline.negated && is_simple
    };
    if and_or.rest.is_empty() {
        return list.items.get(at + 1).filter(|_| is_it(&and_or.first)).map(|next| next.span);
    }
    let steps: Vec<(Operator, &Pipeline)> = std::iter::once((Operator::And, &and_or.first))
        .chain(and_or.rest.iter().map(|(operator, _, pipeline)| (*operator, pipeline)))
        .collect();
    let step = steps.iter().position(|(operator, pipeline)| *operator == Operator::And && is_it(pipeline))?;
    let (operator, next) = steps.get(step + 1)?;
    (*operator == Operator::And).then_some(next.span)
}
