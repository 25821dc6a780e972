//! Where the base image ends and an image's own layers begin.
//!
//! No field of an image says it. What can be told for certain is: the user names the base; the base
//! annotations name a manifest that is at hand; or the history shows entries that the build of the
//! upper part cannot have made. Where it can't be told, all layers count as the image's own.

use crate::config::{Config, HistoryEntry};
use crate::digest::Digest;
use crate::history;

/// How many of an image's layers belong to its base, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The number of layers, counted from the lowest.
    pub layers: usize,
    /// What shows it.
    pub evidence: Evidence,
}

/// What shows where a base ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The user named the base image.
    Named(String),
    /// The OCI base annotations name a manifest that stands beside the image.
    Annotation(Digest),
    /// A builder noted `FROM` in the history (buildah).
    From(String),
    /// Layers below the first that jettison wrote.
    Jettison,
    /// A file system that was imported, which no Dockerfile instruction does.
    Imported,
    /// Entries by another builder than the one that made the last layer.
    OtherBuilder,
    /// A root file system added to nothing, its command set, and only then further layers: the end of a
    /// distribution's own image.
    RootFileSystem,
    /// Nothing shows it: the image may have no base.
    Nothing,
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(image) => write!(f, "named by --base {image}"),
            Self::Annotation(digest) => write!(f, "named by the base annotation {}", digest.short()),
            Self::From(name) => write!(f, "the history says FROM {name}"),
            Self::Jettison => f.write_str("the layers below those that jettison wrote"),
            Self::Imported => f.write_str("the history shows an imported root file system"),
            Self::OtherBuilder => f.write_str("the history shows another builder below"),
            Self::RootFileSystem => f.write_str("the history shows a root file system with its command"),
            Self::Nothing => f.write_str("no base could be told for certain; name it with --base IMAGE"),
        }
    }
}

/// The builders whose history entries can be told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Builder {
    BuildKit,
    Classic,
    Other,
}

fn builder(entry: &HistoryEntry) -> Builder {
    let comment = entry.comment.as_deref().unwrap_or_default();
    let text = entry.instruction();
    if comment.starts_with("buildkit.dockerfile") || text.ends_with("# buildkit") {
        Builder::BuildKit
    } else if text.starts_with("/bin/sh -c ") || text.starts_with('|') {
        Builder::Classic
    } else {
        Builder::Other
    }
}

impl Base {
    /// What the config's history shows of the base, for an image of `layers` layers.
    #[must_use]
    pub fn from_history(config: &Config, layers: usize) -> Self {
        let history = config.history();
        let layers_before = |at: usize| {
            let count = history[..at].iter().filter(|entry| !entry.empty_layer).count();
            count.min(layers)
        };
        let comment = |entry: &HistoryEntry| entry.comment.clone().unwrap_or_default();
        let nothing = Self { layers: 0, evidence: Evidence::Nothing };
        if let Some(at) = history.iter().position(|entry| comment(entry).starts_with(history::COMMENT)) {
            return Self { layers: layers_before(at), evidence: Evidence::Jettison };
        }
        // buildah notes the base on the first instruction of its own; on the others, what it built up to there.
        let base_of = |entry: &HistoryEntry| {
            comment(entry).strip_prefix("FROM ").map(|name| name.trim().to_owned()).filter(|name| !is_short_id(name))
        };
        if let Some(at) = history.iter().rposition(|entry| base_of(entry).is_some()) {
            let name = base_of(&history[at]).unwrap_or_default();
            let layers = layers_before(at);
            return if layers > 0 { Self { layers, evidence: Evidence::From(name) } } else { nothing };
        }
        let Some(top) = history.iter().rposition(|entry| !entry.empty_layer) else { return nothing };
        let imported = history.iter().rposition(|e| comment(e).starts_with("Imported from "));
        let other = history[..top].iter().rposition(|entry| {
            !entry.empty_layer && builder(&history[top]) != Builder::Other && builder(entry) != builder(&history[top])
        });
        let root = root_file_system(history);
        // Where several say the same, the last, which says most, is named.
        [(other, Evidence::OtherBuilder), (root, Evidence::RootFileSystem), (imported, Evidence::Imported)]
            .into_iter()
            .filter_map(|(at, evidence)| Some(Self { layers: layers_before(at? + 1), evidence }))
            .max_by_key(|base| base.layers)
            .unwrap_or(nothing)
    }
}

