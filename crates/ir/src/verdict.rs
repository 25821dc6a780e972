//! What the judge found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The comparison of two images as running containers see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How many paths were compared.
    pub paths: usize,
    /// The differences that no claim covers, in the order of the tree, settings last.
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// Whether a container could tell no difference.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What: `mode`, `mtime`, `content`, …
    pub what: String,
    /// Before; `None` where there was nothing.
    pub before: Option<String>,
    /// After; `None` where there is nothing.
    pub after: Option<String>,
}

/// Where a difference is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A path in the tree, with its leading slash; bytes that are not UTF-8 are escaped.
    Path(String),
    /// A setting of the image's config.
    Setting(String),
    /// A package that a database in the image has.
    Package(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(name) | Self::Setting(name) => f.write_str(name),
            Self::Package(name) => write!(f, "package {name}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match (&self.before, &self.after) {
            (Some(before), None) => write!(f, "{place} is missing ({before})"),
            (None, Some(after)) => write!(f, "{place} is new ({after})"),
            (before, after) => {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
                write!(f, "{place} has another {}: {} → {}", self.what, side(before), side(after))
            }
        }
    }
}
