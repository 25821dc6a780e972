//! How often what instructions depend on changes: by the history of the files that they copy, or by its nature.

use jettison_ir::source::{History, SourceUnit};
use jettison_syntax::dockerfile::{Arguments, Instruction, Kind};
use jettison_syntax::ignore::matches_pattern;
use jettison_syntax::view::Origin;

use super::context_use::{ContextSource, sources};
use super::moves;

/// A set of commits, by their number in the history. Behind those stand what is another one in each build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commits(Vec<u64>);

impl Commits {
    fn insert(&mut self, commit: usize) {
        if self.0.len() <= commit / 64 {
            self.0.resize(commit / 64 + 1, 0);
        }
        self.0[commit / 64] |= 1 << (commit % 64);
    }

    /// Takes in all of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (own, more) in self.0.iter_mut().zip(&other.0) {
            *own |= more;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether all of them are of another set too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(at, word)| word & !other.0.get(at).copied().unwrap_or_default() == 0)
    }

    /// Those that are numbered below `end`.
    fn below(&self, end: usize) -> Self {
        let mut below = Self::default();
        (0..end.min(self.0.len() * 64))
            .filter(|at| self.0[at / 64] & (1 << (at % 64)) != 0)
            .for_each(|at| below.insert(at));
        below
    }
}

/// By what an instruction is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Files.
    Files,
    /// Variables.
    Values,
    /// Labels, for which few builders run anything again.
    Labels,
}

/// What changes each instruction of a Dockerfile.
pub(crate) struct Changes {
    /// How many commits are known.
    pub(crate) commits: usize,
    /// For each instruction, the commits that change what it takes from elsewhere.
    own: Vec<Commits>,
    /// For each instruction, by what it is changed.
    classes: Vec<Class>,
    /// For each stage, the commits that change what it starts from.
    below: Vec<Commits>,
}

impl Changes {
    /// The changes of a Dockerfile's instructions; none where the history of its context is not at hand.
    pub(crate) fn of(unit: &SourceUnit<'_>) -> Option<Self> {
        let History { commits } = unit.context?.history.as_ref().filter(|history| !history.commits.is_empty())?;
        let is_sent = |path: &&str| unit.ignore.as_ref().is_none_or(|ignore| !ignore.matches(path));
        let commits: Vec<Vec<&str>> =
            commits.iter().map(|paths| paths.iter().map(String::as_str).filter(is_sent).collect()).collect();
        let mut own = vec![Commits::default(); unit.instructions().len()];
        for (at, source) in sources(unit) {
            let touching =
                commits.iter().enumerate().filter(|(_, paths)| paths.iter().any(|path| reads(&source, path)));
            touching.for_each(|(commit, _)| own[at].insert(commit));
        }
        let class = |instruction: &Instruction| match instruction.body.kind {
            Kind::Label => Class::Labels,
            Kind::Env | Kind::Arg => Class::Values,
            _ => Class::Files,
        };
        let classes: Vec<Class> = unit.instructions().iter().map(class).collect();
        for (at, instruction) in unit.instructions().iter().enumerate() {
            if named_anew(unit, instruction, at).is_some() {
                own[at].insert(commits.len() + usize::from(classes[at] == Class::Labels));
            }
        }
        let mut changes = Self { commits: commits.len(), own, classes, below: Vec::new() };
        changes.pass_on(unit);
        Some(changes)
    }

    /// What changes a stage changes what is taken from it.
    fn pass_on(&mut self, unit: &SourceUnit<'_>) {
        let mut stages: Vec<Commits> = Vec::with_capacity(unit.stages().len());
        for stage in unit.stages() {
            let below = match stage.base {
                Origin::Stage(base) => stages.get(base).cloned().unwrap_or_default(),
                _ => Commits::default(),
            };
            for used in stage.uses.iter().filter(|used| used.by != stage.from) {
                let Some(taken) = stages.get(used.stage) else { continue };
                self.own[used.by].extend(taken);
            }
            let mut all = below.clone();
            stage.instructions.clone().for_each(|at| all.extend(&self.own[at]));
            stages.push(all.below(self.commits));
            self.below.push(below);
        }
    }

    /// The commits that change what an instruction takes from elsewhere.
    pub(crate) fn at(&self, at: usize) -> &Commits {
        &self.own[at]
    }

    /// By what an instruction is changed: the numbers of one class are none of another one.
    pub(crate) fn class(&self, at: usize) -> Class {
        self.classes[at]
    }

    /// The commits that change what a stage starts from.
    pub(crate) fn below(&self, stage: usize) -> &Commits {
        &self.below[stage]
    }
}

/// Whether what a source names holds a path of the context.
fn reads(source: &ContextSource, path: &str) -> bool {
    match source {
        ContextSource::Whole => true,
        // Nothing is moved for what is not known.
        ContextSource::Unknown => false,
        ContextSource::Pattern(pattern) => {
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            let depth = pattern.matches('/').count();
            ends.clone().nth(depth).is_some_and(|end| {
                let start = &path[..end];
                start == pattern || matches_pattern(pattern, start).unwrap_or(false)
            })
        }
    }
}

/// Words in the names of values that are others in each build.
const ANEW: [&str; 20] = [
    "BUILD_DATE",
    "BUILD_ID",
    "BUILD_NUMBER",
    "BUILD_REVISION",
    "BUILD_TIME",
    "BUILD_VERSION",
    "CACHEBUST",
    "CACHE_BUST",
    "COMMIT_HASH",
    "COMMIT_ID",
    "COMMIT_SHA",
    "GIT_COMMIT",
    "GIT_HASH",
    "GIT_REF",
    "GIT_REVISION",
    "GIT_SHA",
    "RELEASE_DATE",
    "SOURCE_COMMIT",
    "VCS_REF",
    "VCS_REVISION",
];

/// Names, and last parts of a label's name, of values that are others in each build.
const ANEW_ALONE: [&str; 7] = ["COMMIT", "CREATED", "DATE", "REVISION", "SHA", "TIMESTAMP", "VERSION"];

/// The name of a value of ARG, ENV or LABEL that is another one in each build, as far as names tell.
pub(crate) fn named_anew(unit: &SourceUnit<'_>, instruction: &Instruction, at: usize) -> Option<String> {
    let names = match instruction.body.kind {
        Kind::Env | Kind::Arg => moves::names(unit, at),
        Kind::Label => match &instruction.body.arguments {
            Arguments::Pairs { pairs, .. } => {
                pairs.iter().map(|pair| unit.tree.part(instruction, pair.name).trim_matches('"').to_owned()).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    names.into_iter().find(|name| {
        let plain = name.to_ascii_uppercase().replace('-', "_");
        let last = plain.rsplit('.').next().unwrap_or_default();
        ANEW.iter().any(|word| plain.contains(word)) || ANEW_ALONE.contains(&last)
    })
}
