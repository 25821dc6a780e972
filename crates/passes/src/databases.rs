//! What follows for the databases of package managers, and for the files of packages that go, from what passes asked for.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use jettison_image::Node;
use jettison_image::packages::edit::{self, Change, Rest};
use jettison_ir::{Changed, Edits, ImageUnit};

/// Works out what follows from all that was asked for, and adds it to the edits.
///
/// # Errors
/// Why it cannot be told what the databases would be, as a sentence without its full stop; the edits are as they were.
pub(crate) fn follow(unit: &ImageUnit<'_>, edits: &mut Edits) -> Result<(), String> {
    let Ok(databases) = unit.packages() else {
        // Without databases that can be read, no packages are known to be gone and none to have a file.
        return Ok(());
    };
    let asked = edits.iter().filter(|(node, _)| edits.is_asked_to_go(*node)).map(|(node, _)| unit.upper.path(node));
    let asked: BTreeSet<Vec<u8>> = asked.collect();
    let rest = if unit.options.purge_configuration { Rest::Purge } else { Rest::Keep };
    let mut all: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
    for (database, packages) in databases.iter().enumerate() {
        let of_this = edits.packages().iter().filter(|(at, _)| *at == database);
        let gone: BTreeSet<usize> = of_this.map(|(_, package)| *package).collect();
        let mut read = |node: Node| match all.get(&unit.upper.path(node)) {
            Some(Change::Content(content)) => Some(content.clone()),
            _ => unit.content(node),
        };
        let without = edit::without(&unit.upper, &mut read, packages, &gone, rest);
        all.extend(without.map_err(|error| error.to_string())?.changes);
        let mut read = |node: Node| match all.get(&unit.upper.path(node)) {
            Some(Change::Content(content)) => Some(content.clone()),
            _ => unit.content(node),
        };
        let forgotten = edit::forget(&unit.upper, &mut read, packages, &gone, &asked);
        all.extend(forgotten.map_err(|error| error.to_string())?.changes);
    }
    let kept = all.keys().find_map(|path| Some((path, unit.options.keeps(path)?)));
    if let Some((path, pattern)) = kept {
        return Err(format!("/{} is kept by --keep {pattern}", path.escape_bytes()));
    }
    let (mut follows, mut comes) = (BTreeMap::new(), BTreeMap::new());
    for (path, change) in all {
        let node = unit.upper.find(&path);
        let changed = match change {
            Change::Gone => Changed::Gone,
            Change::Content(content) => Changed::Content(content.into()),
            Change::Target(target) => Changed::Target(target),
            Change::Moved(from) => match unit.upper.find(&from) {
                Some(from) => Changed::Moved(from),
                None => continue,
            },
        };
        match node {
            Some(node) => drop(follows.insert(node, changed)),
            None => drop(comes.insert(path, changed)),
        }
    }
    edits.follow(follows, comes);
    Ok(())
}
