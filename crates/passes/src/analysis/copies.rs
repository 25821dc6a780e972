//! What COPY and ADD put where.

use jettison_ir::source::{ContextFile, Entry, SourceUnit};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::path::clean;

use super::places::{absolute, name};

/// A COPY or ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Which instruction it is.
    pub(crate) at: usize,
    /// What is copied, with variables replaced.
    pub(crate) sources: Vec<String>,
    /// Where to, as an absolute path.
    pub(crate) target: String,
    /// Whether that is a folder for sure, since it ends in a slash.
    pub(crate) into_folder: bool,
    /// The stage or image that it comes from.
    pub(crate) from: Option<String>,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file, as the build context shows or since it is written in the Dockerfile.
    File,
    /// A folder.
    Folder,
    /// A file to judge by its name.
    NamedLikeFile,
    /// A symbolic link or something special of the context.
    Special,
    /// A pattern for several.
    Pattern,
    /// Not known.
    Unknown,
}

/// Reads one; none where a variable in it is not known for sure.
pub(crate) fn read(unit: &SourceUnit<'_>, at: usize) -> Option<Copied> {
    let instruction = unit.instruction(at);
    if !matches!(instruction.body.kind, Kind::Copy | Kind::Add) {
        return None;
    }
    let line = unit.tree.line(instruction);
    let words: Vec<String> = match &instruction.body.arguments {
        Arguments::Words(words) => words.iter().map(|word| word.of(line).to_owned()).collect(),
        Arguments::Json(strings) => strings.iter().map(|string| string.value.clone()).collect(),
        _ => return None,
    };
    let (target, sources) = words.split_last()?;
    let target = certain(unit, at, target)?;
    let sources = sources.iter().map(|word| certain(unit, at, word)).collect::<Option<Vec<String>>>()?;
    let into_folder = target.ends_with('/') || target == "." || target.ends_with("/.") || sources.len() > 1;
    let from = instruction.body.flag("from").map(|flag| flag.value().unwrap_or_default().to_owned());
    Some(Copied { at, sources, target: absolute(&target, unit.settings(at))?, into_folder, from })
}

/// A word whose value the Dockerfile alone decides: it refers to no argument that the command line can set.
fn certain(unit: &SourceUnit<'_>, at: usize, word: &str) -> Option<String> {
    if !word.contains(['$', '"', '\'', unit.tree.escape]) {
        return Some(word.to_owned());
    }
    let scope = unit.scope(at);
    let references = jettison_syntax::expand::references(word, unit.tree.escape);
    let is_env = |name: &str| scope.get(name).is_some_and(|variable| variable.is_env);
    references.iter().all(|reference| is_env(&reference.name)).then(|| scope.expand(word, unit.tree.escape)).flatten()
}

impl Copied {
    /// The permission bits that all of its sources have, where they are files of the build context.
    pub(crate) fn mode(&self, unit: &SourceUnit<'_>) -> Option<u32> {
        if self.from.is_some() {
            return None;
        }
        let mode = |source: &String| {
            let file = in_context(unit, &clean(source))?;
            (file.entry == Entry::File && !source.starts_with("<<")).then_some(file.mode & 0o7777)
        };
        let mut modes = self.sources.iter().map(mode);
        let first = modes.next()??;
        modes.all(|mode| mode == Some(first)).then_some(first)
    }

    /// What a source is.
    pub(crate) fn kind(&self, unit: &SourceUnit<'_>, source: &str) -> Source {
        if source.starts_with("<<") {
            return Source::File;
        }
        if source.contains(['*', '?', '[']) {
            return Source::Pattern;
        }
        let path = clean(source);
        if path == "/" || source.ends_with('/') || source.ends_with("/.") {
            return Source::Folder;
        }
        if self.from.is_none()
            && let Some(file) = in_context(unit, &path)
        {
            return match file.entry {
                Entry::File => Source::File,
                Entry::Folder => Source::Folder,
                Entry::Link | Entry::Other => Source::Special,
            };
        }
        let last = name(&path);
        let has_extension = last.rfind('.').is_some_and(|at| at > 0 && at + 1 < last.len());
        // A file that is copied to a place of its own name in a folder would not be there if it were a folder: what is
        // in one is copied, never itself.
        if has_extension || (self.into_folder && name(&self.target) != last) {
            Source::NamedLikeFile
        } else {
            Source::Unknown
        }
    }

    /// The files that it makes, where all of its sources are files: each with what it was judged by.
    pub(crate) fn files(&self, unit: &SourceUnit<'_>) -> Option<Vec<(String, Source)>> {
        let mut files = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let kind = self.kind(unit, source);
            if !matches!(kind, Source::File | Source::NamedLikeFile) {
                return None;
            }
            let path = if !self.into_folder {
                self.target.clone()
            } else if source.starts_with("<<") {
                return None;
            } else {
                clean(&format!("{}/{}", self.target, name(source)))
            };
            files.push((path, kind));
        }
        Some(files)
    }

    /// Whether what is copied from the build context is known to have no set-id bits; none where the context is not at
    /// hand, or does not hold a source.
    pub(crate) fn is_without_set_id_bits(&self, unit: &SourceUnit<'_>) -> Option<bool> {
        if self.sources.iter().all(|source| source.starts_with("<<")) {
            return Some(true);
        }
        let context = unit.context.filter(|context| self.from.is_none() && !context.files.is_empty())?;
        let mut all = true;
        for source in &self.sources {
            let path = clean(source);
            if source.contains(['*', '?', '[', '$']) {
                // Anything may be meant.
                all &= context.files.iter().all(|file| file.mode & 0o6000 == 0);
                continue;
            }
            if path != "/" {
                in_context(unit, &path)?;
            }
            let below = |file: &&ContextFile| super::places::is_within(&format!("/{}", file.path), &path);
            all &= context.files.iter().filter(below).all(|file| file.mode & 0o6000 == 0);
        }
        Some(all)
    }

    /// Where a further flag is to be written.
    pub(crate) fn place_for_flag(&self, unit: &SourceUnit<'_>) -> u32 {
        let instruction = unit.instruction(self.at);
        let body = &instruction.body;
        let end = body.flags.last().map_or(body.keyword.end, |flag| flag.span.end);
        instruction.logical.source_span(Span { start: end - 1, end }).end
    }
}

/// A path of the build context; the context itself is a folder.
fn in_context<'u>(unit: &'u SourceUnit<'_>, path: &str) -> Option<&'u ContextFile> {
    let context = unit.context?;
    let relative = path.trim_start_matches('/');
    context.files.iter().find(|file| file.path == relative)
}
