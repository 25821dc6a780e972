//! Reading a layer in one streaming pass: bounds, errors and content digests.

use std::io::BufRead;

use bstr::BStr;

use super::Layer;
use super::name::push_clean;
use super::watch::ContentWatch;
use crate::digest::{Digest, Hasher};
use crate::tar::{Member, MemberType, Reader, TarError};

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
        Self::read_watched(input, limits, None)
    }

    /// Reads a whole uncompressed layer and shows `watch` the contents of the files that it wants. A file is shown
    /// once it was read to its end; sparse files are not, since most of them was never written.
    ///
    /// # Errors
    /// [`LayerError`], which names the entry and the offset.
    pub fn read_watched(
        input: impl BufRead,
        limits: Limits,
        watch: Option<&dyn ContentWatch>,
    ) -> Result<Self, LayerError> {
        let mut shown = Shown { watch, path: Vec::new(), content: Vec::new() };
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
                content_digest(&mut reader, &member, &mut hasher, &mut shown).map_err(fail)?
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
}

/// Who is shown contents, and the buffers for it.
struct Shown<'w> {
    watch: Option<&'w dyn ContentWatch>,
    path: Vec<u8>,
    content: Vec<u8>,
}

impl<'w> Shown<'w> {
    /// Who wants this file's content.
    fn wanted(&mut self, member: &Member) -> Option<&'w dyn ContentWatch> {
        let watch = self.watch?;
        self.path.clear();
        // A path that leads out of the layer is an error when the entry is added.
        (push_clean(&mut self.path, &member.path) && watch.wants(&self.path, member.size)).then_some(watch)
    }
}

/// The digest of a file's whole content, the zeros between a sparse file's runs included.
fn content_digest<R: BufRead>(
    reader: &mut Reader<R>,
    member: &Member,
    hasher: &mut Hasher,
    shown: &mut Shown<'_>,
) -> Result<Digest, TarError> {
    let Some(extents) = &member.sparse else {
        if let Some(watch) = shown.wanted(member) {
            shown.content.clear();
            reader.data(|piece| {
                hasher.update(piece);
                shown.content.extend_from_slice(piece);
            })?;
            let digest = hasher.finish();
            watch.content(&shown.path, digest, &shown.content);
            return Ok(digest);
        }
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
