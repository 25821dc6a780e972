//! A final stage of its own, by evidence: what the image's command needs to start and what the smoke commands used is
//! copied from the stage that made all of it. The Dockerfile with it is built, its image compared with the one without,
//! and the smoke commands are run in it.

use std::collections::BTreeSet;

use anyhow::Result;
use jettison_engine::build::{Built, Request};
use jettison_image::{Config, Kind, Tree};
use jettison_ir::source::SourceOptions;
use jettison_ir::{Evidence, FinalStage, Suggestion};
use jettison_passes::shipping::{Foundation, Image, Planned, Unfit, Used, Wish, foundations, plan};
use jettison_passes::{LineMap, Rewritten, Selection};
use jettison_report::bytes;
use jettison_syntax::dockerfile::{Dockerfile, encode};
use jettison_syntax::view::Outline;

use super::evidence::followed;
use super::images::Form;
use super::{Expected, Inputs as _, Proving};
use crate::building::run::{Unfinished, explain};

/// The least that is worth a stage: as many bytes, and such a part of what ships.
const LEAST_BYTES: u64 = 1_000_000;
const LEAST_SHARE: u64 = 10;
/// How often what a smoke command missed is added.
const MOST_ROUNDS: usize = 3;
/// What programs and libraries begin with.
const ELF: &[u8] = b"\x7fELF";

/// How the stage is to be written.
#[derive(Clone, Copy)]
pub(crate) struct StageWish<'w> {
    pub(crate) options: &'w SourceOptions,
    pub(crate) selection: &'w Selection,
}

/// The image that is to ship less.
struct Whole {
    built: Built,
    form: Form,
    /// What its command needs to start.
    startup: BTreeSet<Vec<u8>>,
}

/// What came of trying a stage.
enum Tried {
    Suggested(Box<Suggestion>),
    /// It cannot be, or is not worth it.
    Declined(String),
    /// It makes another image, or none.
    Refuted(Evidence),
    /// A smoke command does something else in this image.
    Misses(Evidence, Box<Built>),
}

