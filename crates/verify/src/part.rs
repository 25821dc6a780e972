//! Whether an image is a part of another one: it has fewer paths, and all that it has is the other one's.

use std::collections::BTreeSet;

use jettison_image::Tree;
use jettison_ir::{Difference, Place};

use crate::proof::counts;
use crate::{Side, compare};

/// What an image has less than another one, and what speaks against its being a part of that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// How many paths it has.
    pub paths: usize,
    /// How many the other one has more.
    pub missing: usize,
    /// The differences besides: a path that only it has, another attribute, another setting.
    pub refuting: Vec<Difference>,
}

/// Compares an image with one that may have more paths. Times do not count, as every build has its own.
#[must_use]
pub fn part(whole: Side<'_, '_>, part: Side<'_, '_>) -> Part {
    let links_agree = links_agree(whole.tree, part.tree);
    // It says something of command lines in Windows alone (image-spec, config.md); builders note it with any CMD.
    let escaped = Place::Setting("config.ArgsEscaped".to_owned());
    let is_linux = whole.config.platform().os == "linux";
    let refutes = |difference: &Difference| match difference.what.as_str() {
        // A path that is not there, with all that is below it.
        "path" => difference.after.is_some(),
        // A file has fewer names where some of them are missing.
        "hard links" => !links_agree,
        _ => counts(difference) && !(is_linux && difference.place == escaped),
    };
    let refuting = compare(whole, part).differences.into_iter().filter(refutes).collect();
    let paths = part.tree.walk().count();
    Part { paths, missing: whole.tree.walk().count().saturating_sub(paths), refuting }
}

/// Whether the names that a part has share files exactly as they do in the whole.
fn links_agree(whole: &Tree<'_>, part: &Tree<'_>) -> bool {
    let groups = |tree: &Tree<'_>| -> BTreeSet<Vec<Vec<u8>>> {
        let groups = tree.hard_links().into_values();
        groups.map(|names| names.into_iter().map(|name| tree.path(name)).collect()).collect()
    };
    let left =
        |names: Vec<Vec<u8>>| -> Vec<Vec<u8>> { names.into_iter().filter(|name| part.find(name).is_some()).collect() };
    let expected: BTreeSet<Vec<Vec<u8>>> =
        groups(whole).into_iter().map(left).filter(|names| names.len() > 1).collect();
    expected == groups(part)
}

#[cfg(test)]
mod tests {
    use jettison_image::text::ImageText;
    use jettison_image::{Config, Digest, Layer};

    use super::*;

    const WHOLE: &str = "config {\"config\":{\"User\":\"a\",\"ArgsEscaped\":true},\"os\":\"linux\"}\nlayer 1\n  d 0755 0:0  /a\n  f 0644 0:0  \"x\"  /a/x\n  \
                         h /a/y => /a/x\n  h /a/z => /a/x\n  l 0777 0:0  /a/link -> x\n  f 0644 0:0  \"o\"  /a/other\n";

    fn image(text: &str) -> (Vec<Layer>, Config) {
        let text: ImageText = text.parse().expect("an image");
        (text.layers().expect("layers"), text.config(&[Digest::default()]).expect("a config"))
    }

    fn compared(after: &str) -> Part {
        let ((layers, config), (part_layers, part_config)) = (image(WHOLE), image(after));
        let (tree, part_tree) = (Tree::of(&layers).expect("a tree"), Tree::of(&part_layers).expect("a tree"));
        part(Side { tree: &tree, config: &config }, Side { tree: &part_tree, config: &part_config })
    }

    #[test]
    fn fewer_paths_make_a_part() {
        for (gone, missing) in [
            (&[][..], 0),
            (&["  f 0644 0:0  \"o\"  /a/other\n"], 1),
            (&["  h /a/z => /a/x\n"], 1),
            (&[",\"ArgsEscaped\":true"], 0),
            (&["  h /a/y => /a/x\n", "  h /a/z => /a/x\n"], 2),
        ] {
            let text = gone.iter().fold(WHOLE.to_owned(), |text, line| text.replace(line, ""));
            assert_eq!(compared(&text), Part { paths: 7 - missing, missing, refuting: Vec::new() }, "{gone:?}");
        }
    }

    #[test]
    fn nothing_else_may_differ() {
        for (old, new) in [
            ("\"o\"", "\"p\""),
            ("d 0755", "d 0700"),
            ("0644 0:0  \"o\"", "0644 0:7  \"o\""),
            ("link -> x", "link -> y"),
            ("/a/other", "/a/another"),
            ("h /a/z => /a/x", "f 0644 0:0  \"x\"  /a/z"),
            ("h /a/z => /a/x\n", "h /a/z => /a/x\n  h /a/zz => /a/x\n"),
            ("\"User\":\"a\"", "\"User\":\"b\""),
        ] {
            let text = WHOLE.replace(old, new);
            assert!(text != WHOLE && !compared(&text).refuting.is_empty(), "{old}: {new}");
        }
    }
}
