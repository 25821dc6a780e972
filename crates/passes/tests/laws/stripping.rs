//! Stripping of files that lists have digests of, and of files that are equal: contents that cannot be written into a page,
//! since one follows from the other.

use std::fmt::Write as _;

use jettison_image::Digest;
use jettison_ir::{ImageOptions, Level};
use jettison_passes::Selection;

use crate::image::{Image, content, declined, judge_accepts, judge_holds, optimized, tree};

/// A small library (ELF, 64 bits, little-endian) with so much code and debug information.
fn library(stays: usize, debug: usize) -> Vec<u8> {
    let names = b"\0.text\0.debug_info\0.shstrtab\0";
    let parts: [(u32, u32, Vec<u8>); 3] =
        [(1, 1, vec![0xc3; stays]), (7, 1, vec![b'd'; debug]), (19, 3, names.to_vec())];
    let (mut data, mut table) = (Vec::new(), vec![0; 64]);
    for (name, kind, content) in parts {
        let offset = 64 + data.len() as u64;
        table.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        // What is loaded has its place in memory: flags and address.
        let (flags, address) = if name == 1 { (6, offset) } else { (0, 0) };
        table.extend([flags, address, offset, content.len() as u64, 0, 1, 0].map(u64::to_le_bytes).concat());
        data.extend(content);
    }
    data.resize(data.len().next_multiple_of(8), 0);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    file.extend([0, 0, 64 + data.len() as u64].map(u64::to_le_bytes).concat());
    file.extend([0u8; 4]);
    file.extend([64u16, 56, 0, 64, 4, 3].map(u16::to_le_bytes).concat());
    [file, data, table].concat()
}

/// A content as the text form has it.
fn quoted(content: &[u8]) -> String {
    let bytes = content.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "\\x{byte:02x}");
        out
    });
    format!("\"{bytes}\"")
}

/// What a wheel's list says of a content.
fn sum(content: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> =
        Digest::of(content).0.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let letter = |six: &[u8]| {
        let value = six.iter().chain(&[0; 6]).take(6).fold(0, |sum, bit| sum << 1 | bit);
        char::from(LETTERS[usize::from(value)])
    };
    format!("sha256={},{}", bits.chunks(6).map(letter).collect::<String>(), content.len())
}

const SITE: &str = "/usr/lib/python3/site-packages";

/// A wheel with two libraries and a module, and a list with these lines besides.
fn wheel(list: &str, more: &str) -> String {
    let mut text = "layer 1 \"RUN pip install fast\"\n".to_owned();
    for folder in ["/usr", "/usr/lib", "/usr/lib/python3", SITE] {
        let _ = writeln!(text, "  d 0755 0:0 {folder}");
    }
    let (one, two) = (quoted(&library(50, 900)), quoted(&library(60, 700)));
    let _ = writeln!(text, "  f 0755 0:0 {one} {SITE}/fast.so\n  f 0755 0:0 {two} {SITE}/faster.so");
    let _ = writeln!(text, "  f 0644 0:0 \"import fast\" {SITE}/fast.py\n  d 0755 0:0 {SITE}/fast.dist-info");
    let _ = writeln!(text, "  f 0644 0:0 {} {SITE}/fast.dist-info/RECORD\n{more}", quoted(list.as_bytes()));
    text
}

/// The list of [`wheel`], of libraries with these contents.
fn list(one: &[u8], two: &[u8]) -> String {
    let module = sum(b"import fast");
    format!(
        "fast.py,{module}\r\nfast.so,{}\r\nfast.dist-info/RECORD,,\r\n../site-packages/faster.so,{}\r\n",
        sum(one),
        sum(two)
    )
}

fn shipped() -> String {
    list(&library(50, 900), &library(60, 700))
}

fn selection() -> Selection {
    Selection { only: vec!["debug-symbols".to_owned()], ..Selection::of(Level::Os) }
}

/// The content of a file of an image.
fn file(image: &Image, path: &str) -> Vec<u8> {
    let tree = tree(image);
    let node = tree.find(path.trim_start_matches('/').as_bytes()).expect("is there");
    content(image, &tree, node).expect("has a content")
}

#[test]
fn a_list_follows_what_is_stripped() {
    let before = Image::of(&wheel(&shipped(), ""));
    let (outcome, after) = optimized(&before, &ImageOptions::default(), &selection());
    let (one, two) = (file(&after, &format!("{SITE}/fast.so")), file(&after, &format!("{SITE}/faster.so")));
    assert!(one.len() < 600 && two.len() < 600, "{} and {}", one.len(), two.len());
    let new = file(&after, &format!("{SITE}/fast.dist-info/RECORD"));
    assert_eq!(String::from_utf8(new).expect("text"), list(&one, &two));
    judge_holds("a wheel", &before, &after, &outcome);
    assert!(optimized(&after, &ImageOptions::default(), &selection()).0.findings.is_empty());
}

