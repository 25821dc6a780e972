//! The text form of images: every setting, history entry and layer entry of an image on a line of its
//! own, so that a person can read what two images hold and a test can be read as what it says.
//!
//! ```text
//! config {"architecture":"amd64","config":{"Cmd":["/bin/sh"]},"os":"linux"}
//! empty "ENV A=1"
//! layer 1  "RUN make"  {"comment":"buildkit.dockerfile.v0"}
//!   d 0755 0:0  /out
//!   f 0644 0:0  @1700000000.5  12582912 sha256:5891b5b5…  /out/app.debug
//!   f 0755 0:0  "hello\n"  /out/app  user.comment="hi\x00"
//!   f 0755 0:0  1000000*"ab"  /out/large
//!   l 0777 0:0  /out/link -> ../x
//!   h /out/hard => /out/app
//!   c 0666 0:0  1,3  /dev/null
//!   b 0660 0:6  7,0  /dev/loop0
//!   p 0622 0:0  /fifo
//!   w /out/app.debug
//!   o /out
//!   x /.wh..wh.plnk
//! surplus "RUN an instruction whose layer is missing"
//! ```
//!
//! An entry's line holds its letter, mode, owner and group, `@` and the time of last modification where
//! that is not 0, what is particular to its kind, its path, and its extended attributes. A file's content is
//! its size and digest, a quoted text, or a quoted text repeated up to a size in bytes. Paths start with
//! a slash; what holds blanks, quotes, backslashes, control characters or bytes that are not UTF-8 is
//! quoted. Where a text is read, more blanks, blank lines and lines that start with `#` are allowed.

mod build;
mod parse;
mod print;

use serde_json::{Map, Value};

use crate::config::{Config, ConfigError, HistoryEntry};
use crate::digest::Digest;
use crate::layer::{Entry, Kind, Layer, LayerError, Xattrs};
use crate::tar::Mtime;
use crate::tree::{self, ROOT, Tree};

pub use build::ImageBytes;

/// An image in its text form: printed by [`std::fmt::Display`], read by [`std::str::FromStr`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageText {
    /// Every field of the config but `rootfs` and `history`: [`Config::settings`].
    pub settings: Map<String, Value>,
    /// The history and the layers, oldest and lowest first.
    pub items: Vec<Item>,
}

/// One line of the history, with the layer that it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `empty`: the history entry of an instruction that made no layer.
    Empty(HistoryEntry),
    /// `layer`: a layer, and its history entry where there is one.
    Layer(LayerText),
    /// `surplus`: a history entry that should have a layer, where the image has no more of them.
    Surplus(HistoryEntry),
}

/// A layer in its text form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerText {
    /// The entry of the instruction that made the layer; `None` where the history is missing or too short.
    pub history: Option<HistoryEntry>,
    /// The entries in the order of the layer's tar.
    pub entries: Vec<EntryText>,
}

/// An entry of a layer in its text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryText {
    /// The path without its leading slash; empty for the root. A whiteout's is the removed path.
    pub path: Vec<u8>,
    /// What the entry is.
    pub what: What,
    /// The entry's metadata; the default where [`What::has_attributes`] says that there is none.
    pub attributes: Attributes,
}

/// What an entry is, with all that only its kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `f`: a regular file.
    File(Content),
    /// `d`: a directory.
    Directory,
    /// `l`: a symbolic link with its target as written.
    Symlink(Vec<u8>),
    /// `h`: a further name of the file at this path, which is written without its leading slash. It has the
    /// metadata of that file, so it states none.
    HardLink(Vec<u8>),
    /// `c`: a character device with its major and minor number.
    CharDevice(u32, u32),
    /// `b`: a block device with its major and minor number.
    BlockDevice(u32, u32),
    /// `p`: a named pipe.
    Fifo,
    /// `w`: removes the path of the lower layers.
    Whiteout,
    /// `o`: removes all that lower layers hold below the path.
    Opaque,
    /// `x`: something that no tree can hold, such as AUFS bookkeeping: [`Layer::dropped`].
    Dropped,
}

impl What {
    /// Whether the entry has a mode, an owner, a time and extended attributes of its own.
    #[must_use]
    pub fn has_attributes(&self) -> bool {
        !matches!(self, Self::HardLink(_) | Self::Whiteout | Self::Opaque | Self::Dropped)
    }
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// `SIZE DIGEST`: the content itself is not part of the text.
    Known {
        /// In bytes.
        size: u64,
        /// Of the content.
        digest: Digest,
    },
    /// `"TEXT"`: the content itself.
    Literal(Vec<u8>),
    /// `SIZE*"TEXT"`: a text repeated and cut to a size, at most [`Content::MAX_FILL`].
    Fill {
        /// In bytes.
        size: u64,
        /// What is repeated: not empty unless the size is 0.
        unit: Vec<u8>,
    },
}

impl Content {
    /// The largest size of [`Content::Fill`] in bytes: what is made of a few letters of text must still fit
    /// into memory.
    pub const MAX_FILL: u64 = 1 << 30;

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Known { size, .. } | Self::Fill { size, .. } => *size,
            Self::Literal(bytes) => bytes.len() as u64,
        }
    }
}

