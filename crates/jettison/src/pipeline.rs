//! Running the passes as the command line asks: which ones, and what to show between them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jettison_image::changes::Changes;
use jettison_image::text::ImageText;
use jettison_image::{Config, Layer, Tree};
use jettison_ir::source::SourceOptions;
use jettison_ir::{Claimed, EditLayer, ImageUnit, Level, Pass, Plan, Run, with_edits};
use jettison_passes::{
    Event, Fixes, Outcome, PASSES, RewriteEvent, Rewritten, Selection, SelectionError, Source, is_named,
};
use jettison_verify::{Reads, Side, judge};

use crate::cli::PassArgs;
use crate::error::Usage;
use crate::printer::Printer;

/// What a command works on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Images,
    Dockerfiles,
}

impl Subject {
    fn of(pass: &Pass) -> Self {
        match pass.run {
            Run::Image(_) => Self::Images,
            Run::Source(_) | Run::Development(_) => Self::Dockerfiles,
        }
    }
}

/// All passes of a level.
pub(crate) fn all(level: Level) -> Selection {
    let selection = Selection::of(level);
    #[cfg(debug_assertions)]
    let selection = Selection { extra: crate::proving::wrong::pass().into_iter().collect(), ..selection };
    selection
}

/// The passes of a level that the arguments leave.
pub(crate) fn selection(level: Level, args: &PassArgs, subject: Subject) -> Result<Selection> {
    let selection =
        Selection { skip: args.skip.clone(), only: args.only.clone(), limit: args.pass_limit, ..all(level) };
    selection.check()?;
    for name in args.only.iter().chain(&args.print_after) {
        let named: Vec<&Pass> = PASSES.iter().filter(|pass| is_named(pass, name)).collect();
        let Some(pass) = named.first() else { return Err(SelectionError { name: name.clone() }.into()) };
        if named.iter().all(|pass| Subject::of(pass) != subject) {
            let (what, command) = match Subject::of(pass) {
                Subject::Images => ("images", "optimize"),
                Subject::Dockerfiles => ("Dockerfiles", "rewrite"),
            };
            let message = format!("the pass {} is for {what}", pass.name);
            return Err(Usage::new(message).with_hint(format!("`jettison {command}` runs it")).into());
        }
    }
    Ok(selection)
}

/// Runs them.
pub(crate) fn run(
    unit: &ImageUnit<'_>,
    config: &Config,
    selection: &Selection,
    args: &PassArgs,
    verify_each: bool,
    printer: &Printer,
) -> Result<Outcome> {
    if !PASSES.iter().any(|pass| Subject::of(pass) == Subject::Images && selection.admits(pass)) {
        return Ok(Outcome::as_shipped());
    }
    let changes = Changes::between(&unit.lower, &unit.upper);
    let mut started = Instant::now();
    let mut failure = None;
    // A pass that changed nothing broke nothing.
    let mut verified = Plan::as_shipped();
    let outcome = jettison_passes::run(unit, &changes, selection, &mut |event| match event {
        Event::Start(_) => started = Instant::now(),
        Event::End(name, plan, claims) => {
            if args.time_passes {
                printer.say(&format!("pass {name}: {:.1} ms", started.elapsed().as_secs_f64() * 1000.0));
            }
            let is_printed = args.print_after.as_deref() == Some(name);
            let is_new = verify_each && *plan != verified;
            if !is_printed && !is_new {
                return;
            }
            verified = plan.clone();
            let told = with_edits(unit, &plan.edits, |changes, edits| {
                let layers = planned(unit, changes, plan);
                if is_printed {
                    printer.say(&format!("after {name}:\n{}", ImageText::of(config, &layers)));
                }
                if is_new { verify(unit, config, &layers, changes, edits, claims) } else { Ok(()) }
            });
            if let Err(error) = told.map_err(Into::into).flatten() {
                failure.get_or_insert((name, error));
            }
        }
    })?;
    if let Some((name, error)) = failure {
        bail!("pass {name} broke the image: {error}");
    }
    Ok(outcome)
}

/// The layers that a plan leads to, without their bytes.
fn planned(unit: &ImageUnit<'_>, changes: &Changes<'_, '_>, plan: &Plan) -> Vec<Layer> {
    let base = unit.base.layers;
    let mut layers: Vec<Layer> = unit.upper.layers()[..base].iter().map(|&layer| layer.clone()).collect();
    match plan.parts(changes) {
        Some(parts) => layers.extend(parts.iter().map(|part| changes.layer(part))),
        None => layers.extend(unit.own().iter().map(|&layer| layer.clone())),
    }
    layers
}

/// Has the judge compare what is planned with what was shipped. What planned files hold is asked for by their paths, since
/// nothing was written yet.
fn verify(
    unit: &ImageUnit<'_>,
    config: &Config,
    layers: &[Layer],
    changes: &Changes<'_, '_>,
    edits: &EditLayer,
    claims: &[Claimed],
) -> Result<()> {
    let tree = Tree::of(layers)?;
    let mut before = |node| unit.content(node);
    let mut after = |node| edits.content(unit, changes.upper(), changes.upper().find(&tree.path(node))?);
    let reads = Reads { before: &mut before, after: &mut after };
    let verdict = judge(Side { tree: &unit.upper, config }, Side { tree: &tree, config }, claims, Some(reads));
    match verdict.differences.first() {
        None => Ok(()),
        Some(difference) => bail!("{difference}"),
    }
}

/// Runs the passes on a Dockerfile.
pub(crate) fn rewrite(
    source: Source<'_>,
    options: &SourceOptions,
    selection: &Selection,
    fixes: Fixes,
    args: &PassArgs,
    printer: &Printer,
) -> Rewritten {
    let mut took: Vec<(&'static str, Duration)> = Vec::new();
    let mut started = Instant::now();
    let rewritten = jettison_passes::rewrite(source, options, selection, fixes, &mut |event| match event {
        RewriteEvent::Start(_) => started = Instant::now(),
        RewriteEvent::End(name, text) => {
            let time = started.elapsed();
            match took.iter_mut().find(|(pass, _)| *pass == name) {
                Some((_, sum)) => *sum += time,
                None => took.push((name, time)),
            }
            if args.print_after.as_deref() == Some(name) {
                printer.say(&format!("after {name}:\n{text}"));
            }
        }
    });
    if args.time_passes {
        for (name, time) in took {
            printer.say(&format!("pass {name}: {:.1} ms", time.as_secs_f64() * 1000.0));
        }
    }
    rewritten
}
