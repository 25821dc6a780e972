//! A copied file from its COPY to the `rm` that takes it away again: which commands use it, and how.

use std::borrow::Cow;

use jettison_ir::source::SourceUnit;
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::path::clean;
use jettison_syntax::shell::{Command, RedirectOperator, Simple, Word, WordPartKind};

use super::ownership::Refusal;
use super::places::{self, is_within, name, parent};
use super::readers::{Use, use_of};
use super::steps::{self, Step};

/// Instructions behind a COPY among which an `rm` is looked for. It stands close to it in what people write.
const REACH: usize = 60;

/// What a RUN does with a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct InRun {
    /// Which instruction it is.
    pub(crate) at: usize,
    /// Whether a command reads the file.
    pub(crate) reads: bool,
    /// Whether the file is run.
    pub(crate) runs: bool,
    /// The step that removes it, and the word that names it there.
    pub(crate) removed_by: Option<(usize, Span)>,
    /// Whether something else than the file is removed by the same words, so that they stay as they are.
    pub(crate) with_others: bool,
}

/// The instructions that use a file up to the one that removes it, that one included; none where nothing removes it.
pub(crate) fn trail(unit: &SourceUnit<'_>, copy: usize, file: &str) -> Option<Result<Vec<InRun>, Refusal>> {
    let end = unit.outline.stage_of(copy)?.instructions.end.min(copy + 1 + REACH);
    let mut trail = Vec::new();
    let mut trouble: Option<Refusal> = None;
    for at in copy + 1..end {
        match unit.kind(at) {
            Kind::Run => {}
            Kind::Copy | Kind::Add if places::is_named_by(unit, file, at, &unit.scope(at)) => return None,
            Kind::Volume if unit.tree.line(unit.instruction(at)).contains(parent(file)) => {
                trouble = trouble.or(Some(Refusal { code: "volume", reason: "the file lies in a volume" }));
                continue;
            }
            _ => continue,
        }
        match in_run(unit, at, file) {
            Ok(found) => {
                let is_last = found.removed_by.is_some();
                if !found.reads && !found.runs && !is_last {
                    let reason = "a command between may use the file without naming it";
                    trouble = trouble.or(Some(Refusal { code: "run-between", reason }));
                }
                trail.push(found);
                if is_last {
                    return Some(trouble.map_or(Ok(trail), Err));
                }
            }
            Err((refusal, is_last)) => {
                trouble = trouble.or(Some(refusal));
                if is_last {
                    return trouble.map(Err);
                }
            }
        }
    }
    None
}

type Trouble = (Refusal, bool);

/// What a RUN does with a file; where that is not known, why, and whether it is removed there.
fn in_run(unit: &SourceUnit<'_>, at: usize, file: &str) -> Result<InRun, Trouble> {
    let text = unit.text(at).map_or_else(|| unit.tree.line(unit.instruction(at)), |text| &text.text);
    let (Some(script), Some(steps)) = (unit.script(at), steps::of(unit, at)) else {
        let cwd = unit.settings(at).workdir.known();
        let removes =
            |simple: &Simple| simple.name() == Some("rm") && simple.words.iter().any(|word| is_named(word, cwd, file));
        let is_last =
            unit.script(at).is_some_and(|script| script.simple_commands().iter().any(|(_, own)| removes(own)));
        let reason = "what runs, and what its failure means, depends on the commands around it";
        return Err((Refusal { code: "control-flow", reason }, is_last));
    };
    let cwd = unit.settings(at).workdir.known().map(str::to_owned);
    let run = InRun { at, ..InRun::default() };
    let mut reading = Reading { file, cwd, run, named: 0, is_last: false, trouble: None };
    for (command, simple) in script.simple_commands() {
        let step = steps.iter().position(|step| step.simple.is_some_and(|own| std::ptr::eq(own, simple)));
        if matches!(simple.name(), Some("cd" | "pushd" | "popd")) {
            reading.moves(simple, step.is_some());
        } else {
            reading.redirects(command);
            reading.words(simple, step);
        }
    }
    // Every mention has to be one that was understood: what a quoted text or a comment names may be used as well.
    if reading.named < text.matches(name(file)).count() {
        reading.refuse("named-otherwise", "the name of the file stands in a place where it may mean something else");
    }
    let is_used = reading.run.reads || reading.run.runs;
    if reading.run.with_others && is_used {
        reading.refuse("folder-is-used", "what is mounted cannot be removed with the folder that it is in");
    }
    if follows_in_folder(unit, at, file, &steps, &reading.run) {
        reading.refuse("used-after", "a command behind the removal may look at the folder that the file lay in");
    }
    if reading.run.removed_by.is_some_and(|(step, _)| !is_used && !steps[..step].iter().all(is_harmless)) {
        reading.refuse("run-between", "a command between may use the file without naming it");
    }
    let Reading { run, is_last, trouble, .. } = reading;
    match trouble {
        Some(refusal) => Err((refusal, is_last || run.removed_by.is_some())),
        None => Ok(run),
    }
}

/// The commands of a RUN, read one after another.
struct Reading<'f> {
    file: &'f str,
    /// The folder that the commands work in, where it is known.
    cwd: Option<String>,
    run: InRun,
    /// How often the file is named in a way that is understood.
    named: usize,
    /// Whether an `rm` names it, be it in whatever way.
    is_last: bool,
    /// The first reason against it.
    trouble: Option<Refusal>,
}

