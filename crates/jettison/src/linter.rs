//! Looking at many Dockerfiles at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use jettison_ir::source::{Context, SourceFix, SourceOptions, Target, TextEdit};
use jettison_passes::{Allowances, Fixes, Found, Rewritten, Selection, Source, rewrite};
use jettison_report::{LintFinding, LintedFile, Rule};
use jettison_syntax::dockerfile::{Dockerfile, encode};
use jettison_syntax::editor::Editor;

use crate::context::{ignore_file, is_used, walk};
use crate::dockerfile::{Located, named, read};
use crate::replace::Replacement;

/// How Dockerfiles are looked at.
pub(crate) struct Linter {
    pub(crate) options: SourceOptions,
    pub(crate) selection: Selection,
    /// Whether exact fixes are applied in place.
    pub(crate) fixes: bool,
    /// The contexts that were read, by folder and ignore file: a folder may hold many Dockerfiles.
    contexts: Mutex<HashMap<(PathBuf, PathBuf), Arc<Slot>>>,
}

/// A context, once it was read.
type Slot = Mutex<Option<Arc<Shared>>>;

/// A context and what is to be said of it.
struct Shared {
    context: Option<Context>,
    notes: Vec<String>,
}

/// A Dockerfile that was looked at.
pub(crate) struct Linted {
    pub(crate) file: LintedFile,
    pub(crate) notes: Vec<String>,
    /// How many fixes were applied.
    pub(crate) fixed: usize,
}

impl Linter {
    pub(crate) fn new(options: SourceOptions, selection: Selection, fixes: bool) -> Self {
        Self { options, selection, fixes, contexts: Mutex::default() }
    }

    /// Looks at all files, on all cores; the results are in the files' order.
    pub(crate) fn all(&self, files: &[PathBuf]) -> Vec<Result<Linted>> {
        let next = AtomicUsize::new(0);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = files.get(at) else { return done };
                done.push((at, self.one(path)));
            }
        };
        let mut results: Vec<(usize, Result<Linted>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores.min(files.len())).map(|_| scope.spawn(work)).collect();
            // A thread's panic has ended the process already.
            threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
        });
        results.sort_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn one(&self, path: &Path) -> Result<Linted> {
        let located =
            if path == Path::new("-") { Located { path: None, context: None } } else { Located::of(None, Some(path))? };
        let mut tree = read(located.path.as_deref())?;
        let shared = match &located.context {
            Some(folder) if is_used(&tree) => Some(self.context(path, folder)?),
            _ => None,
        };
        let mut context = shared.as_ref().and_then(|shared| shared.context.as_ref());
        let mut fixed = 0;
        let after_fixes;
        if self.fixes && tree.is_valid() {
            let rewritten = self.run(tree.clone(), context, Fixes::ExactApplied);
            fixed = rewritten.found.iter().filter(|found| found.applied).count();
            replace(&located, path, &tree, &rewritten)?;
            if let (Some(ignore), Some(was)) = (&rewritten.ignore, context) {
                after_fixes = Context { ignore: Some(ignore.clone()), ..was.clone() };
                context = Some(&after_fixes);
            }
            tree = rewritten.tree;
        }
        let file = self.findings(located.name(), tree, context);
        let notes = shared.map(|shared| shared.notes.clone()).unwrap_or_default();
        Ok(Linted { file, notes, fixed })
    }

    fn context(&self, path: &Path, folder: &Path) -> Result<Arc<Shared>> {
        let ignore = ignore_file(Some(path), folder);
        let key = (folder.to_owned(), ignore.clone());
        let slot = Arc::clone(locked(&self.contexts).entry(key).or_default());
        // Held while the folder is read: others that need it have to wait for it anyway.
        let mut slot = locked(&slot);
        if let Some(shared) = &*slot {
            return Ok(Arc::clone(shared));
        }
        let walked = walk(folder, &ignore)?;
        let shared = Arc::new(Shared { context: walked.context, notes: walked.notes });
        *slot = Some(Arc::clone(&shared));
        Ok(shared)
    }

    fn run(&self, tree: Dockerfile, context: Option<&Context>, fixes: Fixes) -> Rewritten {
        rewrite(Source { tree, context, observations: None }, &self.options, &self.selection, fixes, &mut |_| {})
    }

    fn findings(&self, path: String, tree: Dockerfile, context: Option<&Context>) -> LintedFile {
        let mut findings: Vec<LintFinding> = tree.errors.iter().map(LintFinding::of_error).collect();
        findings.extend(Allowances::of(&tree).misread.into_iter().map(|misread| LintFinding {
            rule: Rule::Comment,
            span: misread.span,
            message: misread.message,
            help: Some(misread.help),
            fix: None,
            reason: None,
        }));
        let Rewritten { tree, found, allowed, .. } = self.run(tree, context, Fixes::Reported);
        findings.extend(found.into_iter().map(|found| finding(&tree, found, None)));
        findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let mut allowed: Vec<LintFinding> =
            allowed.into_iter().map(|allowed| finding(&tree, allowed.found, allowed.by.reason)).collect();
        allowed.sort_by_key(|finding| (finding.span.start, finding.span.end));
        // Most files have nothing to say; what nobody shows is not kept.
        let text = if findings.is_empty() && allowed.is_empty() { String::new() } else { tree.text().to_owned() };
        LintedFile { path, text, findings, allowed }
    }
}

/// What a mutex holds. A thread that panics ends the process, so that nobody sees what it left half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finding(tree: &Dockerfile, found: Found, reason: Option<String>) -> LintFinding {
    let finding = found.finding;
    let fix = finding.fix.map(|fix| match fix.target {
        Target::Ignore => fix,
        Target::Dockerfile => {
            let editor = Editor::new(tree);
            let own = |edit: TextEdit| TextEdit { text: editor.in_own_style(&edit.text), span: edit.span };
            SourceFix { edits: fix.edits.into_iter().map(own).collect(), ..fix }
        }
    });
    LintFinding {
        rule: Rule::Pass(found.pass),
        span: finding.span,
        message: finding.message,
        help: finding.help,
        fix,
        reason,
    }
}

/// Writes the files that fixes changed.
fn replace(located: &Located, path: &Path, before: &Dockerfile, after: &Rewritten) -> Result<()> {
    let mut prepared = Vec::new();
    if let (Some(text), Some(folder)) = (&after.ignore, &located.context) {
        prepared.push(Replacement::prepare(&ignore_file(Some(path), folder), &encode(text))?);
    }
    if before.text() != after.tree.text() {
        prepared.push(Replacement::prepare(path, &after.tree.bytes())?);
    }
    prepared.into_iter().try_for_each(Replacement::publish)
}

/// The files that a command line names: Dockerfiles as they are, folders searched.
pub(crate) fn expand(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<anyhow::Error>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        if path == Path::new("-") || !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let start = if path == Path::new(".") { Path::new("") } else { path };
        let found = crate::search::dockerfiles(start);
        files.extend(found.files);
        errors.extend(
            found
                .unreadable
                .into_iter()
                .map(|(folder, error)| anyhow::Error::new(error).context(format!("cannot read {}", named(&folder)))),
        );
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    (files, errors)
}
