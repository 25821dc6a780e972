//! Media types and layer compressions, in the OCI and the Docker dialect.

use std::fmt;

/// `application/vnd.oci.image.index.v1+json`.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// `application/vnd.oci.image.manifest.v1+json`.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// `application/vnd.oci.image.config.v1+json`.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker's manifest list, the index of its dialect.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What the media types of blobs begin with that state something about an image: signatures and attestations.
pub const STATEMENTS: [&str; 3] =
    ["application/vnd.dev.cosign.", "application/vnd.dev.sigstore.", "application/vnd.in-toto"];

/// Whether a config of this media type is a container image's.
#[must_use]
pub fn is_image_config(media_type: &str) -> bool {
    // Old pushes left the type of a config to the server.
    [OCI_CONFIG, DOCKER_CONFIG, "application/octet-stream", ""].contains(&media_type)
}

/// Whose media types a manifest uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `application/vnd.oci.image.…`
    #[default]
    Oci,
    /// `application/vnd.docker.…`
    Docker,
}

/// How the bytes of a layer blob are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878, with skippable frames allowed.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// What a layer media type says, or `None` where it is not one of a tar layer.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let rest =
            ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"]
                .iter()
                .find_map(|prefix| media_type.strip_prefix(prefix));
        match (rest, media_type) {
            (Some(""), _) | (None, "application/vnd.docker.image.rootfs.diff.tar") => Some(Self::None),
            (Some("+gzip"), _)
            | (
                None,
                "application/vnd.docker.image.rootfs.diff.tar.gzip"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            ) => Some(Self::Gzip),
            (Some("+zstd"), _) | (None, "application/vnd.docker.image.rootfs.diff.tar.zstd") => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first bytes of a blob show. Zstd may open with a skippable frame (RFC 8878, 3.1.2).
    #[must_use]
    pub fn of_magic(first: &[u8]) -> Self {
        match first {
            // A tar whose first name happens to begin like a compressed file.
            _ if first.get(257..262) == Some(b"ustar") => Self::None,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50 => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The media type of a layer compressed so. Docker's dialect has none for zstd that its engines
    /// read, so zstd always goes by the OCI name, which they accept.
    #[must_use]
    pub fn media_type(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::None, Dialect::Oci) => "application/vnd.oci.image.layer.v1.tar",
            (Self::Gzip, Dialect::Oci) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Self::Zstd, _) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Self::None, Dialect::Docker) => "application/vnd.docker.image.rootfs.diff.tar",
            (Self::Gzip, Dialect::Docker) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_round_trip() {
        for dialect in [Dialect::Oci, Dialect::Docker] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                assert_eq!(Compression::of_media_type(compression.media_type(dialect)), Some(compression));
            }
        }
        assert_eq!(Compression::of_media_type("application/vnd.in-toto+json"), None);
    }

    #[test]
    fn magic_numbers() {
        assert_eq!(Compression::of_magic(&[0x1f, 0x8b, 8, 0]), Compression::Gzip);
        assert_eq!(Compression::of_magic(&[0x28, 0xb5, 0x2f, 0xfd]), Compression::Zstd);
        assert_eq!(Compression::of_magic(&[0x5e, 0x2a, 0x4d, 0x18]), Compression::Zstd);
        assert_eq!(Compression::of_magic(b"etc/"), Compression::None);
        assert_eq!(Compression::of_magic(b""), Compression::None);
        let mut tar = [0; 512];
        tar[..2].copy_from_slice(&[0x1f, 0x8b]);
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Compression::of_magic(&tar), Compression::None);
    }
}
