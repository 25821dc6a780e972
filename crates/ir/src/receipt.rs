//! What an optimization took away, path by path: the receipt that goes with the image.

use bstr::ByteSlice as _;
use serde::{Deserialize, Serialize};

use crate::edits::Changed;
use crate::finding::{Edit, Finding};
use crate::unit::{ImageUnit, Owner};
use jettison_image::tree::Cause;
use jettison_image::{Kind, Node};

/// Everything that was changed of what a container sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The level.
    pub level: String,
    /// The image's platform.
    pub platform: String,
    /// The digest of the manifest that was optimized, where it has one.
    pub input: String,
    /// What was found, in the order in which it was changed.
    pub items: Vec<ReceiptItem>,
}

/// What one finding changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptItem {
    /// The pass that found it.
    pub pass: String,
    /// What it was and why it was waste.
    pub what: String,
    /// What to write in a Dockerfile so that it is not there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// The layer that shipped it, counted from 1.
    pub layer: usize,
    /// The instruction behind that layer; empty where the history does not say.
    pub instruction: String,
    /// The bytes of the files that are gone, and those that others became smaller by.
    pub bytes: u64,
    /// The same packed as layers are; none where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<i64>,
    /// The packages that are gone, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<ReceiptPackage>,
    /// The paths, in the order of the tree.
    pub paths: Vec<ReceiptPath>,
}

/// A package that is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReceiptPackage {
    /// Its name, without the architecture.
    pub name: String,
    /// Its version, as its database had it.
    pub version: String,
}

/// A path that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptPath {
    /// With its leading slash; bytes that are not UTF-8 are escaped.
    pub path: String,
    /// What became of it.
    pub change: PathChange,
    /// A file's bytes before, as its layer holds them: without the holes of a sparse one.
    pub bytes: u64,
    /// A file's bytes after; 0 where it is gone or another name of a file that stays.
    pub left: u64,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathChange {
    /// A copy that no container saw is no longer shipped.
    Unshipped,
    /// It is gone.
    Removed,
    /// Its content was rewritten, as a database without what is gone.
    Rewritten,
    /// It holds no debug information any more.
    Stripped,
    /// It leads elsewhere.
    Relinked,
    /// It shares its content with another path.
    Linked,
}

impl ReceiptItem {
    /// How many paths of it a container saw.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.paths.iter().filter(|path| path.change != PathChange::Unshipped).count()
    }

    /// What a finding's changes were.
    #[must_use]
    pub fn of(unit: &ImageUnit<'_>, pass: &str, finding: &Finding, changes: &[(Node, Changed)]) -> Self {
        let mut paths: Vec<(Vec<u8>, ReceiptPath)> =
            changes.iter().map(|(node, changed)| (unit.upper.path(*node), path(unit, *node, changed))).collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        let paths: Vec<ReceiptPath> = paths.into_iter().map(|(_, path)| path).collect();
        Self {
            pass: pass.to_owned(),
            what: finding.what.clone(),
            help: finding.help.clone(),
            layer: finding.shipped_by + 1,
            instruction: unit.instructions.get(finding.shipped_by).cloned().unwrap_or_default(),
            bytes: paths.iter().map(|path| path.bytes.saturating_sub(path.left)).sum(),
            stored: None,
            packages: packages(unit, &finding.fix.edit),
            paths,
        }
    }
}

/// The packages that an edit takes away, by name.
fn packages(unit: &ImageUnit<'_>, edit: &Edit) -> Vec<ReceiptPackage> {
    let Edit::RemovePackages(owners) = edit else { return Vec::new() };
    let databases = unit.packages().unwrap_or_default();
    let package = |(database, at): &Owner| databases.get(*database)?.packages.get(*at);
    let gone = owners.iter().filter_map(package);
    let mut gone: Vec<ReceiptPackage> =
        gone.map(|one| ReceiptPackage { name: one.name.clone(), version: one.version.clone() }).collect();
    gone.sort();
    gone
}

/// What of one kind no container sees, as an item: every copy with its path.
#[must_use]
pub fn unshipped(unit: &ImageUnit<'_>, pass: &str, finding: &Finding) -> Option<ReceiptItem> {
    let (cause, hidden_by) = (finding.cause?, finding.hidden_by?);
    let copies = finding.copies(unit).filter_map(|one| unit.upper.entry(one));
    let mut paths: Vec<ReceiptPath> = copies
        .map(|(layer, entry)| ReceiptPath {
            path: format!("/{}", layer.path(entry).escape_bytes()),
            change: PathChange::Unshipped,
            bytes: entry.size,
            left: 0,
        })
        .collect();
    paths.sort_by(|a, b| a.path.cmp(&b.path));
    let instruction = |layer: usize| unit.instructions.get(layer).cloned().unwrap_or_default();
    let (what, help) = match cause {
        Cause::Overwritten => ("overwritten", "write the file once, or overwrite it in the RUN that makes it"),
        Cause::MetadataOnly => (
            "shipped again for a mode, owner or time",
            "use `COPY --chown --chmod`, or change them in the RUN that makes them",
        ),
        Cause::Deleted => ("deleted", "delete them in the RUN that makes them"),
        Cause::Opaque => ("in a folder that was replaced", "make the folder once"),
        Cause::TypeChanged => ("at a path that became something else", "make the path once"),
    };
    let by = instruction(hidden_by);
    Some(ReceiptItem {
        pass: pass.to_owned(),
        what: format!("{what} by layer {}{}{by}", hidden_by + 1, if by.is_empty() { "" } else { ": " }),
        help: help.to_owned(),
        layer: finding.shipped_by + 1,
        instruction: instruction(finding.shipped_by),
        bytes: finding.bytes,
        stored: None,
        packages: Vec::new(),
        paths,
    })
}

fn path(unit: &ImageUnit<'_>, node: Node, changed: &Changed) -> ReceiptPath {
    let (kind, size) = (unit.upper.kind(node), unit.held(node));
    // Of a file with several names only the last one that goes takes bytes away.
    let is_last = unit.upper.links(unit.upper.inode(node)) == 1;
    let size = if kind == Kind::File { size } else { 0 };
    let (change, bytes, left) = match changed {
        Changed::Gone => (PathChange::Removed, if is_last { size } else { 0 }, 0),
        Changed::Content(content) => (PathChange::Rewritten, size, content.len() as u64),
        Changed::Made { size: new, .. } => (PathChange::Stripped, size, *new),
        Changed::Target(_) | Changed::Moved(_) => (PathChange::Relinked, 0, 0),
        Changed::LinkTo(_) => (PathChange::Linked, size, 0),
    };
    ReceiptPath { path: format!("/{}", unit.upper.path(node).escape_bytes()), change, bytes, left }
}
