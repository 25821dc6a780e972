//! The text form: what prints is read back, what is read prints the same, and errors name their line.

use jettison_image::text::{Content, EntryText, ImageText, Item, LayerText, What};
use jettison_image::{Config, Digest, Layer, Limits, Tree};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::test_runner::RngSeed;

const CANONICAL: &str = r#"config {"architecture":"amd64","config":{"Cmd":["/bin/sh"],"Env":["A=\"1\"\n"]},"os":"linux"}
empty "ENV A=\"1\"\n"
layer 1  "RUN make"  {"created":"2024-01-01T00:00:00Z","comment":"buildkit.dockerfile.v0","author":"me"}
  d 1755 0:0  /
  f 0644 0:0  @1700000000.5  12582912 sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  /out/app.debug
  f 4755 1000:4294967295  "hello\n"  /out/app  security.x=""  user.comment="hi\x00"  "user.with blank"="\xff"
  f 0000 0:0  @-0.5  1000000*"ab"  /out/large
  f 0644 0:0  0*""  /out/none
  l 0777 0:0  /out/link -> ../x
  l 0777 0:0  /out/empty -> ""
  l 0777 0:0  /out/arrow -> ->
  l 0777 0:0  /out/blank -> "a b"  user.x="1"
  h /out/hard => /out/app
  c 0666 0:0  1,3  /dev/null
  b 0660 0:6  4294967295,0  /dev/loop0
  p 0622 0:0  @-9223372036854775808  /fifo
  f 0644 0:0  ""  "/a b\n\t\r\"\\\xff"
  f 0644 0:0  ""  /café–#=>
  f 0644 0:0  ""  "/\xe2\x80\xaebidirectional\xc2\xa0"
  f 0644 0:0  ""  "/\xe2\x80\xae"
  f 0644 0:0  ""  "/back\\slash"
  f 0644 0:0  ""  "/quo\"te"
  x /.wh..wh.plnk
layer 2
  w /out/app.debug
  w "/a b"
  o /out
  o /
layer 3  {}
layer 4  {"comment":"c"}
surplus "RUN more"
"#;

#[test]
fn canonical_text_prints_as_it_was_read() {
    let image: ImageText = CANONICAL.parse().expect("the text form");
    assert_eq!(image.to_string(), CANONICAL);
    assert_eq!(image.layer_texts().count(), 4);
}

#[test]
fn other_spellings_are_read_the_same() {
    let loose = "\u{feff}";
    assert!(loose.parse::<ImageText>().is_err());
    let loose = "# A comment.\r\n\n layer   1\t\n\tf 644  0:0 @0 \"\\x68i\"   \"/x\" \r\n# w /x\n  d 0755 0:0 \"/\"";
    let image: ImageText = loose.parse().expect("the text form");
    assert_eq!(image.to_string(), "layer 1\n  f 0644 0:0  \"hi\"  /x\n  d 0755 0:0  /\n");
}

#[test]
fn values_and_tars_agree() {
    let text: String =
        CANONICAL.lines().filter(|line| !line.contains("sha256:")).map(|line| format!("{line}\n")).collect();
    let image: ImageText = text.parse().expect("the text form");
    let bytes = image.bytes().expect("an image");
    let read: Vec<Layer> =
        bytes.layers.iter().map(|tar| Layer::read(&tar[..], Limits::default()).expect("a layer")).collect();
    assert!(read == image.layers().expect("layers"));
    assert_eq!(
        bytes.layers.iter().map(|tar| tar.len() as u64).collect::<Vec<_>>(),
        read.iter().map(|layer| layer.size).collect::<Vec<_>>()
    );
    assert_eq!(bytes.config.diff_ids(), bytes.layers.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>());
    // Printed from the values, files have their digests for their contents, and gaps in the history are entries.
    let printed = ImageText::of(&bytes.config, &read).to_string();
    let again: ImageText = printed.parse().expect("the text form");
    assert_eq!(again.to_string(), printed);
    let values = again.layers().expect("layers");
    assert!(values == read);
    assert_eq!(again.config(bytes.config.diff_ids()).expect("a config"), bytes.config);
}

#[test]
fn a_digest_stands_for_no_bytes() {
    let image: ImageText = CANONICAL.parse().expect("the text form");
    let error = image.tars().expect_err("no content");
    assert_eq!(
        error.to_string(),
        r#"layer 1: the content of "out/app.debug" is not part of the text, only its digest"#
    );
    let layers = image.layers().expect("layers");
    let shown = ImageText::of(&image.config(&[Digest::default()]).expect("a config"), &layers);
    assert!(shown.to_string().contains("12582912 sha256:5891b5b5"));
}

