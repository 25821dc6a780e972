//! Programs that run another one with the rest of their words: `sudo`, `env`, `nice` and their like.

use super::Argument;

/// A program that runs another.
struct Wrapper {
    name: &'static str,
    /// Options whose value is the next word.
    values: &'static [&'static str],
    /// Words before the program.
    operands: usize,
}

const fn wrapper(name: &'static str, values: &'static [&'static str], operands: usize) -> Wrapper {
    Wrapper { name, values, operands }
}

const WRAPPERS: &[Wrapper] = &[
    wrapper("sudo", &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "--user", "--group", "--host"], 0),
    wrapper("doas", &["-u", "-C"], 0),
    wrapper("env", &["-u", "--unset"], 0),
    wrapper("command", &[], 0),
    wrapper("exec", &["-a"], 0),
    wrapper("nice", &["-n", "--adjustment"], 0),
    wrapper("ionice", &["-c", "-n", "--class", "--classdata"], 0),
    wrapper("time", &["-f", "-o", "--format", "--output"], 0),
    wrapper("eatmydata", &[], 0),
    wrapper("nohup", &[], 0),
    wrapper("timeout", &["-s", "-k", "--signal", "--kill-after"], 1),
    wrapper("xargs", &["-n", "-P", "-I", "-d", "-a", "-L", "-s", "-E", "--max-args", "--delimiter", "--arg-file"], 0),
];

/// Options that run the program elsewhere or on other words: what follows is not read.
const OPAQUE: &[&str] = &["-C", "--chdir", "-D", "-R", "--chroot", "-S", "--split-string"];

/// The program's words without the wrappers before it, and whether words are added from standard input.
pub(super) fn strip<'a, 'b>(mut words: &'b [Argument<'a>]) -> Option<(&'b [Argument<'a>], bool)> {
    let mut adds_words = false;
    loop {
        while words.first()?.value.is_some_and(is_assignment) {
            words = &words[1..];
        }
        let Some(wrapper) = WRAPPERS.iter().find(|wrapper| Some(wrapper.name) == words[0].value.and_then(program))
        else {
            return Some((words, adds_words));
        };
        adds_words |= wrapper.name == "xargs";
        words = &words[1..];
        while let Some(option) = words.first()?.value.filter(|value| value.starts_with('-')) {
            words = &words[1..];
            let opaque =
                OPAQUE.contains(&option) && (wrapper.name == "env" || wrapper.name == "sudo" && option != "-S");
            // `command -v` asks where a program is.
            if opaque || (wrapper.name == "command" && option != "-p" && option != "--") {
                return None;
            }
            if option == "--" {
                break;
            }
            if wrapper.values.contains(&option) {
                words = words.get(1..)?;
            }
        }
        words = words.get(wrapper.operands..)?;
    }
}

/// The program that a word names: the last part of an absolute path. A relative path names a program of the project,
/// which is none of the known ones but for the wrappers that build tools put there.
pub(super) fn program(word: &str) -> Option<&str> {
    let (folder, name) = word.rsplit_once('/').unwrap_or(("", word));
    let known = !word.contains('/') || folder.is_empty() || folder.starts_with('/');
    (known || matches!(name, "mvnw" | "gradlew")).then_some(name)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|ch: char| ch.is_ascii_digit())
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}
