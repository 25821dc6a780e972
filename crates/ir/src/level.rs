//! Optimization levels and what a pass promises about its changes.

use std::fmt;
use std::str::FromStr;

/// How far an optimization may go. Every level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As written.
    O0,
    /// Lossless: the running container's tree and configuration are exactly the same.
    O1,
    /// Drops what no program reads at run time by definition; each assumption is named.
    O2,
    /// Drops what package databases and file formats say a running container does not need.
    Os,
}

/// A text names no level of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelError(String);

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this version has the levels 0, 1, 2 and s, not {:?}", self.0)
    }
}

impl std::error::Error for LevelError {}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        match text {
            "0" => Ok(Self::O0),
            "1" => Ok(Self::O1),
            "2" => Ok(Self::O2),
            "s" => Ok(Self::Os),
            other => Err(LevelError(other.to_owned())),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::O0 => "-O0",
            Self::O1 => "-O1",
            Self::O2 => "-O2",
            Self::Os => "-Os",
        })
    }
}

/// What a pass promises. There is no default: every pass states its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// A container cannot tell the difference.
    Exact,
    /// A container cannot tell the difference as long as these hold.
    Assuming(&'static [Assumption]),
    /// It changes nothing by itself: what it finds is for people to decide.
    Advice,
}

/// Something that is taken to hold, by name, so that it can be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// In kebab-case.
    pub name: &'static str,
    /// What is taken to hold, as a sentence without its full stop.
    pub holds: &'static str,
}

impl fmt::Display for Safety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact: a container cannot tell the difference"),
            Self::Advice => f.write_str("advice: it changes nothing by itself"),
            Self::Assuming(all) => {
                f.write_str("exact, assuming:")?;
                all.iter().try_for_each(|one| write!(f, "\n  {}: {}", one.name, one.holds))
            }
        }
    }
}
