//! Smoke commands: what the user runs to see that an image does its work. They are run in the image of the Dockerfile as
//! it is and in that of each rewritten form, and have to end and to print the same.

use std::time::Duration;

use anyhow::{Result, anyhow};
use jettison_engine::build::{Built, Probe, Probed};
use jettison_engine::sandbox::Status;
use jettison_engine::trace::Trace;
use jettison_ir::{Evidence, Smoked};
use jettison_report::one_line;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::Prover;
use crate::building::run::{Unfinished, explain};
use crate::error::{Unbuilt, Usage};

/// How long a smoke command may take where no `--timeout` says so: long for a program that shows that it works, short
/// for one that waits for ever.
const TIMEOUT: Duration = Duration::from_secs(120);
/// What shells end with where there is no such program, or none that can be run.
const NOT_RUN: [i32; 2] = [126, 127];
/// So much is shown of a line that differs.
const SHOWN: usize = 80;

/// A command of `--smoke`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Smoke {
    text: String,
    /// Its words, where it is run without a shell.
    words: Option<Vec<String>>,
}

impl Smoke {
    /// Reads the commands: a JSON array of strings is run as it stands, anything else is a text for the image's shell.
    ///
    /// # Errors
    /// Where there is no command in one of them.
    pub(crate) fn all(texts: &[String]) -> Result<Vec<Self>> {
        let one = |text: &String| {
            // As in Dockerfiles, what looks like an array and is none is the shell's: `[ -f /app ]`.
            let words: Option<Vec<String>> =
                Some(text.trim()).filter(|text| text.starts_with('[')).and_then(|text| serde_json::from_str(text).ok());
            let is_empty =
                words.as_ref().map_or(text.trim().is_empty(), |words| words.is_empty() || words[0].is_empty());
            if is_empty {
                return Err(Usage::new("a smoke command is empty").into());
            }
            Ok(Self { text: text.clone(), words })
        };
        texts.iter().map(one).collect()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn words(&self, built: &Built) -> Vec<String> {
        let in_shell = || [built.shell(), vec![self.text.clone()]].concat();
        self.words.clone().unwrap_or_else(in_shell)
    }

    fn run(&self, prover: &Prover<'_>, built: &Built, is_traced: bool) -> Result<Probed> {
        let request = prover.request;
        let timeout = Some(request.timeout.unwrap_or(TIMEOUT));
        let probe = Probe { argv: self.words(built), is_traced, timeout, network: request.network };
        let probed = prover.engine.probe(built, &probe, request, prover.cancel);
        if prover.cancel.is_cancelled() {
            return Err(explain(Unfinished::Stopped, request, false, prover.printer));
        }
        probed
    }

    /// Why it shows nothing.
    fn useless(&self, why: &str, hint: Option<&str>) -> anyhow::Error {
        let message = format!("the smoke command {:?} {why} in the image of the Dockerfile as it is", self.text);
        anyhow!(Unbuilt { message, hint: hint.map(str::to_owned), code: 1 })
    }

    /// Runs it in the image of the Dockerfile as it is.
    fn watched(&self, prover: &Prover<'_>, built: &Built) -> Result<(i32, Probed)> {
        let probed = match self.run(prover, built, true) {
            Ok(probed) => probed,
            Err(error) if prover.cancel.is_cancelled() => return Err(error),
            Err(error) => return Err(self.useless(&format!("cannot be run ({error:#})"), None)),
        };
        let last = String::from_utf8_lossy(&probed.stderr);
        let last = last.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(" ({})", one_line(line, SHOWN))).unwrap_or_default();
        match probed.status {
            Status::Exited(code) if NOT_RUN.contains(&code) => {
                Err(self.useless(&format!("cannot be run: exit code {code}{last}"), None))
            }
            Status::Exited(code) => Ok((code, probed)),
            Status::TimedOut => {
                let hint = "a program that serves needs an end, as in 'timeout 5 CMD'; --timeout gives more time";
                Err(self.useless("does not end in time", Some(hint)))
            }
            status => Err(self.useless(&format!("does not end by itself: {}{last}", ended(status)), None)),
        }
    }
}

