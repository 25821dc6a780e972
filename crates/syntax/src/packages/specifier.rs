//! How packages are named: versions, architectures, extras, files and addresses, for each family of managers.

use super::Package;
use crate::Span;

/// How a manager's packages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `name:arch=version`, `name/release`.
    Debian,
    /// `name=version`, `name~version`, `name@repository`.
    Alpine,
    /// `name`, the version being part of it; `name>=version` for some.
    Rpm,
    /// `name[extras]==version`, `name @ address`, folders.
    Python,
    /// `channel::name=version`.
    Conda,
    /// `@scope/name@version`, `user/repository`.
    Node,
    /// `name:version`.
    Colon,
    /// `path@version`, with folders as `./…`.
    At,
    /// `name.version`, `name>=version`.
    Opam,
    /// `name`; whatever is in it belongs to it.
    Plain,
}

/// Reads a word that names a package.
pub(super) fn package(style: Style, word: &str, span: Span) -> Package {
    let mut package =
        Package { name: word.to_owned(), version: None, qualifier: None, is_file: is_file(style, word), span };
    if package.is_file {
        return package;
    }
    let operator = match style {
        Style::Debian => word.find(['=', '/']),
        Style::Alpine => word.find(['=', '<', '>', '~', '@']),
        Style::Rpm => word.find(['<', '>', '=']).filter(|at| *at > 0),
        Style::Python => word.find(['=', '<', '>', '!', '~', '@', ';', ' ']),
        Style::Conda => word.find(['=', '<', '>', '!', '~', ' ']),
        // The first `@` may begin a scope.
        Style::Node => word.char_indices().skip(1).find(|(_, ch)| *ch == '@').map(|(at, _)| at),
        Style::Colon => word.rfind(':').filter(|at| *at > 0 && !word[..*at].ends_with(':')),
        Style::At => word.find(['@', '~']),
        Style::Opam => word.find(['.', '=', '<', '>']),
        Style::Plain => None,
    };
    let (name, version) = word.split_at(operator.unwrap_or(word.len()));
    let (name, qualifier) = match style {
        Style::Debian => name.split_once(':').map_or((name, None), |(name, arch)| (name, Some(arch))),
        Style::Python => name
            .split_once('[')
            .map_or((name, None), |(name, extras)| (name, Some(extras.strip_suffix(']').unwrap_or(extras)))),
        Style::Conda => name.split_once("::").map_or((name, None), |(channel, name)| (name, Some(channel))),
        _ => (name, None),
    };
    package.name = name.to_owned();
    package.qualifier = qualifier.map(str::to_owned);
    package.version = (!version.is_empty()).then(|| version.trim().to_owned());
    package
}

const ARCHIVES: &[&str] = &[
    ".deb",
    ".rpm",
    ".apk",
    ".whl",
    ".tar.gz",
    ".tgz",
    ".zip",
    ".gem",
    ".tar.bz2",
    ".rockspec",
    ".nupkg",
    ".pkg.tar.zst",
];

fn is_file(style: Style, word: &str) -> bool {
    // A Python requirement may name its address behind the name.
    if style == Style::Python && word.contains(" @ ") {
        return false;
    }
    let path = ["./", "../", "/", "~/", "file:", ".["].iter().any(|start| word.starts_with(start));
    word.contains("://")
        || path
        || [".", ".."].contains(&word)
        || (style == Style::Python && word.contains('/'))
        || (style != Style::At && ARCHIVES.iter().any(|ending| word.ends_with(ending)))
}

/// Whether a word that is known to be a path or an address is a relative path.
pub(super) fn is_relative(path: &str) -> bool {
    let path = path.strip_prefix("file:").unwrap_or(path);
    !path.is_empty() && path != "-" && !path.starts_with(['/', '~', '@']) && !path.contains("://")
}
