//! dpkg's files about each package: `info/NAME.list` and the like, `NAME:ARCHITECTURE.list` for packages that can be there for
//! several architectures.

use bstr::ByteSlice as _;
use hashbrown::{HashMap, HashSet};

use super::blocks::field;
use super::dpkg::Going;
use super::{EditError, Editor, Package, Rest, doubt, within};
use crate::layer::Kind;

/// A file about a package.
#[derive(Clone)]
pub(super) struct About {
    path: Vec<u8>,
    /// The part of its name behind the package's.
    what: Vec<u8>,
}

/// The files about packages, by the part of their names that is the package's.
#[derive(Default)]
pub(super) struct Files(HashMap<Vec<u8>, Vec<About>>);

impl Files {
    pub(super) fn of(editor: &Editor<'_, '_>, place: &[u8]) -> Self {
        let mut all: HashMap<Vec<u8>, Vec<About>> = HashMap::new();
        for path in editor.within(&within(place, b"info")) {
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            if let Some((package, what)) = name.rsplit_once_str(".") {
                let about = About { what: what.to_vec(), path: path.clone() };
                all.entry_ref(package).or_default().push(about);
            }
        }
        Self(all)
    }

    /// The files about a package. A name without an architecture stands for all packages of the name.
    fn about(&self, editor: &Editor<'_, '_>, package: &Package) -> Vec<About> {
        let full = format!("{}:{}", package.name, package.architecture);
        let is_only = !editor.staying().any(|other| other.name == package.name);
        let of_name = self.0.get(package.name.as_bytes()).filter(|_| is_only);
        self.0.get(full.as_bytes()).into_iter().chain(of_name).flatten().cloned().collect()
    }
}

/// A script or list of a package that goes; empty where it has none.
pub(super) fn content(
    editor: &mut Editor<'_, '_>,
    going: &Going<'_>,
    package: &Package,
    what: &str,
) -> Result<Vec<u8>, EditError> {
    let mut all = Vec::new();
    for file in going.files.about(editor, package).into_iter().filter(|file| file.what == what.as_bytes()) {
        all.extend(editor.database.text(&file.path)?.map(|file| file.content).unwrap_or_default());
    }
    Ok(all)
}

/// Whether dpkg still knows of a package when it is removed: where it has configuration, or a script for the time when that
/// is purged.
pub(super) fn leaves_something(editor: &Editor<'_, '_>, going: &Going<'_>, at: usize, block: &[u8]) -> bool {
    let has_script = || {
        let files = going.files.about(editor, &editor.packages.packages[at]);
        files.iter().any(|file| file.what == b"postrm")
    };
    editor.rest == Rest::Keep && (field(block, "Conffiles").is_some() || has_script())
}

/// The paths that sums say are files.
pub(super) fn files(editor: &mut Editor<'_, '_>, going: &Going<'_>) -> Result<HashSet<Vec<u8>>, EditError> {
    let mut all = HashSet::new();
    for package in editor.gone_packages() {
        for line in content(editor, going, package, "md5sums")?.lines() {
            if let Some((_, path)) = line.split_once_str("  ") {
                all.insert(editor.database.canonical(path));
            }
        }
    }
    Ok(all)
}

/// What is about packages that go, goes; what is left of some is what dpkg leaves.
pub(super) fn without(editor: &mut Editor<'_, '_>, going: &Going<'_>) -> Result<(), EditError> {
    for &at in editor.gone {
        let package = &editor.packages.packages[at];
        let is_left = going.leaving.contains(&at);
        let mut lists = 0;
        for About { path, what } in going.files.about(editor, package) {
            match what.as_slice() {
                b"list" if is_left => {
                    lists += 1;
                    shorten(editor, package, &path)?;
                }
                b"postrm" if is_left => {}
                _ => editor.remove(path),
            }
        }
        if lists > 1 {
            return Err(doubt(&within(going.place, b"info"), "a package has several lists of files"));
        }
    }
    Ok(())
}

/// The list of a package whose configuration stays: that, the folders that it is in, and folders of the package alone that
/// are not empty, with those above them.
fn shorten(editor: &mut Editor<'_, '_>, package: &Package, path: &[u8]) -> Result<(), EditError> {
    let Some(list) = editor.database.text(path)? else { return Ok(()) };
    let mut kept: Vec<&[u8]> = Vec::new();
    // What is in a folder stands behind it.
    for line in list.content.lines().rev() {
        let own = editor.database.canonical(line);
        let is_folder = editor.kind(&own) == Some(Kind::Directory);
        let below = [line, b"/"].concat();
        let stays = || editor.stays(&own) && !editor.is_held(&own);
        let is_kept = package.configuration.contains(&own)
            || (is_folder && !own.is_empty() && (kept.iter().any(|path| path.starts_with(&below)) || stays()));
        if is_kept {
            kept.push(line);
        }
    }
    let new: Vec<u8> = kept.iter().rev().flat_map(|line| [*line, b"\n"]).flatten().copied().collect();
    editor.rewrite(list.path, &list.content, new);
    Ok(())
}
