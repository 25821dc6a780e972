//! Rebuilding an image's upper layers: the difference above a kept base is written, read back and laid
//! over the base again. What must hold of every layer that is written is judged on the way.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io::{self, Write};

use jettison_image::changes::{Before, Contents, Cut, Grouping, Part};
use jettison_image::text::LayerText;
use jettison_image::{Changes, Kind, Layer, Limits, Tree};

/// Layers, with their uncompressed tars.
pub(crate) struct Stack {
    pub(crate) tars: Vec<Vec<u8>>,
    pub(crate) layers: Vec<Layer>,
    squashed: OnceCell<Vec<u8>>,
}

#[allow(dead_code, reason = "not every suite that includes this groups")]
impl Stack {
    pub(crate) fn read(tars: Vec<Vec<u8>>) -> Self {
        let layers = tars.iter().map(|tar| Layer::read(&tar[..], Limits::default()).expect("a valid layer")).collect();
        Self { tars, layers, squashed: OnceCell::new() }
    }

    pub(crate) fn tree(&self) -> Tree<'_> {
        Tree::of(&self.layers).expect("layers that apply")
    }

    /// The same image with `kept` of its layers as they are and all above them written anew.
    pub(crate) fn rebuilt(&self, kept: usize, cut: Cut) -> Self {
        let upper = self.tree();
        let mut lower = Tree::empty(&self.layers);
        lower.apply_until(kept).expect("layers that apply");
        let changes = Changes::between(&lower, &upper);
        let parts = changes.cut(cut);
        let at_most = if let Cut::Ranges(at_most) = cut { at_most.max(1) } else { self.layers.len() };
        assert!(parts.len() <= at_most, "{} parts for {cut:?}", parts.len());
        let mut tars = self.tars[..kept].to_vec();
        let mut layers = self.layers[..kept].to_vec();
        let mut paths = BTreeSet::new();
        for part in &parts {
            let mut tar = Vec::new();
            changes.write(part, &mut Bytes(&self.tars), &mut tar).expect("written");
            let layer = Layer::read(&tar[..], Limits::default()).expect("a valid layer");
            judge(&layer, &lower, &upper);
            let stated = changes.layer(part);
            assert_eq!(changes.size(part), tar.len() as u64, "the stated size");
            assert_eq!(stated.size, layer.size, "the size of the layer as a value");
            assert_eq!(LayerText::of(&stated), LayerText::of(&layer), "the layer as a value and as written");
            for entry in layer.entries.iter().filter(|entry| entry.kind != Kind::Directory) {
                assert!(paths.insert(layer.path(entry).to_vec()), "a path in two of the parts");
            }
            tars.push(tar);
            layers.push(layer);
        }
        Self { tars, layers, squashed: OnceCell::new() }
    }

    /// The tars of the layers above `kept`, grouped by what owns the paths; what `before` has stays where it is there.
    fn grouped(&self, kept: usize, before: &Before) -> Vec<Vec<u8>> {
        let (lower, upper) = (self.below(kept), self.tree());
        let changes = Changes::between(&lower, &upper);
        let parts = changes.grouped(&Grouping::default().with_before(Some(before.clone())));
        let write = |part: &Part| {
            let mut tar = Vec::new();
            changes.write(part, &mut Bytes(&self.tars), &mut tar).expect("written");
            assert_eq!(changes.size(part), tar.len() as u64, "the stated size");
            let layer = Layer::read(&tar[..], Limits::default()).expect("a valid layer");
            assert_eq!(LayerText::of(&changes.layer(part)), LayerText::of(&layer), "as a value and as written");
            tar
        };
        parts.iter().map(write).collect()
    }

    fn below(&self, kept: usize) -> Tree<'_> {
        let mut lower = Tree::empty(&self.layers);
        lower.apply_until(kept).expect("layers that apply");
        lower
    }

    /// Groups what is above `kept` layers, and checks that a container sees the same, that no path but a folder is in two
    /// layers, that the history makes no difference, and that a second run changes nothing.
    pub(crate) fn check_grouped(&self, kept: usize) {
        let before = Before::of(&Changes::between(&self.below(kept), &self.tree()), &Grouping::default());
        let grouped = self.grouped(kept, &before);
        let mut paths = BTreeSet::new();
        for tar in &grouped {
            let layer = Layer::read(&tar[..], Limits::default()).expect("a valid layer");
            for entry in layer.entries.iter().filter(|entry| entry.kind != Kind::Directory) {
                let is_new = paths.insert((layer.path(entry).to_vec(), entry.kind == Kind::Whiteout));
                assert!(is_new, "a path in two of the layers");
            }
        }
        let above = |own: &[Vec<u8>]| Self::read(self.tars[..kept].iter().chain(own).cloned().collect());
        let rebuilt = above(&grouped);
        assert_eq!(listing(&self.tree()), listing(&rebuilt.tree()), "grouped above {kept} layers");
        assert!(rebuilt.grouped(kept, &before) == grouped, "a second run changes nothing");
        let merged = self.rebuilt(kept, Cut::Ranges(1));
        assert!(merged.grouped(kept, &before) == grouped, "the history makes no difference");
    }

    /// The single layer that makes the whole tree.
    fn squashed(&self) -> &[u8] {
        self.squashed.get_or_init(|| self.rebuilt(0, Cut::Ranges(1)).tars.pop().unwrap_or_default())
    }

    /// Rebuilds above `kept` layers and checks that a container sees the same.
    pub(crate) fn check_rebuilt(&self, kept: usize, cut: Cut) {
        let rebuilt = self.rebuilt(kept, cut);
        let (before, after) = (listing(&self.tree()), listing(&rebuilt.tree()));
        assert_eq!(before, after, "rebuilt above {kept} layers by {cut:?}");
        assert!(self.squashed() == rebuilt.squashed(), "equal trees of different histories give equal bytes");
        let again = rebuilt.rebuilt(kept, Cut::Ranges(1));
        let once = self.rebuilt(kept, Cut::Ranges(1));
        assert!(again.tars == once.tars, "a second run changes nothing");
    }
}

