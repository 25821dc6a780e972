//! Contents that are shown while a layer is read.

use std::sync::Mutex;

use jettison_image::layer::ContentWatch;
use jettison_image::text::ImageText;
use jettison_image::{Digest, Layer, Limits};

/// Wants files of ten bytes at most, and notes what it was shown.
#[derive(Default)]
struct Small(Mutex<Vec<(String, Digest, String)>>);

impl ContentWatch for Small {
    fn wants(&self, path: &[u8], size: u64) -> bool {
        !path.starts_with(b"not/") && size <= 10
    }

    fn content(&self, path: &[u8], digest: Digest, content: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0.lock().expect("a lock").push((text(path), digest, text(content)));
    }
}

fn read(tar: &[u8], watch: &Small) -> Result<Layer, jettison_image::layer::LayerError> {
    // Pieces of one byte: a content comes together from many.
    let input = std::io::BufReader::with_capacity(1, tar);
    Layer::read_watched(input, Limits::default(), Some(watch))
}

const LAYER: &str = "layer 1\nf 0644 0:0  \"first\"  /a/b\nd 0755 0:0  /not\nf 0644 0:0  \"second\"  /not/this\n\
                     f 0644 0:0  11*\"x\"  /large\nf 0644 0:0  \"third\"  /c\nf 0644 0:0  \"\"  /empty\nh /link => /c\n";

#[test]
fn whole_contents_of_wanted_files_are_shown_with_their_digests() {
    let tar = LAYER.parse::<ImageText>().expect("the text form").tars().expect("contents").remove(0);
    let watch = Small::default();
    let layer = read(&tar, &watch).expect("a layer");
    assert_eq!(layer, Layer::read(&tar[..], Limits::default()).expect("a layer"), "watching changes nothing");
    let shown = watch.0.into_inner().expect("a lock");
    let names: Vec<_> = shown.iter().map(|(path, _, content)| (path.as_str(), content.as_str())).collect();
    assert_eq!(names, [("a/b", "first"), ("c", "third"), ("empty", "")]);
    for (path, digest, _) in &shown {
        let entry = layer.entries.iter().find(|entry| layer.path(entry) == path.as_bytes()).expect("an entry");
        assert_eq!(entry.digest, *digest, "{path}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_not_shown() {
    let tar = LAYER.parse::<ImageText>().expect("the text form").tars().expect("contents").remove(0);
    let watch = Small::default();
    // In the middle of the first content.
    assert!(read(&tar[..512 + 3], &watch).is_err());
    assert!(watch.0.into_inner().expect("a lock").is_empty());
}
