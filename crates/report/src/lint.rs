//! What was found in Dockerfiles.

use std::fmt::Write as _;

use jettison_ir::Pass;
use jettison_ir::source::{SourceFix, Target};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::SyntaxError;
use serde_json::{Value, json};

use crate::place::{Places, Position, readable};
use crate::snippet::{Message, Severity, carets};
use crate::text::count;

/// A Dockerfile with what was found in it, in order of place.
#[derive(Clone, Debug)]
pub struct LintedFile {
    /// Its path, as reached from what the user named.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The findings.
    pub findings: Vec<LintFinding>,
    /// What a comment allows.
    pub allowed: Vec<LintFinding>,
}

/// Something that was found.
#[derive(Clone, Debug)]
pub struct LintFinding {
    /// What found it.
    pub rule: Rule,
    /// Where.
    pub span: Span,
    /// What and why.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The change that does it, written in the file's own style.
    pub fix: Option<SourceFix>,
    /// The reason that the comment gives which allows it.
    pub reason: Option<String>,
}

/// What found something.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// A builder refuses it.
    Syntax,
    /// A comment for jettison says nothing that it knows.
    Comment,
    /// A pass.
    Pass(&'static Pass),
}

impl Rule {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax-error",
            Self::Comment => "unknown-comment",
            Self::Pass(pass) => pass.name,
        }
    }

    /// How serious what it finds is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Syntax => Severity::Error,
            Self::Comment | Self::Pass(_) => Severity::Warning,
        }
    }

    /// The codes that other tools have for the same.
    #[must_use]
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Pass(pass) => pass.aliases,
            Self::Syntax | Self::Comment => &[],
        }
    }
}

impl LintFinding {
    /// An error as a finding.
    #[must_use]
    pub fn of_error(error: &SyntaxError) -> Self {
        let help = error.kind.meant().map(|meant| format!("did you mean {meant}?"));
        Self { rule: Rule::Syntax, span: error.span, message: error.to_string(), help, fix: None, reason: None }
    }
}

/// An error that a command ends with: `FILE:LINE: message`, and the line with carets below it.
#[must_use]
pub fn refusal(path: &str, text: &str, error: &SyntaxError) -> String {
    let places = Places::of(text);
    let line = places.position(error.span.start).line;
    let message = crate::text::one_line(&readable(&error.to_string()), usize::MAX);
    format!("{}:{line}: {message}\n{}", readable(path), carets(&places, error.span))
}

/// The findings for people, with the lines that they are about.
#[must_use]
pub fn lint_human(files: &[LintedFile], looked_at: usize, fixed: usize) -> String {
    let mut out = String::new();
    for file in files {
        let places = Places::of(&file.text);
        for finding in &file.findings {
            let (text, help) = (readable(&finding.message), finding.help.as_deref().map(readable));
            let message = Message {
                severity: finding.rule.severity(),
                id: finding.rule.name(),
                text: &text,
                help: help.as_deref(),
            };
            let _ = writeln!(out, "{}\n", message.render(&file.path, &places, finding.span));
        }
    }
    let findings: usize = files.iter().map(|file| file.findings.len()).sum();
    let with = files.iter().filter(|file| !file.findings.is_empty()).count();
    let fixed = if fixed > 0 { format!("{} fixed, ", count(fixed, "finding")) } else { String::new() };
    let _ = match findings {
        0 => writeln!(out, "{fixed}no findings in {}", count(looked_at, "file")),
        _ => {
            let left = if fixed.is_empty() { "" } else { " left" };
            writeln!(out, "{fixed}{}{left} in {}", count(findings, "finding"), count(with, "file"))
        }
    };
    out
}

/// The findings for programs: an array of objects.
#[must_use]
pub fn lint_json(files: &[LintedFile]) -> Value {
    let mut values = Vec::new();
    for file in files {
        let places = Places::of(&file.text);
        for finding in &file.findings {
            let (start, end) = (places.position(finding.span.start), places.position(finding.span.end));
            values.push(json!({
                "file": readable(&file.path),
                "line": start.line,
                "column": start.column,
                "endLine": end.line,
                "endColumn": end.column,
                "pass": finding.rule.name(),
                "aliases": finding.rule.aliases(),
                "level": finding.rule.severity().name(),
                "message": readable(&finding.message),
                "help": finding.help.as_deref().map(readable),
                "fix": finding.fix.as_ref().map(|fix| fix_json(fix, &places)),
            }));
        }
    }
    Value::from(values)
}

/// A fix with offsets in bytes of the file that it changes.
fn fix_json(fix: &SourceFix, places: &Places<'_>) -> Value {
    let offset = |at: u32| match fix.target {
        Target::Dockerfile => places.file_offset(at),
        Target::Ignore => at as usize,
    };
    let edits: Vec<Value> = fix
        .edits
        .iter()
        .map(|edit| {
            json!({
                "start": offset(edit.span.start), "end": offset(edit.span.end), "replacement": readable(&edit.text),
            })
        })
        .collect();
    let target = match fix.target {
        Target::Dockerfile => "Dockerfile",
        Target::Ignore => ".dockerignore",
    };
    json!({ "target": target, "edits": edits })
}

/// The findings as commands of GitHub's workflows, one a line.
#[must_use]
pub fn lint_github(files: &[LintedFile]) -> String {
    let mut out = String::new();
    for file in files {
        let places = Places::of(&file.text);
        for finding in &file.findings {
            let Position { line, column } = places.position(finding.span.start);
            let end = places.position(finding.span.end);
            // Columns are of use to GitHub only where the place is within one line.
            let columns = if end.line == line {
                format!(",col={column},endColumn={}", end.column)
            } else {
                format!(",col={column}")
            };
            let message = match &finding.help {
                Some(help) => format!("{}\nhelp: {help}", finding.message),
                None => finding.message.clone(),
            };
            let _ = writeln!(
                out,
                "::{} file={},line={line}{columns},endLine={},title={}::{}",
                finding.rule.severity().name(),
                property(&file.path),
                end.line,
                property(finding.rule.name()),
                data(&message),
            );
        }
    }
    out
}

/// A command's message, escaped as GitHub's toolkit does it.
pub(crate) fn data(text: &str) -> String {
    readable(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A command's property, escaped as GitHub's toolkit does it.
pub(crate) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{data, property};

    #[test]
    fn github_gets_what_it_can_read() {
        assert_eq!(data("100 %\r\na: b, c"), "100 %25%0D%0Aa: b, c");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }
}
