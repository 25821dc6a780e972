//! The contents of an image's files, for passes.

use jettison_ir::ReadContent;
use jettison_store::ScannedLayer;

/// Larger files are not read whole: nothing that passes look into is of that size.
const MOST: u64 = 2 << 30;

/// Layers that lie plain on the disk.
pub(crate) struct LayerContents<'l>(pub(crate) &'l [ScannedLayer]);

impl ReadContent for LayerContents<'_> {
    fn read(&self, layer: usize, offset: u64, length: u64) -> Option<Vec<u8>> {
        let plain = self.0.get(layer)?.plain.section()?;
        let mut content = vec![0; usize::try_from(length).ok().filter(|_| length <= MOST)?];
        plain.read_at(offset, &mut content).ok()?;
        Some(content)
    }
}
