//! Folders that programs keep their leftovers in: where they are for a user, what hides them, what empties them.

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::Instruction;
use jettison_syntax::shell::{Script, Word};
use jettison_syntax::view::{Scope, Setting};

use super::calls::Call;

/// Where a program keeps something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Folder {
    /// Always there.
    At(&'static str),
    /// Where a variable says, else below the user's home.
    Home {
        /// The variable that holds the folder; empty for none.
        variable: &'static str,
        /// What stands behind the variable's value.
        behind: &'static str,
        /// The path below the home.
        below: &'static str,
    },
}

/// The user's cache folder below the home.
const CACHE: &str = ".cache/";

/// The home of the user who runs an instruction, where that is known.
pub(crate) fn home(unit: &SourceUnit<'_>, at: usize, scope: &Scope) -> Option<String> {
    if let Some(home) = scope.get("HOME") {
        return home.value.clone();
    }
    match &unit.settings(at).user {
        Setting::Base => Some("/root".to_owned()),
        Setting::Unknown => None,
        Setting::Known(user) => match user.split(':').next().unwrap_or_default() {
            "root" | "0" | "" => Some("/root".to_owned()),
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => None,
            name => Some(format!("/home/{name}")),
        },
    }
}

impl Folder {
    /// The folder's path, where it is known.
    pub(crate) fn path(self, scope: &Scope, home: Option<&str>) -> Option<String> {
        match self {
            Self::At(path) => Some(path.to_owned()),
            Self::Home { variable, behind, below } => {
                if let Some(value) = scope.get(variable) {
                    return value.value.as_ref().map(|value| format!("{}{behind}", value.trim_end_matches('/')));
                }
                match (below.strip_prefix(CACHE), scope.get("XDG_CACHE_HOME")) {
                    (Some(below), Some(cache)) => {
                        cache.value.as_ref().map(|cache| format!("{}/{below}", cache.trim_end_matches('/')))
                    }
                    _ => home.map(|home| format!("{}/{below}", home.trim_end_matches('/'))),
                }
            }
        }
    }

    /// What a text that names the folder holds, however it gets to the home.
    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::At(path) => path,
            Self::Home { below, .. } => below,
        }
    }

    /// How a shell of the RUN's user names it.
    pub(crate) fn shell_text(self, scope: &Scope) -> String {
        match self {
            Self::At(path) => path.to_owned(),
            Self::Home { variable, below, .. } => {
                let is_set = scope.get(variable).is_some()
                    || (below.starts_with(CACHE) && scope.get("XDG_CACHE_HOME").is_some());
                match self.path(scope, None).filter(|_| is_set) {
                    Some(path) => jettison_syntax::shell::quote(&path).into_owned(),
                    None => format!("~/{below}"),
                }
            }
        }
    }

    /// Patterns for the paths that may be missing when it is emptied.
    pub(crate) fn claims(self, scope: &Scope, home: Option<&str>) -> Vec<String> {
        let paths = match (self.path(scope, home), self) {
            (Some(path), _) => vec![path],
            // The home of a user that only the base image knows.
            (None, Self::Home { below, .. }) => vec![format!("/root/{below}"), format!("/home/*/{below}")],
            (None, Self::At(path)) => vec![path.to_owned()],
        };
        paths.into_iter().flat_map(|path| [path.clone(), format!("{path}/**")]).collect()
    }
}

/// What a RUN mounts over a folder.
pub(crate) enum Mounted {
    /// Nothing.
    Free,
    /// The folder is none of the image's.
    Hidden,
    /// It is not known what is mounted, or something within the folder is.
    Unclear,
}

