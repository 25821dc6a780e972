//! Stages: which there are, what they start from, which are needed, and the walk through their instructions.

use std::collections::BTreeSet;

use jettison_image::Platform;
use jettison_syntax::dockerfile::{Arguments, Dockerfile, ErrorKind, Instruction, Kind, closest};
use jettison_syntax::expand::Lexer;

use super::error::{PlanError, PlanErrorKind, value};
use super::global::{self, Variables};
use super::model::{Base, CopySource, Plan, Settings, StagePlan, Step};
use super::state::{Place, State};
use super::{Bases, Options, mount};

/// An error of an instruction.
pub(super) fn at(instruction: &Instruction, kind: PlanErrorKind) -> PlanError {
    PlanError { kind, span: instruction.span.range(), lines: instruction.lines }
}

/// A stage as FROM announces it.
struct Head {
    from: usize,
    end: usize,
    name: Option<String>,
    base: Base,
    platform: Option<Platform>,
}

pub(super) struct Planner<'a> {
    pub(super) tree: &'a Dockerfile,
    pub(super) options: &'a Options,
    pub(super) bases: &'a mut dyn Bases,
    pub(super) globals: Variables,
    heads: Vec<Head>,
    done: Vec<Option<(State, StagePlan)>>,
}

pub(super) fn plan(tree: &Dockerfile, options: &Options, bases: &mut dyn Bases) -> Result<Plan, PlanError> {
    if let Some(first) = tree.errors.first() {
        let line = |offset| u32::try_from(tree.position(offset).0).unwrap_or(u32::MAX);
        let lines = (line(first.span.start), line(first.span.end));
        let span = first.span.range();
        return Err(PlanError { kind: PlanErrorKind::Syntax(tree.errors.clone()), span, lines });
    }
    let nowhere = |kind| PlanError { kind, span: 0..0, lines: (0, 0) };
    if options.platform.os == "windows" {
        return Err(nowhere(PlanErrorKind::Unsupported(format!("the platform {}", options.platform))));
    }
    let mut warnings = global::check(tree, options)?;
    let globals = global::arguments(tree, options)?;
    let given = options.build_args.get("SOURCE_DATE_EPOCH").map(String::as_str);
    let epoch = given.or_else(|| global::get(&globals, "SOURCE_DATE_EPOCH")).filter(|text| !text.is_empty());
    let read = |text: &str| {
        let wanted = "it is seconds since 1970; other forms are not supported";
        text.parse::<i64>().map_err(|_| nowhere(value("SOURCE_DATE_EPOCH", text, wanted)))
    };
    let source_date_epoch = epoch.map(read).transpose()?;
    let mut planner = Planner { tree, options, bases, globals, heads: Vec::new(), done: Vec::new() };
    planner.read_heads()?;
    let target = planner.target().map_err(nowhere)?;
    planner.done.resize_with(planner.heads.len(), || None);
    planner.ensure(target)?;
    global::unused(tree, options, &mut warnings);
    let mut stages = planner.finish(target);
    for (name, label) in &options.labels {
        stages[target].settings.insert("Labels", name, label.clone().into());
    }
    stages[target].settings.arrange();
    Ok(Plan { stages, target, warnings, source_date_epoch })
}

