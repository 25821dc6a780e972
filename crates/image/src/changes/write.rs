//! Writing a part of a difference as a layer's tar.

use std::io::{self, Write};

use super::cut::Part;
use super::{Change, Changes};
use crate::layer::{Entry, Kind};
use crate::tar::{BLOCK, END, Extent, HeaderSpec, Mtime, header, padding, sparse_header};

/// Where the content of files comes from when a layer is written.
pub trait Contents {
    /// Copies `length` bytes at `offset` of the uncompressed layer `layer` to `out`.
    ///
    /// # Errors
    /// Where the layer cannot be read or `out` not be written.
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()>;
}

impl Changes<'_, '_> {
    /// The exact length in bytes of the uncompressed layer that [`Changes::write`] makes.
    #[must_use]
    pub fn size(&self, part: &Part) -> u64 {
        let mut scratch = Vec::new();
        let sum: u64 = part
            .changes
            .iter()
            .map(|&change| {
                if let Some(stored) = self.plain_size(change) {
                    return BLOCK as u64 + stored + padding(stored) as u64;
                }
                scratch.clear();
                let stored = self.header(change, &mut scratch).map_or(0, |content| content.stored());
                scratch.len() as u64 + stored + padding(stored) as u64
            })
            .sum();
        sum + END.len() as u64
    }

    /// The content's size of an entry whose header is surely one block: most are, and asking is much
    /// cheaper than making the header.
    fn plain_size(&self, change: Change) -> Option<u64> {
        let Change::Entry(node) = change else { return None };
        let origin = self.upper.origin(node);
        let (layer, entry) = self.upper.entry(origin)?;
        let length: usize = self.upper.ancestors(node).map(|node| self.upper.name(node).len() + 1).sum();
        let is_file = entry.kind == Kind::File;
        let is_plain = (is_file || entry.kind == Kind::Directory)
            && length <= 100
            && entry.uid.max(entry.gid) < 1 << 21
            && entry.size < 1 << 33
            && entry.mtime().nanos == 0
            && (0..1 << 33).contains(&entry.mtime().seconds)
            && layer.xattrs(entry).is_empty()
            && layer.sparse(entry).is_none();
        is_plain.then_some(if is_file { entry.size } else { 0 })
    }

    /// Writes the layer.
    ///
    /// # Errors
    /// Where content cannot be read or the layer not be written.
    pub fn write(&self, part: &Part, contents: &mut dyn Contents, out: &mut dyn Write) -> io::Result<()> {
        let mut blocks = Vec::new();
        for &change in &part.changes {
            blocks.clear();
            let content = self.header(change, &mut blocks);
            out.write_all(&blocks)?;
            if let Some(content) = content {
                let stored = content.stored();
                contents.copy(content.layer, content.entry.data_offset, stored, out)?;
                out.write_all(&END[..padding(stored)])?;
            }
        }
        out.write_all(&END)
    }

    /// Appends a change's header blocks; gives the entry whose content follows.
    fn header(&self, change: Change, out: &mut Vec<u8>) -> Option<Content<'_>> {
        let mut spec = HeaderSpec {
            type_flag: b'0',
            path: &[],
            link: &[],
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            size: 0,
            device: (0, 0),
            xattrs: &[],
        };
        if let Change::Whiteout { gone, .. } = change {
            let mut path = self.lower.path(gone);
            let name = path.len() - self.lower.name(gone).len();
            path.splice(name..name, *b".wh.");
            header(&HeaderSpec { path: &path, ..spec }, out);
            return None;
        }
        let (Change::Entry(node) | Change::Folder(node) | Change::Link { node, .. }) = change else { return None };
        let mut path = self.upper.path(node);
        let attributes = self.upper.attributes(node);
        spec = HeaderSpec {
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: if matches!(change, Change::Folder(_)) { Mtime::default() } else { attributes.mtime },
            device: attributes.device,
            link: attributes.link,
            xattrs: attributes.xattrs,
            ..spec
        };
        if let Change::Link { first, .. } = change {
            // The inode's attributes stand with its first name; readers that apply a link's own get the same.
            let target = self.upper.path(first);
            header(
                &HeaderSpec { type_flag: b'1', path: &path, link: &target, xattrs: &[], device: (0, 0), ..spec },
                out,
            );
            return None;
        }
        spec.type_flag = match attributes.kind {
            Kind::Directory => {
                path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
                b'5'
            }
            Kind::Symlink => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Fifo => b'6',
            // A tree's nodes are none of the others: links and marks became inodes and absences.
            Kind::File | Kind::HardLink | Kind::Whiteout | Kind::Opaque => b'0',
        };
        let origin = self.upper.origin(node);
        let entry = self.upper.entry(origin).filter(|(_, entry)| entry.kind == Kind::File);
        let content = entry.map(|(layer, entry)| Content { layer: origin.layer, entry, runs: layer.sparse(entry) });
        spec = HeaderSpec { path: &path, size: content.as_ref().map_or(0, Content::stored), ..spec };
        match content.as_ref().and_then(|content| content.runs) {
            Some(runs) => sparse_header(&spec, attributes.size, runs, out),
            None => header(&spec, out),
        }
        content
    }
}

/// The content that follows a header.
struct Content<'c> {
    layer: usize,
    entry: &'c Entry,
    /// The stored runs of a sparse file: its holes are not written out.
    runs: Option<&'c [Extent]>,
}

impl Content<'_> {
    /// The bytes that are stored, one after the other.
    fn stored(&self) -> u64 {
        self.runs.map_or(self.entry.size, |runs| runs.iter().map(|run| run.length).sum())
    }
}