/// What a smoke command does in the image of the Dockerfile as it is.
pub(crate) struct Expected {
    pub(crate) smoke: Smoke,
    code: i32,
    stdout: Stream,
    stderr: Stream,
    /// What it used.
    pub(crate) trace: Trace,
    is_cut: bool,
}

/// What a command wrote in two runs.
struct Stream {
    name: &'static str,
    /// The lines, with their ends, that both runs have.
    agreed: Vec<Vec<u8>>,
    /// The lines that only one of them has; none where they wrote the same.
    differing: usize,
}

impl Expected {
    /// Runs the commands twice, so that what differs from run to run is known.
    ///
    /// # Errors
    /// Where one of them cannot be run, does not end, or ends differently from run to run.
    pub(crate) fn all(prover: &Prover<'_>, built: &Built) -> Result<Vec<Self>> {
        prover.smoke.iter().map(|smoke| Self::of(prover, smoke, built)).collect()
    }

    fn of(prover: &Prover<'_>, smoke: &Smoke, built: &Built) -> Result<Self> {
        prover.say(&format!("running the smoke command {}", one_line(&smoke.text, SHOWN)));
        let (code, first) = smoke.watched(prover, built)?;
        let (again, second) = smoke.watched(prover, built)?;
        if code != again {
            let why = format!("ends with exit code {code}, then with {again},");
            return Err(smoke.useless(&why, Some("a command that ends in different ways shows nothing of an image")));
        }
        let mut trace = first.trace.unwrap_or_default();
        second.trace.iter().for_each(|other| trace.merge(other));
        Ok(Self {
            smoke: smoke.clone(),
            code,
            stdout: Stream::of("standard output", &first.stdout, &second.stdout),
            stderr: Stream::of("standard error", &first.stderr, &second.stderr),
            trace,
            is_cut: first.is_cut || second.is_cut,
        })
    }

    /// What speaks against an image of another form: how a command ends or what it writes there, twice.
    ///
    /// # Errors
    /// Where the user stops it.
    pub(crate) fn refuted(
        all: &[Self],
        prover: &Prover<'_>,
        built: &Built,
        notes: &mut Vec<String>,
    ) -> Result<Option<Evidence>> {
        for expected in all {
            if expected.differs(prover, built)?.is_empty() {
                continue;
            }
            let command = expected.smoke.text.clone();
            let differs = expected.differs(prover, built)?;
            if !differs.is_empty() {
                return Ok(Some(Evidence::Smoke { command, differs }));
            }
            let note = format!(
                "the smoke command {} differed once, and did not when it was repeated",
                one_line(&command, SHOWN)
            );
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Ok(None)
    }

    /// What the command uses in another image.
    ///
    /// # Errors
    /// Where it cannot be run there, or the user stops it.
    pub(crate) fn trace_in(&self, prover: &Prover<'_>, built: &Built) -> Result<Trace> {
        Ok(self.smoke.run(prover, built, true)?.trace.unwrap_or_default())
    }

    /// What the command does differently in another image, as sentences.
    fn differs(&self, prover: &Prover<'_>, built: &Built) -> Result<Vec<String>> {
        let probed = match self.smoke.run(prover, built, false) {
            Ok(probed) => probed,
            Err(error) if prover.cancel.is_cancelled() => return Err(error),
            Err(error) => return Ok(vec![format!("cannot be run: {error:#}")]),
        };
        let mut differs = Vec::new();
        if probed.status != Status::Exited(self.code) {
            differs.push(format!("ends with {}, not with {}", ended(probed.status), ended(Status::Exited(self.code))));
        }
        differs.extend(self.stdout.differs(&probed.stdout));
        differs.extend(self.stderr.differs(&probed.stderr));
        Ok(differs)
    }

    /// What is said of it in the report.
    pub(crate) fn said(&self) -> Smoked {
        let of = |stream: &Stream| {
            let differ = if stream.differing == 1 { "differs" } else { "differ" };
            let text = || format!("{} of its {} {differ} from run to run", lines(stream.differing), stream.name);
            (stream.differing > 0).then(text)
        };
        let cut = self.is_cut.then(|| "it writes more than is compared".to_owned());
        let noise = [of(&self.stdout), of(&self.stderr), cut].into_iter().flatten().collect();
        Smoked { command: self.smoke.text.clone(), exit_code: self.code, noise }
    }
}

impl Stream {
    fn of(name: &'static str, first: &[u8], second: &[u8]) -> Self {
        let (first, second) = (split(first), split(second));
        if first == second {
            return Self { name, agreed: first.into_iter().map(<[u8]>::to_vec).collect(), differing: 0 };
        }
        let (mut agreed, mut differing) = (Vec::new(), 0);
        for operation in capture_diff_slices(Algorithm::Myers, &first, &second) {
            match operation {
                DiffOp::Equal { old_index, len, .. } => {
                    agreed.extend(first[old_index..old_index + len].iter().map(|line| line.to_vec()));
                }
                DiffOp::Delete { old_len: count, .. } | DiffOp::Insert { new_len: count, .. } => differing += count,
                DiffOp::Replace { old_len, new_len, .. } => differing += old_len.max(new_len),
            }
        }
        Self { name, agreed, differing }
    }

