//! The package databases of an image whose layers were read.

use jettison_image::changes::Contents as _;
use jettison_image::packages::{Packages, read_each};
use jettison_image::{Kind, Node, Tree};
use jettison_store::PlainContents;

use crate::load::Loaded;

/// Larger files are no databases.
const MOST_BYTES: u64 = 256 << 20;

/// The databases of an image.
#[derive(Default)]
pub(crate) struct Installed {
    /// Those that can be read.
    pub(crate) databases: Vec<Packages>,
    /// What is wrong with the others.
    pub(crate) unread: Vec<String>,
}

impl Installed {
    /// What is wrong, as notes of a report.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let note = |error| format!("packages are not told apart where a database cannot be read: {error}");
        self.unread.iter().map(note)
    }
}

/// What the databases say. The layers must be plain or unpacked, all of them.
pub(crate) fn installed(loaded: &Loaded, tree: &Tree<'_>) -> Installed {
    let mut contents = PlainContents::new(&loaded.scanned, &());
    let mut read = |node: Node| {
        let origin = tree.origin(node);
        let (layer, entry) = tree.entry(origin)?;
        if entry.kind != Kind::File || entry.size > MOST_BYTES {
            return None;
        }
        let runs = layer.sparse(entry);
        let stored = runs.map_or(entry.size, |runs| runs.iter().map(|run| run.length).sum());
        let mut packed = Vec::new();
        contents.copy(origin.layer, entry.data_offset, stored, &mut packed).ok()?;
        let Some(runs) = runs else { return Some(packed) };
        // The holes are not stored.
        let mut whole = vec![0; usize::try_from(entry.size).ok()?];
        let mut rest = packed.as_slice();
        for run in runs {
            let (start, length) = (usize::try_from(run.offset).ok()?, usize::try_from(run.length).ok()?);
            let (here, behind) = rest.split_at_checked(length)?;
            whole.get_mut(start..start.checked_add(length)?)?.copy_from_slice(here);
            rest = behind;
        }
        Some(whole)
    };
    let mut all = Installed::default();
    for database in read_each(tree, &mut read) {
        match database {
            Ok(packages) => all.databases.push(packages),
            Err(error) => all.unread.push(error.to_string()),
        }
    }
    all
}
