//! The text form of an image, printed and read back.

use jettison_image::text::ImageText;
use jettison_image::{Config, Layer, Limits};

use crate::image::{APP, HERE, Image};
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};

/// Entries of every kind, and names that must be quoted.
const ODD: &str = r#"
config {"architecture":"ARCH","os":"linux","config":{"Labels":{"a":"b"}}}
empty "ARG x"
layer 1  {"author":"no instruction"}
  d 1777 0:0  @-1.5  /tmp
  f 4755 4294967295:2097152  @1700000000.000000001  "\x00\xff"  "/a \"quoted\"\n name"  security.capability="\x01\x00"
  l 0777 0:0  /l -> "../a b"
  c 0666 0:0  1,3  /null
  b 0660 0:6  7,0  /loop
  p 0622 0:0  /fifo
  h /hard => /null
layer 2 "RUN x"  {"created":"2024-01-01T00:00:00Z","x-unknown":[1]}
  w /l
  o /tmp
  f 0644 0:0  100000*"0123456789"  /large
layer 3
surplus "RUN more"
"#;

fn dump(text: &str) -> String {
    let folder = Folder::new();
    Layout::of(&Image::of(text), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    run(&format!("dump oci:{}", folder.at("in"))).ok().out
}

#[test]
fn what_is_printed_reads_back_as_the_same_image() {
    for text in [
        APP,
        &ODD.replace("surplus \"RUN more\"\n", "").replace("layer 3\n", ""),
        &ODD.replace("layer 3\n", "layer 3 \"x\"\n"),
    ] {
        let dumped = dump(text);
        let image: ImageText = dumped.parse().expect("the text form");
        assert_eq!(image.to_string(), dumped, "printed again it is the same");
        let original = Image::of(text);
        let config = Config::parse(&original.config).expect("a config");
        let layers: Vec<Layer> =
            original.layers.iter().map(|tar| Layer::read(&tar[..], Limits::default()).expect("a layer")).collect();
        assert_eq!(image, ImageText::of(&config, &layers));
        assert_eq!(image.layers().expect("layers"), layers);
    }
}

#[test]
fn each_entry_is_a_line() {
    let dumped = dump(APP);
    let lines: Vec<&str> = dumped.lines().collect();
    assert!(lines[0].starts_with(&format!("config {{\"architecture\":\"{HERE}\"")), "{dumped}");
    assert_eq!(lines[1], "layer 1  \"ADD rootfs.tar / # buildkit\"  {\"created\":\"2024-01-01T00:00:00Z\"}");
    assert_eq!(lines[2], "  d 0755 0:0  @1700000000  /bin");
    let shell = jettison_image::Digest::of("sh\n".repeat(2000).as_bytes());
    assert_eq!(lines[3], format!("  f 0755 0:0  @1700000000.123456789  6000 {shell}  /bin/sh"));
    assert_eq!(lines[7], "empty \"CMD [\\\"/bin/sh\\\"]\"  {\"comment\":\"buildkit.dockerfile.v0\"}");
    assert!(lines.contains(&"  w /app/run.o") && lines.contains(&"  h /app/start => /app/run"), "{dumped}");
    assert_eq!(lines.len(), 1 + 4 + 3 + 16);
}

#[test]
fn nothing_in_a_dump_moves_the_terminal() {
    let dumped = dump("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"\\x1b[2J\"\n f 0644 0:0 \"\" \"/\\x1b]0;title\\x07\\u\"".replace("\\u", "").as_str());
    assert!(dumped.chars().all(|c| c == '\n' || !c.is_control()), "{dumped:?}");
}
