//! Progress on a terminal: a region that is drawn over and over, a line a step.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jettison_engine::events::{End, Event, Vertex};

use super::{CURSOR_HIDDEN, Cleaner, Drawer, last, progress_text, seconds};

/// Lines of a running step's output that are shown.
const LINES: usize = 6;
const HIDE_CURSOR: &str = "\u{1b}[?25l";
pub(super) const SHOW_CURSOR: &str = "\u{1b}[?25h";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

struct Step {
    name: String,
    started: Duration,
    finished: Option<(End, Duration)>,
    streams: [Cleaner; 2],
    lines: VecDeque<String>,
    progress: Option<String>,
}

/// Draws a live region.
pub(super) struct Terminal {
    steps: BTreeMap<Vertex, Step>,
    warnings: Vec<String>,
    /// Lines of the region as it stands on the screen.
    drawn: usize,
    colour: bool,
    /// Columns and rows, where they are not asked of the terminal.
    fixed: Option<(usize, usize)>,
}

#[derive(Clone, Copy)]
enum Look {
    Plain,
    Done,
    Bad,
    Faint,
}

impl Terminal {
    pub(super) fn new(colour: bool) -> Self {
        Self { steps: BTreeMap::new(), warnings: Vec::new(), drawn: 0, colour, fixed: None }
    }

    fn size(&self) -> (usize, usize) {
        let asked = || terminal_size::terminal_size_of(std::io::stderr());
        let size = self.fixed.or_else(|| asked().map(|(width, height)| (width.0.into(), height.0.into())));
        let (width, height) = size.unwrap_or((80, 24));
        (width.max(20), height.max(5))
    }

    fn styled(&self, look: Look, line: String) -> String {
        let style = match look {
            Look::Done => "\u{1b}[34m",
            Look::Bad => "\u{1b}[31m",
            Look::Faint => "\u{1b}[2m",
            Look::Plain => return line,
        };
        if self.colour { format!("{style}{line}\u{1b}[0m") } else { line }
    }

    /// The region's lines, at most so many of output for each running step.
    fn frame(&self, at: Duration, output: usize, width: usize) -> Vec<String> {
        let done = self.steps.values().filter(|step| step.finished.is_some()).count();
        let end = if done == self.steps.len() && !self.steps.is_empty() { " FINISHED" } else { "" };
        let header = format!("[+] Building {} ({done}/{}){end}", seconds(at), self.steps.len());
        let mut lines = vec![cut(&header, width)];
        for step in self.steps.values() {
            let took = step.finished.as_ref().map_or_else(|| at.saturating_sub(step.started), |(_, took)| *took);
            let (mark, look) = match &step.finished {
                None => ("", Look::Plain),
                Some((End::Done, _)) => ("", Look::Done),
                Some((End::Cached, _)) => ("CACHED ", Look::Done),
                Some((End::Failed(_), _)) => ("ERROR ", Look::Bad),
                Some((End::Cancelled, _)) => ("CANCELED ", Look::Bad),
            };
            let left = format!(" => {mark}{}", step.name);
            lines.push(self.styled(look, justified(&left, &seconds(took), width)));
            if step.finished.is_some() {
                continue;
            }
            if let Some(progress) = &step.progress {
                lines.push(self.styled(Look::Faint, cut(&format!(" => => {progress}"), width)));
            }
            let partial = step.streams.iter().map(Cleaner::partial).filter(|line| !line.is_empty());
            let all: VecDeque<String> = step.lines.iter().cloned().chain(partial).collect();
            for line in last(&all, output) {
                lines.push(self.styled(Look::Faint, cut(&format!(" => => # {line}"), width)));
            }
        }
        lines
    }

    /// Draws the region over the one that stands there.
    fn draw(&mut self, at: Duration, is_last: bool, out: &mut Vec<u8>) {
        let (width, height) = self.size();
        // The cursor stands below the region, which must not scroll away from it.
        let room = height - 1;
        let mut frame = self.frame(at, LINES, width);
        if !is_last {
            let mut output = LINES;
            while frame.len() > room && output > 1 {
                output -= 1;
                frame = self.frame(at, output, width);
            }
            if frame.len() > room {
                // The header stays, and the end, where the running steps are.
                let surplus = frame.len() - room;
                frame.drain(1..=surplus);
            }
        }
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\u{1b}[{}A", self.drawn);
        } else if !CURSOR_HIDDEN.swap(true, Ordering::SeqCst) {
            text.push_str(HIDE_CURSOR);
        }
        for warning in self.warnings.drain(..) {
            let _ = writeln!(text, "\r{warning}{CLEAR_LINE}");
        }
        for line in &frame {
            let _ = writeln!(text, "\r{line}{CLEAR_LINE}");
        }
        text.push_str(CLEAR_BELOW);
        self.drawn = frame.len();
        out.extend_from_slice(text.as_bytes());
    }
}

