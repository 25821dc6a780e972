//! A layer as shipped: the entries of its tar in order, with content digests, read in one streaming pass.

use std::io::BufRead;

use bstr::{BStr, ByteSlice as _};

use crate::digest::{Digest, Hasher};
use crate::tar::{Extent, Member, MemberType, Mtime, Reader, TarError};

/// The name that marks its folder opaque (image-spec, layer.md, "Opaque Whiteout").
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The prefix of a whiteout's name (image-spec, layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// AUFS's own bookkeeping, which is no part of the tree (`.wh..wh.plnk`, `.wh..wh.aufs`, `.wh..wh.orph`).
const AUFS: &[u8] = b".wh..wh.";

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A further name of a file that the archive or a lower layer holds.
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// Removes one path of the lower layers. The entry's path is the removed one.
    Whiteout,
    /// Removes all that lower layers hold below the entry's path.
    Opaque,
}

/// A piece of the layer's own text: paths, link targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// One entry of a layer. Texts and attributes that few entries have are kept by the [`Layer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) path: Slice,
    pub(crate) link: Slice,
    /// The content's size in bytes as a container sees it.
    pub size: u64,
    /// Where the content stands in the uncompressed layer.
    pub data_offset: u64,
    /// The digest of a file's content; all zeros for what is no file.
    pub digest: Digest,
    mtime_seconds: i64,
    mtime_nanos: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Major and minor device numbers.
    pub device: (u32, u32),
    /// 0 for none, else one more than the place in the layer's table.
    pub(crate) xattrs: u32,
    sparse: u32,
    /// The low 12 mode bits.
    pub mode: u16,
    /// What the entry is.
    pub kind: Kind,
}

impl Entry {
    /// The time of last modification.
    #[must_use]
    pub fn mtime(&self) -> Mtime {
        Mtime { seconds: self.mtime_seconds, nanos: self.mtime_nanos }
    }
}

/// Extended attributes, sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// All entries of a layer, in the order of its tar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The length of the uncompressed tar in bytes, with all that follows its end marker.
    pub size: u64,
    /// Paths of entries that no tree can hold, such as AUFS bookkeeping: dropped, and said.
    pub dropped: Vec<Vec<u8>>,
    text: Vec<u8>,
    xattrs: Vec<Xattrs>,
    sparse: Vec<Vec<Extent>>,
}

/// Bounds on what is read, against archives made to exhaust the reader.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes that one layer may unpack to, sparse files counted whole.
    pub layer_bytes: u64,
    /// The most entries that one layer may have.
    pub layer_entries: u32,
}

impl Default for Limits {
    /// 64 GiB and 20 million entries: several times what the largest public images hold.
    fn default() -> Self {
        Self { layer_bytes: 64 << 30, layer_entries: 20_000_000 }
    }
}

/// Why a layer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The tar is damaged.
    #[error("the layer's tar is damaged{}", after(entry))]
    Tar {
        /// The last entry that was read, or whose content was being read.
        entry: Vec<u8>,
        /// What and where.
        #[source]
        source: TarError,
    },
    /// A path or hard link leads out of the layer's root.
    #[error("entry {:?} at offset {offset} leads out of the layer", BStr::new(path))]
    Escapes {
        /// The path as written.
        path: Vec<u8>,
        /// Where the entry stands in the uncompressed layer.
        offset: u64,
    },
    /// `.wh.` without a name, or used as a directory.
    #[error("entry {:?} at offset {offset} is not a valid whiteout", BStr::new(path))]
    Whiteout {
        /// The path as written.
        path: Vec<u8>,
        /// Where the entry stands in the uncompressed layer.
        offset: u64,
    },
    /// The layer unpacks to more than the limit.
    #[error(
        "the layer unpacks to more than the limit of {limit} bytes (reached in entry {:?} at offset {offset})",
        BStr::new(path)
    )]
    TooLarge {
        /// The entry in which the limit was reached.
        path: Vec<u8>,
        /// Where the entry stands in the uncompressed layer.
        offset: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The layer has more entries than the limit.
    #[error("the layer has more than the limit of {limit} entries")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// Names and links of one layer take more than 4 GiB.
    #[error("the names of the layer's entries take more than 4 GiB")]
    Text,
}

