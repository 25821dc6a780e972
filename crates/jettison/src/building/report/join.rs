//! A built image and its Dockerfile, joined: which line's step made which layer, and what became of its files.

use std::collections::BTreeMap;
use std::time::Duration;

use jettison_engine::build::{Built, BuiltStage, BuiltStep, Outcome, Request};
use jettison_engine::plan::Base;
use jettison_image::tree::Cause;
use jettison_ir::{Level, Lines, Own, Shadow, Share, Shares};
use jettison_report::{Fate, LineRow, LineStep, LineWaste, LinesImage, LinesReport, one_line};
use jettison_syntax::dockerfile::{Dockerfile, Instruction, Kind};

use super::super::proof::ReleaseForm;
use super::super::results::Product;
use super::super::write::Release;
use super::changes;
use crate::cli::Build;

/// A build that has ended.
pub(crate) struct Joined<'j> {
    pub(crate) args: &'j Build,
    /// The build of the Dockerfile as it is.
    pub(crate) original: &'j Request,
    /// The build that was done.
    pub(crate) request: &'j Request,
    /// The form that was built in place of the Dockerfile.
    pub(crate) form: Option<&'j ReleaseForm>,
    pub(crate) built: &'j Built,
    pub(crate) took: Duration,
}

impl Joined<'_> {
    /// The report of what was written from `release`.
    pub(crate) fn report(&self, release: &Release<'_>, products: &[Product]) -> LinesReport {
        let written = Written::of(release, products);
        let shares = Shares::of(&release.unit.upper);
        let mut rows = self.rows();
        rows.sort_by_key(|row| (row.row.lines, row.step));
        let waste = self.waste(&shares, &rows, release, &written);
        fill(&mut rows, &shares, release, &written);
        let image = written
            .image
            .map(|product| LinesImage { layers: product.layers.len(), stored: product.layers.iter().sum() });
        LinesReport {
            dockerfile: self.request.dockerfile_name.clone(),
            level: self.args.level.to_string(),
            is_rewritten: self.is_rewritten(),
            rows: rows.into_iter().map(|row| row.row).collect(),
            unneeded: self.unneeded(),
            waste,
            changes: changes::of(self),
            image,
            took: self.took,
        }
    }

    fn is_rewritten(&self) -> bool {
        self.form.is_some() && self.request.dockerfile != self.original.dockerfile
    }

    /// The lines of the Dockerfile as the user has it, for lines of what was built.
    fn original_lines(&self, (first, last): Lines) -> Lines {
        match self.form {
            Some(form) if self.is_rewritten() => {
                form.rewritten.lines.original(first.saturating_sub(1), last.saturating_sub(1))
            }
            _ => (first, last),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let tree = Dockerfile::from_bytes(self.request.dockerfile.clone());
        let steps = &self.built.steps;
        let mut stage: Option<&BuiltStage> = None;
        let mut rows = Vec::new();
        for instruction in &tree.instructions {
            let lines = wide(instruction.lines);
            let own = || steps.iter().filter(move |step| wide(step.lines) == lines);
            if instruction.body.kind == Kind::From {
                stage = self.built.stages.iter().find(|stage| wide(stage.lines) == lines);
            }
            let Some(stage) = stage.filter(|stage| stage.is_needed) else {
                if stage.is_none() {
                    rows.push(self.row(None, lines, text(&tree, instruction)));
                }
                continue;
            };
            // A folder that is a base is copied by a step; steps of ONBUILD have the lines of FROM as well.
            let is_step = instruction.body.kind != Kind::From || matches!(stage.base, Base::Context(_));
            if !is_step || own().next().is_none() {
                let mut row = self.row(Some(stage), lines, text(&tree, instruction));
                row.row.prepared_in = stage.prepared_in.filter(|_| instruction.body.kind == Kind::From);
                row.row.is_base = instruction.body.kind == Kind::From && self.is_root(stage);
                rows.push(row);
            }
            rows.extend(own().map(|step| Row {
                step: step.number,
                row: LineRow { step: Some(self.step(step)), ..self.row(Some(stage), lines, step.text.clone()).row },
            }));
        }
        rows
    }

    fn row(&self, stage: Option<&BuiltStage>, lines: Lines, instruction: String) -> Row {
        let is_one = self.built.stages.iter().filter(|stage| stage.is_needed).count() == 1;
        let row = LineRow {
            lines: self.original_lines(lines),
            built_lines: self.is_rewritten().then_some(lines),
            is_elsewhere: stage.is_some_and(|stage| !self.chain().any(|below| below.lines == stage.lines)),
            stage: stage.filter(|_| !is_one).map(|stage| stage.name.clone()),
            instruction,
            share: None,
            is_base: false,
            stored: None,
            prepared_in: None,
            step: None,
        };
        Row { step: 0, row }
    }

    /// What this command's own proof did just now was not there before.
    fn step(&self, step: &BuiltStep) -> LineStep {
        let is_new = self.form.is_some_and(|form| form.done.contains(&step.key));
        let cached = step.outcome == Outcome::Cached && !is_new;
        let took = if step.outcome == Outcome::Cached && is_new { step.made_in } else { step.took };
        LineStep { cached, took, made_in: step.made_in }
    }

    /// The target, and the stages that it is built on, down to the one that starts from no other.
    fn chain(&self) -> impl Iterator<Item = &BuiltStage> {
        let mut next = self.built.stages.get(self.built.target);
        std::iter::from_fn(move || {
            let stage = next?;
            next = match stage.base {
                Base::Stage(below) => self.built.stages.get(below),
                _ => None,
            };
            Some(stage)
        })
    }

    /// Whether the image's base is what this stage starts from.
    fn is_root(&self, stage: &BuiltStage) -> bool {
        self.built.base.is_some() && self.chain().last().is_some_and(|root| root.lines == stage.lines)
    }

    fn unneeded(&self) -> Vec<(String, Lines)> {
        let tree = Dockerfile::from_bytes(self.request.dockerfile.clone());
        let last = |first: u32| {
            let behind = tree.instructions.iter().skip_while(|one| one.lines.0 <= first);
            let own = behind.take_while(|one| one.body.kind != Kind::From).last();
            own.map_or(first, |one| one.lines.1)
        };
        let unneeded = self.built.stages.iter().filter(|stage| !stage.is_needed);
        unneeded
            .map(|stage| (stage.name.clone(), self.original_lines(wide((stage.lines.0, last(stage.lines.0))))))
            .collect()
    }

    /// What is hidden, by the rows that brought it and that hide it.
    fn waste(&self, shares: &Shares, rows: &[Row], release: &Release<'_>, written: &Written<'_>) -> Vec<LineWaste> {
        let row_of = |layer: usize| row_of(layer, rows, release);
        let mut all: BTreeMap<(usize, usize, Cause), LineWaste> = BTreeMap::new();
        for shadow in &shares.shadows {
            let (Some(row), Some(hidden_by)) = (row_of(shadow.shipped_by), row_of(shadow.hidden_by)) else { continue };
            let cause = shadow.cause;
            let fate = || self.fate(shadow, release, written);
            let group = all.entry((row, hidden_by, cause)).or_insert_with(|| LineWaste {
                row,
                hidden_by,
                cause,
                files: 0,
                bytes: 0,
                largest: shadow.largest.clone(),
                fate: fate(),
            });
            group.files += shadow.files;
            group.bytes += shadow.bytes;
            if shadow.largest.1 > group.largest.1 {
                group.largest = shadow.largest.clone();
            }
        }
        let mut all: Vec<LineWaste> = all.into_values().collect();
        all.sort_by_key(|waste| std::cmp::Reverse(waste.bytes));
        all
    }

    fn fate(&self, shadow: &Shadow, release: &Release<'_>, written: &Written<'_>) -> Fate {
        if written.image.is_none() {
            return Fate::NoLayers;
        }
        if shadow.shipped_by < release.unit.base.layers {
            return Fate::Kept("base layers stay as they are, so that they stay shared".to_owned());
        }
        let outcome = &release.outcome;
        if written.is_as_built {
            return Fate::Kept(match (self.args.level, &outcome.plan.own) {
                (Level::O0, _) => "-O0 writes the layer of each instruction as it is".to_owned(),
                (_, Own::AsShipped) => "the passes that drop it were left out".to_owned(),
                (_, Own::Written(_) | Own::Grouped(_)) => "merged, the layers would be larger".to_owned(),
            });
        }
        let found = outcome.findings.iter().find(|made| {
            let finding = &made.finding;
            finding.shipped_by == shadow.shipped_by
                && finding.hidden_by == Some(shadow.hidden_by)
                && finding.cause == Some(shadow.cause)
        });
        let acted = || outcome.acted.first().map(|acted| acted.name);
        Fate::Dropped(found.map(|made| made.pass).or_else(acted).unwrap_or_default().to_owned())
    }
}

