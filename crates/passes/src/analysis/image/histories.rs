//! Systems of version control: what they leave beside sources, how that is known, and what reads it.

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, packages};
use jettison_ir::ImageUnit;

/// What one system of version control leaves.
pub(crate) struct System {
    pub(crate) name: &'static str,
    /// A history has one of these in it, or starts with this.
    pub(crate) holds: &'static [&'static str],
    /// What may lie beside it for it alone.
    pub(crate) beside: &'static [&'static str],
    /// What files say that read it.
    pub(crate) words: &'static [&'static str],
    /// Libraries that read it, by the names of their files and folders; `*` stands for the rest.
    pub(crate) libraries: &'static [&'static str],
}

const FOSSIL: System =
    System { name: "_FOSSIL_", holds: &["SQLite format 3"], beside: &[], words: &[], libraries: &[] };

#[rustfmt::skip]
pub(crate) const SYSTEMS: [System; 9] = [
    System {
        name: ".git",
        holds: &["HEAD"],
        beside: &[".gitignore", ".gitattributes", ".gitmodules", ".github", ".mailmap", ".git-blame-ignore-revs"],
        words: &[
            "rev-parse", "git describe", "git log", "git show", "\"git\", \"describe\"", "'git', 'describe'",
            "\"git\", \"log\"", "'git', 'log'", ".git/", "git-rev-sync", "git-describe", "git-revision", "fetch_git_sha",
            "setuptools_scm", "setuptools-scm", "hatch-vcs", "hatch_vcs", "versioneer", "dynamic-versioning", "nodegit",
            "isomorphic-git", "simple-git", "GitPython", "import git",
        ],
        libraries: &["dulwich", "pygit2", "nodegit", "isomorphic-git", "rugged-*", "libgit2.so*", "org.eclipse.jgit*"],
    },
    System {
        name: ".hg",
        holds: &["requires", "store", "00changelog.i"],
        beside: &[".hgignore", ".hgtags", ".hgsub", ".hgsubstate"],
        words: &["hg id", "hg log", "hg parent", ".hg/", "setuptools_scm", "setuptools-scm"],
        libraries: &["hglib", "mercurial"],
    },
    System {
        name: ".svn", holds: &["wc.db", "entries"], beside: &[], words: &["svnversion", "svn info", ".svn/"],
        libraries: &["libsvn_wc*", "svnkit*"],
    },
    System {
        name: ".bzr", holds: &["branch-format", "checkout"], beside: &[".bzrignore"],
        words: &["bzr revno", "bzr version-info", ".bzr/"], libraries: &["bzrlib", "breezy"],
    },
    System { name: "CVS", holds: &["Entries"], beside: &[".cvsignore"], words: &["CVS/"], libraries: &[] },
    System {
        name: "_darcs", holds: &["format", "inventory", "hashed_inventory"], beside: &[], words: &["_darcs/"],
        libraries: &[],
    },
    System { name: ".fossil", ..FOSSIL },
    System { name: ".fslckout", ..FOSSIL },
    FOSSIL,
];

/// The largest file that is searched for what it reads; programs in scripts are smaller.
const MOST: u64 = 256 << 10;
/// Folders with what others wrote, which does not know this history.
pub(crate) const FOREIGN: [&[u8]; 6] =
    [b"node_modules", b"site-packages", b"dist-packages", b"gems", b"vendor", b".venv"];
/// Ends of the names of files that are programs, or say how one is built or run.
const CODE: [&[u8]; 24] = [
    b".py",
    b".pyw",
    b".js",
    b".mjs",
    b".cjs",
    b".ts",
    b".jsx",
    b".tsx",
    b".rb",
    b".gemspec",
    b".rake",
    b".php",
    b".sh",
    b".bash",
    b".pl",
    b".toml",
    b".cfg",
    b".json",
    b".yml",
    b".yaml",
    b".mk",
    b".gradle",
    b".lua",
    b"file",
];

/// Whether something of this name is a history, and no folder of fixtures or the like.
pub(crate) fn is_history(unit: &ImageUnit<'_>, root: Node, system: &System) -> bool {
    match unit.upper.kind(root) {
        Kind::Directory => system.holds.iter().any(|name| unit.upper.child(root, name.as_bytes()).is_some()),
        Kind::File => {
            let content = unit.content(root).unwrap_or_default();
            system.holds.iter().any(|start| content.starts_with(start.as_bytes()))
        }
        _ => false,
    }
}

/// The folder that a file `.git` leads to: none inside where it is not there, none at all where the file is another one.
pub(crate) fn gitdir(unit: &ImageUnit<'_>, link: Node) -> Option<Option<Node>> {
    let content = unit.content(link)?;
    let target = content.strip_prefix(b"gitdir:")?.trim();
    let folder = unit.upper.path(unit.upper.parent(link)?);
    let path = if target.starts_with(b"/") { target.to_vec() } else { [&folder, &b"/"[..], target].concat() };
    Some(packages::follow(&unit.upper, &path))
}

/// Whether a file of code names what reads a history.
pub(crate) fn says_so(unit: &ImageUnit<'_>, node: Node, system: &System) -> bool {
    let attributes = unit.upper.attributes(node);
    let name = unit.upper.name(node);
    let is_code = attributes.mode & 0o111 != 0 || CODE.iter().any(|end| name.ends_with(end));
    if !is_code || attributes.size > MOST || !unit.is_own(node) {
        return false;
    }
    let content = unit.content(node).unwrap_or_default();
    // A program that is compiled holds texts of its libraries.
    content.to_str().is_ok() && system.words.iter().any(|word| content.contains_str(word))
}
