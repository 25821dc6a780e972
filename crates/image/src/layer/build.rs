//! Making a layer from entries given in order, with the offsets that its tar will have.

use super::name::{OPAQUE, WHITEOUT};
use super::{Entry, Kind, Layer, LayerError};
use crate::digest::Digest;
use crate::tar::{BLOCK, END, Extent, HeaderSpec, Member, MemberType, Mtime, header, padding, sparse_header};

/// One entry of a layer that is being built.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// The path without a leading slash, empty for the root; of a whiteout the path that it removes, of an
    /// opaque mark the folder.
    pub path: &'a [u8],
    /// What the entry is.
    pub kind: Kind,
    /// The low 12 mode bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Mtime,
    /// A file's size in bytes; of no meaning for what is no file.
    pub size: u64,
    /// The digest of a file's content.
    pub digest: Digest,
    /// The target of a symbolic or hard link.
    pub link: &'a [u8],
    /// Major and minor device numbers.
    pub device: (u32, u32),
    /// Extended attributes in any order.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
    /// The stored runs of a sparse file: ascending, within its size.
    pub sparse: Option<&'a [Extent]>,
}

impl<'a> NewEntry<'a> {
    /// An entry with no attributes yet: mode and owner 0, the time 0, and no content.
    #[must_use]
    pub fn new(path: &'a [u8], kind: Kind) -> Self {
        Self {
            path,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            size: 0,
            digest: Digest::default(),
            link: &[],
            device: (0, 0),
            xattrs: &[],
            sparse: None,
        }
    }
}

/// Builds a [`Layer`]: what [`Layer::read`] would give for the tar that [`Layer::header`] makes of it.
#[derive(Debug, Default)]
pub struct LayerBuilder {
    layer: Layer,
    position: u64,
    member: Member,
    blocks: Vec<u8>,
}

impl LayerBuilder {
    /// Appends an entry.
    ///
    /// # Errors
    /// Where its name is not one that a layer may hold: it leads out, or an ordinary entry is named like a
    /// whiteout.
    pub fn push(&mut self, new: &NewEntry<'_>) -> Result<(), LayerError> {
        self.fill(new)?;
        let before = self.layer.entries.len();
        self.layer.add(&self.member, new.digest)?;
        if self.layer.entries.get(before).is_none_or(|entry| entry.kind != new.kind) {
            return Err(LayerError::Whiteout { path: new.path.to_vec(), offset: self.position });
        }
        self.blocks.clear();
        let stored = self.layer.header(&self.layer.entries[before], &mut self.blocks);
        self.position += self.blocks.len() as u64;
        self.layer.entries[before].data_offset = self.position;
        self.position += stored + padding(stored) as u64;
        Ok(())
    }

    /// The layer of all entries so far.
    #[must_use]
    pub fn finish(mut self) -> Layer {
        self.layer.size = self.position + END.len() as u64;
        self.layer
    }

    fn fill(&mut self, new: &NewEntry<'_>) -> Result<(), LayerError> {
        let member = &mut self.member;
        member.path.clear();
        if matches!(new.kind, Kind::Whiteout | Kind::Opaque) {
            *member = Member::default();
            mark(new.kind, new.path, &mut member.path);
            member.header_offset = self.position;
            return Ok(());
        }
        member.path.extend_from_slice(new.path);
        member.header_offset = self.position;
        member.member_type = match new.kind {
            Kind::File | Kind::Whiteout | Kind::Opaque => MemberType::File,
            Kind::Directory => MemberType::Directory,
            Kind::Symlink => MemberType::Symlink,
            Kind::HardLink => MemberType::HardLink,
            Kind::CharDevice => MemberType::CharDevice,
            Kind::BlockDevice => MemberType::BlockDevice,
            Kind::Fifo => MemberType::Fifo,
        };
        let is_device = matches!(new.kind, Kind::CharDevice | Kind::BlockDevice);
        member.link.clear();
        if matches!(new.kind, Kind::Symlink | Kind::HardLink) {
            member.link.extend_from_slice(new.link);
        }
        member.mode = new.mode & 0o7777;
        (member.uid, member.gid, member.mtime) = (new.uid, new.gid, new.mtime);
        member.device = if is_device { new.device } else { (0, 0) };
        member.size = if new.kind == Kind::File { new.size } else { 0 };
        member.xattrs.clear();
        member.xattrs.extend_from_slice(new.xattrs);
        member.sparse = new.sparse.filter(|_| new.kind == Kind::File).map(<[Extent]>::to_vec);
        Ok(())
    }
}

/// Appends the name under which a tar holds a whiteout or an opaque mark.
fn mark(kind: Kind, path: &[u8], out: &mut Vec<u8>) {
    if kind == Kind::Opaque {
        out.extend_from_slice(path);
        if !path.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(OPAQUE);
        return;
    }
    let name = path.iter().rposition(|&c| c == b'/').map_or(0, |slash| slash + 1);
    out.extend_from_slice(&path[..name]);
    out.extend_from_slice(WHITEOUT);
    out.extend_from_slice(&path[name..]);
}

impl Layer {
    /// Appends the header blocks of `entry` to `out`; gives the number of content bytes that follow, the
    /// padding not counted. The blocks are those that [`crate::Changes::write`] makes.
    pub fn header(&self, entry: &Entry, out: &mut Vec<u8>) -> u64 {
        let mut path = self.path(entry).to_vec();
        let mut spec = HeaderSpec {
            type_flag: b'0',
            path: &[],
            link: &[],
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime(),
            size: 0,
            device: entry.device,
            xattrs: self.xattrs(entry),
        };
        match entry.kind {
            Kind::Whiteout | Kind::Opaque => {
                path.clear();
                mark(entry.kind, self.path(entry), &mut path);
            }
            Kind::Directory => {
                path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
                spec.type_flag = b'5';
            }
            Kind::Symlink => spec.type_flag = b'2',
            Kind::HardLink => spec.type_flag = b'1',
            Kind::CharDevice => spec.type_flag = b'3',
            Kind::BlockDevice => spec.type_flag = b'4',
            Kind::Fifo => spec.type_flag = b'6',
            Kind::File => {}
        }
        if matches!(entry.kind, Kind::Symlink | Kind::HardLink) {
            spec.link = self.link(entry);
        }
        let runs = self.sparse(entry);
        let stored = match (entry.kind, runs) {
            (Kind::File, Some(runs)) => runs.iter().map(|run| run.length).sum(),
            (Kind::File, None) => entry.size,
            _ => 0,
        };
        spec = HeaderSpec { path: &path, size: stored, ..spec };
        match runs {
            Some(runs) => sparse_header(&spec, entry.size, runs, out),
            None => header(&spec, out),
        }
        debug_assert_eq!(out.len() % BLOCK, 0);
        stored
    }
}