impl Planner<'_> {
    fn read_heads(&mut self) -> Result<(), PlanError> {
        for (index, instruction) in self.tree.instructions.iter().enumerate() {
            if instruction.body.kind == Kind::From {
                let head = self.head(index, instruction).map_err(|kind| at(instruction, kind))?;
                self.heads.push(head);
            } else if let Some(head) = self.heads.last_mut() {
                head.end = index + 1;
            }
        }
        Ok(())
    }

    fn head(&mut self, from: usize, instruction: &Instruction) -> Result<Head, PlanErrorKind> {
        let place = Place { tree: self.tree, instruction, escape: self.tree.escape };
        let Arguments::Words(words) = &instruction.body.arguments else {
            return Err(PlanErrorKind::Combination("FROM requires either one or three arguments".to_owned()));
        };
        let words: Vec<&str> = words.iter().map(|word| self.tree.part(instruction, *word)).collect();
        let written = words.first().copied().unwrap_or_default();
        let reference = self.expand(written)?;
        if reference.is_empty() {
            return Err(PlanErrorKind::BlankBase(written.to_owned()));
        }
        let name = words.get(2).map(|name| name.to_ascii_lowercase());
        if let Some(name @ ("scratch" | "context")) = name.as_deref() {
            return Err(value("stage name", name, "the name is reserved"));
        }
        let platform = match place.flag("platform")? {
            None => None,
            Some(written) => {
                let text = self.expand(written)?;
                if text.is_empty() {
                    return Err(value("platform", written, "it is empty once expanded"));
                }
                Some(self.platform(&text)?)
            }
        };
        let is_context = |name: &String| self.bases.is_context(name);
        let base = if let Some(name) = name.as_ref().filter(|name| is_context(name)) {
            // A context of the stage's name stands for the whole stage.
            if self.bases.is_folder(name) { Base::Context(name.clone()) } else { Base::Image(name.clone()) }
        } else if let Some(stage) = self.named(&reference) {
            Base::Stage(stage)
        } else if reference == "scratch" {
            Base::Scratch
        } else if self.bases.is_folder(&reference) {
            Base::Context(reference)
        } else {
            Base::Image(reference)
        };
        Ok(Head { from, end: from + 1, name, base, platform })
    }

    fn platform(&self, text: &str) -> Result<Platform, PlanErrorKind> {
        let platform = match text {
            "local" => Ok(self.options.build_platform.clone()),
            // A name alone is a system, or an architecture of the system that builds.
            "linux" | "windows" => format!("{text}/{}", self.options.build_platform.architecture).parse(),
            other if !other.contains('/') => format!("{}/{other}", self.options.build_platform.os).parse(),
            other => other.parse::<Platform>(),
        };
        let platform = platform.map_err(|error| value("platform", text, error.to_string()))?;
        if platform.os == "windows" {
            return Err(PlanErrorKind::Unsupported(format!("the platform {platform}")));
        }
        Ok(platform)
    }

    fn expand(&self, word: &str) -> Result<String, PlanErrorKind> {
        let known = |name: &str| global::get(&self.globals, name).map(str::to_owned);
        Ok(Lexer::new(self.tree.escape).process_word(word, &known).map_err(|error| error.kind)?.value)
    }

    /// The last stage of that name among those that were read.
    fn named(&self, name: &str) -> Option<usize> {
        self.heads.iter().rposition(|head| head.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
    }

    fn name(&self, stage: usize) -> String {
        self.heads[stage].name.clone().unwrap_or_else(|| stage.to_string())
    }

    fn target(&self) -> Result<usize, PlanErrorKind> {
        let Some(wanted) = self.options.target.as_deref().filter(|wanted| !wanted.is_empty()) else {
            return Ok(self.heads.len() - 1);
        };
        let number = || wanted.parse().ok().filter(|number| *number < self.heads.len());
        self.named(wanted).or_else(number).ok_or_else(|| {
            let stages: Vec<String> = (0..self.heads.len()).map(|stage| self.name(stage)).collect();
            let names: Vec<&str> = stages.iter().map(String::as_str).collect();
            let meant = closest(wanted, &names).map(str::to_owned);
            PlanErrorKind::NoTarget { name: wanted.to_owned(), stages, meant }
        })
    }

    /// What `--from` of COPY (`by_number`) or of a mount means in a stage.
    pub(super) fn source(&self, from: &str, stage: usize, by_number: bool) -> Result<CopySource, PlanErrorKind> {
        let found = match from.parse::<i64>() {
            Ok(number) if by_number => {
                let found = usize::try_from(number).ok().filter(|number| *number < self.heads.len());
                Some(found.ok_or_else(|| PlanErrorKind::StageIndex(from.to_owned()))?)
            }
            _ => self.named(from),
        };
        match found {
            Some(found) if found < stage => Ok(CopySource::Stage(found)),
            Some(found) if found == stage => Err(PlanErrorKind::Circular(self.name(stage))),
            Some(found) => Err(PlanErrorKind::NotBefore { stage: self.name(found), current: self.name(stage) }),
            None if self.bases.is_folder(from) => Ok(CopySource::Named(from.to_owned())),
            None => Ok(CopySource::Image(from.to_owned())),
        }
    }

    /// The stages that a stage needs by its base and its own instructions.
    fn needs(&self, stage: usize) -> BTreeSet<usize> {
        let mut needs = BTreeSet::new();
        if let Base::Stage(base) = self.heads[stage].base {
            needs.insert(base);
        }
        if self.is_replaced(stage) {
            return needs;
        }
        let head = &self.heads[stage];
        for instruction in &self.tree.instructions[head.from + 1..head.end] {
            needs.extend(self.needs_of(instruction, stage));
        }
        needs
    }

    fn needs_of(&self, instruction: &Instruction, stage: usize) -> Vec<usize> {
        let flags = instruction.body.flags.iter();
        let sources = flags.filter_map(|flag| match (instruction.body.kind, flag.name()) {
            (Kind::Copy, "from") => self.source(flag.value()?, stage, true).ok(),
            (Kind::Run, "mount") => self.source(&mount::source_of(flag.value()?)?, stage, false).ok(),
            _ => None,
        });
        sources.filter_map(|source| if let CopySource::Stage(found) = source { Some(found) } else { None }).collect()
    }

    /// Whether a named context stands for the stage.
    fn is_replaced(&self, stage: usize) -> bool {
        self.heads[stage].name.as_ref().is_some_and(|name| self.bases.is_context(name))
    }

    /// Reads a stage and all that it needs, the earliest first.
    pub(super) fn ensure(&mut self, stage: usize) -> Result<(), PlanError> {
        let mut wanted = BTreeSet::from([stage]);
        let mut waiting = vec![stage];
        while let Some(next) = waiting.pop() {
            waiting.extend(self.needs(next).into_iter().filter(|need| wanted.insert(*need)));
        }
        for next in wanted {
            if self.done[next].is_none() {
                self.read(next)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, stage: usize) -> Result<(), PlanError> {
        let tree = self.tree;
        let (from, end) = (self.heads[stage].from, self.heads[stage].end);
        let instruction = &tree.instructions[from];
        let (base, mut state) = self.start(stage).map_err(|kind| at(instruction, kind))?;
        let mut steps = Vec::new();
        let mut needs = self.needs(stage);
        if !self.is_replaced(stage) {
            for trigger in state.settings.list("OnBuild") {
                let parsed = parse_trigger(&trigger).map_err(|kind| at(instruction, kind))?;
                let place = Place { tree: &parsed, instruction: &parsed.instructions[0], escape: tree.escape };
                for need in self.needs_of(place.instruction, stage) {
                    needs.insert(need);
                    self.ensure(need)?;
                }
                let step = self.step(place, stage, &mut state).map_err(|kind| at(instruction, kind))?;
                steps.extend(step.map(|step| Step { lines: instruction.lines, span: 0..0, ..step }));
            }
            state.settings.set("OnBuild", serde_json::Value::Null);
            for own in &tree.instructions[from + 1..end] {
                let place = Place { tree, instruction: own, escape: tree.escape };
                steps.extend(self.step(place, stage, &mut state).map_err(|kind| at(own, kind))?);
            }
        }
        state.settings.arrange();
        let plan = StagePlan {
            name: self.name(stage),
            base,
            platform: state.platform.clone(),
            lines: instruction.lines,
            steps,
            settings: state.settings.clone(),
            is_needed: true,
            needs: needs.into_iter().collect(),
        };
        self.done[stage] = Some((state, plan));
        Ok(())
    }

    /// What a stage starts with.
    fn start(&mut self, stage: usize) -> Result<(Base, State), PlanErrorKind> {
        let head = &self.heads[stage];
        let platform = head.platform.clone().unwrap_or_else(|| self.options.platform.clone());
        let lines = self.tree.instructions[head.from].lines;
        let (base, settings) = match &head.base {
            Base::Stage(below) => {
                let (state, _) = self.done[*below].as_ref().ok_or(PlanErrorKind::Circular(self.name(stage)))?;
                let state = State { has_cmd: false, ..state.clone() };
                return Ok((head.base.clone(), with_config(state)));
            }
            Base::Scratch => (Base::Scratch, Settings::empty(&self.options.platform)),
            Base::Context(name) => (Base::Context(name.clone()), Settings::empty(&platform)),
            Base::Image(reference) => {
                let found = self.bases.settings(reference, &platform, lines);
                found.map_err(|source| PlanErrorKind::Base { reference: reference.clone(), source })?
            }
        };
        let platform = if base == Base::Scratch { self.options.platform.clone() } else { platform };
        let mut settings = settings;
        for field in ["created", "rootfs", "history"] {
            settings.0.shift_remove(field);
        }
        settings.set_platform(&platform);
        if !settings.env().iter().any(|(name, _)| name == "PATH") {
            settings.set_env("PATH", super::document::PATH);
        }
        let state = State {
            env: Vec::new(),
            arguments: Vec::new(),
            settings,
            platform,
            workdir: String::new(),
            has_cmd: false,
        };
        Ok((base, with_config(state)))
    }

    fn finish(self, target: usize) -> Vec<StagePlan> {
        let Self { heads, done, options, tree, .. } = self;
        let mut stages = Vec::with_capacity(heads.len());
        for (number, (head, done)) in heads.into_iter().zip(done).enumerate() {
            stages.push(match done {
                Some((_, plan)) => plan,
                None => StagePlan {
                    name: head.name.unwrap_or_else(|| number.to_string()),
                    base: head.base,
                    platform: head.platform.unwrap_or_else(|| options.platform.clone()),
                    lines: tree.instructions[head.from].lines,
                    steps: Vec::new(),
                    settings: Settings::default(),
                    is_needed: false,
                    needs: Vec::new(),
                },
            });
        }
        debug_assert!(stages[target].is_needed);
        stages
    }
}

/// Takes the variables and the working directory from the config.
fn with_config(mut state: State) -> State {
    for (name, value) in state.settings.env() {
        global::set(&mut state.env, &name, &value);
    }
    let workdir = state.settings.text("WorkingDir");
    state.workdir = jettison_syntax::path::clean(workdir);
    if !workdir.is_empty() {
        let workdir = state.workdir.clone();
        state.settings.set("WorkingDir", workdir.into());
    }
    state
}

fn parse_trigger(trigger: &str) -> Result<Dockerfile, PlanErrorKind> {
    let refuse = |why: String| PlanErrorKind::Trigger { trigger: trigger.to_owned(), why };
    let parsed = Dockerfile::parse(trigger);
    let mut errors =
        parsed.errors.iter().filter(|e| !matches!(e.kind, ErrorKind::BeforeFrom { .. } | ErrorKind::NoFrom));
    if let Some(error) = errors.next() {
        return Err(refuse(error.kind.to_string()));
    }
    let [only] = &parsed.instructions[..] else { return Err(refuse("it should be a single instruction".to_owned())) };
    if matches!(only.body.kind, Kind::Onbuild | Kind::From | Kind::Maintainer) {
        return Err(refuse(format!("{} is not allowed as a trigger", only.body.kind.keyword())));
    }
    Ok(parsed)
}
