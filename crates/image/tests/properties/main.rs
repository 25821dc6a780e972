//! Random stacks of layers: the merged tree is what applying one entry after the other gives, every file
//! is either seen or hidden, and any base with any cut is rebuilt to the same tree.

#[path = "../rebuild/mod.rs"]
mod rebuild;

mod random;
mod sequential;

use std::collections::BTreeMap;

use jettison_image::changes::Cut;
use jettison_image::text::{ImageText, Item, LayerText};
use jettison_image::tree::Origin;
use jettison_image::{Kind, Layer, Tree};
use proptest::prelude::{ProptestConfig, Strategy as _, prop, prop_oneof, proptest};
use proptest::test_runner::{RngAlgorithm, RngSeed};

use rebuild::Stack;
use sequential::Files;

/// The same cases on every run: a failure is a change of the code.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x006a_6574),
        ..ProptestConfig::default()
    }
}

fn image(layers: &[LayerText]) -> ImageText {
    ImageText { items: layers.iter().cloned().map(Item::Layer).collect(), ..ImageText::default() }
}

/// Takes out the entries that cannot be applied, one by one, and checks that each made the whole stack
/// one that cannot.
fn without_errors(layers: &mut [LayerText]) -> Files {
    loop {
        let mut files = Files::default();
        let failed = layers.iter().enumerate().find_map(|(at, layer)| Some((at, files.apply(layer).err()?)));
        let Some((at, entry)) = failed else { return files };
        let values = image(&layers[..=at]).layers().expect("layers");
        assert!(Tree::of(&values).is_err(), "layer {} applies with its entry {entry}", at + 1);
        layers[at].entries.remove(entry);
    }
}

/// Every file that a layer ships is seen or hidden, and no file is both or hidden twice.
fn check_hidden(tree: &Tree<'_>, layers: &[Layer]) {
    let mut shipped: BTreeMap<Origin, usize> = BTreeMap::new();
    for (layer, values) in layers.iter().enumerate() {
        for (entry, value) in values.entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::File) {
            assert!(value.size > 0 || value.digest != jettison_image::Digest::default());
            shipped.insert(Origin { layer, entry: Some(entry) }, 0);
        }
    }
    for hidden in tree.hidden() {
        *shipped.get_mut(&hidden.shipped).expect("hidden files were shipped") += 1;
        assert!(hidden.by.layer >= hidden.shipped.layer);
    }
    let seen: std::collections::BTreeSet<Origin> =
        tree.walk().filter(|&node| tree.kind(node) == Kind::File).map(|node| tree.origin(node)).collect();
    for origin in seen {
        *shipped.get_mut(&origin).expect("files that are seen were shipped") += 1;
    }
    assert!(shipped.values().all(|&count| count == 1), "{shipped:?}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn merging_is_applying_one_after_the_other(mut layers in prop::collection::vec(random::layer(), 1..5)) {
        let files = without_errors(&mut layers);
        let text = image(&layers);
        let values = text.layers().expect("layers");
        let tree = Tree::of(&values).expect("layers that apply");
        assert_eq!(rebuild::listing(&tree), files.listing(), "{text}");
        check_hidden(&tree, &values);
    }

    #[test]
    fn rebuilding_gives_the_same_tree(
        mut layers in prop::collection::vec(random::layer(), 1..5),
        kept in 0..5_usize,
        cut in prop_oneof![proptest::strategy::Just(Cut::ByLayer), (0..5_usize).prop_map(Cut::Ranges)],
    ) {
        without_errors(&mut layers);
        let text = image(&layers);
        let stack = Stack::read(text.tars().expect("contents"));
        assert!(stack.layers == text.layers().expect("layers"), "as values and as read from the tars:\n{text}");
        stack.check_rebuilt(kept.min(layers.len()), cut);
    }

    #[test]
    fn grouping_gives_the_same_tree(
        mut layers in prop::collection::vec(random::layer(), 2..6),
        kept in 0..3_usize,
    ) {
        without_errors(&mut layers);
        let text = image(&layers);
        let stack = Stack::read(text.tars().expect("contents"));
        stack.check_grouped(kept.min(layers.len()));
    }

    #[test]
    fn text_is_read_as_it_was_printed(layers in prop::collection::vec(random::layer(), 0..4)) {
        let text = image(&layers);
        assert_eq!(text.to_string().parse::<ImageText>().expect("the text form"), text);
    }
}
