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
}

/// A text names no level of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelError(String);

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this version has the levels 0 and 1, not {:?}", self.0)
    }
}

impl std::error::Error for LevelError {}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        match text {
            "0" => Ok(Self::O0),
            "1" => Ok(Self::O1),
            other => Err(LevelError(other.to_owned())),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::O0 => "-O0",
            Self::O1 => "-O1",
        })
    }
}

/// What a pass promises. There is no default: every pass states its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// A container cannot tell the difference.
    Exact,
}

impl fmt::Display for Safety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact: a container cannot tell the difference"),
        }
    }
}
