//! A Dockerfile as passes see it, and what they say about it.

mod history;
mod observed;
mod packages;
mod remark;
mod scripts;
mod unit;

pub use history::History;
pub use observed::{Observations, Observed};
pub use packages::{PackageSeen, PackageUse, PackageUser, PackagesSeen};
pub use remark::{SourceClaim, SourceDecline, SourceFinding, SourceFix, SourceRemark, Target, TextEdit};
pub use scripts::{RunText, Scripts};
pub use unit::{Context, ContextFile, Entry, Goal, RunStyle, SourceOptions, SourceUnit};
