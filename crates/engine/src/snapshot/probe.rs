//! Which kind of snapshot works in a folder: found out by making one there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use jettison_image::Kind as EntryKind;

use super::{Kind, SnapshotError, Snapshotter, at, remove_tree};
use crate::ids::{Ids, Owners};

pub(super) fn probe(folder: &Path, wanted: Option<Kind>, ids: Ids) -> Result<Snapshotter, SnapshotError> {
    let kinds = wanted.map_or(vec![Kind::Overlay, Kind::FuseOverlayfs, Kind::Copy], |kind| vec![kind]);
    let mut failed = SnapshotError::Unavailable { kind: Kind::Copy, reason: "nothing was tried".to_owned() };
    for kind in kinds {
        let snapshotter = Snapshotter { kind, ids };
        match attempt(snapshotter, folder) {
            Ok(()) => return Ok(snapshotter),
            Err(reason) => failed = SnapshotError::Unavailable { kind, reason },
        }
    }
    Err(failed)
}

/// Changes something above a parent, and looks whether exactly that is kept.
fn attempt(snapshotter: Snapshotter, folder: &Path) -> Result<(), String> {
    if snapshotter.kind == Kind::FuseOverlayfs && !Path::new("/dev/fuse").exists() {
        return Err("there is no /dev/fuse".to_owned());
    }
    let place = tempfile::Builder::new().prefix("probe").tempdir_in(folder);
    let place = place.map_err(|error| format!("{}: {error}", folder.display()))?.keep();
    let result = changes(snapshotter, &place);
    let removed = remove_tree(&place).map_err(|error| format!("{}: {error}", place.display()));
    result.map_err(|error| chain(&error)).and_then(|works| {
        removed?;
        if works { Ok(()) } else { Err("it does not keep just what changed".to_owned()) }
    })
}

fn changes(snapshotter: Snapshotter, place: &Path) -> Result<bool, SnapshotError> {
    let (parent, work) = (place.join("parent"), place.join("work"));
    let inner = || -> io::Result<()> {
        fs::create_dir_all(parent.join("folder"))?;
        fs::create_dir(&work)?;
        fs::write(parent.join("gone"), "x")?;
        fs::write(parent.join("kept"), "x")
    };
    inner().map_err(at(place))?;
    let workspace = snapshotter.workspace(&[parent], &work)?;
    let root = workspace.root().to_owned();
    let change = || -> io::Result<()> {
        fs::remove_file(root.join("gone"))?;
        fs::remove_dir(root.join("folder"))?;
        fs::create_dir(root.join("folder"))?;
        fs::write(root.join("new"), "x")?;
        fs::rename(root.join("new"), root.join("renamed"))
    };
    change().map_err(at(&root))?;
    let layer = workspace.finish(&HashMap::new(), &Owners::default())?;
    let entries: Vec<(&[u8], EntryKind)> = layer
        .entries
        .iter()
        .map(|entry| (layer.path(entry), entry.kind))
        .filter(|(path, _)| *path != b"folder")
        .collect();
    Ok(entries == [(&b"gone"[..], EntryKind::Whiteout), (b"renamed", EntryKind::File)])
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