fn after(entry: &[u8]) -> String {
    if entry.is_empty() { String::new() } else { format!(" after entry {:?}", BStr::new(entry)) }
}

impl Layer {
    /// Reads a whole uncompressed layer, bytes after the end marker included.
    ///
    /// # Errors
    /// [`LayerError`], which names the entry and the offset.
    pub fn read(input: impl BufRead, limits: Limits) -> Result<Self, LayerError> {
        let mut layer = Self::default();
        let mut reader = Reader::new(input);
        let mut member = Member::default();
        let mut hasher = Hasher::default();
        let mut expanded: u64 = 0;
        loop {
            let more = reader.next(&mut member).map_err(|source| {
                // The member holds half of the headers that are wrong; the last good entry is the layer's.
                let last = layer.entries.last().map(|entry| layer.path(entry).to_vec());
                LayerError::Tar { entry: last.unwrap_or_default(), source }
            })?;
            if !more {
                break;
            }
            let fail = |source| LayerError::Tar { entry: member.path.clone(), source };
            let (path, offset) = (&member.path, member.header_offset);
            expanded = expanded.saturating_add(member.size.saturating_sub(member.stored));
            if reader.position().saturating_add(member.stored).saturating_add(expanded) > limits.layer_bytes {
                return Err(LayerError::TooLarge { path: path.clone(), offset, limit: limits.layer_bytes });
            }
            if layer.entries.len() + layer.dropped.len() >= limits.layer_entries as usize {
                return Err(LayerError::TooMany { limit: limits.layer_entries });
            }
            let is_file = member.member_type == MemberType::File;
            let digest = if is_file {
                content_digest(&mut reader, &member, &mut hasher).map_err(fail)?
            } else {
                Digest::default()
            };
            layer.add(&member, digest)?;
        }
        let is_read = reader.drain(limits.layer_bytes);
        if !is_read.map_err(|source| LayerError::Tar { entry: member.path.clone(), source })? {
            let (path, offset) = (member.path, member.header_offset);
            return Err(LayerError::TooLarge { path, offset, limit: limits.layer_bytes });
        }
        layer.size = reader.position();
        layer.entries.shrink_to_fit();
        layer.text.shrink_to_fit();
        Ok(layer)
    }

    /// The path of `entry`, cleaned: no leading, trailing or doubled slash; empty for the root.
    #[must_use]
    pub fn path(&self, entry: &Entry) -> &[u8] {
        self.text(entry.path)
    }

    /// A symlink's target as written; a hard link's, cleaned like a path.
    #[must_use]
    pub fn link(&self, entry: &Entry) -> &[u8] {
        self.text(entry.link)
    }

    /// The extended attributes of `entry`, sorted by name.
    #[must_use]
    pub fn xattrs(&self, entry: &Entry) -> &[(Vec<u8>, Vec<u8>)] {
        match entry.xattrs.checked_sub(1) {
            Some(index) => &self.xattrs[index as usize],
            None => &[],
        }
    }

    /// The stored runs of a sparse file; `None` where all of the content is stored.
    #[must_use]
    pub fn sparse(&self, entry: &Entry) -> Option<&[Extent]> {
        entry.sparse.checked_sub(1).map(|index| self.sparse[index as usize].as_slice())
    }

    pub(crate) fn text(&self, slice: Slice) -> &[u8] {
        &self.text[slice.start as usize..][..slice.length as usize]
    }

