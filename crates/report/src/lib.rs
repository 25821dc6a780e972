//! Reports as text for people and as JSON for programs. Pure: values in, text out.
//!
//! Text may hold ANSI styles; whoever prints it strips them where the output is no terminal.

mod diff;
mod optimize;
mod style;
mod text;
mod weigh;

pub use diff::{diff_human, diff_json};
pub use optimize::{optimize_human, optimize_json};
pub use text::{bytes, one_line, percent};
pub use weigh::{By, Saving, WeighReport, weigh_human, weigh_json};
