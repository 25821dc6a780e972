//! The judge: compares two images as running containers see them.
//!
//! It knows nothing of passes and shares no code with them. It is given the trees and configs of what
//! was read and of what was written, and the claims that were made; every difference that no claim
//! covers is a reason to refuse the output.

mod claimed;
mod forms;
pub mod packages;
mod part;
mod proof;
mod records;
mod stripped;

pub use claimed::Reads;
pub use part::{Part, part};
pub use proof::{Contents, weigh};
pub use stripped::is_stripped_form;

use bstr::ByteSlice as _;
use hashbrown::HashMap;
use jettison_image::tree::{Attributes, Inode, ROOT};
use jettison_image::{Config, Kind, Node, Tree, validate};
use jettison_ir::{Claim, Claimed, Difference, Place, Verdict};
use serde_json::{Map, Value};

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'t, 'a> {
    /// The tree that a container sees.
    pub tree: &'t Tree<'a>,
    /// The config.
    pub config: &'t Config,
}

/// Compares `before` with `after`. Differences that the claims cover are not in the verdict. What claims say of contents
/// is looked at by `reads`.
#[must_use]
pub fn judge<'r, 'a: 'r>(
    before: Side<'r, 'a>,
    after: Side<'r, 'a>,
    claims: &[Claimed],
    reads: Option<Reads<'r>>,
) -> Verdict {
    let mut verdict = compare(before, after);
    let is_claimed = claims.iter().any(|one| one.claim != Claim::NoDifference);
    if let (true, Some(reads)) = (is_claimed, reads) {
        verdict.differences = claimed::uncovered(verdict.differences, claims, before.tree, after.tree, reads);
    }
    // An image that contradicts itself and was copied as it is contradicts itself still.
    let is_copy =
        before.config.diff_ids() == after.config.diff_ids() && before.config.history() == after.config.history();
    if let (Err(error), false) = (validate::history(after.config), is_copy) {
        verdict.differences.push(Difference {
            place: Place::Setting("history".to_owned()),
            what: "layers".to_owned(),
            before: None,
            after: Some(error.to_string()),
        });
    }
    verdict
}

/// Compares two images: every path with all its attributes, hard links, and every setting.
#[must_use]
pub fn compare(before: Side<'_, '_>, after: Side<'_, '_>) -> Verdict {
    let mut trees = Trees::new(before.tree, after.tree);
    trees.compare();
    settings(before.config, after.config, &mut trees.verdict.differences);
    trees.verdict
}

struct Trees<'t, 'a, 'b> {
    before: &'t Tree<'a>,
    after: &'t Tree<'b>,
    /// Which inode after stands for which before, and the other way round.
    forth: HashMap<Inode, Inode>,
    back: HashMap<Inode, Inode>,
    verdict: Verdict,
}

impl<'t, 'a, 'b> Trees<'t, 'a, 'b> {
    fn new(before: &'t Tree<'a>, after: &'t Tree<'b>) -> Self {
        Self { before, after, forth: HashMap::new(), back: HashMap::new(), verdict: Verdict::default() }
    }

    fn compare(&mut self) {
        // Of a tree and itself there is nothing to compare.
        if std::ptr::eq(std::ptr::from_ref(self.before).cast::<()>(), std::ptr::from_ref(self.after).cast::<()>()) {
            self.verdict.paths = self.before.walk().count();
            return;
        }
        let mut stack = vec![(ROOT, ROOT)];
        while let Some((before, after)) = stack.pop() {
            self.node(before, after);
            let (olds, news) = (self.before.children(before), self.after.children(after));
            let (mut olds, mut news) = (olds.into_iter().peekable(), news.into_iter().peekable());
            let mut both = Vec::new();
            loop {
                match (olds.peek().copied(), news.peek().copied()) {
                    (None, None) => break,
                    (Some(old), Some(new)) => match self.before.name(old).cmp(self.after.name(new)) {
                        std::cmp::Ordering::Equal => {
                            both.push((old, new));
                            olds.next();
                            news.next();
                        }
                        std::cmp::Ordering::Less => {
                            self.one_sided(Some(old), None);
                            olds.next();
                        }
                        std::cmp::Ordering::Greater => {
                            self.one_sided(None, Some(new));
                            news.next();
                        }
                    },
                    (old, new) => {
                        self.one_sided(old, new);
                        olds.next();
                        news.next();
                    }
                }
            }
            stack.extend(both.into_iter().rev());
        }
    }