#[test]
fn hard_links_have_the_metadata_of_their_file() {
    let text = "layer 1\n h /before => /a\n f 4750 1:2 @3 \"\" /a user.x=\"1\"\n h /b => /a\n h /c => /b\nlayer 2\n h /d => /c";
    let image: ImageText = text.parse().expect("the text form");
    let tars = image.tars().expect("contents");
    for tar in &tars {
        for entry in tar::Archive::new(&tar[..]).entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let header = entry.header().clone();
            assert_eq!(
                (header.mode().expect("mode"), header.uid().expect("uid"), header.gid().expect("gid")),
                (0o4750, 1, 2)
            );
            assert_eq!(header.mtime().expect("mtime"), 3);
            assert_eq!(entry.pax_extensions().expect("records").is_some(), header.entry_type().is_file());
        }
    }
}

#[test]
fn the_tree_as_one_layer() {
    let text =
        "layer 1\n d 0700 0:0 /\n f 0644 0:0 \"1\" /d/b\n h /d/a => /d/b\n f 0644 0:0 \"1\" /gone\nlayer 2\n w /gone";
    let layers = text.parse::<ImageText>().expect("the text form").layers().expect("layers");
    let tree = Tree::of(&layers).expect("layers that apply");
    let one = LayerText::of_tree(&tree);
    let digest = Content::Literal(b"1".to_vec()).digest();
    let expected = format!("  d 0700 0:0  /\n  d 0755 0:0  /d\n  f 0644 0:0  1 {digest}  /d/a\n  h /d/b => /d/a\n");
    assert_eq!(one.to_string(), expected);
}

#[test]
fn a_config_needs_settings_that_are_its_own() {
    let image: ImageText = "layer 1 \"RUN x\"".parse().expect("the text form");
    let config = image.bytes().expect("an image").config;
    assert_eq!(Config::parse(&config.to_json()).expect("parses"), config);
    assert_eq!(config.history()[0].instruction(), "RUN x");
}