impl Drawer for Terminal {
    fn hear(&mut self, event: &Event, at: Duration, out: &mut Vec<u8>) {
        match event {
            Event::Started { vertex, name } => {
                let step = Step {
                    name: jettison_report::one_line(name, usize::MAX),
                    started: at,
                    finished: None,
                    streams: <[Cleaner; 2]>::default(),
                    lines: VecDeque::new(),
                    progress: None,
                };
                self.steps.insert(*vertex, step);
            }
            Event::Output { vertex, is_error, bytes } => {
                if let Some(step) = self.steps.get_mut(vertex) {
                    step.lines.extend(step.streams[usize::from(*is_error)].feed(bytes));
                    let surplus = step.lines.len().saturating_sub(LINES);
                    step.lines.drain(..surplus);
                }
                // Drawn with the next tick: a step may write a thousand times a second.
                return;
            }
            Event::Progress { vertex, done, total, unit } => {
                if let Some(step) = self.steps.get_mut(vertex) {
                    step.progress = Some(progress_text(*done, *total, unit));
                }
                return;
            }
            Event::Finished { vertex, end, took } => {
                if let Some(step) = self.steps.get_mut(vertex) {
                    step.finished = Some((end.clone(), *took));
                }
            }
            // Nothing is drawn while a shell has the terminal.
            Event::DebugShell { .. } => {}
            Event::Warning { message } => {
                self.warnings.push(format!("warning: {}", jettison_report::one_line(message, usize::MAX)));
            }
        }
        self.draw(at, false, out);
    }

    fn tick(&mut self, at: Duration, out: &mut Vec<u8>) {
        if !self.steps.is_empty() {
            self.draw(at, false, out);
        }
    }

    fn pause(&mut self, at: Duration, out: &mut Vec<u8>) {
        self.draw(at, true, out);
        // What others write below must not be drawn over.
        self.drawn = 0;
        if CURSOR_HIDDEN.swap(false, Ordering::SeqCst) {
            out.extend_from_slice(SHOW_CURSOR.as_bytes());
        }
    }

    fn end(&mut self, at: Duration, out: &mut Vec<u8>) {
        for step in self.steps.values_mut().filter(|step| step.finished.is_none()) {
            step.finished = Some((End::Cancelled, at.saturating_sub(step.started)));
        }
        if !self.steps.is_empty() || !self.warnings.is_empty() {
            self.draw(at, true, out);
        }
        if CURSOR_HIDDEN.swap(false, Ordering::SeqCst) {
            out.extend_from_slice(SHOW_CURSOR.as_bytes());
        }
    }
}

/// A line with `right` at its end.
fn justified(left: &str, right: &str, width: usize) -> String {
    let room = (width - 1).saturating_sub(right.len() + 1);
    let left = cut(left, room + 1);
    let blanks = room.saturating_sub(columns(&left));
    format!("{left}{:blanks$} {right}", "")
}

/// Text that takes less than `width` columns: the last one stays free, for some terminals wrap there.
fn cut(text: &str, width: usize) -> String {
    let text = text.replace('\t', "    ");
    if columns(&text) < width {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = used + columns_of(c);
        if next + 1 >= width {
            break;
        }
        used = next;
        out.push(c);
    }
    out.push('…');
    out
}

fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The columns that a character takes: East Asian wide characters and pictures take two (Unicode's annex 11, by
/// blocks), combining marks none.
fn columns_of(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain::tests::{drawn, script};
    use super::*;

    fn terminal(width: usize, height: usize) -> Terminal {
        Terminal { fixed: Some((width, height)), ..Terminal::new(false) }
    }

    fn until(end: u64, width: usize, height: usize) -> Terminal {
        let mut terminal = terminal(width, height);
        for (at, event) in script().into_iter().filter(|(at, _)| *at <= end) {
            terminal.hear(&event, Duration::from_millis(at), &mut Vec::new());
        }
        terminal
    }

    #[test]
    fn running_steps_show_their_last_lines_and_finished_ones_do_not() {
        let frame = until(450, 40, 20).frame(Duration::from_millis(1100), LINES, 40);
        let expected = [
            "[+] Building 1.1s (1/3)",
            " => CACHED [1/3] FROM alpine       0.0s",
            " => [2/3] RUN make all             1.0s",
            " => => # compiling a.c",
            " => => # 100%",
            " => [other 2/2] COPY . .           0.8s",
            " => => 10 / 20 files",
        ];
        assert_eq!(frame, expected);
        let frame = until(900, 40, 20).frame(Duration::from_secs(1), LINES, 40);
        assert_eq!(frame[0], "[+] Building 1.0s (3/3) FINISHED");
        assert_eq!(frame[2], " => ERROR [2/3] RUN make all       0.7s");
        assert_eq!(frame.len(), 4);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_frame_higher() {
        for (width, height) in [(20, 5), (30, 6), (80, 24)] {
            let mut terminal = until(450, width, height);
            let long = Event::Output {
                vertex: Vertex(2),
                is_error: false,
                bytes: "漢字\u{301}x".repeat(50).as_bytes().into(),
            };
            terminal.hear(&long, Duration::from_millis(460), &mut Vec::new());
            let mut out = Vec::new();
            terminal.tick(Duration::from_millis(500), &mut out);
            assert!(terminal.drawn < height, "{} of {height}", terminal.drawn);
            let text = String::from_utf8(out).expect("UTF-8");
            for line in text.lines() {
                let line =
                    line.rsplit('\r').next().unwrap_or_default().replace(CLEAR_LINE, "").replace(CLEAR_BELOW, "");
                assert!(columns(&line) < width, "{line:?} in {width}");
            }
        }
    }

    #[test]
    fn the_cursor_is_shown_again() {
        let text = drawn(&mut terminal(80, 24));
        assert!(text.ends_with(SHOW_CURSOR), "{text:?}");
        let has_colour = ["\u{1b}[34m", "\u{1b}[31m", "\u{1b}[2m"].iter().any(|style| text.contains(style));
        assert!(!has_colour, "colour without being asked: {text:?}");
        assert!(text.contains("warning: something is odd"));
    }
}
