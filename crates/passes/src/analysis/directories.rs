//! Whether a script may take away a directory: the one that a later command starts in.

use jettison_ir::source::SourceUnit;
use jettison_syntax::path;
use jettison_syntax::shell::{Script, Simple, Word};

use super::bases;

/// Programs that run the command behind them.
const WRAPPERS: &[&str] = &["busybox", "command", "doas", "eatmydata", "env", "exec", "ionice", "nice", "sudo", "time"];

/// Programs that run what one of their words says, or what they are fed.
const INTERPRETERS: &[&str] = &["bash", "dash", "eval", "sh", "su", "xargs"];

/// Where the commands of a script may be when they run: which `cd` holds where is not followed.
struct Places {
    known: Vec<String>,
    /// Whether a `cd` leads to where only a run could tell.
    others: bool,
}

impl Places {
    fn take(&mut self, simple: &Simple) {
        let target = simple.arguments().iter().find(|word| word.literal().is_none_or(|word| !word.starts_with('-')));
        let target = target.and_then(Word::literal);
        match target {
            Some(target) if target.starts_with('/') => self.known.push(path::clean(&target)),
            Some(target) => {
                let further: Vec<String> =
                    self.known.iter().filter_map(|place| path::absolute(&target, Some(place))).collect();
                self.known.extend(further);
            }
            None => self.others = true,
        }
    }

    /// Whether a path may lead to `directory` or a folder above it.
    fn reach(&self, written: &str, directory: &str) -> bool {
        let is_above = |place: &str| place == "/" || directory == place || directory.starts_with(&format!("{place}/"));
        if written.starts_with('/') {
            return is_above(&path::clean(written));
        }
        let from_known = self.known.iter().filter_map(|place| path::absolute(written, Some(place)));
        let parts = path::parts(written);
        // From a place that is not known, the path's own end has to be the directory's, or that of a folder above.
        let may_end_so = self.others && {
            let of_directory = path::parts(directory);
            written.contains("..")
                || parts.is_empty()
                || of_directory.windows(parts.len()).any(|window| window == parts)
        };
        may_end_so || from_known.into_iter().any(|place| is_above(&place))
    }
}

/// The word with which a script may remove or rename a directory, if there is one. Where the directory is not known, it
/// is one that a base image may have for its working directory.
pub(crate) fn removed<'s>(
    unit: &SourceUnit<'_>,
    at: usize,
    script: &'s Script,
    directory: Option<&str>,
) -> Option<&'s str> {
    if directory == Some("/") {
        return None;
    }
    let own = bases::directory(unit, at);
    let mut places = Places { known: own.into_iter().map(str::to_owned).collect(), others: own.is_none() };
    for (_, simple) in script.simple_commands() {
        let Some((name, arguments)) = called(simple) else { continue };
        if matches!(&*name, "cd" | "pushd") {
            places.take(simple);
        }
        for word in taken_away(&name, arguments) {
            let gone = match (directory, word.literal()) {
                (Some(directory), Some(path)) => places.reach(&path, directory),
                // A pattern or a variable: what its literal start says, if it says anything.
                (Some(directory), None) => may_reach(word, &script.text, directory),
                // The base's own directory is not known; it is no folder of packages and no place for temporary files.
                (None, Some(path)) => may_be_a_base_directory(&path) && !is_made_here(unit, at, &path),
                (None, None) => false,
            };
            if gone {
                return Some(word.text(&script.text));
            }
        }
        if INTERPRETERS.contains(&&*name)
            && let Some(directory) = directory
            && let Some(word) = arguments.iter().find(|word| removes_by_text(word.text(&script.text)))
            && lineage(directory).any(|folder| script.text.contains(folder))
        {
            return Some(word.text(&script.text));
        }
    }
    None
}