/// Each text, and its error's message; the expected entry of a file's line is cut short.
#[test]
fn errors_name_the_line_and_what_was_expected() {
    for (text, message) in [
        ("hello", r#"line 1: expected `config`, `empty`, `surplus` or `layer`, found "hello""#),
        ("\n\nw /x", r#"line 3: expected `config`, `empty`, `surplus` or `layer`, found "w /x""#),
        (
            "config {\"a\":1}\nconfig {}",
            r#"line 2: expected one config line, before the history and the layers, found "config {}""#,
        ),
        (
            "layer 1\nconfig {}",
            r#"line 2: expected one config line, before the history and the layers, found "config {}""#,
        ),
        ("config x", "line 1: the JSON object is not valid"),
        ("config []", "line 1: the JSON object is not valid"),
        (
            "config {\"history\":[]}",
            r#"line 1: expected settings without `rootfs` and `history`, which the layers give, found "{\"history\":[]}""#,
        ),
        ("empty", r#"line 1: expected an instruction in quotes or a JSON object, found """#),
        ("empty \"\\xff\"", r#"line 1: expected an instruction in UTF-8, found "\"\\xff\"""#),
        ("empty \"x\" {\"created\":1}", "line 1: the JSON object is not valid"),
        (
            "layer 1 {\"empty_layer\":true}",
            r#"line 1: expected fields other than `created_by` and `empty_layer`, which the line gives, found "{\"empty_layer\":true}""#,
        ),
        ("layer 2", r#"line 1: expected the layer's number, counted from 1, found "2""#),
        ("layer 1\nlayer", r#"line 2: expected the layer's number, counted from 1, found """#),
        (
            "layer 1\nq /x",
            r#"line 2: expected `layer`, or an entry's letter: one of f d l h c b p w o x, found "q /x""#,
        ),
        ("layer 1\nd 999 0:0 /x", r#"line 2: expected an octal mode such as 0644, found "999 0:0 /x""#),
        ("layer 1\nd 17777 0:0 /x", r#"line 2: expected an octal mode such as 0644, found "17777 0:0 /x""#),
        ("layer 1\nd 0755 0 /x", r#"line 2: expected an owner and a group such as 0:0, found "0 /x""#),
        ("layer 1\nd 0755 0:+1 /x", r#"line 2: expected an owner and a group such as 0:0, found "0:+1 /x""#),
        ("layer 1\nd 0755 0:0 @x /x", r#"line 2: expected a time in seconds such as @1700000000.5, found "@x /x""#),
        ("layer 1\nd 0755 0:0 x", r#"line 2: expected a path with a leading slash, found "x""#),
        ("layer 1\nd 0755 0:0", r#"line 2: expected a path with a leading slash, found """#),
        ("layer 1\nd 0755 0:0 \"/\\x00\"", r#"line 2: expected a name without NUL bytes, found "\"/\\x00\"""#),
        ("layer 1\nd 0755 0:0 /a\\b", r#"line 2: expected a path with a leading slash, found "/a\\b""#),
        (
            "layer 1\nd 0755 0:0 /a b=\"\" c",
            r#"line 2: expected an extended attribute such as user.name="value", found "c""#,
        ),
        ("layer 1\nd 0755 0:0 /a b=\"\" b=\"\"", r#"line 2: expected each extended attribute once, found "b=\"\"""#),
        (
            "layer 1\nd 0755 0:0 /a \"b=c\"=\"\"",
            r#"line 2: expected an extended attribute's name without `=`, found "\"b=c\"=\"\"""#,
        ),
        (
            "layer 1\nf 0755 0:0 1 /a",
            r#"line 2: expected a file's content: its size and digest, a quoted text, or SIZE*"TEXT", found "/a""#,
        ),
        (
            "layer 1\nf 0755 0:0 1*a /a",
            r#"line 2: expected a file's content: its size and digest, a quoted text, or SIZE*"TEXT", found "1*a /a""#,
        ),
        (
            "layer 1\nf 0755 0:0 1*\"\" /a",
            r#"line 2: expected a text that is not empty, repeated up to at most 1 GiB, found "1*\"\" /a""#,
        ),
        (
            "layer 1\nf 0755 0:0 1073741825*\"x\" /a",
            r#"line 2: expected a text that is not empty, repeated up to at most 1 GiB, found "1073741825*\"x\" /a""#,
        ),
        (
            "layer 1\nf 0755 0:0 \"a /a",
            r#"line 2: expected a text in quotes, with no escapes but \n \t \r \" \\ and \x with two digits, found "\"a /a""#,
        ),
        (
            "layer 1\nf 0755 0:0 \"\\q\" /a",
            r#"line 2: expected a text in quotes, with no escapes but \n \t \r \" \\ and \x with two digits, found "\"\\q\" /a""#,
        ),
        ("layer 1\nc 0755 0:0 1 /a", r#"line 2: expected the device's numbers such as 1,3, found "1 /a""#),
        ("layer 1\nl 0755 0:0 /a", r#"line 2: expected `->` and the link's target, found """#),
        ("layer 1\nl 0755 0:0 /a ->", r#"line 2: expected the link's target, found """#),
        ("layer 1\nh /a -> /b", r#"line 2: expected `=>` and the path of the file that is linked, found "-> /b""#),
        ("layer 1\nw /a user.x=\"\"", r#"line 2: expected the end of the line, found "user.x=\"\"""#),
    ] {
        assert_eq!(text.parse::<ImageText>().expect_err(text).to_string(), message, "{text}");
    }
}

#[test]
fn errors_of_layers_name_the_layer() {
    let image: ImageText = "layer 1\nlayer 2\n f 0644 0:0 \"\" /../x".parse().expect("the text form");
    let error = image.layers().expect_err("a path that leads out");
    assert_eq!(error.to_string(), "layer 2 is not valid");
    let source = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(source, r#"entry "../x" at offset 0 leads out of the layer"#);
}

proptest! {
    // The same cases on every run: a failure is a change of the code.
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_back(path in prop::collection::vec(1..=255_u8, 0..20), link in prop::collection::vec(1..=255_u8, 0..20),
        content: Vec<u8>, name in prop::collection::vec(1..=255_u8, 1..9), instruction: String) {
        let name: Vec<u8> = name.into_iter().filter(|&byte| byte != b'=').chain(*b"x").collect();
        let attributes = jettison_image::text::Attributes { xattrs: vec![(name, content.clone())], ..Default::default() };
        let entry = |what: What| EntryText {
            path: path.clone(), attributes: if what.has_attributes() { attributes.clone() } else { Default::default() }, what,
        };
        let content = Content::Literal(content);
        let whats = [What::File(content), What::Symlink(link.clone()), What::HardLink(link), What::Whiteout, What::Directory];
        let history = jettison_image::config::HistoryEntry { created_by: Some(instruction), ..Default::default() };
        let layer = LayerText { history: Some(history), entries: whats.into_iter().map(entry).collect() };
        let image = ImageText { items: vec![Item::Layer(layer)], ..ImageText::default() };
        assert_eq!(image.to_string().parse::<ImageText>().expect("the text form"), image);
    }

    #[test]
    fn any_text_is_read_or_refused(text: String, lines in prop::collection::vec("[fdlhcbpwox] (0644 0:0 )?(@[0-9.-]+ )?[\"/a0*>= \\\\x-]{0,12}", 0..4), at in any::<prop::sample::Index>()) {
        for text in [text.clone(), format!("layer 1\n{}", lines.join("\n")), format!("layer 1\n f 0644 0:0 {text}")] {
            if let Ok(image) = text.parse::<ImageText>() {
                let printed = image.to_string();
                assert_eq!(printed.parse::<ImageText>().expect("what it printed"), image);
                assert_eq!(printed.parse::<ImageText>().expect("what it printed").to_string(), printed);
            }
        }
        let cut = (0..=CANONICAL.len()).filter(|&at| CANONICAL.is_char_boundary(at)).collect::<Vec<_>>();
        let _ = CANONICAL[..*at.get(&cut)].parse::<ImageText>();
    }
}