/// A row, and the number of its step; 0 where it has none.
struct Row {
    step: usize,
    row: LineRow,
}

/// How the image was written.
struct Written<'w> {
    image: Option<&'w Product>,
    /// Whether the own layers are those of the steps, each as it is.
    is_as_built: bool,
}

impl<'w> Written<'w> {
    fn of(release: &Release<'_>, products: &'w [Product]) -> Self {
        let image = products.iter().find(|product| product.image.is_some());
        let summary = image.and_then(|product| product.image.as_ref()).map(|(_, summary)| summary);
        // What was merged or left out makes fewer layers or fewer bytes.
        let is_as_built = summary.is_some_and(|summary| {
            summary.own_layers == release.image.own.len() && summary.own_unpacked == summary.plain_unpacked
        });
        Self { image, is_as_built }
    }
}

/// The row that brought a layer.
fn row_of(layer: usize, rows: &[Row], release: &Release<'_>) -> Option<usize> {
    match layer.checked_sub(release.unit.base.layers) {
        None => rows.iter().position(|row| row.row.is_base),
        Some(own) => {
            let step = release.image.own.get(own)?.step;
            rows.iter().position(|row| row.step == step)
        }
    }
}

/// Tells each row what its layers brought.
fn fill(rows: &mut [Row], shares: &Shares, release: &Release<'_>, written: &Written<'_>) {
    let base = release.unit.base.layers;
    for (layer, share) in shares.layers.iter().enumerate() {
        let Some(at) = row_of(layer, rows, release) else { continue };
        let row = &mut rows[at].row;
        let sum = row.share.get_or_insert_with(Share::default);
        sum.files += share.files;
        sum.bytes += share.bytes;
        sum.seen += share.seen;
        let stored = written.image.and_then(|product| product.layers.get(layer).copied());
        if let Some(stored) = stored.filter(|_| layer < base || written.is_as_built) {
            row.stored = Some(row.stored.unwrap_or_default() + stored);
        }
    }
}

fn wide((first, last): (u32, u32)) -> Lines {
    (first as usize, last as usize)
}

fn text(tree: &Dockerfile, instruction: &Instruction) -> String {
    one_line(instruction.span.of(tree.text()), usize::MAX)
}
