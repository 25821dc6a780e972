//! From the text form to layers and configs: the values without bytes, and the tars with them.

use hashbrown::HashMap;
use serde_json::{Map, Value, json};

use super::{Attributes, Content, EntryText, ImageText, Item, LayerText, TextError, What};
use crate::config::{Config, HistoryEntry};
use crate::digest::{Digest, Hasher};
use crate::layer::{Layer, LayerError};
use crate::tar::{END, HeaderSpec, Member, MemberType, header, padding};

/// An image made of its text form, with all its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageBytes {
    /// The config; its diff IDs are those of the layers.
    pub config: Config,
    /// The uncompressed tars of the layers, lowest first.
    pub layers: Vec<Vec<u8>>,
}

/// Where each path's metadata stands, for the hard links to it.
type Targets<'t> = HashMap<Vec<u8>, &'t EntryText>;

impl ImageText {
    /// The layers as values, lowest first: what [`Layer::read`] makes of [`ImageText::tars`]. They are also
    /// made where the text has no more than the digests of files.
    ///
    /// # Errors
    /// [`TextError::Layer`] where an entry is not one that a layer may hold.
    pub fn layers(&self) -> Result<Vec<Layer>, TextError> {
        let mut below = Targets::new();
        let texts = self.layer_texts().enumerate();
        texts
            .map(|(at, text)| {
                let layer = text.layer(&below).map_err(|source| TextError::Layer { layer: at + 1, source })?;
                below.extend(text.targets());
                Ok(layer)
            })
            .collect()
    }

    /// The uncompressed tars of the layers, lowest first. Entries stand exactly in the order of the text,
    /// repeated paths, whiteouts and links that lead nowhere included.
    ///
    /// # Errors
    /// [`TextError::NoContent`] where a file is known by its digest only.
    pub fn tars(&self) -> Result<Vec<Vec<u8>>, TextError> {
        let mut below = Targets::new();
        let texts = self.layer_texts().enumerate();
        texts
            .map(|(at, text)| {
                let tar = text.tar(&below).map_err(|path| TextError::NoContent { layer: at + 1, path })?;
                below.extend(text.targets());
                Ok(tar)
            })
            .collect()
    }

    /// The config of an image with these layers, whose uncompressed digests are given.
    ///
    /// A layer without a history entry gets an empty one where a later line has one: the entries are
    /// matched to the layers by their order.
    ///
    /// # Errors
    /// [`TextError::Config`] where the settings cannot be those of a config.
    pub fn config(&self, diff_ids: &[Digest]) -> Result<Config, TextError> {
        let given = |item: &Item| !matches!(item, Item::Layer(LayerText { history: None, .. }));
        let length = self.items.iter().rposition(given).map_or(0, |last| last + 1);
        let entries = self.items[..length].iter().map(|item| match item {
            Item::Empty(entry) => HistoryEntry { empty_layer: true, ..entry.clone() },
            Item::Surplus(entry) => entry.clone(),
            Item::Layer(layer) => layer.history.clone().unwrap_or_default(),
        });
        let entries: Vec<HistoryEntry> = entries.collect();
        let mut document: Map<String, Value> = self.settings.clone();
        document.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
        if !entries.is_empty() {
            document.insert("history".to_owned(), json!(entries));
        }
        Ok(Config::parse(Value::Object(document).to_string().as_bytes())?)
    }

    /// The whole image: the tars, and the config with their digests.
    ///
    /// # Errors
    /// As [`ImageText::tars`] and [`ImageText::config`].
    pub fn bytes(&self) -> Result<ImageBytes, TextError> {
        let layers = self.tars()?;
        let diff_ids: Vec<Digest> = layers.iter().map(|tar| Digest::of(tar)).collect();
        Ok(ImageBytes { config: self.config(&diff_ids)?, layers })
    }
}

impl LayerText {
    fn layer(&self, below: &Targets<'_>) -> Result<Layer, LayerError> {
        let own = self.targets();
        let mut layer = Layer::default();
        let mut position = 0;
        let mut blocks = Vec::new();
        for entry in &self.entries {
            let mut member = entry.member(&own, below);
            blocks.clear();
            push_header(&member, &mut blocks);
            member.header_offset = position;
            member.data_offset = position.saturating_add(blocks.len() as u64);
            let end = member.data_offset.saturating_add(member.size);
            position = end.saturating_add(padding(member.size) as u64);
            let digest = if let What::File(content) = &entry.what { content.digest() } else { Digest::default() };
            layer.add(&member, digest)?;
        }
        layer.size = position.saturating_add(END.len() as u64);
        Ok(layer)
    }