/// The metadata of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The low 12 mode bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Mtime,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// Why a text is not an image, or why an image cannot be made of it.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A line is not of the form.
    #[error("line {line}: expected {expected}, found {found:?}")]
    Expected {
        /// Counted from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
        /// What stands there, to the end of the line.
        found: String,
    },
    /// The settings or the rest of a history entry are not a JSON object of the right shape.
    #[error("line {line}: the JSON object is not valid")]
    Json {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Bytes are asked for, and the text has only a digest.
    #[error("layer {layer}: the content of {path:?} is not part of the text, only its digest", path = bstr::BStr::new(path))]
    NoContent {
        /// Counted from 1, the lowest.
        layer: usize,
        /// The file.
        path: Vec<u8>,
    },
    /// An entry is not one that a layer may hold.
    #[error("layer {layer} is not valid")]
    Layer {
        /// Counted from 1, the lowest.
        layer: usize,
        /// What is wrong with it.
        #[source]
        source: LayerError,
    },
    /// The settings cannot be those of an image config.
    #[error("the settings are not those of an image config")]
    Config(#[from] ConfigError),
}

impl ImageText {
    /// The text form of an image. Bytes of files, the places of entries within the tar, and the runs of
    /// sparse files are not part of it.
    #[must_use]
    pub fn of(config: &Config, layers: &[Layer]) -> Self {
        let mut rest = layers.iter();
        let mut items: Vec<Item> = config
            .history()
            .iter()
            .map(|entry| match entry {
                entry if entry.empty_layer => Item::Empty(entry.clone()),
                entry => match rest.next() {
                    Some(layer) => Item::Layer(LayerText { history: Some(entry.clone()), ..LayerText::of(layer) }),
                    None => Item::Surplus(entry.clone()),
                },
            })
            .collect();
        items.extend(rest.map(|layer| Item::Layer(LayerText::of(layer))));
        Self { settings: config.settings(), items }
    }

    /// The layers, lowest first.
    pub fn layer_texts(&self) -> impl Iterator<Item = &LayerText> {
        self.items.iter().filter_map(|item| match item {
            Item::Layer(layer) => Some(layer),
            Item::Empty(_) | Item::Surplus(_) => None,
        })
    }
}

impl LayerText {
    /// The text form of one layer, without a history entry.
    #[must_use]
    pub fn of(layer: &Layer) -> Self {
        let dropped = layer.dropped.iter().map(|path| EntryText {
            path: path.clone(),
            what: What::Dropped,
            attributes: Attributes::default(),
        });
        let entries = layer.entries.iter().map(|entry| EntryText::of(layer, entry)).chain(dropped).collect();
        Self { history: None, entries }
    }

    /// The text form of the one layer that makes all of `tree`: parents first, names in order, and the
    /// first name of a file with several as the one that the others are links to. The root is listed
    /// where it differs from a plain one.
    #[must_use]
    pub fn of_tree(tree: &Tree<'_>) -> Self {
        let names = tree.hard_links();
        let plain = Tree::empty(None).attributes(ROOT);
        let listed = tree.walk().filter(|&node| node != ROOT || tree.attributes(ROOT) != plain);
        let entries = listed.map(|node| match names.get(&tree.inode(node)) {
            Some(names) if names[0] != node => EntryText {
                path: tree.path(node),
                what: What::HardLink(tree.path(names[0])),
                attributes: Attributes::default(),
            },
            _ => EntryText::of_node(tree.path(node), &tree.attributes(node)),
        });
        Self { history: None, entries: entries.collect() }
    }
}

impl EntryText {
    fn of(layer: &Layer, entry: &Entry) -> Self {
        let (major, minor) = entry.device;
        let what = match entry.kind {
            Kind::File => What::File(Content::Known { size: entry.size, digest: entry.digest }),
            Kind::Directory => What::Directory,
            Kind::Symlink => What::Symlink(layer.link(entry).to_vec()),
            Kind::HardLink => What::HardLink(layer.link(entry).to_vec()),
            Kind::CharDevice => What::CharDevice(major, minor),
            Kind::BlockDevice => What::BlockDevice(major, minor),
            Kind::Fifo => What::Fifo,
            Kind::Whiteout => What::Whiteout,
            Kind::Opaque => What::Opaque,
        };
        let attributes = if what.has_attributes() {
            Attributes {
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime(),
                xattrs: layer.xattrs(entry).to_vec(),
            }
        } else {
            Attributes::default()
        };
        Self { path: layer.path(entry).to_vec(), what, attributes }
    }

    fn of_node(path: Vec<u8>, node: &tree::Attributes<'_>) -> Self {
        let (major, minor) = node.device;
        let what = match node.kind {
            Kind::Directory => What::Directory,
            Kind::Symlink => What::Symlink(node.link.to_vec()),
            Kind::CharDevice => What::CharDevice(major, minor),
            Kind::BlockDevice => What::BlockDevice(major, minor),
            Kind::Fifo => What::Fifo,
            // A tree's nodes are none of the others: links and marks became inodes and absences.
            Kind::File | Kind::HardLink | Kind::Whiteout | Kind::Opaque => {
                What::File(Content::Known { size: node.size, digest: node.digest })
            }
        };
        let attributes = Attributes {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            xattrs: node.xattrs.to_vec(),
        };
        Self { path, what, attributes }
    }
}
