//! Running the passes as the command line asks: which ones, and what to show between them.

use std::time::Instant;

use anyhow::{Result, bail};
use jettison_image::changes::Changes;
use jettison_image::text::ImageText;
use jettison_image::{Layer, Tree};
use jettison_ir::{ImageUnit, Level, Own, Plan};
use jettison_passes::{Event, Outcome, PASSES, Selection, SelectionError};
use jettison_verify::{Side, compare};

use crate::cli::PassArgs;
use crate::load::Loaded;
use crate::printer::Printer;

/// The passes of a level that the arguments leave.
pub(crate) fn selection(level: Level, args: &PassArgs) -> Result<Selection> {
    let selection = Selection { level, skip: args.skip.clone(), only: args.only.clone(), limit: args.pass_limit };
    selection.check()?;
    if let Some(name) = args.print_after.as_ref().filter(|name| !PASSES.iter().any(|pass| pass.name == name.as_str())) {
        return Err(SelectionError { name: name.clone() }.into());
    }
    Ok(selection)
}

/// Runs them.
pub(crate) fn run(
    unit: &ImageUnit<'_>,
    loaded: &Loaded,
    selection: &Selection,
    args: &PassArgs,
    printer: &Printer,
) -> Result<Outcome> {
    let changes = Changes::between(&unit.lower, &unit.upper);
    let mut started = Instant::now();
    let mut failure = None;
    let outcome = jettison_passes::run(unit, &changes, selection, &mut |event| match event {
        Event::Start(_) => started = Instant::now(),
        Event::End(name, plan) => {
            if args.time_passes {
                printer.say(&format!("pass {name}: {:.1} ms", started.elapsed().as_secs_f64() * 1000.0));
            }
            if args.print_after.as_deref() == Some(name) {
                let text = ImageText::of(&loaded.image.config, &planned(unit, &changes, plan));
                printer.say(&format!("after {name}:\n{text}"));
            }
            if args.verify_each
                && let Err(error) = verify(unit, loaded, &changes, plan)
            {
                failure.get_or_insert((name, error));
            }
        }
    });
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

fn verify(unit: &ImageUnit<'_>, loaded: &Loaded, changes: &Changes<'_, '_>, plan: &Plan) -> Result<()> {
    if plan.own == Own::AsShipped {
        return Ok(());
    }
    let layers = planned(unit, changes, plan);
    let tree = Tree::of(&layers)?;
    let config = &loaded.image.config;
    let verdict = compare(Side { tree: &unit.upper, config }, Side { tree: &tree, config });
    match verdict.differences.first() {
        None => Ok(()),
        Some(difference) => bail!("{difference:?}"),
    }
}
