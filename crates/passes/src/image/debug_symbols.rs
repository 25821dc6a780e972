//! Finds debug information and tables of symbols in programs, libraries and kernel modules, and takes them out where no
//! checksum or signature of the file would become wrong.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jettison_image::elf::{Elf, NotStripped, Program, Strip, Strippable, strip};
use jettison_image::{Digest, Kind, Node};
use jettison_ir::{
    Assumption, Changed, Claim, Decline, Edit, Finding, Fix, ImageUnit, Level, Maker, Pass, Plan, Remark, Run, Safety,
};

use crate::analysis::image::records::{Listing, Records};
use crate::analysis::image::{digests, places};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "symbols-are-for-debuggers",
    holds: "debug information and tables of symbols are read by debuggers, profilers and what writes backtraces, and by nothing \
            that the image is for",
}];

pub(crate) const PASS: Pass = Pass {
    name: "debug-symbols",
    summary: "debug information and symbol tables of programs and libraries",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("debug_symbols.md"),
    aliases: &[],
    run: Run::Image(run),
};

const WHAT: &str = "debug symbols of programs and libraries";
const HELP: &str = "compile without `-g`, or end the RUN that builds with `strip --strip-unneeded`; set `strip = true` in cargo's \
                    profile, or use `go build -ldflags='-s -w'`";

/// Programs that read the symbols of others.
const READERS: [&str; 14] = [
    "gdb",
    "gdbserver",
    "lldb*",
    "perf",
    "valgrind",
    "bpftrace",
    "stap",
    "rr",
    "dlv",
    "eu-stack",
    "pstack",
    "heaptrack",
    "uftrace",
    "ltrace",
];

/// A file with symbols, under all its names.
struct File {
    names: Vec<Node>,
    digest: Digest,
}

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let files = files(unit, plan);
    if files.is_empty() {
        return Vec::new();
    }
    let is_gone = |node: Node| plan.edits.is_gone(&unit.upper, node);
    if let Some(reader) = READERS.iter().find(|name| places::has_program(unit, name, &is_gone)) {
        let reader = reader.trim_end_matches('*');
        return vec![decline(format!("{WHAT} stay: {reader} is there, which reads them"))];
    }
    let records = Records::of(unit, plan);
    let mut layers: BTreeMap<usize, Layer> = BTreeMap::new();
    let mut stays: BTreeMap<String, (usize, Node)> = BTreeMap::new();
    let mut made: HashMap<Digest, Option<(Digest, u64)>> = HashMap::new();
    for file in files {
        let first = file.names[0];
        let listings = match held(unit, &file).map_or_else(|| records.listings(unit, plan, first), Err) {
            Ok(listings) => listings,
            Err(reason) => {
                stays.entry(reason.to_owned()).or_insert((0, first)).0 += 1;
                continue;
            }
        };
        match elf(unit, file.digest).map(|elf| &elf.strippable) {
            Some(Strippable::No(reason)) => stays.entry(reason.to_string()).or_insert((0, first)).0 += 1,
            _ => {
                let new = *made.entry(file.digest).or_insert_with(|| {
                    let new = stripped(&unit.content(first)?)?;
                    Some((Digest::of(&new), new.len() as u64))
                });
                let Some((digest, size)) = new else { continue };
                let layer = layers.entry(unit.upper.origin(first).layer).or_default();
                layer.saved += unit.upper.attributes(first).size - size;
                layer.changes.push((first, Changed::Made { by: MAKER, digest, size }));
                layer.listings.extend(listings.iter().map(|listing| (*listing, digest, size)));
            }
        }
    }
    let found = layers.into_iter().map(|(at, layer)| Remark::Found(layer.finding(at, &records)));
    let declined = stays.into_iter().map(|(reason, (files, first))| {
        let plural = if files == 1 { "" } else { "s" };
        decline(format!("{WHAT}: those of {files} file{plural} stay ({}): {reason}", unit.shown(first)))
    });
    found.chain(declined).collect()
}

const MAKER: Maker = Maker { name: "stripped", make: stripped };

/// What of an object file or a module does not have to be there for linking or loading stays in any case.
fn stripped(content: &[u8]) -> Option<Vec<u8>> {
    strip(content, Strip::All).ok()
}

/// What is found in one layer.
#[derive(Default)]
struct Layer {
    changes: Vec<(Node, Changed)>,
    listings: Vec<(Listing, Digest, u64)>,
    saved: u64,
}

impl Layer {
    fn finding(mut self, at: usize, records: &Records) -> Finding {
        let files = self.changes.len();
        let lists = records.rewritten(&self.listings).into_iter();
        self.changes.extend(lists.map(|(list, content)| (list, Changed::Content(Arc::from(content)))));
        let fix = Fix { edit: Edit::ChangeAll(self.changes), claim: Claim::Stripped };
        let (what, help) = (WHAT.to_owned(), HELP.to_owned());
        Finding { what, help, files, bytes: self.saved, ..Finding::of(at, fix) }
    }
}

fn elf<'u>(unit: &'u ImageUnit<'_>, digest: Digest) -> Option<&'u Elf> {
    match unit.programs().get(&digest)? {
        Program::Elf(elf) => Some(elf),
        Program::Script(_) => None,
    }
}

/// The files that have symbols, each once, without what is gone, changed or kept by the user.
fn files(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<File> {
    let tree = &unit.upper;
    let names = tree.hard_links();
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for node in tree.walk().filter(|node| tree.kind(*node) == Kind::File) {
        let digest = tree.attributes(node).digest;
        let has_symbols = elf(unit, digest).is_some_and(|elf| match &elf.strippable {
            Strippable::Yes { .. } => true,
            Strippable::No(NotStripped::Nothing | NotStripped::NotElf | NotStripped::Archive) => false,
            Strippable::No(_) => elf.has_debug || elf.has_symbols,
        });
        if !has_symbols || !seen.insert(tree.inode(node)) {
            continue;
        }
        let names = names.get(&tree.inode(node)).cloned().unwrap_or_else(|| vec![node]);
        let is_settled = |name: &Node| {
            plan.edits.of(*name).is_some()
                || plan.edits.is_gone(tree, *name)
                || unit.options.keeps(&tree.path(*name)).is_some()
        };
        if !names.iter().any(is_settled) {
            files.push(File { names, digest });
        }
    }
    files
}

/// Why a file has to stay as it is, whatever is in it.
fn held(unit: &ImageUnit<'_>, file: &File) -> Option<&'static str> {
    if file.names.iter().any(|name| !unit.is_own(*name)) {
        Some("base layers stay as they are so that they stay shared; --squash-all merges them")
    } else if file.names.iter().any(|name| unit.owner(*name).is_some()) {
        Some("packages own them, and the packages' databases have checksums of them")
    } else {
        file.names.iter().find_map(|name| digests::holder(unit, *name))
    }
}

fn decline(reason: String) -> Remark {
    Remark::Declined(Decline { layer: None, reason, stays: Vec::new() })
}
