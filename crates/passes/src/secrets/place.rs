//! Where a file is, and what that says of tokens and keys in it.

use bstr::ByteSlice as _;

use super::forms;

/// The parts of an image's tree that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Databases and documents that package managers wrote, and kernel interfaces: nobody puts a secret there.
    Unread,
    /// What packages of the distribution and of languages brought. They hold made-up keys by the hundred, for their
    /// documents and tests.
    Software,
    /// The system's configuration.
    System,
    /// Everything else: what somebody put into the image.
    Own,
}

const UNREAD: [&[u8]; 13] = [
    b"dev",
    b"lib/apk",
    b"proc",
    b"sys",
    b"usr/lib/sysimage",
    b"usr/share/doc",
    b"usr/share/info",
    b"usr/share/locale",
    b"usr/share/man",
    b"var/lib/apt",
    b"var/lib/dpkg",
    b"var/lib/pacman",
    b"var/lib/rpm",
];

/// Folders that packages fill. Not `usr/src` and not all of `usr/local`, where applications are put as well.
const SOFTWARE: [&[u8]; 26] = [
    b"bin",
    b"lib",
    b"lib32",
    b"lib64",
    b"libx32",
    b"nix/store",
    b"sbin",
    b"snap",
    b"usr/bin",
    b"usr/games",
    b"usr/include",
    b"usr/lib",
    b"usr/lib32",
    b"usr/lib64",
    b"usr/libexec",
    b"usr/libx32",
    b"usr/local/go",
    b"usr/local/include",
    b"usr/local/lib",
    b"usr/local/lib64",
    b"usr/local/rustup",
    b"usr/local/share",
    b"usr/sbin",
    b"usr/share",
    b"var/cache",
    b"opt/conda",
];

/// Folders of language packages, wherever they are.
const LANGUAGE: [&[u8]; 15] = [
    b"/.cargo/registry/",
    b"/.gradle/caches/",
    b"/.m2/repository/",
    b"/.npm/_cacache/",
    b"/.nuget/packages/",
    b"/.rustup/",
    b"/__pycache__/",
    b"/bower_components/",
    b"/dist-packages/",
    b"/gems/",
    b"/go/pkg/mod/",
    b"/node_modules/",
    b"/site-packages/",
    b"/vendor/bundle/",
    b"/vendor/",
];

/// Folders that pages are served from, within those of packages.
const SERVED: [&[u8]; 2] = [b"usr/share/nginx", b"usr/share/caddy"];

/// Folders whose keys and tokens are made up more often than not.
const MADE_UP: [&[u8]; 13] = [
    b"/__tests__/",
    b"/doc/",
    b"/docs/",
    b"/example/",
    b"/examples/",
    b"/fixtures/",
    b"/sample/",
    b"/samples/",
    b"/spec/",
    b"/test/",
    b"/testdata/",
    b"/test_data/",
    b"/tests/",
];

/// Endings of the files that people write settings into.
const CONFIGURATION: [&[u8]; 13] = [
    b".cfg",
    b".cnf",
    b".conf",
    b".config",
    b".env",
    b".ini",
    b".json",
    b".properties",
    b".tfvars",
    b".toml",
    b".xml",
    b".yaml",
    b".yml",
];

/// The same endings where programs write lists of digests and settings of no interest.
const GENERATED: [&[u8]; 6] =
    [b"lock.json", b"lock.yaml", b"shrinkwrap.json", b"manifest.json", b"package.json", b"composer.json"];

impl Place {
    /// Where a cleaned path is.
    pub(super) fn of(path: &[u8]) -> Self {
        if UNREAD.iter().any(|folder| is_below(path, folder)) {
            return Self::Unread;
        }
        if is_below(path, b"etc") {
            return Self::System;
        }
        let served = SERVED.iter().any(|folder| is_below(path, folder));
        let packaged = SOFTWARE.iter().any(|folder| is_below(path, folder)) && !served;
        if packaged || lies_in(path, &LANGUAGE) {
            return Self::Software;
        }
        Self::Own
    }

    /// Whether a file here is one of somebody's settings, in which a password has no form but stands beside its name.
    pub(super) fn is_configuration(self, path: &[u8]) -> bool {
        self == Self::Own
            && (forms::is_environment(path)
                || CONFIGURATION.iter().any(|ending| path.ends_with(ending))
                    && !GENERATED.iter().any(|ending| path.ends_with(ending)))
    }
}

/// Whether what a file holds is likely made up, as in tests, examples and documents.
pub(super) fn is_made_up(path: &[u8]) -> bool {
    let name = path.rsplit_once_str(b"/").map_or(path, |(_, name)| name);
    let is_document = [&b".md"[..], b".rst", b".adoc"].iter().any(|ending| name.ends_with(ending));
    let says_so = name.contains_str(b"example") || name.contains_str(b"sample");
    is_document || says_so || lies_in(path, &MADE_UP)
}

/// Whether a path leads through one of these folders. They start with a slash, which the first name of a path does not
/// have before it. Every file's path is asked: looking at its slashes alone is an order faster than searching it.
fn lies_in(path: &[u8], folders: &[&[u8]]) -> bool {
    folders.iter().any(|folder| path.starts_with(&folder[1..]))
        || (0..path.len())
            .filter(|&at| path[at] == b'/')
            .any(|slash| folders.iter().any(|folder| path[slash..].starts_with(folder)))
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    // Most differ in their first byte, and every file's path is asked.
    path.first() == folder.first() && path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}
