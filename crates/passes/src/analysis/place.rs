//! Where in a shell text a further command goes, so that it runs after others did and no exit status changes.
//!
//! The command that is put in must always succeed. Then `X && it` has the status of `X` wherever it stands, but for one
//! thing: `set -e` does not end a script for a command that is followed by `&&`. So where a failure may end the script,
//! the command becomes a statement of its own.

use jettison_syntax::Span;
use jettison_syntax::shell::{AndOr, Command, CommandKind, Item, List, Operator, Pipeline, Script};

/// Whether a failing command ends the script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errexit {
    /// It does not.
    Off,
    /// It does, from the first command on.
    On,
    /// It does in parts of it.
    Somewhere,
}

/// How the command is joined to what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    /// With `&&`.
    And,
    /// As the next statement.
    Statement,
}

/// A place for a command.
#[derive(Debug)]
pub(crate) struct Place {
    /// What it follows, in the shell text.
    pub(crate) anchor: Span,
    /// How it is joined.
    pub(crate) joint: Joint,
    /// Neighbours that are joined in the same way: their gap is the model. The best ones come first.
    pub(crate) models: Vec<(Span, Span)>,
    /// Whether both must be grouped, since what they are an alternative to may have succeeded.
    pub(crate) grouped: bool,
    /// Whether it stands behind a branch, a loop or a group as a whole, of which not everything may have run.
    pub(crate) is_behind_compound: bool,
}

/// Why there is no place: a code and a sentence.
pub(crate) type Refusal = (&'static str, &'static str);

const ODD: Refusal = ("odd-place", "the command stands where no other one can follow it");
const FUNCTION: Refusal = ("in-function", "the command stands in a function, and when that is called is not followed");
const BACKGROUND: Refusal = ("background", "the command runs in the background, so that nothing can follow its end");
const NEGATED: Refusal = ("negated", "the command's failure is wanted");
const EXITS: Refusal = ("exit-on-error", "a failure ends the script here, which a further command could prevent");
const HEREDOC: Refusal = ("here-document", "a here-document follows the command");

struct Context {
    errexit: Errexit,
    /// Whether a failure is looked at, so that `set -e` does not end the script.
    ignored: bool,
    /// Whether the status of the list is the status of the script or of a subshell.
    is_tail: bool,
}

/// Whether `set -e` is in force; `by_shell` where the shell is started so.
pub(crate) fn errexit(script: &Script, by_shell: bool) -> Errexit {
    let mut turned_on = by_shell;
    let mut turned_off = false;
    let mut first_is_on = by_shell;
    for (at, (_, simple)) in script.simple_commands().into_iter().enumerate() {
        if simple.name() != Some("set") {
            continue;
        }
        for word in simple.arguments() {
            let text = word.text(&script.text);
            let letter = |sign| text.starts_with(sign) && text.contains('e') && !text.starts_with("--");
            if letter('-') || text == "errexit" {
                turned_on = true;
                first_is_on |= at == 0;
            }
            turned_off |= letter('+');
        }
    }
    match (turned_on, turned_off, first_is_on) {
        (false, ..) => Errexit::Off,
        (true, false, true) => Errexit::On,
        _ => Errexit::Somewhere,
    }
}

/// The place behind the last of `after`. `makers` are those of them without which the new command has nothing to do.
pub(crate) fn behind(script: &Script, after: &[Span], makers: &[Span], errexit: Errexit) -> Result<Place, Refusal> {
    let mut in_function = false;
    for command in script.commands() {
        in_function |= matches!(command.kind, CommandKind::Function { .. }) && holds(command.span, after);
    }
    if in_function {
        return Err(FUNCTION);
    }
    let whole = Context { errexit, ignored: false, is_tail: true };
    within(script, &script.body, &whole, after, makers)
}

fn holds(span: Span, some: &[Span]) -> bool {
    some.iter().any(|one| span.contains(*one))
}

fn pipelines(and_or: &AndOr) -> Vec<&Pipeline> {
    std::iter::once(&and_or.first).chain(and_or.rest.iter().map(|(_, _, pipeline)| pipeline)).collect()
}

