//! How a difference is spread over layers: each change in the layer that made it, or ranges of paths.

use std::fmt::Write as _;

use jettison_image::changes::Cut;
use jettison_image::text::{ImageText, LayerText};
use jettison_image::{Changes, Digest, Tree};

use crate::rebuild::Stack;

fn stack(layers: &str) -> Stack {
    Stack::read(layers.parse::<ImageText>().expect("the text form").tars().expect("contents"))
}

/// The layers that are written above `kept`, each with the numbers of those it was made of.
fn written(layers: &str, kept: usize, cut: Cut) -> String {
    let stack = stack(layers);
    let upper = stack.tree();
    let mut lower = Tree::empty(&stack.layers);
    lower.apply_until(kept).expect("layers that apply");
    let changes = Changes::between(&lower, &upper);
    let mut out = String::new();
    for part in changes.cut(cut) {
        let _ = writeln!(out, "{:?}\n{}", part.layers, LayerText::of(&changes.layer(&part)));
    }
    // Digests are long, and not what is looked at here.
    let empty = Digest::of(b"").to_string();
    out.replace(&empty, "-")
}

#[test]
fn each_change_stands_in_the_layer_that_made_it() {
    let layers = "layer 1
           f 0644 0:0  \"\"  /a
           h /a2 => /a
           f 0644 0:0  \"\"  /d/kept
           f 0644 0:0  \"\"  /d/gone
           f 0644 0:0  \"\"  /e/gone
           f 0644 0:0  \"\"  /o/gone
         layer 2
           f 0644 0:0  \"\"  /d/two
           f 0644 0:0  \"\"  /d/passing
           w /e
         layer 3
           f 0600 0:0  \"\"  /d/two
           f 0644 0:0  \"\"  /three
           o /o
         layer 4
           w /d/gone
           w /d/passing
           h /z => /a
           h /y => /three";
    let expected = "[1]
  f 0644 0:0  0 -  /a
  h /a2 => /a
  w /e
  h /z => /a

[2]
  d 0755 0:0  /d
  f 0600 0:0  0 -  /d/two
  d 0755 0:0  /o
  w /o/gone
  f 0644 0:0  0 -  /three
  h /y => /three

[3]
  d 0755 0:0  /d
  w /d/gone

";
    assert_eq!(written(layers, 1, Cut::ByLayer), expected);
}

#[test]
fn a_layer_that_changes_nothing_is_not_written() {
    let layers = "layer 1\n f 0644 0:0 \"\" /a\nlayer 2\n f 0644 0:0 \"\" /a\nlayer 3\n w /none";
    assert_eq!(written(layers, 1, Cut::ByLayer), "");
    assert_eq!(written(layers, 1, Cut::Ranges(4)), "");
    assert_eq!(written(layers, 3, Cut::Ranges(4)), "");
}

/// Files of 1 to 40 KiB over ten folders.
fn release(files: usize) -> String {
    let mut text = String::from("layer 1\n");
    for file in 0..files {
        let _ = writeln!(text, "f 0644 0:0 {}*\"x\" /d{}/f{file}", 1024 * (1 + file * 7 % 40), file % 10);
    }
    text
}

#[test]
fn ranges_are_of_about_equal_size() {
    let rebuilt = stack(&release(300)).rebuilt(0, Cut::Ranges(5));
    assert_eq!(rebuilt.tars.len(), 5);
    let total: usize = rebuilt.tars.iter().map(Vec::len).sum();
    for tar in &rebuilt.tars {
        assert!((total / 10..total * 3 / 10).contains(&tar.len()), "{} of {total}", tar.len());
    }
}

#[test]
fn ranges_keep_their_borders_when_a_file_is_added() {
    let (before, after) = (stack(&release(300)), stack(&(release(300) + "f 0644 0:0 5000*\"y\" /d3/new")));
    let (before, after) = (before.rebuilt(0, Cut::Ranges(5)).tars, after.rebuilt(0, Cut::Ranges(5)).tars);
    let same = before.iter().filter(|tar| after.contains(tar)).count();
    assert_eq!(same, 4);
}