/// All that a container sees of a tree, hard links included.
pub(crate) fn listing(tree: &Tree<'_>) -> String {
    LayerText::of_tree(tree).to_string()
}

/// The content of files, from tars in memory.
struct Bytes<'a>(&'a [Vec<u8>]);

impl Contents for Bytes<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        let start = usize::try_from(offset).expect("in memory");
        out.write_all(&self.0[layer][start..start + usize::try_from(length).expect("in memory")])
    }
}

/// What must hold of every layer that is written between two trees (Cases of merging 3 to 6, 9 and 16).
fn judge(layer: &Layer, lower: &Tree<'_>, upper: &Tree<'_>) {
    let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
    let mut last: Option<Vec<&[u8]>> = None;
    assert!(layer.dropped.is_empty(), "{:?}", layer.dropped);
    for entry in &layer.entries {
        let path = layer.path(entry);
        let shown = String::from_utf8_lossy(path);
        let parent = path.iter().rposition(|&c| c == b'/').map(|slash| &path[..slash]);
        assert!(parent.is_none_or(|parent| seen.contains(parent)), "{shown} stands before its folder");
        assert!(seen.insert(path), "{shown} stands twice, or beside its whiteout");
        match entry.kind {
            Kind::Whiteout => {
                assert!(lower.find(path).is_some(), "{shown} is removed where nothing lies below");
                assert!(upper.find(path).is_none(), "{shown} is removed and still there");
            }
            Kind::Opaque => panic!("{shown} is opaque"),
            Kind::HardLink => {
                let link = layer.link(entry);
                assert!(seen.contains(link) && link != path, "{shown} is a link out of its layer");
                assert!(upper.find(link).is_some(), "{shown} is a link to nothing");
            }
            _ => {}
        }
        let components: Vec<&[u8]> = path.split(|&c| c == b'/').filter(|name| !name.is_empty()).collect();
        assert!(last.is_none_or(|last| last < components), "{shown} is out of order");
        last = Some(components);
    }
}