    /// Appends one entry; `digest` is that of its content.
    ///
    /// # Errors
    /// Where the entry's name or link target is not one that a layer may hold.
    pub fn add(&mut self, member: &Member, digest: Digest) -> Result<(), LayerError> {
        let offset = member.header_offset;
        let escapes = |path: &[u8]| LayerError::Escapes { path: path.to_vec(), offset };
        let whiteout = || LayerError::Whiteout { path: member.path.clone(), offset };
        let start = self.text.len();
        if !push_clean(&mut self.text, &member.path) {
            return Err(escapes(&member.path));
        }
        let mut kind = match member.member_type {
            MemberType::File => Kind::File,
            MemberType::Directory => Kind::Directory,
            MemberType::Symlink => Kind::Symlink,
            MemberType::HardLink => Kind::HardLink,
            MemberType::CharDevice => Kind::CharDevice,
            MemberType::BlockDevice => Kind::BlockDevice,
            MemberType::Fifo => Kind::Fifo,
        };
        if self.text[start..].contains_str(WHITEOUT) {
            match whiteout_of(&self.text[start..]) {
                Name::Ordinary => {}
                Name::Bookkeeping => {
                    self.dropped.push(self.text.split_off(start));
                    return Ok(());
                }
                Name::Invalid => return Err(whiteout()),
                Name::Marks(marked, target) => {
                    kind = marked;
                    self.text.truncate(start);
                    self.text.extend_from_slice(&target);
                }
            }
        }
        let path = self.slice_from(start)?;
        let start = self.text.len();
        match kind {
            Kind::Symlink => self.text.extend_from_slice(&member.link),
            Kind::HardLink if !push_clean(&mut self.text, &member.link) => return Err(escapes(&member.link)),
            _ => {}
        }
        let link = self.slice_from(start)?;
        self.entries.push(Entry {
            path,
            link,
            size: if kind == Kind::File { member.size } else { 0 },
            data_offset: member.data_offset,
            digest: if kind == Kind::File { digest } else { Digest::default() },
            mtime_seconds: member.mtime.seconds,
            mtime_nanos: member.mtime.nanos,
            uid: member.uid,
            gid: member.gid,
            device: member.device,
            xattrs: 0,
            sparse: 0,
            mode: member.mode,
            kind,
        });
        self.add_rare(member);
        Ok(())
    }

    /// Extended attributes and sparse maps. `trusted.overlay.*` is the overlay driver's own bookkeeping
    /// and never part of an image.
    fn add_rare(&mut self, member: &Member) {
        let Some(entry) = self.entries.last_mut() else { return };
        let visible = |(name, _): &&(Vec<u8>, Vec<u8>)| !name.starts_with(b"trusted.overlay.");
        let mut xattrs: Xattrs = member.xattrs.iter().filter(visible).cloned().collect();
        if !xattrs.is_empty() && !matches!(entry.kind, Kind::Whiteout | Kind::Opaque | Kind::HardLink) {
            xattrs.sort();
            self.xattrs.push(xattrs);
            entry.xattrs = u32::try_from(self.xattrs.len()).unwrap_or_default();
        }
        if let (Some(extents), Kind::File) = (&member.sparse, entry.kind) {
            self.sparse.push(extents.clone());
            entry.sparse = u32::try_from(self.sparse.len()).unwrap_or_default();
        }
    }

    fn slice_from(&self, start: usize) -> Result<Slice, LayerError> {
        let narrow = |n: usize| u32::try_from(n).map_err(|_| LayerError::Text);
        Ok(Slice { start: narrow(start)?, length: narrow(self.text.len() - start)? })
    }
}

