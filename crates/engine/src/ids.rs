//! Who owns files, where this process may not give them away: identities and how they are recorded.

use serde::{Deserialize, Serialize};

/// Which user and group ids of an image this process can really give to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// All that images use: it is root, or has subordinate ids.
    Many,
    /// Only 0, which stands for the user who builds. Owners and device nodes are recorded instead.
    One,
}
