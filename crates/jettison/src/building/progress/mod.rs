//! Drawing a build while it runs: plain lines, a live region on a terminal, or JSON for programs. All on stderr.

mod clean;
mod plain;
mod raw;
mod tty;

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use jettison_engine::events::{Event, Observer};

use crate::cli::ProgressArg;
use plain::Plain;
use raw::RawJson;
use tty::Terminal;

pub(crate) use clean::Cleaner;

/// How often the live region is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// Whether the terminal's cursor is hidden now.
static CURSOR_HIDDEN: AtomicBool = AtomicBool::new(false);

/// What is said where a shell takes the terminal.
const SHELL: &str = "the command failed; this is a shell in the state that it left, and the build ends with it\n";

/// Something that turns what happens into bytes for stderr. Times count from the build's start.
trait Drawer: Send {
    /// Something happened.
    fn hear(&mut self, event: &Event, at: Duration, out: &mut Vec<u8>);
    /// Time went by.
    fn tick(&mut self, at: Duration, out: &mut Vec<u8>);
    /// A shell takes the terminal.
    fn pause(&mut self, _at: Duration, _out: &mut Vec<u8>) {}
    /// The build is over.
    fn end(&mut self, at: Duration, out: &mut Vec<u8>);
}

struct Shared {
    drawer: Mutex<Option<Box<dyn Drawer>>>,
    /// The drawer while a shell has the terminal.
    paused: Mutex<Option<Box<dyn Drawer>>>,
    start: Instant,
    is_over: Mutex<bool>,
    over: Condvar,
}

/// Draws what it hears until it is dropped.
pub(crate) struct Progress {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts drawing; `quiet` wins over all.
    pub(crate) fn start(how: ProgressArg, quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let drawer: Option<Box<dyn Drawer>> = match how {
            _ if quiet => None,
            ProgressArg::Quiet => None,
            ProgressArg::Rawjson => Some(Box::new(RawJson::new(SystemTime::now()))),
            ProgressArg::Tty => Some(Box::new(Terminal::new(has_colour()))),
            ProgressArg::Auto if is_terminal => Some(Box::new(Terminal::new(has_colour()))),
            ProgressArg::Auto | ProgressArg::Plain => Some(Box::new(Plain::default())),
        };
        let ticks = drawer.is_some();
        let drawer = Mutex::new(drawer);
        let (is_over, over) = (Mutex::new(false), Condvar::new());
        let shared = Arc::new(Shared { drawer, paused: Mutex::default(), start: Instant::now(), is_over, over });
        let ticker = ticks.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.tick_until_over())
        });
        Self { shared, ticker }
    }

    /// Draws the end and stops.
    pub(crate) fn end(self) {}
}

impl Shared {
    fn draw(&self, draw: impl FnOnce(&mut dyn Drawer, Duration, &mut Vec<u8>)) {
        let mut drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(drawer) = drawer.as_mut() else { return };
        let mut out = Vec::new();
        draw(&mut **drawer, self.start.elapsed(), &mut out);
        if !out.is_empty() {
            // Nobody is left to hear of a stderr that cannot be written.
            let mut stderr = std::io::stderr().lock();
            let _ = stderr.write_all(&out).and_then(|()| stderr.flush());
        }
    }

    /// Leaves the terminal to somebody else.
    fn pause(&self) {
        self.draw(|drawer, at, out| {
            drawer.pause(at, out);
            out.extend_from_slice(SHELL.as_bytes());
        });
        restore_cursor();
        let drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = drawer;
    }

    fn resume(&self) {
        let drawer = self.paused.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.drawer.lock().unwrap_or_else(PoisonError::into_inner) = drawer;
    }

    fn tick_until_over(&self) {
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_over {
            let waited = self.over.wait_timeout(is_over, TICK).unwrap_or_else(PoisonError::into_inner);
            is_over = waited.0;
            if !*is_over {
                self.draw(|drawer, at, out| drawer.tick(at, out));
            }
        }
    }
}

impl Observer for Progress {
    fn hear(&self, event: Event) {
        match event {
            Event::DebugShell { is_open: true } => self.shared.pause(),
            Event::DebugShell { is_open: false } => self.shared.resume(),
            event => self.shared.draw(|drawer, at, out| drawer.hear(&event, at, out)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.over.notify_all();
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
        self.shared.draw(|drawer, at, out| drawer.end(at, out));
    }
}

/// Shows the cursor again where the process is about to end with it hidden.
pub(crate) fn restore_cursor() {
    if CURSOR_HIDDEN.swap(false, Ordering::SeqCst) {
        let mut stderr = std::io::stderr();
        let _ = stderr.write_all(tty::SHOW_CURSOR.as_bytes()).and_then(|()| stderr.flush());
    }
}

fn has_colour() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// The last lines of something.
pub(crate) fn last<T>(items: &VecDeque<T>, count: usize) -> impl Iterator<Item = &T> {
    items.iter().skip(items.len().saturating_sub(count))
}

/// Seconds as shown: `0.4s`.
fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

/// How far something is, in words: `1.2 MB / 3.4 MB`.
fn progress_text(done: u64, total: u64, unit: &str) -> String {
    let number = |count: u64| if unit == "bytes" { jettison_report::bytes(count) } else { count.to_string() };
    let unit = if unit == "bytes" { String::new() } else { format!(" {unit}") };
    match total {
        0 => format!("{}{unit}", number(done)),
        total => format!("{} / {}{unit}", number(done), number(total)),
    }
}
