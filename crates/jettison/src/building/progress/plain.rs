//! Progress as lines, in the form that BuildKit's users know: for logs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use jettison_engine::events::{End, Event, Vertex};

use super::{Cleaner, Drawer, progress_text, seconds};

/// The least time between two lines that say how far a step is.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Step {
    name: String,
    started: Duration,
    /// Standard output and error, each with its own last line.
    streams: [Cleaner; 2],
    said: Option<Duration>,
}

/// Draws lines.
#[derive(Default)]
pub(super) struct Plain {
    steps: BTreeMap<Vertex, Step>,
    /// The step that the last line was about, while it runs.
    current: Option<Vertex>,
    /// Whether anything was printed.
    any: bool,
}

impl Plain {
    /// Says which step the next lines are about, where it is another one.
    fn turn_to(&mut self, vertex: Vertex, out: &mut Vec<u8>) {
        if self.current == Some(vertex) {
            return;
        }
        if let Some(Vertex(last)) = self.current {
            let _ = writeln!(out, "#{last} ...");
        }
        if self.any {
            out.push(b'\n');
        }
        let name = self.steps.get(&vertex).map(|step| step.name.as_str()).unwrap_or_default();
        let _ = writeln!(out, "#{} {name}", vertex.0);
        self.current = Some(vertex);
        self.any = true;
    }

    fn lines(&mut self, vertex: Vertex, lines: &[String], at: Duration, out: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        self.turn_to(vertex, out);
        let started = self.steps.get(&vertex).map(|step| step.started).unwrap_or_default();
        let time = at.saturating_sub(started).as_secs_f64();
        for line in lines {
            let _ = writeln!(out, "{}", format!("#{} {time:.3} {line}", vertex.0).trim_end());
        }
    }
}

impl Drawer for Plain {
    fn hear(&mut self, event: &Event, at: Duration, out: &mut Vec<u8>) {
        match event {
            Event::Started { vertex, name } => {
                let name = jettison_report::one_line(name, usize::MAX);
                self.steps.insert(*vertex, Step { name, started: at, ..Step::default() });
                self.turn_to(*vertex, out);
            }
            Event::Output { vertex, is_error, bytes } => {
                let step = self.steps.entry(*vertex).or_default();
                let lines = step.streams[usize::from(*is_error)].feed(bytes);
                self.lines(*vertex, &lines, at, out);
            }
            Event::Progress { vertex, done, total, unit } => {
                let step = self.steps.entry(*vertex).or_default();
                if at.saturating_sub(step.said.unwrap_or(step.started)) >= PAUSE {
                    step.said = Some(at);
                    self.lines(*vertex, &[progress_text(*done, *total, unit)], at, out);
                }
            }
            Event::Finished { vertex, end, took } => {
                let step = self.steps.entry(*vertex).or_default();
                let rest: Vec<String> = step.streams.iter_mut().filter_map(Cleaner::end).collect();
                self.lines(*vertex, &rest, at, out);
                self.turn_to(*vertex, out);
                let number = vertex.0;
                let _ = match end {
                    End::Done => writeln!(out, "#{number} DONE {}", seconds(*took)),
                    End::Cached => writeln!(out, "#{number} CACHED"),
                    End::Failed(why) => {
                        writeln!(out, "#{number} ERROR: {}", jettison_report::one_line(why, usize::MAX))
                    }
                    End::Cancelled => writeln!(out, "#{number} CANCELED"),
                };
                self.steps.remove(vertex);
                self.current = None;
            }
            // Nothing is drawn while a shell has the terminal.
            Event::DebugShell { .. } => {}
            Event::Warning { message } => {
                let _ = writeln!(out, "WARNING: {}", jettison_report::one_line(message, usize::MAX));
                self.any = true;
            }
        }
    }

    fn tick(&mut self, _at: Duration, _out: &mut Vec<u8>) {}

    fn end(&mut self, at: Duration, out: &mut Vec<u8>) {
        let waiting: Vec<Vertex> = self.steps.keys().copied().collect();
        for vertex in waiting {
            let end = End::Cancelled;
            self.hear(&Event::Finished { vertex, end, took: Duration::ZERO }, at, out);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Drawer;
    use super::*;

    /// A build of two stages, one of which fails.
    pub(in super::super) fn script() -> Vec<(u64, Event)> {
        let (one, two, three) = (Vertex(1), Vertex(2), Vertex(3));
        let output = |vertex, is_error, bytes: &[u8]| Event::Output { vertex, is_error, bytes: bytes.into() };
        vec![
            (0, Event::Started { vertex: one, name: "[1/3] FROM alpine".into() }),
            (0, Event::Finished { vertex: one, end: End::Cached, took: Duration::ZERO }),
            (100, Event::Started { vertex: two, name: "[2/3] RUN make\n  all".into() }),
            (223, output(two, false, b"compiling \x1b[32ma.c\x1b[0m\n")),
            (300, Event::Started { vertex: three, name: "[other 2/2] COPY . .".into() }),
            (350, Event::Progress { vertex: three, done: 10, total: 20, unit: "files" }),
            (400, output(two, true, b"10%\r100%")),
            (500, output(two, true, b"\r\nhalf a line")),
            (600, Event::Finished { vertex: three, end: End::Done, took: Duration::from_millis(300) }),
            (700, Event::Warning { message: "something is odd".to_owned() }),
            (
                800,
                Event::Finished {
                    vertex: two,
                    end: End::Failed("\"make\" ended with exit code 2".to_owned()),
                    took: Duration::from_millis(700),
                },
            ),
        ]
    }

    pub(in super::super) fn drawn(drawer: &mut dyn Drawer) -> String {
        let mut out = Vec::new();
        for (at, event) in script() {
            drawer.hear(&event, Duration::from_millis(at), &mut out);
        }
        drawer.end(Duration::from_secs(1), &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_build_as_lines() {
        let expected = "\
#1 [1/3] FROM alpine
#1 CACHED

#2 [2/3] RUN make all
#2 0.123 compiling a.c
#2 ...

#3 [other 2/2] COPY . .
#3 ...

#2 [2/3] RUN make all
#2 0.400 100%
#2 ...

#3 [other 2/2] COPY . .
#3 DONE 0.3s
WARNING: something is odd

#2 [2/3] RUN make all
#2 0.700 half a line
#2 ERROR: \"make\" ended with exit code 2
";
        assert_eq!(drawn(&mut Plain::default()), expected);
    }

    #[test]
    fn long_copies_say_how_far_they_are() {
        let mut plain = Plain::default();
        let mut out = Vec::new();
        let vertex = Vertex(4);
        plain.hear(&Event::Started { vertex, name: "pull".into() }, Duration::ZERO, &mut out);
        for second in [1, 6, 7] {
            let event = Event::Progress { vertex, done: second * 1_000_000, total: 0, unit: "bytes" };
            plain.hear(&event, Duration::from_secs(second), &mut out);
        }
        plain.end(Duration::from_secs(8), &mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), "#4 pull\n#4 6.000 6.0 MB\n#4 CANCELED\n");
    }
}
