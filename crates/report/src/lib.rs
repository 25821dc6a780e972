//! Reports as text for people and as JSON for programs. Pure: values in, text out.
//!
//! Text may hold ANSI styles; whoever prints it strips them where the output is no terminal.

mod copy;
mod diff;
mod final_stage;
mod layers;
mod lines;
mod lint;
mod optimize;
mod packages;
mod place;
mod proof;
mod receipt;
mod rewrite;
mod sarif;
mod secrets;
mod snippet;
mod style;
mod text;
mod unified;
mod weigh;

pub use copy::{CopyReport, PushReport, copy_human, push_human};
pub use diff::{diff_human, diff_json};
pub use layers::Layers;
pub use lines::{
    ChangeOutcome, Fate, Gain, LineChange, LineRow, LineStep, LineWaste, LinesImage, LinesReport, lines_github,
    lines_human, lines_json,
};
pub use lint::{LintFinding, LintedFile, Rule, lint_github, lint_human, lint_json, refusal};
pub use optimize::{optimize_human, optimize_json};
pub use packages::{PackagesReport, packages_human, packages_json};
pub use proof::proof_human;
pub use receipt::{receipt_human, receipt_summary};
pub use rewrite::{Change, Declined, IgnoreChange, Outcome, RewriteReport, rewrite_human, rewrite_json, source_map};
pub use sarif::lint_sarif;
pub use secrets::{SecretsReport, fates_human, fates_json, secrets_human, secrets_json};
pub use snippet::Severity;
pub use text::{bytes, one_line, percent, table};
pub use unified::Diff;
pub use weigh::{By, Saving, WeighReport, weigh_human, weigh_json};
