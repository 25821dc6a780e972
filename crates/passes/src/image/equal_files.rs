//! Finds files that are equal in everything, in places that nobody writes to, and makes them one file with several names.

use std::collections::{BTreeMap, HashSet};

use jettison_image::{Digest, Kind, Node};
use jettison_ir::{
    Assumption, Changed, Claim, Decline, Edit, Finding, Fix, ImageUnit, Level, Pass, Plan, Remark, Run, Safety,
};

use crate::analysis::image::mentions::Mentions;
use crate::analysis::image::trees::Trees;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "installed-files-are-not-written-in-place",
    holds: "what changes a file below /usr, /opt or a folder of a language's packages puts a new file in its place, and does not \
            write into the one that is there",
}];

pub(crate) const PASS: Pass = Pass {
    name: "equal-files",
    summary: "files that are equal in everything, as hard links",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("equal_files.md"),
    aliases: &[],
    run: Run::Image(run),
};

/// The smallest file that is linked: a block of the usual file systems. Below that a link saves little and is still
/// something that a container can see.
const LEAST: u64 = 4096;

const WHAT: &str = "files that are equal to others";
const HELP: &str = "install once and make hard links of the rest (`ln`), or let the installer do it: `uv` and `pnpm` link from \
                    their stores";

/// A file under all its names.
struct File {
    names: Vec<Node>,
    layer: usize,
    size: u64,
}

/// What is linked of one layer.
#[derive(Default)]
struct Linked {
    changes: Vec<(Node, Changed)>,
    files: usize,
    bytes: u64,
}

/// What files that become one agree in: all that a container sees of them, and where they are.
type Likeness<'a> = (u16, u32, u32, (i64, u32), &'a [(Vec<u8>, Vec<u8>)], Vec<u8>);

/// Files by their contents, each with its likeness or with why it stays.
type Groups<'a> = BTreeMap<(u64, Digest), Vec<(File, Result<Likeness<'a>, &'static str>)>>;

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let mut layers: BTreeMap<usize, Linked> = BTreeMap::new();
    let mut stays: BTreeMap<&'static str, (usize, u64, Node)> = BTreeMap::new();
    for ((size, _), files) in groups(unit, plan).into_iter().filter(|(_, files)| files.len() > 1) {
        let mut alike: BTreeMap<Likeness<'_>, Vec<File>> = BTreeMap::new();
        let mut stay = |why: &'static str, file: &File| {
            let sum = stays.entry(why).or_insert((0, 0, file.names[0]));
            (sum.0, sum.1) = (sum.0 + 1, sum.1 + size);
        };
        for (file, likeness) in files {
            match likeness {
                Ok(likeness) => alike.entry(likeness).or_default().push(file),
                Err(why) => stay(why, &file),
            }
        }
        for mut files in alike.into_values() {
            files.sort_by_key(|file| file.layer);
            let first = files[0].names[0];
            if files.len() == 1 {
                stay("no other that is equal to them has their mode, owner, time, attributes and place", &files[0]);
            }
            for file in files.into_iter().skip(1) {
                let layer = layers.entry(file.layer).or_default();
                (layer.files, layer.bytes) = (layer.files + 1, layer.bytes + file.size);
                layer.changes.extend(file.names.into_iter().map(|name| (name, Changed::LinkTo(first))));
            }
        }
    }
    let found = layers.into_iter().map(|(at, Linked { changes, files, bytes })| {
        let fix = Fix { edit: Edit::Change(changes), claim: Claim::Linked };
        let (what, help) = (WHAT.to_owned(), HELP.to_owned());
        Remark::Found(Finding { what, help, files, bytes, ..Finding::of(at, fix) })
    });
    let declined = stays.into_iter().map(|(why, (files, bytes, first))| {
        let plural = if files == 1 { "" } else { "s" };
        let first = unit.shown(first);
        let reason = format!("{WHAT}: {files} file{plural} with {bytes} bytes stay as they are ({first}): {why}");
        Remark::Declined(Decline { layer: None, reason, stays: Vec::new() })
    });
    found.chain(declined).collect()
}

/// The files that stay, by their contents after the changes so far.
fn groups<'a>(unit: &'a ImageUnit<'_>, plan: &Plan) -> Groups<'a> {
    let tree = &unit.upper;
    let links = tree.hard_links();
    let mentions = Mentions::of(unit);
    let trees = Trees::of(unit);
    let mut seen = HashSet::new();
    let mut groups: Groups<'a> = BTreeMap::new();
    for node in tree.walk().filter(|node| tree.kind(*node) == Kind::File) {
        let attributes = tree.attributes(node);
        if attributes.size < LEAST || plan.edits.is_gone(tree, node) || !seen.insert(tree.inode(node)) {
            continue;
        }
        let names = links.get(&tree.inode(node)).cloned().unwrap_or_else(|| vec![node]);
        let (mut size, mut digest, mut is_free) = (attributes.size, attributes.digest, true);
        for changed in names.iter().filter_map(|name| plan.edits.of(*name)) {
            match changed {
                Changed::Made { digest: new, size: left, .. } => (size, digest) = (*left, *new),
                _ => is_free = false,
            }
        }
        let is_kept = names.iter().any(|name| unit.options.keeps(&tree.path(*name)).is_some());
        if !is_free || is_kept || size < LEAST {
            continue;
        }
        let place = place(unit, &names, &mentions, &trees);
        let likeness = place.map(|place| {
            let mtime = (attributes.mtime.seconds, attributes.mtime.nanos);
            (attributes.mode, attributes.uid, attributes.gid, mtime, attributes.xattrs, place)
        });
        let file = File { names, layer: tree.origin(node).layer, size };
        groups.entry((size, digest)).or_default().push((file, likeness));
    }
    groups
}

/// The tree that a file is in with all its names, where nobody writes to; an error where it has to stay.
fn place(unit: &ImageUnit<'_>, names: &[Node], mentions: &Mentions, trees: &Trees) -> Result<Vec<u8>, &'static str> {
    let tree = &unit.upper;
    let any = |test: &dyn Fn(Node) -> bool| names.iter().any(|name| test(*name));
    let attributes = tree.attributes(names[0]);
    if any(&|name| !unit.is_own(name)) {
        return Err("base layers stay as they are so that they stay shared; --squash-all merges them");
    }
    if any(&|name| unit.owner(name).is_some()) {
        return Err("packages own them");
    }
    if attributes.uid != 0 || attributes.mode & 0o022 != 0 {
        return Err("others than root may write into them");
    }
    if any(&|name| mentions.nodes.contains(&name)) {
        return Err("the image's settings or the scripts that they name name them");
    }
    let places: Vec<Option<Vec<u8>>> = names.iter().map(|name| trees.place(&tree.path(*name))).collect();
    match &places[0] {
        Some(place) if places.iter().all(|other| other.as_ref() == Some(place)) => Ok(place.clone()),
        _ => Err("programs may write to where they are"),
    }
}
