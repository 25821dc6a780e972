//! Finds what of the build context no instruction reads, and keeps it out by `.dockerignore`.

use std::collections::BTreeMap;

use jettison_ir::source::{
    Context, Entry, SourceClaim, SourceDecline, SourceFinding, SourceFix, SourceRemark, SourceUnit, Target, TextEdit,
};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::ignore::{Ignore, matches_pattern};
use jettison_syntax::view::Origin;

use crate::analysis::context_use::{ContextSource, SELDOM_WANTED, follows_link, is_dockerfile, sources};
use crate::analysis::families::Reference;

const BASES_COPY_NOTHING: Assumption = Assumption {
    name: "bases-copy-nothing",
    holds: "base images have no ONBUILD instructions that read the build context",
};

pub(crate) const PASS: Pass = Pass {
    name: "wide-context",
    summary: "files of the build context that are sent to the builder and that no instruction reads",
    level: Level::O1,
    safety: Safety::Assuming(&[BASES_COPY_NOTHING]),
    page: include_str!("wide_context.md"),
    aliases: &[],
    run: Run::Source(run),
};

/// The line above what the pass adds.
const HEADING: &str = "# not used by the Dockerfile";

/// What is sent in one message in any case: less than that is not worth a line. BuildKit's `fsutil` cuts files into
/// pieces of this size.
const WORTH_A_LINE: u64 = 32 << 10;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let (Some(context), Some(first)) = (unit.context, unit.stages().first()) else { return Vec::new() };
    let Some(text) = ignore_text(unit, context) else { return Vec::new() };
    let span = unit.instruction(first.from).span;
    let sources = sources(unit);
    let sent = sent(context, unit.ignore.as_ref());
    let whole = sources.iter().find(|(_, source)| *source == ContextSource::Whole);
    if let Some((at, _)) = whole {
        return seldom_wanted(unit.instruction(*at).span, &sent).into_iter().collect();
    }
    let reads = |name: &str| {
        let mut known = sources.iter().filter(|(_, source)| *source != ContextSource::Unknown);
        known.any(|(_, source)| source.reads_top(name))
    };
    let is_unused =
        |name: &str, bytes: u64| bytes >= WORTH_A_LINE && can_be_listed(name, unit.ignore.as_ref()) && !reads(name);
    let unused: Vec<(&str, u64)> = sent.into_iter().filter(|(name, bytes)| is_unused(name, *bytes)).collect();
    if unused.is_empty() {
        return Vec::new();
    }
    if let Some((code, reason)) = doubt(unit, context, &sources) {
        return vec![SourceRemark::Declined(SourceDecline { span, code, reason: reason.to_owned() })];
    }
    let names: Vec<&str> = unused.iter().map(|(name, _)| *name).collect();
    let bytes: u64 = unused.iter().map(|(_, bytes)| bytes).sum();
    let message = format!("no instruction reads {}, yet {bytes} bytes of it are sent to the builder", listed(&names));
    let edits = vec![TextEdit::insert(Span::new(0, text.len()).end, addition(text, &names))];
    let fix = SourceFix { target: Target::Ignore, edits, claim: SourceClaim::BuildOnly };
    vec![SourceRemark::Found(SourceFinding { span, message, help: None, fix: Some(fix) })]
}

/// The text of `.dockerignore`; none where it is no longer the one that the context came with: this pass alone adds
/// to it, and it adds all at once.
fn ignore_text<'a>(unit: &SourceUnit<'_>, context: &'a Context) -> Option<&'a str> {
    let text = context.ignore.as_deref().unwrap_or_default();
    let length = unit.ignore.as_ref().map_or(0, |ignore| ignore.lines.last().map_or(0, |line| line.span.range().end));
    (length == text.len()).then_some(text)
}

/// The entries at the top of the context, with the bytes of theirs that builders get.
fn sent<'a>(context: &'a Context, ignore: Option<&Ignore>) -> BTreeMap<&'a str, u64> {
    let mut sent = BTreeMap::new();
    for file in &context.files {
        if file.entry != Entry::Folder && !ignore.is_some_and(|ignore| ignore.matches(&file.path)) {
            let top = file.path.split('/').next().unwrap_or_default();
            *sent.entry(top).or_default() += file.size;
        }
    }
    sent
}

