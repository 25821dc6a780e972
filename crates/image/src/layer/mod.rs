//! A layer as shipped: the entries of its tar in order, with content digests.

mod build;
mod bytes;
mod name;
mod read;
mod watch;

use bstr::ByteSlice as _;

pub use build::{LayerBuilder, NewEntry};
pub use bytes::BytesError;
pub use read::{LayerError, Limits};
pub use watch::ContentWatch;

use crate::digest::Digest;
use crate::tar::{Extent, Member, MemberType, Mtime};
use name::{Name, WHITEOUT, push_clean, whiteout_of};

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

impl Layer {
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
