//! Finds settings that are spread over several instructions, and those that a later one replaces.

use jettison_ir::source::{SourceClaim, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::expand;

use crate::analysis::replaced::replaced;

pub(crate) const PASS: Pass = Pass {
    name: "split-metadata",
    summary: "ENV, LABEL, EXPOSE and COPY that can be one, and settings that a later instruction replaces",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("split_metadata.md"),
    aliases: &["MultipleInstructionsDisallowed", "DL4003", "DL4004"],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let count = unit.instructions().len();
    let mut at = 0;
    while at < count {
        if let Some(finding) = replaced(unit, at) {
            remarks.push(SourceRemark::Found(finding));
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while end < count && joins(unit, at, end) {
            end += 1;
        }
        if end > at + 1 {
            remarks.push(SourceRemark::Found(joined(unit, at, end)));
        }
        at = end;
    }
    remarks
}

/// Whether the instruction `at` can be joined to those from `first` on, which stand directly before it.
fn joins(unit: &SourceUnit<'_>, first: usize, at: usize) -> bool {
    let kind = unit.kind(first);
    if unit.kind(at) != kind || replaced(unit, at).is_some() {
        return false;
    }
    match kind {
        Kind::Env | Kind::Label => {
            let (Some(one), Some(other)) = (pairs(unit, at - 1), pairs(unit, at)) else { return false };
            if one.is_empty() || other.is_empty() {
                return false;
            }
            let before: Vec<String> =
                (first..at).flat_map(|at| pairs(unit, at).unwrap_or_default()).map(|(name, _)| name).collect();
            other.iter().all(|(name, value)| {
                let refers = expand::references(value, unit.tree.escape);
                !before.contains(name)
                    && !name.contains('$')
                    && (kind == Kind::Label || refers.iter().all(|reference| !before.contains(&reference.name)))
            })
        }
        Kind::Expose => true,
        Kind::Copy | Kind::Add => copies_join(unit, first, at),
        _ => false,
    }
}

/// The names and values of ENV or LABEL as `name=value` has them; none where the old form has no such form.
fn pairs(unit: &SourceUnit<'_>, at: usize) -> Option<Vec<(String, String)>> {
    let instruction = unit.instruction(at);
    let Arguments::Pairs { pairs, legacy } = &instruction.body.arguments else { return None };
    let part = |span| unit.tree.part(instruction, span).to_owned();
    let simple = |value: &str| !value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '`'));
    pairs
        .iter()
        .map(|pair| {
            let (name, value) = (part(pair.name), part(pair.value));
            (!*legacy || simple(&value)).then_some((name, value))
        })
        .collect()
}

/// COPY or ADD to one place, which is a folder in both.
fn copies_join(unit: &SourceUnit<'_>, first: usize, at: usize) -> bool {
    let parts = |at: usize| {
        let instruction = unit.instruction(at);
        let Arguments::Words(words) = &instruction.body.arguments else { return None };
        let target = unit.tree.part(instruction, *words.last()?);
        let flags: Vec<&str> = instruction.body.flags.iter().map(|flag| flag.text.as_str()).collect();
        let is_folder = target.ends_with('/') || target == ".";
        (instruction.heredocs.is_empty() && words.len() > 1 && is_folder).then_some((target.to_owned(), flags))
    };
    // ADD of archives and addresses: what each makes is told apart by its own name.
    parts(first).is_some() && parts(first) == parts(at)
}

/// The finding that the instructions of a range can be one.
fn joined(unit: &SourceUnit<'_>, first: usize, end: usize) -> SourceFinding {
    let kind = unit.kind(first);
    let source = unit.tree.text();
    let indent = "    ";
    let mut text = String::new();
    for at in first..end {
        let instruction = unit.instruction(at);
        let from = if at == first { instruction.within.0 } else { unit.instruction(at - 1).within.1 };
        let comments = &unit.tree.comments[from as usize..instruction.within.0 as usize];
        let comments: String =
            comments.iter().map(|comment| format!("{indent}{}\n", comment.span.of(source).trim_end())).collect();
        let own = own_text(unit, at, at + 1 == end);
        if at == first {
            text = format!("{} {own}", instruction.logical.source_span(instruction.body.keyword).of(source));
        } else if matches!(kind, Kind::Expose | Kind::Copy | Kind::Add) && comments.is_empty() && !own.contains('\n') {
            text += &format!(" {own}");
        } else {
            text += &format!(" \\\n{comments}{indent}{own}");
        }
    }
    let span = unit.instruction(first).span.to(unit.instruction(end - 1).span);
    let message = format!("{} {} instructions can be one", end - first, kind.keyword());
    SourceFinding::fixed(span, message, vec![TextEdit::replace(span, text)], SourceClaim::Same)
}

/// What an instruction says behind its keyword, as it stands in the file. COPY and ADD say their flags first, and only
/// the last one its destination.
fn own_text(unit: &SourceUnit<'_>, at: usize, is_last: bool) -> String {
    let instruction = unit.instruction(at);
    let source = unit.tree.text();
    let shown = |span| instruction.logical.source_span(span).of(source).to_owned();
    match &instruction.body.arguments {
        Arguments::Pairs { pairs, legacy: true } => {
            pairs.iter().map(|pair| format!("{}={}", shown(pair.name), shown(pair.value))).collect()
        }
        Arguments::Words(words) if matches!(unit.kind(at), Kind::Copy | Kind::Add) => {
            let flags: String = match at.checked_sub(1) {
                Some(before) if unit.kind(before) == unit.kind(at) && copies_join(unit, before, at) => String::new(),
                _ => instruction.body.flags.iter().map(|flag| format!("{} ", shown(flag.span))).collect(),
            };
            let (target, sources) = words.split_last().map_or((None, &words[..]), |(last, rest)| (Some(*last), rest));
            let sources: Vec<String> = sources.iter().map(|word| shown(*word)).collect();
            let target = target
                .filter(|_| is_last)
                .map(shown)
                .map(|target| if target == "." { "./".to_owned() } else { target });
            format!("{flags}{}{}", sources.join(" "), target.map(|target| format!(" {target}")).unwrap_or_default())
        }
        _ => shown(instruction.body.rest),
    }
}
