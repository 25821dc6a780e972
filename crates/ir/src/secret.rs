//! Secrets that an image ships, in whichever layer, and what became of them in another image.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use jettison_image::{Digest, Kind, Layer, Tree};
use serde::{Deserialize, Serialize};

/// How sure it is that something is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The secrets of an image, and what became of them in the one that was written from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFates {
    /// The secrets, by layer.
    pub secrets: Vec<ShippedSecret>,
    /// For each of them the lowest layer of the written image that still has its content.
    pub still_in: Vec<Option<usize>>,
    /// The instruction behind each layer that was read; empty where the history does not say.
    pub instructions: Vec<String>,
}

impl SecretFates {
    /// What became of `secrets` in an image with these layers, as they were read back.
    #[must_use]
    pub fn of<'l>(
        secrets: Vec<ShippedSecret>,
        instructions: Vec<String>,
        written: impl IntoIterator<Item = &'l Layer>,
    ) -> Self {
        let still_in = ShippedSecret::fates(&secrets, written).into_iter().map(|fate| fate.still_in).collect();
        Self { secrets, still_in, instructions }
    }

    /// Each secret with its fate.
    #[must_use]
    pub fn fates(&self) -> Vec<SecretFate<'_>> {
        let pairs = self.secrets.iter().zip(&self.still_in);
        pairs.map(|(secret, still_in)| SecretFate { secret, still_in: *still_in }).collect()
    }
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

#[cfg(test)]
mod tests {
    use jettison_image::text::ImageText;

    use super::*;

    fn layers(text: &str) -> Vec<Layer> {
        text.parse::<ImageText>().expect("the text form").layers().expect("layers")
    }

    fn found(path: &[u8]) -> &'static [Secret] {
        static SECRET: std::sync::LazyLock<[Secret; 1]> = std::sync::LazyLock::new(|| {
            [Secret {
                rule: "netrc".to_owned(),
                description: "password for a server".to_owned(),
                line: Some(1),
                redacted: "abcd… (20 characters)".to_owned(),
                confidence: Confidence::High,
                is_whole_file: true,
            }]
        });
        if path.ends_with(b".netrc") { &*SECRET } else { &[] }
    }

    fn all(layers: &[Layer]) -> Vec<ShippedSecret> {
        let tree = Tree::of(layers).expect("a tree");
        ShippedSecret::all(&tree, |path, _| found(path))
    }

    const IMAGE: &str = r#"
layer 1
f 0644 0:0  "base"  /a
f 0600 0:0  "in the base"  /etc/.netrc
layer 2
f 0600 0:0  "one"  /root/.netrc
f 0600 0:0  "two"  /app/.netrc
f 0600 0:0  "three"  /home/me/.netrc
layer 3
w /root/.netrc
w /home/me
layer 4
f 0600 0:0  "four"  /app/.netrc
"#;

    #[test]
    fn every_layer_is_looked_at_and_the_hiding_one_is_named() {
        let layers = layers(IMAGE);
        let seen: Vec<_> = all(&layers)
            .iter()
            .map(|found| (found.layer, String::from_utf8_lossy(&found.path).into_owned(), found.hidden_by))
            .collect();
        let expected = [
            (0, "etc/.netrc", None),
            (1, "app/.netrc", Some(3)),
            (1, "home/me/.netrc", Some(2)),
            (1, "root/.netrc", Some(2)),
            (3, "app/.netrc", None),
        ];
        assert_eq!(seen, expected.map(|(layer, path, by)| (layer, path.to_owned(), by)));
    }

    #[test]
    fn what_is_hidden_or_part_of_a_file_is_not_removable() {
        let layers = layers(IMAGE);
        let mut secrets = all(&layers);
        let may_go: Vec<_> = secrets.iter().map(ShippedSecret::is_removable).collect();
        assert_eq!(may_go, [true, false, false, false, true]);
        secrets[0].secret.is_whole_file = false;
        assert!(!secrets[0].is_removable());
    }

    #[test]
    fn only_layers_without_the_content_ship_it_no_longer() {
        let before = layers(IMAGE);
        let secrets = all(&before);
        // The third secret is still there under another name.
        let after = layers(
            "layer 1\nf 0644 0:0  \"base\"  /a\nf 0600 0:0  \"in the base\"  /etc/.netrc\n\
             layer 2\nf 0600 0:0  \"four\"  /app/.netrc\nf 0644 0:0  \"three\"  /app/copy\n",
        );
        let still: Vec<_> = ShippedSecret::fates(&secrets, &after).iter().map(|fate| fate.still_in).collect();
        assert_eq!(still, [Some(0), None, Some(1), None, Some(1)]);
        let same: Vec<_> = ShippedSecret::fates(&secrets, &before).iter().map(|fate| fate.still_in).collect();
        assert_eq!(same, [Some(0), Some(1), Some(1), Some(1), Some(3)]);
    }
}