/// Whether a name is the start of an image's ID, as buildah has it for the images between instructions.
fn is_short_id(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The entry of a root file system added to nothing: the first layer, added to `/` from an archive, and
/// right above it the command that a distribution's image ends with.
fn root_file_system(history: &[HistoryEntry]) -> Option<usize> {
    let first = history.iter().position(|entry| !entry.empty_layer)?;
    let text = history::instruction(&history[first]);
    let target = text.strip_prefix("ADD ")?.split_whitespace().next_back()?;
    let command = history::instruction(history.get(first + 1)?);
    let sets_command =
        history[first + 1].empty_layer && (command.starts_with("CMD ") || command.starts_with("ENTRYPOINT "));
    (target == "/" && sets_command).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(history: &str, layers: usize) -> (usize, Evidence) {
        let text = format!(r#"{{"rootfs":{{"diff_ids":[]}},"history":{history}}}"#);
        let base = Base::from_history(&Config::parse(text.as_bytes()).expect("parses"), layers);
        (base.layers, base.evidence)
    }

    #[test]
    fn debian_below_buildkit() {
        let history = r##"[{"created_by":"# debian.sh --arch 'amd64'","comment":"debuerreotype 0.15"},
            {"created_by":"RUN /bin/sh -c apt-get update # buildkit","comment":"buildkit.dockerfile.v0"},
            {"created_by":"CMD [\"bash\"]","comment":"buildkit.dockerfile.v0","empty_layer":true}]"##;
        assert_eq!(base(history, 2), (1, Evidence::OtherBuilder));
    }

    #[test]
    fn alpine_by_the_same_builder() {
        let history = r#"[{"created_by":"ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit"},
            {"created_by":"CMD [\"/bin/sh\"]","empty_layer":true,"comment":"buildkit.dockerfile.v0"},
            {"created_by":"RUN /bin/sh -c apk add curl # buildkit"}]"#;
        assert_eq!(base(history, 2), (1, Evidence::RootFileSystem));
        let classic = r#"[{"created_by":"/bin/sh -c #(nop) ADD file:1 in / "},
            {"created_by":"/bin/sh -c #(nop)  CMD [\"/bin/sh\"]","empty_layer":true},
            {"created_by":"/bin/sh -c apk add curl"}]"#;
        assert_eq!(base(classic, 2), (1, Evidence::RootFileSystem));
    }

    #[test]
    fn buildah_notes_it() {
        let history = r#"[{"created_by":"x"},{"created_by":"/bin/sh -c #(nop) ENV a=b","comment":"FROM docker.io/library/alpine:3","empty_layer":true},
            {"created_by":"/bin/sh -c y"}]"#;
        assert_eq!(base(history, 2), (1, Evidence::From("docker.io/library/alpine:3".to_owned())));
    }

    #[test]
    fn what_buildah_built_between_instructions_is_no_base() {
        let history = r#"[{"created_by":"x"},{"created_by":"/bin/sh -c y","comment":"FROM docker.io/library/alpine:3"},
            {"created_by":"/bin/sh -c z","comment":"FROM 6c49119953f7"},
            {"created_by":"/bin/sh -c #(nop) ENV a=b","comment":"FROM 4a1cd4be3a8c","empty_layer":true}]"#;
        assert_eq!(base(history, 3), (1, Evidence::From("docker.io/library/alpine:3".to_owned())));
    }

    #[test]
    fn a_scratch_image_has_no_base_that_can_be_told() {
        let history = r#"[{"created_by":"COPY a / # buildkit"},{"created_by":"COPY b /x # buildkit"}]"#;
        assert_eq!(base(history, 2), (0, Evidence::Nothing));
        assert_eq!(base("[]", 3), (0, Evidence::Nothing));
    }

    #[test]
    fn imported_file_systems_are_bases() {
        let history = r#"[{"comment":"Imported from -"},{"created_by":"/bin/sh -c x"},{"created_by":"/bin/sh -c y"}]"#;
        assert_eq!(base(history, 3), (1, Evidence::Imported));
    }

    #[test]
    fn what_jettison_wrote_is_not_base() {
        let history =
            r#"[{"created_by":"x"},{"created_by":"a ; b","comment":"jettison -O1: 2 layers"},{"created_by":"c"}]"#;
        assert_eq!(base(history, 3), (1, Evidence::Jettison));
    }
}
