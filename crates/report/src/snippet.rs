//! A message with the lines of source that it is about, as rustc shows them.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use jettison_syntax::Span;

use crate::place::{Places, readable};
use crate::text::one_line;

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something to look at.
    Warning,
    /// A builder refuses it.
    Error,
}

impl Severity {
    /// Its name, as formats for programs have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The longest line that is shown whole, in characters, and how much is shown of others around the place.
const LONGEST: usize = 240;

/// Lines of a place that are looked at. Those in the middle are not shown, but for longer places the end is none either.
const MOST_LINES: usize = 1000;

/// A message about a place in a text.
pub(crate) struct Message<'m> {
    pub(crate) severity: Severity,
    /// What kind of finding it is, shown in brackets.
    pub(crate) id: &'m str,
    pub(crate) text: &'m str,
    pub(crate) help: Option<&'m str>,
}

impl Message<'_> {
    pub(crate) fn render(&self, path: &str, places: &Places<'_>, span: Span) -> String {
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let shown = Shown::of(places, span);
        let snippet = shown.snippet().path(readable(path));
        let mut group = level.primary_title(one_line(self.text, usize::MAX)).id(self.id).element(snippet);
        if let Some(help) = self.help {
            group = group.element(Level::HELP.message(one_line(help, usize::MAX)));
        }
        render(group)
    }
}

/// The lines around a place alone, with carets below it.
pub(crate) fn carets(places: &Places<'_>, span: Span) -> String {
    let shown = Shown::of(places, span);
    render(Group::with_level(Level::ERROR).element(shown.snippet()))
}

fn render(group: Group<'_>) -> String {
    // Lines are cut before, around the place: the terminal breaks those that are still too long.
    Renderer::styled().term_width(usize::MAX / 2).render(&[group])
}

/// The part of a text that is shown, and the place in it.
struct Shown {
    text: String,
    first_line: usize,
    place: std::ops::Range<usize>,
}

impl Shown {
    fn of(places: &Places<'_>, span: Span) -> Self {
        let lines = places.lines_around(span.start, span.end);
        let (whole, first_line) = (&places.text[lines.clone()], places.position(span.start).line);
        let (start, end) = (span.start as usize - lines.start, (span.end as usize).min(lines.end) - lines.start);
        // What comes behind the last line shown is left out, and with it that part of the place.
        let cut = whole.match_indices('\n').nth(MOST_LINES - 1).map_or(whole.len(), |(at, _)| at);
        let mut shown = Self { text: String::new(), first_line, place: 0..0 };
        let mut offset = 0;
        for line in whole[..cut].split_inclusive('\n') {
            let (from, to) = window(line, start.saturating_sub(offset), end.saturating_sub(offset));
            for (at, c) in line[from..to].char_indices() {
                shown.marks(offset + from + at, start, end);
                if c != '\u{feff}' {
                    shown.text.push_str(&readable(c.encode_utf8(&mut [0; 4])));
                }
            }
            shown.marks(offset + to, start, end);
            if to < line.len() && line.ends_with('\n') {
                shown.text.push('\n');
            }
            offset += line.len();
        }
        if end > cut {
            shown.place.end = shown.text.len();
        }
        shown.place.end = shown.place.end.max(shown.place.start);
        shown
    }

    fn marks(&mut self, at: usize, start: usize, end: usize) {
        if at == start {
            self.place.start = self.text.len();
        }
        if at == end {
            self.place.end = self.text.len();
        }
    }

    fn snippet(&self) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let annotation = AnnotationKind::Primary.span(self.place.clone());
        Snippet::source(&*self.text).line_start(self.first_line).annotation(annotation)
    }
}

/// The part of a line that is shown: all of it, or what is around the place.
fn window(line: &str, start: usize, end: usize) -> (usize, usize) {
    if line.len() <= LONGEST {
        return (0, line.len());
    }
    let boundary = |mut at: usize| {
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let from = boundary(start.min(line.len()).saturating_sub(LONGEST / 4));
    let to = boundary(end.max(start + 1).min(from + LONGEST).max(from + LONGEST).min(line.len()));
    (from, to)
}