    /// A path that only one side has. What lies below it differs as well and is not listed.
    fn one_sided(&mut self, before: Option<Node>, after: Option<Node>) {
        self.verdict.paths += 1;
        let path = match (before, after) {
            (Some(node), _) => self.before.path(node),
            (None, Some(node)) => self.after.path(node),
            (None, None) => return,
        };
        let describe = |kind: Kind, attributes: Attributes<'_>| match kind {
            Kind::File => format!("file of {} bytes", attributes.size),
            _ => kind_name(kind).to_owned(),
        };
        self.verdict.differences.push(Difference {
            place: place(&path),
            what: "path".to_owned(),
            before: before.map(|node| describe(self.before.kind(node), self.before.attributes(node))),
            after: after.map(|node| describe(self.after.kind(node), self.after.attributes(node))),
        });
    }

    fn node(&mut self, before: Node, after: Node) {
        self.verdict.paths += 1;
        let (old, new) = (self.before.attributes(before), self.after.attributes(after));
        if old != new {
            let path = self.before.path(before);
            for (what, old, new) in fields(&old, &new) {
                let difference =
                    Difference { place: place(&path), what: what.to_owned(), before: Some(old), after: Some(new) };
                self.verdict.differences.push(difference);
            }
        }
        self.hard_links(before, after);
    }

    /// Names that share an inode before must share one after, and no others may.
    fn hard_links(&mut self, before: Node, after: Node) {
        let (old, new) = (self.before.inode(before), self.after.inode(after));
        let (old_links, new_links) = (self.before.links(old), self.after.links(new));
        if old_links == 1 && new_links == 1 {
            return;
        }
        let forth = *self.forth.entry(old).or_insert(new);
        let back = *self.back.entry(new).or_insert(old);
        if (forth, back) != (new, old) || old_links != new_links {
            let links = |count: usize| if count == 1 { "one name".to_owned() } else { format!("{count} names") };
            self.verdict.differences.push(Difference {
                place: place(&self.before.path(before)),
                what: "hard links".to_owned(),
                before: Some(links(old_links)),
                after: Some(if old_links == new_links { "other names".to_owned() } else { links(new_links) }),
            });
        }
    }
}

type Field = (&'static str, String, String);

/// The attributes that differ, as text.
fn fields(old: &Attributes<'_>, new: &Attributes<'_>) -> Vec<Field> {
    let text = |a: &Attributes<'_>| -> [(&'static str, String); 9] {
        [
            ("type", kind_name(a.kind).to_owned()),
            ("mode", format!("{:04o}", a.mode)),
            ("owner", format!("{}:{}", a.uid, a.gid)),
            ("mtime", a.mtime.to_string()),
            ("size", a.size.to_string()),
            ("content", a.digest.to_string()),
            ("target", a.link.escape_bytes().to_string()),
            ("device", format!("{},{}", a.device.0, a.device.1)),
            ("xattrs", xattrs(a.xattrs)),
        ]
    };
    text(old).into_iter().zip(text(new)).filter(|(a, b)| a != b).map(|((name, a), (_, b))| (name, a, b)).collect()
}

fn xattrs(xattrs: &[(Vec<u8>, Vec<u8>)]) -> String {
    let texts: Vec<String> =
        xattrs.iter().map(|(name, value)| format!("{}={}", name.escape_bytes(), value.escape_bytes())).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" ") }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::HardLink => "hard link",
        Kind::CharDevice => "character device",
        Kind::BlockDevice => "block device",
        Kind::Fifo => "fifo",
        Kind::Whiteout => "whiteout",
        Kind::Opaque => "opaque mark",
    }
}

fn place(path: &[u8]) -> Place {
    Place::Path(format!("/{}", path.escape_bytes()))
}

fn settings(before: &Config, after: &Config, out: &mut Vec<Difference>) {
    maps("", &before.settings(), &after.settings(), out);
    // The layers themselves differ by design; what they make is compared as trees.
    let rootfs = |config: &Config| {
        let mut rootfs = config.get("rootfs").and_then(Value::as_object).cloned().unwrap_or_default();
        rootfs.shift_remove("diff_ids");
        rootfs
    };
    maps("rootfs.", &rootfs(before), &rootfs(after), out);
    let metadata = |config: &Config| {
        let empty = || config.history().iter().filter(|entry| entry.empty_layer);
        let entries = empty().map(|entry| serde_json::to_value(entry).unwrap_or_default());
        config.has_history().then(|| Value::from(entries.collect::<Vec<_>>()))
    };
    let (old, new) = (metadata(before), metadata(after));
    if old != new {
        out.push(setting("history", old.as_ref(), new.as_ref()));
    }
}

/// Compares two objects key by key, into the `config` object, so that the message names the setting.
fn maps(prefix: &str, before: &Map<String, Value>, after: &Map<String, Value>, out: &mut Vec<Difference>) {
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    for key in keys {
        match (before.get(key), after.get(key)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) if prefix.is_empty() => {
                maps(&format!("{key}."), old, new, out)
            }
            (old, new) if old != new => out.push(setting(&format!("{prefix}{key}"), old, new)),
            _ => {}
        }
    }
}

fn setting(name: &str, before: Option<&Value>, after: Option<&Value>) -> Difference {
    let text = |value: Option<&Value>| value.map(Value::to_string);
    Difference {
        place: Place::Setting(name.to_owned()),
        what: "value".to_owned(),
        before: text(before),
        after: text(after),
    }
}