impl Reading<'_> {
    fn refuse(&mut self, code: &'static str, reason: &'static str) {
        self.trouble.get_or_insert(Refusal { code, reason });
    }

    fn moves(&mut self, simple: &Simple, is_step: bool) {
        self.cwd = match simple.arguments() {
            [folder] if is_step && simple.name() == Some("cd") => {
                folder.literal().and_then(|folder| resolved(&folder, self.cwd.as_deref()))
            }
            _ => None,
        };
        if self.cwd.is_none() {
            self.refuse("working-directory", "which folder the commands work in is not known");
        }
    }

    fn redirects(&mut self, command: &Command) {
        for redirect in &command.redirects {
            if !is_named(&redirect.target, self.cwd.as_deref(), self.file) {
                continue;
            }
            self.named += 1;
            if redirect.operator == RedirectOperator::In {
                self.run.reads = true;
            } else {
                self.refuse("may-write", "a command may write the file, or needs more than to read it");
            }
        }
    }

    fn words(&mut self, simple: &Simple, step: Option<usize>) {
        let words: Vec<Option<String>> = simple.words.iter().map(|word| word.literal().map(Cow::into_owned)).collect();
        let is_removal = simple.name() == Some("rm");
        for (index, word) in simple.words.iter().enumerate() {
            if is_named(word, self.cwd.as_deref(), self.file) {
                self.named += 1;
                self.is_last |= is_removal;
                match (is_removal, step) {
                    (true, Some(step)) if self.run.removed_by.is_none() => {
                        self.run.removed_by = Some((step, word.span));
                    }
                    (true, _) => self.refuse("control-flow", "whether the file is removed depends on other commands"),
                    (false, _) if self.run.removed_by.is_some() => {
                        self.refuse("used-after", "a command names the file after it is removed");
                    }
                    (false, _) => match use_of(simple, &words, index) {
                        Use::Reads => self.run.reads = true,
                        Use::Runs => self.run.runs = true,
                        Use::Unknown => {
                            self.refuse("may-write", "a command may write the file, or needs more than to read it");
                        }
                    },
                }
            } else if covers(word, self.cwd.as_deref(), self.file) && !passes_by(simple, index) {
                match (is_removal, step) {
                    (true, Some(step)) if words.iter().flatten().any(|word| is_forced(word)) => {
                        self.run.removed_by = self.run.removed_by.or(Some((step, word.span)));
                        self.run.with_others = true;
                    }
                    _ => {
                        let reason = "a command may look at, or change, the folder that the file lies in";
                        self.refuse("folder-is-used", reason);
                    }
                }
            }
        }
    }
}

/// Whether commands that may look at the working directory follow a removal in it.
fn follows_in_folder(unit: &SourceUnit<'_>, at: usize, file: &str, steps: &[Step<'_>], run: &InRun) -> bool {
    let Some((step, _)) = run.removed_by else { return false };
    let works_there =
        unit.settings(at).workdir.known().is_none_or(|workdir| workdir != "/" && is_within(file, workdir));
    works_there && !steps[step + 1..].iter().all(is_harmless)
}

/// Whether a step has no business with files that it does not name.
fn is_harmless(step: &Step<'_>) -> bool {
    let harmless = ["rm", "apt-get", "apk", "yum", "dnf", "echo", "true", "set"];
    step.simple.and_then(Simple::name).is_some_and(|name| harmless.contains(&name))
}

fn resolved(text: &str, cwd: Option<&str>) -> Option<String> {
    if text.starts_with('/') {
        return Some(clean(text));
    }
    cwd.map(|cwd| clean(&format!("{cwd}/{text}")))
}

/// Whether a word names the file, alone or as the value of an option.
fn is_named(word: &Word, cwd: Option<&str>, file: &str) -> bool {
    let Some(text) = word.literal() else { return false };
    if !text.ends_with(name(file)) {
        return false;
    }
    let value = match text.strip_prefix('-') {
        None => &*text,
        Some(option) => match option.split_once('=') {
            Some((_, value)) => value,
            None => option.get(1..).unwrap_or_default(),
        },
    };
    resolved(value, cwd).is_some_and(|path| path == file)
}

/// Whether a word names a folder above the file, or a pattern that the file matches.
fn covers(word: &Word, cwd: Option<&str>, file: &str) -> bool {
    let Some(text) = word.literal() else {
        // Up to where it is not known, the path leads towards the file.
        let known: String = word
            .parts
            .iter()
            .map_while(|part| match &part.kind {
                WordPartKind::Literal(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        if known.is_empty() {
            return word.is_glob() && cwd.is_none_or(|cwd| is_within(file, cwd));
        }
        let folder = known.rfind('/').map_or("", |at| &known[..=at]);
        return resolved(folder, cwd).is_some_and(|folder| folder != "/" && folder != file && is_within(file, &folder));
    };
    if text.starts_with('-') && !text.contains('=') {
        return false;
    }
    let value = text.split_once('=').map_or(&*text, |(_, value)| value);
    let is_path = value.contains('/') || matches!(value, "." | "..");
    is_path && resolved(value, cwd).is_some_and(|path| path != "/" && path != file && is_within(file, &path))
}

/// Whether a command does nothing with what is in a folder that it is given.
fn passes_by(simple: &Simple, index: usize) -> bool {
    let is_last = index + 1 == simple.words.len();
    match simple.name() {
        Some("mkdir" | "tar" | "unzip" | "wget" | "curl") => true,
        Some("cp" | "mv" | "install") => is_last,
        _ => false,
    }
}

/// Whether `rm` with this option goes on where there is nothing.
fn is_forced(option: &str) -> bool {
    option == "--force" || (option.starts_with('-') && !option.starts_with("--") && option.contains('f'))
}
