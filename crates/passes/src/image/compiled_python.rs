//! Finds compiled Python whose source is there, which Python compiles again; only where somebody asked for that.

use std::collections::{BTreeMap, BTreeSet};

use jettison_image::{Kind, Node};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste::{self, Finder, decline};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "python-may-compile-again",
    holds: "Python may take the time to compile what it imports: at the first start, or at each one where it cannot write beside \
            the sources",
}];

pub(crate) const PASS: Pass = Pass {
    name: "compiled-python",
    summary: "compiled Python whose source is there (with --drop-compiled-python)",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("compiled_python.md"),
    aliases: &[],
    run: Run::Image(run),
};

const CACHE: &[u8] = b"__pycache__";

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    if !unit.options.drop_compiled_python {
        return Vec::new();
    }
    waste::run_with(unit, plan, PASS.name, |finder, rule, found| {
        let mut stays: BTreeMap<&str, (usize, Node)> = BTreeMap::new();
        let files: Vec<Node> = found.iter().copied().filter(|node| !is_folder(unit, *node)).collect();
        for node in files {
            if let Err(why) = is_made_again(finder, node) {
                stays.entry(why).or_insert((0, node)).0 += 1;
                found.remove(&node);
            }
        }
        drop_held_folders(unit, found);
        let declines = stays.into_iter().map(|(why, (files, first))| {
            let plural = if files == 1 { "" } else { "s" };
            decline(None, format!("{}: {files} file{plural} stay ({}): {why}", rule.what, unit.shown(first)))
        });
        declines.collect()
    })
}

fn is_folder(unit: &ImageUnit<'_>, node: Node) -> bool {
    unit.upper.kind(node) == Kind::Directory
}

/// Takes out folders that something stays in, from the inside out.
fn drop_held_folders(unit: &ImageUnit<'_>, found: &mut BTreeSet<Node>) {
    loop {
        let is_held = |node: &Node| {
            is_folder(unit, *node) && unit.upper.children(*node).iter().any(|child| !found.contains(child))
        };
        let held: Vec<Node> = found.iter().copied().filter(is_held).collect();
        if held.is_empty() {
            return;
        }
        found.retain(|node| !held.contains(node));
    }
}

/// Whether Python makes a file again from its source; an error where not.
fn is_made_again(finder: &Finder<'_, '_>, node: Node) -> Result<(), &'static str> {
    let tree = &finder.unit.upper;
    let name = tree.name(node);
    let end = [&b".pyc"[..], b".pyo"].into_iter().find(|end| name.ends_with(end));
    let (Some(end), Kind::File, Some(folder)) = (end, tree.kind(node), tree.parent(node)) else {
        return Err("they are no compiled Python");
    };
    let stem = &name[..name.len() - end.len()];
    let (folder, module) = if tree.name(folder) == CACHE {
        // `NAME.cpython-312.opt-1.pyc` (PEP 3147 and PEP 488).
        let tag = stem.iter().position(|&byte| byte == b'.').ok_or("they are no compiled Python")?;
        (tree.parent(folder).ok_or("they are no compiled Python")?, &stem[..tag])
    } else {
        (folder, stem)
    };
    let source = tree.child(folder, &[module, b".py"].concat());
    let stays = |source: &Node| !is_folder(finder.unit, *source) && !finder.plan.edits.is_gone(tree, *source);
    if source.filter(stays).is_none() {
        return Err("their source is not there");
    }
    let content = finder.unit.content(node).ok_or("they cannot be read")?;
    if is_trusted(&content) {
        return Err("they say that Python is to use them whatever their source says");
    }
    Ok(())
}

/// Whether a file is marked as one that is not compared with its source (PEP 552): the lowest bit of its flags says that
/// it goes by a digest, the next one that the digest is looked at. Before Python 3.7 a time stood there.
fn is_trusted(content: &[u8]) -> bool {
    /// The first number of Python 3.7's, and the last one below those of Python 2.
    const FLAGGED: std::ops::Range<u16> = 3390..20_000;
    let magic = content.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    // PyPy counts from 0.
    let has_flags = magic.is_some_and(|magic| FLAGGED.contains(&magic) || magic < 3000);
    has_flags && content.get(4).is_some_and(|flags| flags & 0b11 == 0b01)
}