    /// The layer's tar, or the path of a file whose content is not at hand.
    fn tar(&self, below: &Targets<'_>) -> Result<Vec<u8>, Vec<u8>> {
        let own = self.targets();
        let mut tar = Vec::new();
        for entry in &self.entries {
            push_header(&entry.member(&own, below), &mut tar);
            if let What::File(content) = &entry.what {
                if matches!(content, Content::Known { .. }) {
                    return Err(entry.path.clone());
                }
                content.each_piece(|piece| tar.extend_from_slice(piece));
                tar.resize(tar.len() + padding(content.size()), 0);
            }
        }
        tar.extend_from_slice(&END);
        Ok(tar)
    }

    fn targets(&self) -> Targets<'_> {
        self.entries.iter().map(|entry| (entry.path.clone(), entry)).collect()
    }
}

impl EntryText {
    /// The entry as a tar has it. A hard link's header repeats the metadata of its file, because engines
    /// that read it give its values to the file.
    fn member(&self, own: &Targets<'_>, below: &Targets<'_>) -> Member {
        let mut member = Member { path: self.path.clone(), ..Member::default() };
        let mut attributes = &self.attributes;
        let linked;
        match &self.what {
            What::File(content) => member.size = content.size(),
            What::Directory => {
                member.member_type = MemberType::Directory;
                // The root is written as `./`: a tar's names are never empty.
                if !member.path.ends_with(b"/") {
                    member.path.extend_from_slice(if member.path.is_empty() { b"./" } else { b"/" });
                }
            }
            What::Symlink(target) => (member.member_type, member.link) = (MemberType::Symlink, target.clone()),
            What::HardLink(target) => {
                (member.member_type, member.link) = (MemberType::HardLink, target.clone());
                linked = linked_attributes(target, own, below);
                attributes = &linked;
            }
            What::CharDevice(major, minor) => {
                (member.member_type, member.device) = (MemberType::CharDevice, (*major, *minor));
            }
            What::BlockDevice(major, minor) => {
                (member.member_type, member.device) = (MemberType::BlockDevice, (*major, *minor));
            }
            What::Fifo => member.member_type = MemberType::Fifo,
            What::Whiteout => {
                let name = self.path.iter().rposition(|&c| c == b'/').map_or(0, |slash| slash + 1);
                member.path.splice(name..name, *b".wh.");
            }
            What::Opaque => {
                member.path.extend_from_slice(if self.path.is_empty() { b".wh..wh..opq" } else { b"/.wh..wh..opq" });
            }
            What::Dropped => {}
        }
        member.stored = member.size;
        (member.mode, member.uid, member.gid) = (attributes.mode, attributes.uid, attributes.gid);
        member.mtime = attributes.mtime;
        member.xattrs.clone_from(&attributes.xattrs);
        member
    }
}

/// The metadata, but for extended attributes, of the file behind a hard link: in its own layer, else below.
fn linked_attributes(target: &[u8], own: &Targets<'_>, below: &Targets<'_>) -> Attributes {
    let mut target = target;
    // Links may lead in circles; a chain of them is short in every layer that is meant to be read.
    for _ in 0..40 {
        match own.get(target).or_else(|| below.get(target)) {
            Some(EntryText { what: What::HardLink(next), .. }) => target = next,
            Some(entry) => return Attributes { xattrs: Vec::new(), ..entry.attributes.clone() },
            None => break,
        }
    }
    Attributes { mode: 0o644, ..Attributes::default() }
}

impl Content {
    /// The digest of the content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        if let Self::Known { digest, .. } = self {
            return *digest;
        }
        let mut hasher = Hasher::default();
        self.each_piece(|piece| hasher.update(piece));
        hasher.finish()
    }

    /// Gives the content's bytes, in pieces; none where only the digest is known.
    fn each_piece(&self, mut each: impl FnMut(&[u8])) {
        match self {
            Self::Known { .. } => {}
            Self::Literal(bytes) => each(bytes),
            Self::Fill { unit, .. } if unit.is_empty() => {}
            Self::Fill { size, unit } => {
                // Whole units in pieces of some size: a byte at a time would be slow.
                let block = unit.repeat(65_536_usize.div_ceil(unit.len()));
                let mut left = *size;
                while left > 0 {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                    each(&block[..take]);
                    left -= take as u64;
                }
            }
        }
    }
}

fn push_header(member: &Member, out: &mut Vec<u8>) {
    let type_flag = match member.member_type {
        MemberType::File => b'0',
        MemberType::HardLink => b'1',
        MemberType::Symlink => b'2',
        MemberType::CharDevice => b'3',
        MemberType::BlockDevice => b'4',
        MemberType::Directory => b'5',
        MemberType::Fifo => b'6',
    };
    let spec = HeaderSpec {
        type_flag,
        path: &member.path,
        link: &member.link,
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        mtime: member.mtime,
        size: member.size,
        device: member.device,
        xattrs: &member.xattrs,
    };
    header(&spec, out);
}
