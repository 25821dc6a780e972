//! Progress of long work: a bar on a terminal, plain lines elsewhere, nothing for what ends at once.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jettison_report::bytes;
use jettison_store::Progress;

use crate::printer::Printer;

/// Work that ends within this time shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// One stage of work: so many bytes to read or write; 0 where that is not known.
pub(crate) struct Stage<'p> {
    printer: &'p Printer,
    what: String,
    total: AtomicU64,
    done: AtomicU64,
    shown: AtomicBool,
    start: Instant,
    bar: Option<ProgressBar>,
}

impl<'p> Stage<'p> {
    /// Starts a stage such as `reading app.tar`.
    pub(crate) fn start(printer: &'p Printer, what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let bar = (!printer.is_quiet() && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
            set_style(&bar, total);
            bar.set_message(what.clone());
            bar
        });
        let (done, shown) = (AtomicU64::new(0), AtomicBool::new(false));
        let total = AtomicU64::new(total);
        Self { printer, what, total, done, shown, start: Instant::now(), bar }
    }

    /// Ends the stage; long ones say how long they took.
    pub(crate) fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.shown.load(Ordering::Relaxed) && self.bar.is_none() {
            let seconds = self.start.elapsed().as_secs_f64();
            let done = bytes(self.done.load(Ordering::Relaxed));
            self.printer.say(&format!("{}: {done} in {seconds:.1} s", self.what));
        }
    }
}

/// How much there will be is not always known.
fn set_style(bar: &ProgressBar, total: u64) {
    let known = "{wide_msg} {bar:20} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    let template = if total > 0 { known } else { "{wide_msg} {decimal_bytes} {decimal_bytes_per_sec}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

impl Progress for Stage<'_> {
    fn expect(&self, bytes: u64) {
        let before = self.total.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(before + bytes);
            if before == 0 {
                set_style(bar, bytes);
            }
        }
    }

    fn advance(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let late = self.start.elapsed() >= PATIENCE;
        if late && !self.shown.swap(true, Ordering::Relaxed) {
            match &self.bar {
                Some(bar) => bar.set_draw_target(ProgressDrawTarget::stderr()),
                None => match self.total.load(Ordering::Relaxed) {
                    0 => self.printer.say(&format!("{} …", self.what)),
                    total => self.printer.say(&format!("{} ({}) …", self.what, bytes(total))),
                },
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }
}