impl Proving<'_> {
    /// Looks for a stage of its own for a rewritten form that is proven.
    pub(super) fn final_stage(&mut self, rewritten: &Rewritten, wish: StageWish<'_>) -> Result<FinalStage> {
        let request = rewritten.request(self.prover.request);
        if let Some(reason) = unfit(&rewritten.tree, &request) {
            return Ok(FinalStage::declined(reason));
        }
        if self.expected.is_empty() {
            let reason = "the smoke commands of --smoke show what is used, and there is none";
            return Ok(FinalStage::declined(reason));
        }
        self.prover.say("looking for what the image ships and nothing uses");
        let built = match self.built.take() {
            Some(built) => built,
            None => self.prover.build(&request).map_err(|unfinished| self.explained(unfinished, &request))?,
        };
        let found = self.prover.engine.startup(&built)?;
        if let Some(gap) = found.gaps.first() {
            return Ok(FinalStage::declined(format!("what the command needs is not known: {gap}")));
        }
        let form = Form::of(&built)?;
        let whole = Whole { built, form, startup: found.paths };
        let mut used = used(&self.expected, &whole)?;
        let mut rounds = 0;
        loop {
            let mut last = None;
            for foundation in whole.image(|image| foundations(&image, &used))? {
                let tried = self.try_stage(rewritten, &whole, &used, foundation, wish)?;
                let is_missing = matches!(tried, Tried::Misses(..));
                match tried {
                    Tried::Suggested(suggestion) => {
                        return Ok(FinalStage::Suggested(Box::new(Suggestion { rounds, ..*suggestion })));
                    }
                    // Why the larger one is not to be counts, as the smaller one was only worth a try.
                    other => last = Some(other),
                }
                if is_missing {
                    break;
                }
            }
            match last {
                None => return Ok(FinalStage::declined(Unfit::NothingLess.to_string())),
                Some(Tried::Misses(evidence, built)) => {
                    let learnt = self.learn(&built, &used)?;
                    if rounds == MOST_ROUNDS || learnt == used {
                        return Ok(FinalStage::Refuted { evidence });
                    }
                    self.prover.say(&format!("{}: more is copied", evidence.summary()));
                    (used, rounds) = (learnt, rounds + 1);
                }
                Some(Tried::Declined(reason)) => return Ok(FinalStage::declined(reason)),
                Some(Tried::Refuted(evidence)) => return Ok(FinalStage::Refuted { evidence }),
                Some(Tried::Suggested(suggestion)) => return Ok(FinalStage::Suggested(suggestion)),
            }
        }
    }

    fn explained(&self, unfinished: Unfinished, request: &Request) -> anyhow::Error {
        explain(unfinished, request, self.prover.hints_at_shell, self.prover.printer)
    }

    /// Plans a stage, builds it, compares, and runs the smoke commands in it.
    fn try_stage(
        &mut self,
        rewritten: &Rewritten,
        whole: &Whole,
        used: &Used,
        foundation: Foundation,
        wish: StageWish<'_>,
    ) -> Result<Tried> {
        let taken: Vec<String> = self.prover.request.contexts.keys().cloned().collect();
        let StageWish { options, selection } = wish;
        let wish = Wish { taken: &taken, options, selection };
        let planned = whole.image(|image| plan(&rewritten.tree, &image, used, foundation, &wish))?;
        let Planned { tree, stage, edited } = match planned {
            Ok(planned) => planned,
            Err(unfit) => return Ok(Tried::Declined(unfit.to_string())),
        };
        self.prover.say("building a final stage of its own");
        let mut request = rewritten.request(self.prover.request);
        request.dockerfile = encode(tree.text());
        self.builds += 1;
        let built = match self.prover.build(&request) {
            Ok(built) => built,
            Err(Unfinished::Step(failed)) => return Ok(Tried::Refuted(Evidence::Fails(failed.sentence()))),
            Err(Unfinished::Plan(error)) => return Ok(Tried::Refuted(Evidence::Fails(error.to_string()))),
            Err(other) => return Err(self.explained(other, &request)),
        };
        let form = Form::of(&built)?;
        let part = whole.form.part(&form)?;
        if !part.refuting.is_empty() {
            return Ok(Tried::Refuted(Evidence::Differs(part.refuting)));
        }
        let (before, after) = match foundation {
            Foundation::Base => (whole.form.own_bytes()?, form.own_bytes()?),
            Foundation::Scratch => (whole.form.bytes()?, form.bytes()?),
        };
        let saved = before.saturating_sub(after);
        if saved < LEAST_BYTES || saved < before / LEAST_SHARE {
            let reason = format!("it would ship {} instead of {}, which is not worth it", bytes(after), bytes(before));
            return Ok(Tried::Declined(reason));
        }
        let startup = self.prover.engine.startup(&built)?.paths;
        if let Some(missing) = whole.startup.difference(&startup).next() {
            let missing = String::from_utf8_lossy(missing);
            return Ok(Tried::Refuted(Evidence::Fails(format!("the command would not find {missing}"))));
        }
        if let Some(evidence) = Expected::refuted(&self.expected, self.prover, &built, &mut self.notes)? {
            return Ok(Tried::Misses(evidence, Box::new(built)));
        }
        let lines = rewritten.lines.after(rewritten.tree.text(), &edited);
        Ok(Tried::Suggested(Box::new(Suggestion {
            is_from_scratch: foundation == Foundation::Scratch && whole.built.base.is_some(),
            bytes_before: before,
            bytes_after: after,
            paths: part.paths,
            missing: part.missing,
            rounds: 0,
            stage,
            dockerfile: tree.text().to_owned(),
            origin: lines.iter().collect(),
            is_applied: false,
        })))
    }

    /// What is used, with what the smoke commands look for in an image that has less.
    fn learn(&self, built: &Built, used: &Used) -> Result<Used> {
        let mut learnt = used.clone();
        for expected in &self.expected {
            let trace = expected.trace_in(self.prover, built)?;
            learnt.shows_root |= trace.listed.iter().any(|path| path == b"/");
            for list in [trace.opened, trace.executed, trace.examined, trace.missed] {
                learnt.touched.extend(list);
            }
            learnt.listed.extend(trace.listed);
            learnt.written.extend(trace.written);
        }
        Ok(learnt)
    }
}

