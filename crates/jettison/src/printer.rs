//! The one place that prints: results to stdout, talk to stderr.

use std::io::Write as _;

use crate::cli::{ColorWhen, OutputArgs};
use crate::error;

/// Prints as the user's flags ask.
pub(crate) struct Printer {
    quiet: bool,
    verbose: bool,
}

impl Printer {
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let choice = match args.color {
            // anstream's own detection knows NO_COLOR, CLICOLOR and terminals.
            ColorWhen::Auto => anstream::ColorChoice::Auto,
            ColorWhen::Always => anstream::ColorChoice::Always,
            ColorWhen::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Self { quiet: args.quiet, verbose: args.verbose }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A result.
    pub(crate) fn result(&self, text: &str) -> std::io::Result<()> {
        let mut out = anstream::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // The reader has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// A result as the bytes that it is: what looks like a style in it is none.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Whether results are shown in colour.
    pub(crate) fn has_colour(&self) -> bool {
        anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
    }

    /// A result as JSON.
    pub(crate) fn json(&self, value: &serde_json::Value) -> anyhow::Result<()> {
        Ok(self.result(&format!("{}\n", serde_json::to_string_pretty(value)?))?)
    }

    /// Something worth knowing that is no result.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            anstream::eprintln!("{text}");
        }
    }

    /// The same for text of whole lines.
    pub(crate) fn say_lines(&self, text: &str) {
        if !self.quiet {
            anstream::eprint!("{text}");
        }
    }

    /// What belongs to an error and goes before it, in whole lines: said also where the user wants no talk.
    pub(crate) fn complain(&self, text: &str) {
        anstream::eprint!("{text}");
    }

    pub(crate) fn error(&self, error: &anyhow::Error) {
        anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {error}");
        let mut last = error.to_string();
        for cause in error.chain().skip(1) {
            // Transparent errors repeat their cause.
            let text = cause.to_string();
            if text != last {
                anstream::eprintln!("  caused by: {text}");
            }
            last = text;
        }
        if let Some(hint) = error::hint(error) {
            anstream::eprintln!("  hint: {hint}");
        }
    }

    /// The width for tables: the terminal's, or 120 columns where stdout is none.
    pub(crate) fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let terminal = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        columns.or_else(terminal).unwrap_or(120).clamp(80, 200)
    }
}