fn within(script: &Script, list: &List, context: &Context, after: &[Span], makers: &[Span]) -> Result<Place, Refusal> {
    let items: Vec<usize> = (0..list.items.len()).filter(|at| holds(list.items[*at].span, after)).collect();
    let last = *items.last().ok_or(ODD)?;
    let is_background =
        |item: &Item| matches!(item.terminator, Some((jettison_syntax::shell::Terminator::Background, _)));
    if items.iter().any(|at| is_background(&list.items[*at])) {
        return Err(BACKGROUND);
    }
    let pipelines = pipelines(&list.items[last].and_or);
    let joined: Vec<usize> = (0..pipelines.len()).filter(|at| holds(pipelines[*at].span, after)).collect();
    let at = *joined.last().ok_or(ODD)?;
    let pipeline = pipelines[at];
    let is_last = at + 1 == pipelines.len();
    if let ([_], [_], [command]) = (&items[..], &joined[..], &pipeline.commands[..])
        && let Some((inner, kind)) = only_list(command, after)
    {
        let ends = last + 1 == list.items.len() && is_last && !pipeline.negated;
        let context = Context {
            errexit: context.errexit,
            ignored: context.ignored || !is_last || pipeline.negated || kind == Inner::Condition,
            is_tail: kind == Inner::Subshell || (kind == Inner::Body && context.is_tail && ends),
        };
        return within(script, inner, &context, after, makers);
    }
    anchored(script, list, (last, at), context, makers)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inner {
    Subshell,
    Body,
    Condition,
}

/// The one list of a compound command that holds all of them; none in a loop, whose next turn comes after it.
fn only_list<'s>(command: &'s Command, after: &[Span]) -> Option<(&'s List, Inner)> {
    let lists: Vec<(&List, Inner)> = match &command.kind {
        CommandKind::Subshell(list) => vec![(list, Inner::Subshell)],
        CommandKind::Group(list) => vec![(list, Inner::Body)],
        CommandKind::If { branches, otherwise } => {
            let branches = branches.iter().flat_map(|(test, body)| [(test, Inner::Condition), (body, Inner::Body)]);
            branches.chain(otherwise.iter().map(|list| (list, Inner::Body))).collect()
        }
        CommandKind::Case { arms, .. } => arms.iter().map(|arm| (&arm.body, Inner::Body)).collect(),
        _ => return None,
    };
    let mut holding = lists.into_iter().filter(|(list, _)| holds(list.span, after));
    holding.next().filter(|_| holding.next().is_none())
}

fn anchored(
    script: &Script,
    list: &List,
    (at, step): (usize, usize),
    context: &Context,
    makers: &[Span],
) -> Result<Place, Refusal> {
    let item = &list.items[at];
    let pipelines = pipelines(&item.and_or);
    let pipeline = pipelines[step];
    if pipeline.negated {
        return Err(NEGATED);
    }
    if pipeline.commands.iter().flat_map(|command| &command.redirects).any(|redirect| redirect.heredoc.is_some()) {
        return Err(HEREDOC);
    }
    let is_compound = pipeline.commands.iter().any(|command| !matches!(command.kind, CommandKind::Simple(_)));
    let (is_last_step, is_last_item) = (step + 1 == pipelines.len(), at + 1 == list.items.len());
    let made_before = |place: Span| makers.iter().any(|maker| maker.end <= place.start && list.span.contains(*maker));
    let may_exit = context.errexit != Errexit::Off && !context.ignored && is_last_step;
    let is_alternative = step > 0 && item.and_or.rest[step - 1].0 == Operator::Or && !made_before(pipeline.span);
    if is_alternative && may_exit {
        return Err(EXITS);
    }
    let status_is_read = || list.items.get(at + 1).is_some_and(|next| next.span.of(&script.text).contains("$?"));
    let joint = if !is_last_step {
        Joint::And
    } else if !may_exit {
        let is_plain = pipelines.len() == 1 || made_before(item.span);
        if !is_last_item && is_plain && !status_is_read() { Joint::Statement } else { Joint::And }
    } else {
        let keeps_status = context.is_tail && is_last_item && !is_compound;
        match (pipelines.len(), is_last_item) {
            // A compound command may fail in a way that does not end the script: its status would be lost.
            (1, true) if context.errexit == Errexit::On && !is_compound => Joint::Statement,
            (1, false) => Joint::Statement,
            (_, false) if made_before(pipeline.span) => Joint::Statement,
            _ if keeps_status => Joint::And,
            _ => return Err(EXITS),
        }
    };
    let models = match joint {
        Joint::And => and_models(item, step),
        Joint::Statement => statement_models(list, at),
    };
    let anchor = if joint == Joint::Statement { item.span } else { pipeline.span };
    Ok(Place { anchor, joint, models, grouped: is_alternative, is_behind_compound: is_compound })
}

/// Pairs of neighbours joined by `&&`: the one before `step` first, then those behind it, then those further before.
fn and_models(item: &Item, step: usize) -> Vec<(Span, Span)> {
    let pipelines = pipelines(&item.and_or);
    let pair = |right: usize| (pipelines[right - 1].span, pipelines[right].span);
    let order = (1..=step).rev().take(1).chain(step + 1..pipelines.len()).chain((1..step).rev());
    order.filter(|right| item.and_or.rest[right - 1].0 == Operator::And).take(64).map(pair).collect()
}

fn statement_models(list: &List, at: usize) -> Vec<(Span, Span)> {
    let pair = |right: usize| (list.items[right - 1].span, list.items[right].span);
    let order = (1..=at).rev().take(1).chain(at + 1..list.items.len());
    order.take(2).map(pair).collect()
}