/// Looks at the mounts of a RUN.
pub(crate) fn mounted(unit: &SourceUnit<'_>, at: usize, instruction: &Instruction, folder: Option<&str>) -> Mounted {
    let mut mounted = Mounted::Free;
    for flag in instruction.body.flags.iter().filter(|flag| flag.name() == "mount") {
        let value = flag.value().unwrap_or_default();
        let field = |names: &[&str]| {
            value.split(',').find_map(|field| {
                let (name, value) = field.trim().split_once('=')?;
                names.contains(&name).then_some(value.trim_matches('"'))
            })
        };
        if matches!(field(&["type"]), Some("secret" | "ssh")) {
            continue;
        }
        let Some(target) = field(&["target", "dst", "destination"]) else { continue };
        let Some(folder) = folder.filter(|_| !target.contains('$')) else { return Mounted::Unclear };
        let target = match (target.starts_with('/'), unit.settings(at).workdir.known()) {
            (true, _) => target.to_owned(),
            (false, Some(workdir)) => format!("{workdir}/{target}"),
            (false, None) => return Mounted::Unclear,
        };
        let target = target.trim_end_matches('/');
        if is_within(folder, target) {
            mounted = Mounted::Hidden;
        } else if is_within(target, folder) {
            return Mounted::Unclear;
        }
    }
    mounted
}

/// Whether a path is a folder or below it.
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a command removes a folder, a part of it, or something that holds it.
pub(crate) fn removes(call: &Call<'_>, script: &Script, scope: &Scope, home: Option<&str>, folder: &str) -> bool {
    let Some((program, words)) = call.program() else { return false };
    // Who goes to a folder means to do something there; who searches below a larger one looks for something else.
    let (removes, with_larger) = match program.rsplit('/').next().unwrap_or_default() {
        "rm" | "unlink" => (true, true),
        "cd" => (true, false),
        "find" => {
            let acts = ["-delete", "-exec", "-execdir", "-print0", "-print"];
            (words.iter().any(|word| acts.contains(&word.text(&script.text))), false)
        }
        _ => (false, false),
    };
    let covers = |word: &Word| {
        let text: String = word.text(&script.text).chars().filter(|c| !['"', '\'', '\\'].contains(c)).collect();
        alternatives(&text).iter().any(|path| covers(&with_values(path, scope, home), folder, with_larger))
    };
    removes && words.iter().any(covers)
}

/// Whether a path, which may end in a pattern, is a folder, something in it, or, if asked for, something around it.
fn covers(path: &str, folder: &str, with_larger: bool) -> bool {
    let (path, is_cut) = match path.find(['*', '?', '[', '$']) {
        Some(at) => (&path[..at], true),
        None => (path, false),
    };
    if !path.starts_with('/') {
        return false;
    }
    let trimmed = path.trim_end_matches('/');
    is_within(trimmed, folder) || (with_larger && (is_within(folder, trimmed) || (is_cut && folder.starts_with(path))))
}

/// A word's text with `~` and variables replaced, where those are known.
fn with_values(text: &str, scope: &Scope, home: Option<&str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    if let (Some(behind), Some(home)) = (rest.strip_prefix('~'), home)
        && (behind.is_empty() || behind.starts_with('/'))
    {
        out.push_str(home);
        rest = behind;
    }
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let name = rest[at + 1..].strip_prefix('{').unwrap_or(&rest[at + 1..]);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        let value = scope.value(&name[..end]).or(if &name[..end] == "HOME" { home } else { None });
        let Some(value) = value else { break };
        out.push_str(value);
        rest = name[end..].strip_prefix('}').unwrap_or(&name[end..]);
    }
    out.push_str(rest);
    out
}

/// What a word with lists in braces stands for; at most so many as people write.
fn alternatives(text: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut waiting = vec![text.to_owned()];
    while let Some(text) = waiting.pop() {
        let close = text.find('}').filter(|_| done.len() + waiting.len() < 64);
        let open = close.and_then(|close| text[..close].rfind('{').map(|open| (open, close)));
        match open {
            Some((open, close)) if text[open..close].contains(',') => {
                let inner = text[open + 1..close].split(',');
                waiting.extend(inner.map(|one| format!("{}{one}{}", &text[..open], &text[close + 1..])));
            }
            _ => done.push(text),
        }
    }
    done
}
