//! Stages and the graph that they make.

use std::ops::Range;

use crate::dockerfile::{Arguments, Dockerfile, Instruction, Kind};
use crate::expand::Lexer;

use super::scope;

/// One stage of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its number, from 0.
    pub index: usize,
    /// Its FROM, as an index of instructions.
    pub from: usize,
    /// What is behind the FROM, as indices of instructions.
    pub instructions: Range<usize>,
    /// Its name, in lower case.
    pub name: Option<String>,
    /// The image or stage that it starts from, as written.
    pub reference: String,
    /// The same, resolved.
    pub base: Origin,
    /// The stages that it needs.
    pub uses: Vec<Use>,
    /// Its ENV and ARG, as indices of instructions.
    pub variables: Vec<usize>,
}

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image.
    Image(String),
    /// Something that depends on arguments without a default.
    Unknown,
}

/// That a stage needs another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The one that is needed.
    pub stage: usize,
    /// By which instruction.
    pub by: usize,
    /// In which way.
    pub kind: UseKind,
}

/// In which way a stage is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseKind {
    /// As the base.
    Base,
    /// Files are copied from it.
    Copy,
    /// It is mounted while a command runs.
    Mount,
}

/// Reads the stages of a tree.
pub(super) fn read(tree: &Dockerfile) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (at, instruction) in tree.instructions.iter().enumerate() {
        if instruction.body.kind == Kind::From {
            let stage = start(tree, instruction, at, &stages);
            stages.push(stage);
        } else if let Some(index) = stages.len().checked_sub(1) {
            stages[index].instructions.end = at + 1;
            if matches!(instruction.body.kind, Kind::Env | Kind::Arg) {
                stages[index].variables.push(at);
            }
            let found = uses(instruction, at, &stages);
            stages[index].uses.extend(found);
        }
    }
    stages
}

fn start(tree: &Dockerfile, instruction: &Instruction, at: usize, before: &[Stage]) -> Stage {
    let words: Vec<&str> = match &instruction.body.arguments {
        Arguments::Words(words) => words.iter().map(|word| tree.part(instruction, *word)).collect(),
        _ => Vec::new(),
    };
    let reference = words.first().copied().unwrap_or_default().to_owned();
    let name = match words[..] {
        [_, keyword, name] if keyword.eq_ignore_ascii_case("as") => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    let globals = scope::globals(tree);
    let known = |name: &str| globals.value(name).map(str::to_owned);
    let resolved = globals
        .knows_all(&reference, tree.escape)
        .then(|| Lexer::new(tree.escape).process_word(&reference, &known).ok())
        .flatten()
        .map(|expanded| expanded.value);
    let base = match resolved {
        None => Origin::Unknown,
        Some(resolved) if resolved == "scratch" => Origin::Scratch,
        Some(resolved) => named(&resolved, before).map_or(Origin::Image(resolved), Origin::Stage),
    };
    let uses = match base {
        Origin::Stage(stage) => vec![Use { stage, by: at, kind: UseKind::Base }],
        _ => Vec::new(),
    };
    Stage {
        index: before.len(),
        from: at,
        instructions: at + 1..at + 1,
        name,
        reference,
        base,
        uses,
        variables: Vec::new(),
    }
}

/// The stage of that name; later ones hide earlier ones.
fn named(name: &str, stages: &[Stage]) -> Option<usize> {
    stages.iter().rposition(|stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
}

/// The stage that `--from` names, by name or number.
fn referred(name: &str, stages: &[Stage]) -> Option<usize> {
    // The stage itself cannot be copied from.
    let before = &stages[..stages.len() - 1];
    named(name, before).or_else(|| name.parse().ok().filter(|number: &usize| *number < before.len()))
}

fn uses(instruction: &Instruction, by: usize, stages: &[Stage]) -> Vec<Use> {
    let body = instruction.body.effective();
    let mut found = Vec::new();
    for flag in &body.flags {
        let value = flag.value().unwrap_or_default();
        match flag.name() {
            "from" => {
                found.extend(referred(value, stages).map(|stage| Use { stage, by, kind: UseKind::Copy }));
                // What depends on an argument may name any stage.
                if value.contains('$') {
                    found.extend((0..stages.len() - 1).map(|stage| Use { stage, by, kind: UseKind::Copy }));
                }
            }
            "mount" => {
                let from = value.split(',').find_map(|field| field.trim().strip_prefix("from="));
                let stage = from.and_then(|name| referred(name.trim_matches('"'), stages));
                found.extend(stage.map(|stage| Use { stage, by, kind: UseKind::Mount }));
                if from.is_some_and(|name| name.contains('$')) {
                    found.extend((0..stages.len() - 1).map(|stage| Use { stage, by, kind: UseKind::Mount }));
                }
            }
            _ => {}
        }
    }
    found
}