/// Whether a line can keep the entry out without touching what it is not about: it is no file of the build itself, its
/// name means nothing else as a pattern, and no line includes it on purpose.
fn can_be_listed(name: &str, ignore: Option<&Ignore>) -> bool {
    let is_own = is_dockerfile(name) || name.ends_with(".dockerignore");
    let is_plain = name.trim() == name
        && !name.starts_with(['#', '!', '\u{feff}'])
        && !name.contains(|ch: char| ch.is_control() || "*?[]\\{}|^".contains(ch));
    let included = |ignore: &Ignore| {
        ignore.rules.iter().filter(|rule| rule.negated).any(|rule| {
            let first = rule.pattern.split('/').next().unwrap_or_default();
            first.contains("**") || matches_pattern(first, name).unwrap_or(true)
        })
    };
    !is_own && is_plain && !ignore.is_some_and(included)
}

/// Why what no instruction of this file reads may be needed all the same.
fn doubt(
    unit: &SourceUnit<'_>,
    context: &Context,
    sources: &[(usize, ContextSource)],
) -> Option<(&'static str, &'static str)> {
    if sources.iter().any(|(_, source)| *source == ContextSource::Unknown) {
        return Some(("variable-source", "what a variable names is read from the context, and it may name anything"));
    }
    if follows_link(unit, sources) {
        return Some(("linked-source", "a source is a symbolic link, and what it leads to is read as well"));
    }
    let is_kept = |path: &str| !unit.ignore.as_ref().is_some_and(|ignore| ignore.matches(path));
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let files = || context.files.iter().filter(|file| file.entry == Entry::File);
    if files().any(|file| file.path.ends_with(".dockerignore") && file.path != ".dockerignore") {
        return Some(("other-ignore-file", "the context holds another .dockerignore, which may be the one in force"));
    }
    if files().filter(|file| is_dockerfile(&base(&file.path)) && is_kept(&file.path)).count() > 1 {
        return Some((
            "other-dockerfiles",
            "the context holds several Dockerfiles, and the others may read other files",
        ));
    }
    if unit.ignore.as_ref().is_some_and(|ignore| !ignore.errors.is_empty()) {
        return Some(("broken-ignore-file", ".dockerignore holds a line that builders refuse"));
    }
    let frontend = unit.tree.directives.iter().find(|directive| directive.name == "syntax");
    let is_usual = |value: &str| {
        let value = value.strip_prefix("docker.io/").unwrap_or(value);
        value.starts_with("docker/dockerfile:") || value.starts_with("docker/dockerfile-upstream:")
    };
    if frontend.is_some_and(|directive| !is_usual(&directive.value) && directive.value != "docker/dockerfile") {
        return Some(("unknown-frontend", "the syntax directive names a frontend that may read other files"));
    }
    let is_quiet = |base: &Origin| match base {
        Origin::Image(image) => Reference::read(image).has_no_triggers(),
        Origin::Scratch | Origin::Stage(_) => true,
        Origin::Unknown => false,
    };
    if !unit.stages().iter().all(|stage| is_quiet(&stage.base)) && !unit.may_assume(&BASES_COPY_NOTHING) {
        return Some(("unknown-base", "a base image may have ONBUILD instructions that read the context"));
    }
    None
}

/// What is put at the end of `.dockerignore`.
fn addition(text: &str, names: &[&str]) -> String {
    let mut added = String::new();
    if !text.is_empty() && !text.ends_with('\n') {
        added.push('\n');
    }
    let block = text.trim_end_matches(['\r', '\n']).lines().rev().take_while(|line| !line.trim().is_empty());
    if !block.into_iter().any(|line| line.trim_end() == HEADING) {
        added.push_str(if text.trim().is_empty() { "" } else { "\n" });
        added.push_str(HEADING);
        added.push('\n');
    }
    for name in names {
        added.push_str(name);
        added.push('\n');
    }
    if text.contains("\r\n") { added.replace('\n', "\r\n") } else { added }
}

/// Some names, and how many more.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 6;
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}

/// What of the context an instruction that copies all of it takes along, though images hardly ever need it.
fn seldom_wanted(span: Span, sent: &BTreeMap<&str, u64>) -> Option<SourceRemark> {
    let found: Vec<(&str, u64)> = SELDOM_WANTED
        .iter()
        .filter_map(|name| sent.get_key_value(*name).map(|(name, bytes)| (*name, *bytes)))
        .filter(|(_, bytes)| *bytes >= WORTH_A_LINE)
        .collect();
    if found.is_empty() {
        return None;
    }
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let bytes: u64 = found.iter().map(|(_, bytes)| bytes).sum();
    let message =
        format!("the whole context is read, with {bytes} bytes that images hardly ever need: {}", listed(&names));
    let help = format!("if nothing in the image needs them, put them into .dockerignore: {}", names.join(", "));
    Some(SourceRemark::Found(SourceFinding::advice(span, message, help)))
}
