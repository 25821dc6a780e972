//! Layers of any bytes: reading them never panics, the layers rebuilt above any of them make the same
//! tree, and the text form holds all of them.
//!
//! An input that begins with `layer 1` is an image in the text form. Any other is a row of tars, one after
//! the other: the checksums of its headers are put right, because no chance finds them.
#![no_main]

use std::io::{self, Write};

use jettison_image::changes::{Contents, Cut};
use jettison_image::text::{Content, ImageText, Item, LayerText, What};
use jettison_image::{Changes, Layer, Limits, Tree};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { layer_bytes: 1 << 20, layer_entries: 1000 };

fuzz_target!(|input: &[u8]| {
    let Some(tars) = (if input.starts_with(b"layer 1") { from_text(input) } else { Some(from_tars(input)) }) else {
        return;
    };
    let read: Result<Vec<Layer>, _> = tars.iter().map(|tar| Layer::read(&tar[..], LIMITS)).collect();
    let Ok(layers) = read else { return };
    check_text(&layers);
    let Ok(upper) = Tree::of(&layers) else { return };
    let expected = LayerText::of_tree(&upper);
    for kept in 0..=layers.len() {
        let mut lower = Tree::empty(&layers);
        lower.apply_until(kept).expect("fewer layers apply where all do");
        let changes = Changes::between(&lower, &upper);
        for cut in [Cut::ByLayer, Cut::Ranges(1), Cut::Ranges(3)] {
            let mut rebuilt = layers[..kept].to_vec();
            for part in changes.cut(cut) {
                let mut tar = Vec::new();
                changes.write(&part, &mut Bytes(&tars), &mut tar).expect("written");
                assert_eq!(changes.size(&part), tar.len() as u64, "the stated size");
                let layer = Layer::read(&tar[..], Limits::default()).expect("a layer that was written");
                assert_eq!(LayerText::of(&changes.layer(&part)), LayerText::of(&layer), "as a value and as written");
                rebuilt.push(layer);
            }
            let tree = Tree::of(&rebuilt).expect("layers that were written");
            let seen = LayerText::of_tree(&tree);
            assert!(seen == expected, "rebuilt above {kept} layers by {cut:?}:\n{seen}\ninstead of\n{expected}");
        }
    }
});

/// The tars of an image in the text form, where they are small.
fn from_text(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text: ImageText = std::str::from_utf8(input).ok()?.parse().ok()?;
    assert!(text.to_string().parse::<ImageText>().expect("what it printed") == text, "{text}");
    let size = |what: &What| if let What::File(content) = what { Content::size(content) } else { 0 };
    let sizes = text.layer_texts().flat_map(|layer| &layer.entries).map(|entry| size(&entry.what));
    if sizes.fold(0, u64::saturating_add) > LIMITS.layer_bytes {
        return None;
    }
    text.tars().ok()
}

/// Splits an input behind each end marker, and puts the checksums of all headers right.
fn from_tars(input: &[u8]) -> Vec<Vec<u8>> {
    let mut tars = vec![Vec::new()];
    let mut zeros = 0;
    for block in input.chunks(512) {
        let mut block = block.to_vec();
        zeros = if block.iter().all(|&byte| byte == 0) { zeros + 1 } else { 0 };
        if block.len() == 512 && block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        tars.last_mut().expect("one at least").extend_from_slice(&block);
        if zeros == 2 && tars.len() < 4 {
            tars.push(Vec::new());
            zeros = 0;
        }
    }
    tars
}

/// What the text form of layers says, its values say again.
fn check_text(layers: &[Layer]) {
    let texts: Vec<LayerText> = layers.iter().map(LayerText::of).collect();
    let text = ImageText { items: texts.iter().cloned().map(Item::Layer).collect(), ..ImageText::default() };
    let printed = text.to_string();
    assert!(printed.parse::<ImageText>().expect("what it printed") == text, "{printed}");
    let again: Vec<LayerText> = text.layers().expect("layers").iter().map(LayerText::of).collect();
    assert!(again == texts, "{printed}");
}

/// The content of files, from tars in memory.
struct Bytes<'a>(&'a [Vec<u8>]);

impl Contents for Bytes<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        let start = usize::try_from(offset).expect("in memory");
        out.write_all(&self.0[layer][start..start + usize::try_from(length).expect("in memory")])
    }
}
