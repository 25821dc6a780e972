//! What of the build context the instructions of a Dockerfile read.

use std::collections::BTreeSet;

use jettison_ir::source::{Entry, SourceUnit};
use jettison_syntax::dockerfile::{Arguments, Body, Instruction, Kind};
use jettison_syntax::expand;
use jettison_syntax::ignore::matches_pattern;

/// Entries that images hardly ever need: what version control, editors, tests and package managers leave in a folder.
#[rustfmt::skip]
pub(crate) const SELDOM_WANTED: [&str; 24] = [
    ".bzr", ".cache", ".git", ".gradle", ".hg", ".idea",
    ".mypy_cache", ".nox", ".nyc_output", ".parcel-cache", ".pytest_cache", ".ruff_cache",
    ".sass-cache", ".svn", ".terraform", ".tox", ".venv", ".vs",
    ".vscode", "__pycache__", "bower_components", "coverage", "node_modules", "venv",
];

/// A part of the build context that an instruction reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContextSource {
    /// All of it.
    Whole,
    /// What matches this pattern of Go's `filepath.Match`, relative to the context, and all below.
    Pattern(String),
    /// What a variable or a form that is not read here says.
    Unknown,
}

/// What each instruction reads, triggers included, with the instruction's index.
pub(crate) fn sources(unit: &SourceUnit<'_>) -> Vec<(usize, ContextSource)> {
    let mut all = Vec::new();
    for (at, instruction) in unit.instructions().iter().enumerate() {
        let body = instruction.body.effective();
        match body.kind {
            Kind::Copy | Kind::Add if body.flag("from").is_none() => {
                all.extend(copied(unit, instruction, body).into_iter().map(|source| (at, source)));
            }
            Kind::Run => {
                let mounts = body.flags.iter().filter(|flag| flag.name() == "mount").filter_map(|flag| flag.value());
                all.extend(mounts.filter_map(mounted).map(|source| (at, source)));
            }
            _ => {}
        }
    }
    all
}

fn copied(unit: &SourceUnit<'_>, instruction: &Instruction, body: &Body) -> Vec<ContextSource> {
    let escape = unit.tree.escape;
    match &body.arguments {
        Arguments::Json(strings) => {
            let sources = strings.split_last().map_or(&[][..], |(_, sources)| sources);
            sources.iter().map(|string| source(&string.value, escape)).collect()
        }
        Arguments::Words(words) => {
            let sources = words.split_last().map_or(&[][..], |(_, sources)| sources);
            let read = sources.iter().filter(|word| !instruction.heredocs.iter().any(|heredoc| heredoc.word == **word));
            read.map(|word| source(unit.tree.part(instruction, *word), escape)).collect()
        }
        _ => Vec::new(),
    }
}

/// What one word of COPY or ADD reads.
fn source(word: &str, escape: char) -> ContextSource {
    let Some(word) = expand::literal(word, escape) else { return ContextSource::Unknown };
    // An address: nothing of the context, unless a file has such a name.
    if word.contains("://") || word.starts_with("git@") {
        return ContextSource::Pattern(word);
    }
    pattern(&word)
}

/// A path or pattern, relative to the context.
fn pattern(path: &str) -> ContextSource {
    let parts = jettison_syntax::path::parts(path);
    match parts.first() {
        None | Some(&"*" | &"**") => ContextSource::Whole,
        Some(_) if parts.iter().any(|part| part.contains("**")) => ContextSource::Whole,
        Some(_) => ContextSource::Pattern(parts.join("/")),
    }
}

/// What a mount reads; none where it is no bind mount of the context.
fn mounted(value: &str) -> Option<ContextSource> {
    if value.contains(['$', '"']) {
        return Some(ContextSource::Unknown);
    }
    let field = |names: &[&str]| {
        let mut fields = value.split(',').filter_map(|field| field.trim().split_once('='));
        fields.find(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known))).map(|(_, value)| value)
    };
    let is_bind = field(&["type"]).is_none_or(|kind| kind.eq_ignore_ascii_case("bind"));
    (is_bind && field(&["from"]).is_none()).then(|| pattern(field(&["source", "src"]).unwrap_or(".")))
}

impl ContextSource {
    /// Whether it reads the entry of that name at the top of the context, or something below.
    pub(crate) fn reads_top(&self, name: &str) -> bool {
        match self {
            Self::Whole | Self::Unknown => true,
            Self::Pattern(pattern) => {
                let first = pattern.split('/').next().unwrap_or_default();
                matches_pattern(first, name).unwrap_or(true)
            }
        }
    }
}

/// Whether a path that a source names leads to or over one of the context's symbolic links.
pub(crate) fn follows_link(unit: &SourceUnit<'_>, sources: &[(usize, ContextSource)]) -> bool {
    let files = unit.context.iter().flat_map(|context| &context.files);
    let links: BTreeSet<&str> = files.filter(|file| file.entry == Entry::Link).map(|file| file.path.as_str()).collect();
    let patterns: BTreeSet<&str> = sources
        .iter()
        .filter_map(|(_, source)| match source {
            ContextSource::Pattern(pattern) => Some(pattern.as_str()),
            _ => None,
        })
        .collect();
    patterns.into_iter().any(|pattern| {
        if !pattern.contains(['*', '?', '[', '\\']) {
            let folders = pattern.match_indices('/').map(|(at, _)| &pattern[..at]);
            return folders.chain([pattern]).any(|path| links.contains(path));
        }
        links.iter().any(|link| {
            let mut parts = pattern.split('/');
            link.split('/').all(|name| parts.next().is_some_and(|part| matches_pattern(part, name).unwrap_or(true)))
        })
    })
}

/// Whether a file of that name is a Dockerfile.
pub(crate) fn is_dockerfile(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_named =
        |word: &str| name == word || name.starts_with(&format!("{word}.")) || name.ends_with(&format!(".{word}"));
    is_named("dockerfile") || is_named("containerfile")
}