/// The digest of a file's whole content, the zeros between a sparse file's runs included.
fn content_digest<R: BufRead>(
    reader: &mut Reader<R>,
    member: &Member,
    hasher: &mut Hasher,
) -> Result<Digest, TarError> {
    let Some(extents) = &member.sparse else {
        reader.data(|piece| hasher.update(piece))?;
        return Ok(hasher.finish());
    };
    let mut runs = extents.iter().filter(|run| run.length > 0);
    let mut position = 0;
    let mut left = 0;
    reader.data(|mut piece| {
        while !piece.is_empty() {
            if left == 0 {
                // `sparse::check` made sure that the runs cover the stored bytes.
                let Some(run) = runs.next() else { return };
                zeros(run.offset - position, |zeros| hasher.update(zeros));
                (position, left) = (run.offset + run.length, run.length);
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            hasher.update(&piece[..take]);
            left -= take as u64;
            piece = &piece[take..];
        }
    })?;
    zeros(member.size - position, |zeros| hasher.update(zeros));
    Ok(hasher.finish())
}

/// Gives `count` zero bytes to `each`, in pieces.
fn zeros(mut count: u64, mut each: impl FnMut(&[u8])) {
    static ZEROS: [u8; 65_536] = [0; 65_536];
    while count > 0 {
        let take = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
        each(&ZEROS[..take]);
        count -= take as u64;
    }
}

/// Appends `path` in its shortest form, as Go's `filepath.Clean` below `/` makes it: engines clean names
/// by text before they look at links. `false` where `..` leads out.
fn push_clean(out: &mut Vec<u8>, path: &[u8]) -> bool {
    let start = out.len();
    for component in path.split(|&c| c == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if out.len() == start {
                    return false;
                }
                let cut = out[start..].rfind_byte(b'/').unwrap_or(0);
                out.truncate(start + cut);
            }
            _ => {
                if out.len() > start {
                    out.push(b'/');
                }
                out.extend_from_slice(component);
            }
        }
    }
    true
}

enum Name {
    Ordinary,
    Bookkeeping,
    Invalid,
    Marks(Kind, Vec<u8>),
}

/// What a cleaned path that holds `.wh.` somewhere means.
fn whiteout_of(path: &[u8]) -> Name {
    let (parent, name) = path.rsplit_once_str(b"/").unwrap_or((b"", path));
    if name == OPAQUE {
        return Name::Marks(Kind::Opaque, parent.to_vec());
    }
    let mut components = path.split(|&c| c == b'/');
    if components.clone().any(|component| component.starts_with(AUFS)) {
        return Name::Bookkeeping;
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Name::Invalid,
        _ if parent.split(|&c| c == b'/').any(|c| c.starts_with(WHITEOUT)) => Name::Invalid,
        Some(hidden) => Name::Marks(Kind::Whiteout, [parent, hidden].join(&b"/"[..usize::from(!parent.is_empty())])),
        None => {
            debug_assert!(components.all(|c| !c.starts_with(WHITEOUT)));
            Name::Ordinary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(path: &str) -> Option<String> {
        let mut out = b"before".to_vec();
        push_clean(&mut out, path.as_bytes()).then(|| String::from_utf8(out.split_off(6)).expect("utf-8"))
    }

    #[test]
    fn paths_become_shortest() {
        for (path, expected) in [
            ("", ""),
            ("./", ""),
            ("/", ""),
            ("./a", "a"),
            ("/a//b/", "a/b"),
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("a/b/..", "a"),
            ("a/..", ""),
        ] {
            assert_eq!(clean(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/.."] {
            assert_eq!(clean(path), None, "{path}");
        }
    }

    #[test]
    fn whiteouts_are_told_from_names_that_look_like_them() {
        let name = |path: &str| match whiteout_of(path.as_bytes()) {
            Name::Ordinary => "ordinary".to_owned(),
            Name::Bookkeeping => "bookkeeping".to_owned(),
            Name::Invalid => "invalid".to_owned(),
            Name::Marks(kind, path) => format!("{kind:?} {}", path.as_bstr()),
        };
        assert_eq!(name("a/.wh.b"), "Whiteout a/b");
        assert_eq!(name(".wh.b"), "Whiteout b");
        assert_eq!(name("a/.wh..wh..opq"), "Opaque a");
        assert_eq!(name(".wh..wh..opq"), "Opaque ");
        assert_eq!(name("a/.wh.b.wh.c"), "Whiteout a/b.wh.c");
        assert_eq!(name("a/b.wh.c"), "ordinary");
        assert_eq!(name("a.wh.b/c"), "ordinary");
        assert_eq!(name(".wh..wh.plnk/12.34"), "bookkeeping");
        assert_eq!(name(".wh..wh.aufs"), "bookkeeping");
        assert_eq!(name("a/.wh."), "invalid");
        assert_eq!(name("a/.wh.."), "invalid");
        assert_eq!(name("a/.wh.b/c"), "invalid");
    }
}