    /// What another output differs in: where two runs agreed in all lines, it has to be the same; else it has the lines in
    /// which they agreed, in their order.
    fn differs(&self, other: &[u8]) -> Option<String> {
        let other = split(other);
        let show = |line: Option<&[u8]>| {
            line.map_or_else(
                || "nothing".to_owned(),
                |line| {
                    let text = String::from_utf8_lossy(line);
                    format!("{:?}", one_line(text.trim_end_matches('\n'), SHOWN))
                },
            )
        };
        let mut agreed = self.agreed.iter().map(Vec::as_slice);
        if self.differing > 0 {
            let mut left = other.iter();
            let missing = agreed.find(|line| !left.any(|own| own == line))?;
            return Some(format!("does not print {} to its {}", show(Some(missing)), self.name));
        }
        let longest = self.agreed.len().max(other.len());
        let mut pairs = (0..longest).map(|at| (at, agreed.next(), other.get(at).copied()));
        let (at, before, after) = pairs.find(|(_, before, after)| before != after)?;
        Some(format!("prints {}, not {}, in line {} of its {}", show(after), show(before), at + 1, self.name))
    }
}

/// The lines with their ends: a last line without one is another line.
fn split(output: &[u8]) -> Vec<&[u8]> {
    output.split_inclusive(|&byte| byte == b'\n').collect()
}

fn lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

fn ended(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signalled(signal) => format!("signal {signal}"),
        Status::OutOfMemory => "a want of memory".to_owned(),
        Status::TimedOut => "its time".to_owned(),
        Status::Cancelled => "the build".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_run_without_a_shell() {
        let all = ["app --version", r#"["/app", "a b"]"#, "[ -f /app ]"].map(str::to_owned);
        let all = Smoke::all(&all).expect("commands");
        let words = |at: usize| all[at].words.as_ref().map(|words: &Vec<String>| words.join("|"));
        assert_eq!((words(0), words(1), words(2)), (None, Some("/app|a b".to_owned()), None));
        for empty in ["", "  ", "[]", r#"[""]"#] {
            assert!(Smoke::all(&[empty.to_owned()]).is_err(), "{empty:?}");
        }
    }

    #[test]
    fn outputs_are_compared_line_by_line() {
        let steady = Stream::of("output", b"a\nb\n", b"a\nb\n");
        assert_eq!(steady.differs(b"a\nb\n"), None);
        for (other, part) in [
            (&b"a\nc\n"[..], "prints \"c\", not \"b\", in line 2"),
            (b"a\n", "prints nothing, not \"b\""),
            (b"a\nb", "line 2"),
            (b"a\nb\nc\n", "prints \"c\", not nothing, in line 3"),
        ] {
            let said = steady.differs(other).expect("it differs");
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn what_differs_from_run_to_run_does_not_count() {
        let noisy = Stream::of("output", b"start\ntook 5 ms\nend\n", b"start\ntook 7 ms\nend\n");
        assert_eq!(noisy.differing, 1);
        assert_eq!(noisy.differs(b"start\ntook 9 ms\nend\n"), None);
        assert_eq!(noisy.differs(b"start\nend\n"), None);
        let said = noisy.differs(b"start\ntook 9 ms\n").expect("it differs");
        assert!(said.contains("does not print \"end\""), "{said}");
        assert!(noisy.differs(b"end\nstart\n").is_some(), "another order");
    }
}