#[test]
fn the_judge_reads_the_list_itself() {
    let before = Image::of(&wheel(&shipped(), ""));
    let (outcome, after) = optimized(&before, &ImageOptions::default(), &selection());
    let (one, two) = (file(&after, &format!("{SITE}/fast.so")), file(&after, &format!("{SITE}/faster.so")));
    let good = list(&one, &two);
    let with = |record: &str| {
        let text = wheel(record, "");
        let text = text.replace(&quoted(&library(50, 900)), &quoted(&one));
        Image::of(&text.replace(&quoted(&library(60, 700)), &quoted(&two)))
    };
    assert!(judge_accepts(&before, &with(&good), &outcome.claims));
    for (wrong, with_what) in [
        (good.replace("fast.py,sha256=", "fast.py,sha256=A"), "another file's digest"),
        (good.replace(&sum(&one), &sum(&two)), "another digest"),
        (good.replace(&format!(",{}\r", one.len()), &format!(",{}\r", one.len() + 1)), "another size"),
        (good.replace(&sum(&one), &sum(&library(50, 900))), "an old digest beside a new one"),
        (good.replace("fast.so", "slow.so"), "another name"),
        (good.replace("\r\n", "\n"), "other ends of lines"),
        (format!("{good}x,,\r\n"), "a line more"),
        (good.lines().skip(1).collect::<Vec<_>>().join("\r\n"), "a line less"),
        (String::new(), "nothing"),
    ] {
        assert!(!judge_accepts(&before, &with(&wrong), &outcome.claims), "{with_what}");
    }
}

#[test]
fn a_list_that_cannot_follow_holds_its_files_back() {
    let signed = format!("  f 0644 0:0 \"{{}}\" {SITE}/fast.dist-info/RECORD.jws\n");
    let other_layer = "layer 2 \"RUN touch\"\n".to_owned()
        + &format!("  f 0644 0:0 {} {SITE}/fast.dist-info/RECORD\n", quoted(shipped().as_bytes()));
    let wrong = shipped().replace("sha256=", "sha256=A").replace("fast.py,sha256=A", "fast.py,sha256=");
    let md5 = shipped().replace("sha256=", "md5=");
    for (list, more, why) in [
        (shipped(), signed.as_str(), "the RECORD with its digest is signed"),
        (shipped(), other_layer.as_str(), "the RECORD with its digest cannot be changed with it"),
        (wrong, "", "the RECORD with its digest cannot be changed with it"),
        (md5, "", "the RECORD with its digest cannot be changed with it"),
    ] {
        let before = Image::of(&wheel(&list, more));
        let (outcome, _) = optimized(&before, &ImageOptions::default(), &selection());
        assert!(outcome.findings.is_empty(), "{why}");
        assert!(declined(&outcome).contains(&format!("those of 2 files stay ({SITE}/fast.so): {why}")), "{why}");
    }
}

#[test]
fn a_list_that_is_kept_keeps_its_files() {
    let keep = "/**/RECORD".parse().expect("a pattern");
    let options = ImageOptions { keep: vec![keep], ..ImageOptions::default() };
    let (outcome, _) = optimized(&Image::of(&wheel(&shipped(), "")), &options, &selection());
    assert!(outcome.findings.is_empty());
}

#[test]
fn what_somebody_holds_to_its_digest_stays() {
    let library = quoted(&library(10, 500));
    for (beside, xattr, why) in [
        ("  f 0644 0:0 \"\" /opt/x", " security.ima=\"\\x03\"", Some("the kernel holds their content")),
        ("  f 0644 0:0 \"\" /opt/x", " security.capability=\"\\x03\"", None),
        ("  f 0644 0:0 \"0c\" /opt/SHA256SUMS", "", Some("a list of checksums is in a folder above them")),
        ("  d 0755 0:0 /opt/conda-meta", "", Some("conda has checksums of them")),
        ("  f 0644 0:0 \"0c\" /opt/a/a.so.sha256", "", Some("a checksum or a signature of them is there")),
    ] {
        let text = format!(
            "layer 1 \"RUN x\"\n  d 0755 0:0 /opt\n  d 0755 0:0 /opt/a\n{beside}\n  f 0755 0:0 {library} /opt/a/a.so{xattr}\n"
        );
        let (outcome, _) = optimized(&Image::of(&text), &ImageOptions::default(), &selection());
        assert_eq!(outcome.findings.is_empty(), why.is_some(), "{beside}{xattr}");
        assert!(declined(&outcome).contains(why.unwrap_or_default()), "{beside}{xattr}: {}", declined(&outcome));
    }
}

#[test]
fn files_that_are_equal_without_symbols_become_one() {
    let (one, two) = (quoted(&library(5000, 900)), quoted(&library(5000, 800)));
    let text = format!(
        "layer 1 \"RUN x\"\n  d 0755 0:0 /opt\n  d 0755 0:0 /opt/a\n  f 0755 0:0 {one} /opt/a/a.so\n  f 0755 0:0 {two} /opt/a/b.so\n  h /opt/a/c.so => /opt/a/b.so\n"
    );
    let before = Image::of(&text);
    let selection = Selection::of(Level::Os);
    let (outcome, after) = optimized(&before, &ImageOptions::default(), &selection);
    let tree = tree(&after);
    let names: Vec<_> =
        ["a", "b", "c"].map(|name| tree.find(format!("opt/a/{name}.so").as_bytes()).expect("is there")).into();
    assert!(names.iter().all(|name| tree.inode(*name) == tree.inode(names[0])));
    assert!(file(&after, "/opt/a/c.so").len() < 5400);
    judge_holds("equal without symbols", &before, &after, &outcome);
    assert!(optimized(&after, &ImageOptions::default(), &selection).0.findings.is_empty());
}
