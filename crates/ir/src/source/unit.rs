//! A Dockerfile as a unit of rewriting: its tree, its meaning, its shell texts, and the build context's names.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Instruction, Kind};
use jettison_syntax::ignore::Ignore;
use jettison_syntax::shell::Script;
use jettison_syntax::view::{Outline, Scope, Settings, Stage};

use crate::level::{Assumption, Level};

use super::history::History;
use super::observed::Observed;
use super::packages::PackagesSeen;
use super::scripts::{RunText, Scripts};

/// What a rewrite is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Few layers without leftovers.
    Release,
    /// Many cached steps.
    Development,
}

/// How merged commands are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStyle {
    /// With `&&` and `;` at the ends of lines.
    Operators,
    /// As a heredoc.
    Heredoc,
}

/// What a rewrite may do.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// How far it may go.
    pub level: Level,
    /// What it is for.
    pub goal: Goal,
    /// How merged commands are written.
    pub style: RunStyle,
    /// The assumptions that are turned off, by name.
    pub denied: Vec<String>,
}

/// The build context's names; contents stay where they are.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Its files and folders, relative to it, in order of path.
    pub files: Vec<ContextFile>,
    /// The text of its `.dockerignore`, where it has one.
    pub ignore: Option<String>,
    /// What changed in it lately, where that is known.
    pub history: Option<History>,
}

/// A file of the build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFile {
    /// Its path, with slashes, relative to the context.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// Its permission bits, set-id bits included.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// What a path of the context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// A Dockerfile, ready for passes.
pub struct SourceUnit<'a> {
    /// Its tree.
    pub tree: &'a Dockerfile,
    /// Its meaning.
    pub outline: Outline,
    /// What the rewrite may do.
    pub options: &'a SourceOptions,
    /// The build context, where it is at hand.
    pub context: Option<&'a Context>,
    /// The context's `.dockerignore`.
    pub ignore: Option<Ignore>,
    texts: Vec<Option<(RunText, Option<Rc<Script>>)>>,
    /// The names that ENV and ARG set anywhere.
    variables: HashSet<&'a str>,
    /// Instructions that a comment of the file keeps the pass from, with its reason.
    kept: BTreeMap<usize, String>,
    /// What RUN instructions were seen to do.
    observed: BTreeMap<usize, Observed>,
    /// What is known of the image's packages.
    packages: Option<Arc<PackagesSeen>>,
    /// The first and last line in the original of each instruction; empty where nothing was built.
    lines: Vec<(usize, usize)>,
}

impl<'a> SourceUnit<'a> {
    /// The unit of a tree.
    #[must_use]
    pub fn new(
        tree: &'a Dockerfile,
        options: &'a SourceOptions,
        context: Option<&'a Context>,
        ignore: Option<&str>,
        scripts: &Scripts,
    ) -> Self {
        let outline = Outline::of(tree);
        let texts = tree
            .instructions
            .iter()
            .zip(&outline.settings)
            .map(|(instruction, settings)| {
                let text = RunText::of(tree, instruction)?;
                let script = settings.shell.dialect.map(|dialect| scripts.parse(&text.text, dialect));
                Some((text, script))
            })
            .collect();
        let variables = tree.instructions.iter().flat_map(|instruction| set_by(tree, instruction)).collect();
        Self {
            tree,
            outline,
            options,
            context,
            ignore: ignore.map(Ignore::parse),
            texts,
            variables,
            kept: BTreeMap::new(),
            observed: BTreeMap::new(),
            packages: None,
            lines: Vec::new(),
        }
    }

    /// Takes note of what RUN instructions were seen to do.
    pub fn observe(&mut self, instructions: impl IntoIterator<Item = (usize, Observed)>) {
        self.observed.extend(instructions);
    }

    /// What a RUN was seen to do, where a build was traced.
    #[must_use]
    pub fn observed(&self, at: usize) -> Option<&Observed> {
        self.observed.get(&at)
    }

    /// Takes note of what is known of the image's packages; `lines` are those of each instruction in the original.
    pub fn see(&mut self, packages: Arc<PackagesSeen>, lines: Vec<(usize, usize)>) {
        self.packages = Some(packages);
        self.lines = lines;
    }

