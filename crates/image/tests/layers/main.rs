//! Every way in which layers combine, as a stack of layers and the tree that a container sees, with the
//! proof that each stack is rebuilt to the same tree from every base and by every cut.

#[path = "../rebuild/mod.rs"]
mod rebuild;

mod configs;
mod cuts;
mod dialects;
mod entries;
mod hard_links;
mod links;
mod watched;
mod whiteouts;

use std::collections::HashMap;

use jettison_image::changes::Cut;
use jettison_image::layer::LayerError;
use jettison_image::text::{Content, EntryText, ImageText, Item, LayerText, What};
use jettison_image::tree::TreeError;
use jettison_image::{Digest, Layer, Limits, Tree};

use rebuild::Stack;

/// Layers in the text form; the tree is given as the entries of the one layer that makes it.
fn check(layers: &str, expected: &str) {
    let image: ImageText = layers.parse().expect("the text form");
    let stack = Stack::read(image.tars().expect("contents"));
    assert!(stack.layers == image.layers().expect("layers"), "the layers as values and as read from their tars");
    check_stack(&stack, expected);
}

/// The same for layers that the text form cannot write.
fn check_tars(tars: &[Vec<u8>], expected: &str) {
    let stack = Stack::read(tars.to_vec());
    check_stack(&stack, expected);
}

/// A tree whose files are compared by their digests, and shown as the expected text writes them.
fn check_stack(stack: &Stack, expected: &str) {
    let expected = format!("layer 1\n{expected}").parse::<ImageText>().expect("the text form");
    let expected: Vec<EntryText> = expected.layer_texts().flat_map(|layer| layer.entries.clone()).collect();
    let contents: HashMap<Digest, &Content> = expected.iter().filter_map(|entry| content_of(&entry.what)).collect();
    let mut seen = LayerText::of_tree(&stack.tree());
    for entry in &mut seen.entries {
        if let What::File(content) = &mut entry.what
            && let Some(&literal) = contents.get(&content.digest())
        {
            *content = literal.clone();
        }
    }
    assert_eq!(seen.to_string(), LayerText { history: None, entries: expected }.to_string());
    for kept in 0..=stack.layers.len() {
        for cut in [Cut::Ranges(1), Cut::Ranges(3), Cut::ByLayer] {
            stack.check_rebuilt(kept, cut);
        }
    }
}

fn content_of(what: &What) -> Option<(Digest, &Content)> {
    if let What::File(content) = what { Some((content.digest(), content)) } else { None }
}

/// The error of a layer that cannot be read.
fn unreadable(tar: &[u8]) -> LayerError {
    Layer::read(tar, Limits::default()).map(|_| ()).expect_err("a layer that is not valid")
}

/// The error of a stack that cannot be applied, as text.
fn inapplicable(layers: &str) -> TreeError {
    let image: ImageText = layers.parse().expect("the text form");
    let layers = image.layers().expect("layers");
    Tree::of(&layers).map(|_| ()).expect_err("layers that do not apply")
}

#[test]
fn the_shortest_stack() {
    check("layer 1", "");
    let image = ImageText { items: vec![Item::Layer(LayerText::default())], ..ImageText::default() };
    assert_eq!(image.to_string(), "layer 1\n");
    check_tars(&[], "");
}