/// The program that a command runs in the end, without its folder, and its words.
fn called(simple: &Simple) -> Option<(String, &[Word])> {
    let mut words = &simple.words[..];
    loop {
        let (first, rest) = words.split_first()?;
        let name = first.literal()?;
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        if !WRAPPERS.contains(&&*name) || rest.is_empty() {
            return Some((name, rest));
        }
        let is_passed = |word: &&Word| word.literal().is_some_and(|word| word.starts_with('-') || word.contains('='));
        words = &rest[rest.iter().take_while(is_passed).count()..];
    }
}

/// The words that name what a command removes or renames.
fn taken_away<'w>(name: &str, arguments: &'w [Word]) -> Vec<&'w Word> {
    let is_option = |word: &&Word| word.literal().is_some_and(|word| word.starts_with('-') && word != "-");
    let operands = || arguments.iter().filter(|word| !is_option(word)).collect::<Vec<_>>();
    match name {
        "rm" | "rmdir" => operands(),
        "mv" => {
            let mut all = operands();
            all.pop();
            all
        }
        "find" => {
            let removes =
                |word: &Word| word.literal().is_some_and(|word| matches!(&*word, "-delete" | "rm" | "rmdir" | "mv"));
            let is_start = |word: &&Word| !word.literal().is_some_and(|word| word.starts_with(['-', '(', '!']));
            // Below a depth of one the folder itself stays.
            let keeps_start = arguments.iter().any(|word| word.literal().is_some_and(|word| word == "-mindepth"));
            let starts = arguments.iter().take_while(is_start);
            if arguments.iter().any(removes) && !keeps_start { starts.collect() } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

/// Whether the text of a word holds a command that removes or renames.
fn removes_by_text(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|word| matches!(word, "rm" | "rmdir" | "mv"))
}

/// A directory and the folders above it, the root left out.
fn lineage(directory: &str) -> impl Iterator<Item = &str> {
    let ends = directory.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| at).chain([directory.len()]);
    ends.map(|end| &directory[..end])
}

/// Whether a word with patterns or variables may stand for `directory` or a folder above it.
fn may_reach(word: &Word, source: &str, directory: &str) -> bool {
    let text = word.text(source).trim_matches('"');
    let start = text.find(['*', '?', '[', '$', '{', '~']).map_or(text, |at| &text[..at]);
    let Some(folder) = start.rfind('/').map(|at| &start[..at]) else {
        // A variable from the start on: a path made by mktemp and the like. Patterns stay within the directory.
        return text.starts_with('$') && directory.starts_with("/tmp");
    };
    directory.starts_with(&format!("{folder}/")) && directory.starts_with(start)
}

/// Whether a base image may have a path for its working directory: not where packages and temporary files live.
fn may_be_a_base_directory(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let depth = path.split('/').filter(|part| !part.is_empty()).count();
    let system = [
        "/var/lib",
        "/var/cache",
        "/var/log",
        "/tmp/",
        "/var/tmp",
        "/etc",
        "/usr/share",
        "/usr/lib",
        "/root/.",
        "/lib",
        "/bin",
        "/sbin",
        "/usr/bin",
    ];
    let is_file = path.rsplit('/').next().is_some_and(|name| name.trim_start_matches('.').contains('.'));
    path.starts_with('/')
        && depth <= 3
        && !is_file
        && path != "/tmp"
        && !system.iter().any(|start| path.starts_with(start))
}

/// Whether an instruction up to `last` of the same stage names the path as something that it makes, so that the base
/// cannot have it for its working directory, or the file would say so itself.
fn is_made_here(unit: &SourceUnit<'_>, last: usize, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let Some(stage) = unit.outline.stage_of(last) else { return false };
    (stage.from + 1..=last).any(|at| {
        unit.script(at).is_some_and(|script| {
            script.simple_commands().iter().any(|(_, simple)| {
                let makes = matches!(
                    simple.name(),
                    Some(
                        "mkdir"
                            | "git"
                            | "hg"
                            | "svn"
                            | "tar"
                            | "unzip"
                            | "curl"
                            | "wget"
                            | "cp"
                            | "mv"
                            | "install"
                            | "ln"
                    )
                );
                makes && simple.arguments().iter().any(|word| word.literal().is_some_and(|word| word.starts_with(path)))
            })
        })
    })
}
