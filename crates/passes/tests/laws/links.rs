//! Links whose other end goes after all.

use jettison_image::Kind;
use jettison_ir::{Changed, Edits, ImageOptions};

use crate::image::Image;

#[test]
fn a_link_to_what_goes_is_the_file_itself() {
    let image = Image::of(
        "layer 1 \"RUN x\"\n  d 0755 0:0 /opt\n  f 0644 0:0 5000*\"a\" /opt/a\n  f 0644 0:0 5000*\"a\" /opt/b\n",
    );
    let unit = image.unit(ImageOptions::default());
    let [first, second] = [&b"opt/a"[..], b"opt/b"].map(|path| unit.upper.find(path).expect("is there"));
    let mut edits = Edits::default();
    assert_eq!(edits.add(&unit.upper, &[(second, Changed::LinkTo(first))]).len(), 1);
    assert_eq!(edits.add(&unit.upper, &[(first, Changed::Gone)]).len(), 1);
    let layer = edits.layer(&unit.upper).expect("a layer");
    let tree = unit.upper.with(layer.layer()).expect("a tree");
    assert!(tree.find(b"opt/a").is_none());
    let left = tree.find(b"opt/b").expect("is there");
    assert_eq!((tree.kind(left), tree.attributes(left).size), (Kind::File, 5000));
}
