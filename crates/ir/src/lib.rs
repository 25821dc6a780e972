//! What passes see and say: the image or the Dockerfile as a unit of optimization, findings and their fixes with claims,
//! the plan of what is to be written, and the values that reports are made of.

mod edits;
mod final_stage;
mod finding;
mod level;
mod measured;
mod options;
mod package_weight;
mod pattern;
mod plan;
mod proof;
mod receipt;
mod report;
mod secret;
mod shares;
pub mod source;
mod unit;
mod verdict;
mod weight;

pub use edits::{Changed, EditLayer, Edits, Maker, with_edits};
pub use final_stage::{FinalStage, Suggestion};
pub use finding::{Claim, Claimed, Decline, Edit, Finding, Fix, Pass, Remark, Run};
pub use level::{Assumption, Level, LevelError, Safety};
pub use measured::{Held, HeldLayer, Lines, Measured, MeasuredPart};
pub use options::ImageOptions;
pub use package_weight::{Bytes, PackageWeight, PackagesWeight};
pub use pattern::{Pattern, PatternError, matches_name};
pub use plan::{Own, Plan, pulling_limit};
pub use proof::{Because, Evidence, Excused, Gain, GonePackage, Proof, Rebuild, Smoked, Weighed, Withdrawal, Work};
pub use receipt::{PathChange, Receipt, ReceiptItem, ReceiptPackage, ReceiptPath, unshipped};
pub use report::{Acted, Measure, OptimizeReport};
pub use secret::{Confidence, Secret, SecretFate, SecretFates, ShippedSecret};
pub use shares::{Shadow, Share, Shares};
pub use unit::{ImageUnit, Owner, Pulling, ReadContent, UnitError, owners};
pub use verdict::{Difference, Place, Verdict};
pub use weight::{Equal, LayerWeight, Score, Waste, WastedFile, Weight};
