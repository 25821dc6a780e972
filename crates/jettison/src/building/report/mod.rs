//! `--report`: what each line of the Dockerfile ships, wastes and takes.

mod changes;
mod join;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jettison_report::{LinesReport, lines_github, lines_human, lines_json};

use super::outputs::Place;
use super::values::fields;
use crate::cli::{Build, Format};
use crate::error::Usage;
use crate::printer::Printer;

pub(crate) use join::Joined;

/// A report that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    form: Form,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Human,
    Json,
    Github,
}

impl Wanted {
    /// Reads `--report`'s value: a format, `dest=FILE`, or both. What names no format follows `--format`.
    pub(crate) fn parse(text: &str, format: Format) -> Result<Self> {
        let (mut form, mut place) = (None, Place::Stdout);
        let of = |problem: String| Usage::new(format!("--report={text}: {problem}"));
        for (key, value) in fields(text)? {
            match (key.as_str(), value.as_deref()) {
                ("", None) if text.is_empty() => {}
                ("human", None) => form = Some(Form::Human),
                ("json", None) => form = Some(Form::Json),
                ("github", None) => form = Some(Form::Github),
                ("dest", Some("-")) => place = Place::Stdout,
                ("dest", None | Some("")) => return Err(of("dest names no file".to_owned()).into()),
                ("dest", Some(path)) => place = Place::Path(PathBuf::from(path)),
                (other, _) => {
                    let error = of(format!("there is no format or option {other:?}"));
                    return Err(error.with_hint("there are human, json and github, and dest=FILE").into());
                }
            }
        }
        let usual = if format == Format::Json && place == Place::Stdout { Form::Json } else { Form::Human };
        Ok(Self { form: form.unwrap_or(usual), place })
    }

    /// Whether it takes the standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.place == Place::Stdout
    }

    /// The file that it goes to.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Stdout => None,
        }
    }

    /// Whether it is a part of the JSON that the build prints at its end.
    fn is_part(&self, args: &Build) -> bool {
        args.results.format == Format::Json && self.is_stdout() && self.form == Form::Json
    }

    /// Prints or writes it.
    pub(crate) fn show(&self, args: &Build, report: &LinesReport, printer: &Printer) -> Result<()> {
        if self.is_part(args) {
            return Ok(());
        }
        // A file is read by whoever opens it.
        let width = if self.is_stdout() { printer.width() } else { FILE_WIDTH };
        let text = match self.form {
            Form::Human => lines_human(report, width),
            Form::Json => format!("{}\n", serde_json::to_string_pretty(&lines_json(report))?),
            Form::Github => lines_github(report),
        };
        match &self.place {
            Place::Stdout if self.form == Form::Human => Ok(printer.result(&text)?),
            Place::Stdout => Ok(printer.bytes(text.as_bytes())?),
            Place::Path(path) => {
                let plain = anstream::adapter::strip_str(&text).to_string();
                fs::write(path, plain).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

/// The width of tables in files.
const FILE_WIDTH: usize = 120;

/// Whether the JSON that the build prints at its end holds a report.
pub(crate) fn is_included(args: &Build, reports: &[Wanted]) -> bool {
    reports.iter().any(|wanted| wanted.is_part(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_places() {
        let file = || Place::Path(PathBuf::from("x"));
        for (text, format, form, place) in [
            ("", Format::Human, Form::Human, Place::Stdout),
            ("", Format::Json, Form::Json, Place::Stdout),
            ("json", Format::Human, Form::Json, Place::Stdout),
            ("github,dest=x", Format::Human, Form::Github, file()),
            ("dest=x", Format::Json, Form::Human, file()),
            ("human,dest=-", Format::Json, Form::Human, Place::Stdout),
        ] {
            assert_eq!(Wanted::parse(text, format).expect(text), Wanted { form, place }, "{text}");
        }
    }
}
