//! Secrets that an image ships, in whichever layer, and what became of them in another image.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use jettison_image::{Digest, Kind, Layer, Tree};

/// How sure it is that something is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// It looks like one, where such things are often made up: among tests, examples and documents.
    Low,
    /// It has the place or the form of one.
    Medium,
    /// It has the place and the form of one, or a form that nothing else has.
    High,
}

impl Confidence {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A secret in a file's content. The secret itself is never kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Secret {
    /// The rule that found it, such as `github-token`.
    pub rule: String,
    /// What it is, in words.
    pub description: String,
    /// Its line, counted from 1; `None` where the file has no lines or is the secret as a whole.
    pub line: Option<u32>,
    /// At most its first four characters, and its length.
    pub redacted: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// Whether the file holds the secret and nothing else that anything would miss.
    pub is_whole_file: bool,
}

/// A secret in a file that a layer ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedSecret {
    /// The layer, counted from 0, the lowest.
    pub layer: usize,
    /// The file's path, cleaned, without a leading slash.
    pub path: Vec<u8>,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The digest of the file's content.
    pub digest: Digest,
    /// What is in it.
    pub secret: Secret,
    /// The layer that deleted or replaced the file. Who pulls the image has it nevertheless.
    pub hidden_by: Option<usize>,
}

/// What became of a secret in an image that was written from the one that ships it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFate<'s> {
    /// The secret.
    pub secret: &'s ShippedSecret,
    /// The lowest layer of the written image with a file of this very content, counted from 0; `None` where no
    /// layer has one.
    pub still_in: Option<usize>,
}

impl ShippedSecret {
    /// The secrets of all layers of `tree`, visible or not, by layer and path. `secrets_in` says what the content
    /// with this digest at this path holds.
    #[must_use]
    pub fn all<'s>(tree: &Tree<'_>, secrets_in: impl Fn(&[u8], Digest) -> &'s [Secret]) -> Vec<Self> {
        let hidden: HashMap<_, _> = tree.hidden().iter().map(|hidden| (hidden.shipped, hidden.by.layer)).collect();
        let mut all = Vec::new();
        for (at, layer) in tree.layers().iter().enumerate() {
            for (place, entry) in layer.entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::File) {
                let path = layer.path(entry);
                let origin = jettison_image::tree::Origin { layer: at, entry: Some(place) };
                all.extend(secrets_in(path, entry.digest).iter().map(|secret| Self {
                    layer: at,
                    path: path.to_vec(),
                    bytes: entry.size,
                    digest: entry.digest,
                    secret: secret.clone(),
                    hidden_by: hidden.get(&origin).copied(),
                }));
            }
        }
        all.sort_by(|a, b| (a.layer, &a.path, a.secret.line).cmp(&(b.layer, &b.path, b.secret.line)));
        all
    }

    /// Whether the file may be removed where that is asked for: it is a secret as a whole, and a container sees it.
    /// What is hidden goes by itself, and a secret in a program's source cannot be cut out of it.
    #[must_use]
    pub fn is_removable(&self) -> bool {
        self.secret.is_whole_file && self.hidden_by.is_none()
    }

    /// What became of `secrets` in an image with these layers, which must be layers as they were read back: a secret
    /// is no longer shipped if no layer has a file with the content that it is in, under whatever path.
    #[must_use]
    pub fn fates<'s, 'l>(secrets: &'s [Self], written: impl IntoIterator<Item = &'l Layer>) -> Vec<SecretFate<'s>> {
        let wanted: HashSet<Digest> = secrets.iter().map(|secret| secret.digest).collect();
        let mut lowest: BTreeMap<Digest, usize> = BTreeMap::new();
        for (at, layer) in written.into_iter().enumerate() {
            for entry in &layer.entries {
                if entry.kind == Kind::File && wanted.contains(&entry.digest) {
                    lowest.entry(entry.digest).or_insert(at);
                }
            }
        }
        let fate = |secret: &'s Self| SecretFate { secret, still_in: lowest.get(&secret.digest).copied() };
        secrets.iter().map(fate).collect()
    }
}