impl Whole {
    fn image<T>(&self, with: impl FnOnce(Image<'_, '_>) -> T) -> Result<T> {
        let base_config = self.built.base.as_ref().map(|base| &base.image.config);
        self.form.with_trees(|tree, base| with(Image { tree, base, config: &self.built.config, base_config }))
    }
}

/// Why no stage can come behind the last one; nothing where one can.
fn unfit(tree: &Dockerfile, request: &Request) -> Option<String> {
    let target = request.target.as_deref()?;
    let outline = Outline::of(tree);
    let last = outline.stages.last()?;
    let is_last = last.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(target));
    (!is_last).then(|| format!("it would come behind the last stage, and --target asks for {target}"))
}

/// What the command and the smoke commands use of an image.
fn used(expected: &[Expected], whole: &Whole) -> Result<Used> {
    let mut used = Used { touched: whole.startup.clone(), ..Used::default() };
    for Expected { trace, .. } in expected {
        for list in [&trace.opened, &trace.executed, &trace.examined] {
            used.touched.extend(list.iter().cloned());
        }
        used.listed.extend(trace.listed.iter().cloned());
        used.written.extend(trace.written.iter().cloned());
    }
    let config = &whole.built.config;
    let workdir = text(config, "WorkingDir");
    used.touched.insert(workdir.as_bytes().to_vec());
    let volumes = setting(config, "Volumes").and_then(|volumes| volumes.as_object());
    used.kept.extend(volumes.into_iter().flatten().map(|(path, _)| path.clone().into_bytes()));
    // What the command names may be a folder that it serves, or a module that it runs.
    for word in ["Entrypoint", "Cmd"].iter().flat_map(|name| words(config, name)) {
        let path = if word.starts_with('/') { word } else { format!("{workdir}/{word}") };
        used.kept.insert(path.into_bytes());
    }
    let (scripts, home) = whole.form.with_trees(|tree, _| (scripts(whole, tree), home(whole, tree)))?;
    used.scripts = scripts;
    used.touched.extend(home);
    Ok(used)
}

/// The home folder of the image's user.
fn home(whole: &Whole, tree: &Tree<'_>) -> Option<Vec<u8>> {
    let user = text(&whole.built.config, "User").split(':').next().filter(|user| !user.is_empty())?.as_bytes();
    let accounts = whole.form.content(tree, b"etc/passwd")?;
    let mut accounts = accounts.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect());
    let account: Vec<&[u8]> =
        accounts.find(|fields: &Vec<&[u8]>| fields.len() > 5 && (fields[0] == user || fields[2] == user))?;
    Some(account[5].to_vec())
}

/// The files that the command names and that are no programs of the machine's.
fn scripts(whole: &Whole, tree: &Tree<'_>) -> BTreeSet<Vec<u8>> {
    let is_script = |path: &&Vec<u8>| {
        let at = followed(tree, path);
        let is_file = tree.find(&at).is_some_and(|node| tree.kind(node) == Kind::File);
        is_file && whole.form.own_content(tree, &at).is_some_and(|content| !content.starts_with(ELF))
    };
    whole.startup.iter().filter(is_script).cloned().collect()
}

fn setting<'c>(config: &'c Config, name: &str) -> Option<&'c serde_json::Value> {
    config.get("config")?.get(name)
}

fn text<'c>(config: &'c Config, name: &str) -> &'c str {
    setting(config, name).and_then(|value| value.as_str()).unwrap_or_default()
}

fn words(config: &Config, name: &str) -> Vec<String> {
    let all = setting(config, name).and_then(|value| value.as_array());
    all.into_iter().flatten().filter_map(|word| word.as_str()).map(str::to_owned).collect()
}

/// Puts the suggested stage into a rewritten form.
pub(crate) fn apply(suggestion: &mut Suggestion, rewritten: &mut Rewritten) {
    rewritten.tree = Dockerfile::parse(suggestion.dockerfile.clone());
    rewritten.lines = LineMap::of_lines(&suggestion.dockerfile, &suggestion.origin);
    suggestion.is_applied = true;
}
