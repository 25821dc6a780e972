//! What a failed step says: its last output, its lines of the Dockerfile, why it failed, and how to look into it.

use std::collections::VecDeque;
use std::fmt::Write as _;

use jettison_report::one_line;

use super::progress::{Cleaner, last};

/// Lines of output that are shown again.
const OUTPUT: usize = 20;
/// Lines of the Dockerfile shown before and after those of the step.
const AROUND: usize = 2;

/// A step that failed.
pub(crate) struct Failure<'f> {
    /// The Dockerfile's name and text.
    pub(crate) name: &'f str,
    pub(crate) dockerfile: &'f str,
    /// The step's first and last line, counted from 1.
    pub(crate) lines: (u32, u32),
    /// The step as shown.
    pub(crate) text: &'f str,
    /// The last that it wrote.
    pub(crate) output: &'f [u8],
}

impl Failure<'_> {
    /// The report without the reason, which the error message gives.
    pub(crate) fn report(&self) -> String {
        let mut out = String::new();
        let mut cleaner = Cleaner::default();
        let mut lines: VecDeque<String> = cleaner.feed(self.output).into();
        lines.extend(cleaner.end());
        if !lines.is_empty() {
            let _ = writeln!(out, "------\n > {}:", one_line(self.text, 120));
            if lines.len() > OUTPUT {
                let _ = writeln!(out, "…");
            }
            for line in last(&lines, OUTPUT) {
                let _ = writeln!(out, "{line}");
            }
            let _ = writeln!(out, "------");
        }
        self.source(&mut out);
        out
    }

    fn source(&self, out: &mut String) {
        let lines: Vec<&str> = self.dockerfile.lines().collect();
        let (first, end) = (self.lines.0.max(1) as usize, self.lines.1 as usize);
        if first > lines.len() {
            return;
        }
        let _ = writeln!(out, "{}:{first}\n--------------------", self.name);
        let shown = first.saturating_sub(AROUND + 1)..(end + AROUND).min(lines.len());
        for at in shown {
            let mark = if (first..=end.max(first)).contains(&(at + 1)) { ">>>" } else { "   " };
            let text: String = lines[at].chars().filter(|c| *c == '\t' || !c.is_control()).collect();
            let _ = writeln!(out, "{}", format!("{:4} | {mark} {text}", at + 1).trim_end());
        }
        let _ = writeln!(out, "--------------------");
    }
}

/// The command that gives a shell in the state that a step left: the one that was given, with `--debug-shell`.
pub(crate) fn shell_hint(arguments: impl Iterator<Item = String>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@+%".contains(c);
    let quoted = |word: String| match word.is_empty() || !word.chars().all(is_plain) {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word,
    };
    let mut words: Vec<String> = arguments.skip(1).map(quoted).collect();
    let at = words.iter().position(|word| word == "build").map_or(words.len(), |at| at + 1);
    words.insert(at, "--debug-shell".to_owned());
    format!("a shell in this state: jettison {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_shown_in_its_place() {
        let output = (1..=25).map(|n| format!("line \u{1b}[31m{n}\r\n")).collect::<String>() + "the end";
        let failure = Failure {
            name: "Dockerfile",
            dockerfile: "FROM alpine\nWORKDIR /src\nCOPY . .\nRUN make \\\n\tall\nCMD [\"x\"]\nUSER me\nEXPOSE 1\n",
            lines: (4, 5),
            text: "RUN make all",
            output: output.as_bytes(),
        };
        let expected: Vec<String> = (7..=25).map(|n| format!("line {n}")).collect();
        let expected = format!(
            "------\n > RUN make all:\n…\n{}\nthe end\n------\nDockerfile:4\n--------------------\n   2 |     WORKDIR /src\n   3 |     COPY . .\n   4 | >>> RUN make \\\n   5 | >>> \tall\n   6 |     CMD [\"x\"]\n   7 |     USER me\n--------------------\n",
            expected.join("\n")
        );
        assert_eq!(failure.report(), expected);
    }

    #[test]
    fn a_step_without_output_or_place_shows_none() {
        let failure = Failure { name: "x", dockerfile: "", lines: (9, 9), text: "RUN x", output: b"" };
        assert_eq!(failure.report(), "");
    }

    #[test]
    fn the_hint_is_a_command_that_can_be_typed() {
        let words = ["/usr/bin/jettison", "build", "-t", "app", "--build-arg", "A=it's me", "."].map(str::to_owned);
        let expected = "a shell in this state: jettison build --debug-shell -t app --build-arg 'A=it'\\''s me' .";
        assert_eq!(shell_hint(words.into_iter()), expected);
    }
}
