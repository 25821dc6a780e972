//! Finds stages that the last stage's image does not need, and removes those that nothing can name.

use jettison_ir::source::{SourceClaim, SourceFinding, SourceFix, SourceRemark, SourceUnit, Target, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Flag;
use jettison_syntax::view::Stage;

pub(crate) const PASS: Pass = Pass {
    name: "unreachable-stage",
    summary: "stages that the last stage's image does not need",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("unreachable_stage.md"),
    aliases: &["tally/no-unreachable-stages"],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let reached = reached(unit.stages());
    let unreached: Vec<&Stage> = unit.stages().iter().filter(|stage| !reached[stage.index]).collect();
    if unreached.is_empty() {
        return Vec::new();
    }
    let numbers = Numbers::read(unit);
    let mut used = vec![false; unit.stages().len()];
    unit.stages().iter().flat_map(|stage| &stage.uses).for_each(|by| used[by.stage] = true);
    let why_kept = |stage: &Stage| why_kept(unit, stage, used[stage.index], &numbers);
    let may_remove = |stage: &&&Stage| why_kept(stage).is_none();
    let removed: Vec<usize> = unreached.iter().filter(may_remove).map(|stage| stage.index).collect();
    let renumbered: Vec<TextEdit> = numbers.after_removal(&removed);
    let mut remarks = Vec::new();
    let mut edits: Vec<TextEdit> = Vec::new();
    for stage in unreached {
        let span = unit.instruction(stage.from).span;
        match why_kept(stage) {
            Some(help) => {
                let finding = SourceFinding::advice(span, message(&[label(stage)]), help);
                remarks.push(SourceRemark::Found(finding));
            }
            None if renumbered.is_empty() => {
                let edits = vec![TextEdit::delete(extent(unit, stage))];
                let finding = SourceFinding::fixed(span, message(&[label(stage)]), edits, SourceClaim::Same);
                remarks.push(SourceRemark::Found(finding));
            }
            // The numbers are right only when all of these go together.
            None => edits.push(TextEdit::delete(extent(unit, stage))),
        }
    }
    if !edits.is_empty() {
        let labels: Vec<String> = removed.iter().map(|at| label(&unit.stages()[*at])).collect();
        let first = unit.instruction(unit.stages()[removed[0]].from).span;
        edits.extend(renumbered);
        let fix = SourceFix { target: Target::Dockerfile, edits, claim: SourceClaim::Same };
        let (message, help) = (message(&labels), Some("later stages get new numbers".to_owned()));
        remarks.push(SourceRemark::Found(SourceFinding { span: first, message, help, fix: Some(fix) }));
    }
    remarks
}

fn label(stage: &Stage) -> String {
    stage.name.clone().unwrap_or_else(|| stage.index.to_string())
}

fn message(labels: &[String]) -> String {
    let (what, are, them) = match labels {
        [_] => ("stage", "is", "it"),
        _ => ("stages", "are", "them"),
    };
    let list = labels.join(", ");
    format!(
        "{what} {list} {are} not needed for the last stage's image: builders without BuildKit run {them} all the same"
    )
}

/// Which stages go into the last one's image.
fn reached(stages: &[Stage]) -> Vec<bool> {
    let mut reached = vec![false; stages.len()];
    // Up to where all stages with a name are reached.
    let mut named = 0;
    let mut waiting: Vec<usize> = stages.len().checked_sub(1).into_iter().collect();
    while let Some(at) = waiting.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        waiting.extend(stages[at].uses.iter().map(|used| used.stage).filter(|stage| !reached[*stage]));
        // An argument may name any stage that has a name, also where it has a default.
        if stages[at].reference.contains('$') && named < at {
            waiting.extend((named..at).filter(|stage| stages[*stage].name.is_some() && !reached[*stage]));
            named = at;
        }
    }
    reached
}

/// What a person can do about a stage that the pass must not remove; nothing for one that it may.
fn why_kept(unit: &SourceUnit<'_>, stage: &Stage, is_used: bool, numbers: &Numbers) -> Option<String> {
    if let Some(name) = &stage.name {
        return Some(format!("remove it, unless something builds it with --target {name}"));
    }
    // Somebody builds on it, though the last stage does not.
    if is_used {
        return Some("remove it together with the stages that use it, unless something builds those".to_owned());
    }
    let span = extent(unit, stage);
    let has_comments = {
        let comments = &unit.tree.comments;
        let first = comments.partition_point(|comment| comment.span.start < span.start);
        comments.get(first).is_some_and(|comment| comment.span.start < span.end)
    };
    let from = unit.instruction(stage.from);
    if has_comments || from.above.0 < from.above.1 {
        return Some("remove it with its comments, which are kept here since they may be about more".to_owned());
    }
    if numbers.has_unreadable {
        return Some("remove it, and lower the numbers behind --from= of the stages that follow".to_owned());
    }
    None
}

/// A stage's whole lines, with the empty ones behind it.
fn extent(unit: &SourceUnit<'_>, stage: &Stage) -> Span {
    let start = unit.lines_of(stage.from).start;
    let last = stage.instructions.end.saturating_sub(1).max(stage.from);
    let mut end = unit.lines_of(last).end as usize;
    for line in unit.tree.text()[end..].split_inclusive('\n').take_while(|line| line.trim().is_empty()) {
        end += line.len();
    }
    Span::new(start as usize, end)
}

/// The stages that are named by their number.
struct Numbers {
    /// The digits in the Dockerfile, and the number.
    found: Vec<(Span, usize)>,
    /// Whether a reference depends on an argument, or is written in a way in which its number cannot be changed.
    has_unreadable: bool,
}

impl Numbers {
    fn read(unit: &SourceUnit<'_>) -> Self {
        let mut numbers = Self { found: Vec::new(), has_unreadable: false };
        for instruction in unit.instructions() {
            let body = instruction.body.effective();
            for flag in body.flags.iter().filter(|flag| matches!(flag.name(), "from" | "mount")) {
                let written = unit.tree.part(instruction, flag.span);
                let Some((start, value)) = reference(flag, written) else {
                    numbers.has_unreadable |= flag.text.contains("from=");
                    continue;
                };
                if value.contains('$') {
                    numbers.has_unreadable = true;
                } else if let Ok(number) = value.parse() {
                    let start = flag.span.start as usize + start;
                    let span = instruction.logical.source_span(Span::new(start, start + value.len()));
                    numbers.has_unreadable |= span.len() != value.len();
                    numbers.found.push((span, number));
                }
            }
        }
        numbers
    }

    /// The changes that keep every number at its stage when some stages are gone.
    fn after_removal(&self, removed: &[usize]) -> Vec<TextEdit> {
        let new = |number: usize| number - removed.partition_point(|gone| *gone < number);
        let changed = self.found.iter().filter(|(_, number)| new(*number) != *number);
        changed.map(|(span, number)| TextEdit::replace(*span, new(*number).to_string())).collect()
    }
}

/// What `--from=` or a mount's `from=` names, and where in the flag as written; none where there is none, or where
/// quotes or escapes are in the flag.
fn reference<'a>(flag: &Flag, written: &'a str) -> Option<(usize, &'a str)> {
    if written != flag.text {
        return None;
    }
    let mut start = if flag.name() == "from" { "--".len() } else { "--mount=".len() };
    for field in written.get(start..)?.split(',') {
        if let Some(value) = field.strip_prefix("from=") {
            return (!value.contains(['"', '\''])).then_some((start + "from=".len(), value));
        }
        start += field.len() + 1;
    }
    None
}