    /// What is known of the image's packages, as far as that holds for what a RUN leaves: it was watched.
    #[must_use]
    pub fn packages(&self, at: usize) -> Option<&PackagesSeen> {
        self.packages.as_deref().filter(|_| self.observed.contains_key(&at))
    }

    /// The first and last line in the original of an instruction, where it was built.
    #[must_use]
    pub fn original_lines(&self, at: usize) -> Option<(usize, usize)> {
        self.lines.get(at).copied()
    }

    /// The instructions.
    #[must_use]
    pub fn instructions(&self) -> &'a [Instruction] {
        &self.tree.instructions
    }

    /// One instruction.
    #[must_use]
    pub fn instruction(&self, at: usize) -> &'a Instruction {
        &self.tree.instructions[at]
    }

    /// Which instruction it is.
    #[must_use]
    pub fn kind(&self, at: usize) -> Kind {
        self.tree.instructions[at].body.kind
    }

    /// The shell text of an instruction.
    #[must_use]
    pub fn text(&self, at: usize) -> Option<&RunText> {
        self.texts[at].as_ref().map(|(text, _)| text)
    }

    /// The parsed shell text of an instruction; none for exec forms and for shells whose language is not read. It may
    /// hold an error.
    #[must_use]
    pub fn script(&self, at: usize) -> Option<&Script> {
        self.texts[at].as_ref().and_then(|(_, script)| script.as_deref())
    }

    /// The place in the Dockerfile of a part of an instruction's shell text.
    #[must_use]
    pub fn source_span(&self, at: usize, span: Span) -> Span {
        self.text(at).map_or(self.tree.instructions[at].span, |text| text.source_span(span))
    }

    /// The settings before an instruction.
    #[must_use]
    pub fn settings(&self, at: usize) -> &Settings {
        &self.outline.settings[at]
    }

    /// The variables before an instruction.
    #[must_use]
    pub fn scope(&self, at: usize) -> Scope {
        self.outline.scope(self.tree, at)
    }

    /// A word as it stands before an instruction, where all of it is known. Variables are looked up only where it has
    /// any: that takes a walk over the stage.
    #[must_use]
    pub fn expand(&self, at: usize, word: &str) -> Option<String> {
        let scope = if word.contains('$') { self.scope(at) } else { Scope::default() };
        scope.expand(word, self.tree.escape)
    }

    /// Whether an ENV or an ARG sets a variable anywhere in the file.
    #[must_use]
    pub fn names_variable(&self, name: &str) -> bool {
        self.variables.contains(name)
    }

    /// Says which instructions a comment of the file keeps the pass from, with its reason, so that it works around them.
    pub fn keep(&mut self, instructions: impl IntoIterator<Item = (usize, String)>) {
        self.kept.extend(instructions);
    }

    /// The reason of the comment that keeps the pass from an instruction, which may be empty; none where there is none.
    #[must_use]
    pub fn kept(&self, at: usize) -> Option<&str> {
        self.kept.get(&at).map(String::as_str)
    }

    /// The stages.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.outline.stages
    }

    /// Whether an assumption may be made: from -O2 on, unless it is turned off.
    #[must_use]
    pub fn may_assume(&self, assumption: &Assumption) -> bool {
        self.options.level >= Level::O2 && !self.options.denied.iter().any(|name| name == assumption.name)
    }

    /// The whole lines of an instruction, their last line end included, from the start of its first line on.
    #[must_use]
    pub fn lines_of(&self, at: usize) -> Span {
        let text = self.tree.text();
        let span = self.tree.instructions[at].span;
        let start = text[..span.start as usize].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.end as usize..].find('\n').map_or(text.len(), |at| span.end as usize + at + 1);
        Span::new(start, end)
    }
}

/// The names that an ENV or an ARG sets.
fn set_by<'a>(tree: &'a Dockerfile, instruction: &'a Instruction) -> Vec<&'a str> {
    let part = |span: Span| tree.part(instruction, span);
    match (&instruction.body.arguments, instruction.body.kind) {
        (Arguments::Pairs { pairs, .. }, Kind::Env) => pairs.iter().map(|pair| part(pair.name)).collect(),
        (Arguments::Words(words), Kind::Arg) => {
            words.iter().map(|word| part(*word)).map(|word| word.split_once('=').map_or(word, |pair| pair.0)).collect()
        }
        _ => Vec::new(),
    }
}
