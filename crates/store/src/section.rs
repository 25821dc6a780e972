//! A range of a file, read without moving the file's own position: many readers share one handle.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::FallocateFlags;

/// Bytes `offset..offset + length` of a file.
#[derive(Clone, Debug)]
pub struct Section {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

impl Section {
    /// A whole file.
    ///
    /// # Errors
    /// Where the file's length cannot be told.
    pub fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), offset: 0, length })
    }

    /// A part of this section; cut off where it would reach beyond the end.
    #[must_use]
    pub fn part(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        Self { file: Arc::clone(&self.file), offset: self.offset + offset, length: length.min(self.length - offset) }
    }

    /// The section's length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// Where the file cannot be read, or the section ends before.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, self.offset + offset)
    }

    /// Gives a range back to the file system, where it can take one: what is read there afterwards is zeros.
    pub(crate) fn give_back(&self, offset: u64, length: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Where it cannot, the range just stays.
        let _ = rustix::fs::fallocate(&*self.file, flags, self.offset + offset, length);
    }

    /// A reader from the section's start.
    #[must_use]
    pub fn reader(&self) -> SectionReader {
        SectionReader { section: self.clone(), position: 0 }
    }

    /// All bytes of a small section.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a [`Section`] from start to end.
#[derive(Debug)]
pub struct SectionReader {
    section: Section,
    position: u64,
}

impl Read for SectionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.section.length - self.position;
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.section.file.read_at(&mut buffer[..take], self.section.offset + self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
