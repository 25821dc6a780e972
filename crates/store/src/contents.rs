//! Reading file contents again, out of the plain layers that the scan left.

use std::io::{self, Write};

use jettison_image::changes::Contents;

use crate::Progress;
use crate::scan::ScannedLayer;

/// The largest piece that is copied at once.
const PIECE: usize = 256 << 10;

/// The contents of an image's layers.
pub struct PlainContents<'a> {
    layers: &'a [ScannedLayer],
    progress: &'a dyn Progress,
    piece: Vec<u8>,
}

impl<'a> PlainContents<'a> {
    /// The contents of `layers`, of which those asked for must be plain or unpacked.
    #[must_use]
    pub fn new(layers: &'a [ScannedLayer], progress: &'a dyn Progress) -> Self {
        Self { layers, progress, piece: vec![0; PIECE] }
    }
}

impl Contents for PlainContents<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        let plain = self.layers.get(layer).and_then(|layer| layer.plain.section());
        let plain = plain.ok_or_else(|| io::Error::other(format!("layer {} was not unpacked", layer + 1)))?;
        let mut done = 0;
        while done < length {
            let take = usize::try_from(length - done).unwrap_or(usize::MAX).min(PIECE);
            plain.read_at(offset + done, &mut self.piece[..take])?;
            out.write_all(&self.piece[..take])?;
            self.progress.advance(take as u64);
            done += take as u64;
        }
        Ok(())
    }
}
