//! Writes the seeds of the fuzz targets below `corpus/`: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`.
//!
//! Seeds are made from the text form of images, so that none is committed as a blob.

use std::path::Path;
use std::{fs, io};

use jettison_image::text::ImageText;

/// Images with every kind of entry and the cases of merging that are easy to get wrong.
const IMAGES: &[(&str, &str)] = &[
    (
        "whiteouts",
        "layer 1\n f 0644 0:0 \"1\" /a\n f 0644 0:0 \"1\" /d/b\nlayer 2\n w /a\n o /d\n f 0644 0:0 \"2\" /d/c\n x /.wh..wh.plnk",
    ),
    (
        "links",
        "layer 1\n f 4755 0:5 @-1.5 \"1\" /a user.x=\"1\"\n h /b => /a\n h /d/c => /b\nlayer 2\n w /a\n h /e => /d/c\nlayer 3\n f 0600 0:0 \"1\" /b",
    ),
    (
        "types",
        "layer 1\n d 1777 0:0 /d\n f 0644 0:0 \"1\" /d/a\n l 0777 0:0 /l -> d\nlayer 2\n f 0644 0:0 \"2\" /l/b\n w /l/a\nlayer 3\n l 0777 0:0 /d -> l\n d 0755 0:0 /l",
    ),
    (
        "devices",
        "layer 1\n c 0666 0:0 1,3 /null\n b 0660 0:6 4000000,7 /loop\n p 0622 0:0 /fifo\n h /fifo2 => /fifo\n d 0700 1:1 @9.5 /",
    ),
    (
        "numbers",
        "layer 1\n f 0644 3000000:4294967295 @9999999999 1000*\"xy\" /large\n f 0000 0:0 @-62135596800 \"\" \"/new\\nline \\xff\"",
    ),
];

/// Dockerfiles with every construct of the language, and what passes look for.
#[path = "../crates/syntax/tests/mutation/mod.rs"]
#[allow(dead_code)] // The texts only: mutating is the fuzzer's work.
mod mutation;

/// Small ELF files of all kinds.
#[path = "../crates/image/tests/elf/assembled.rs"]
#[allow(dead_code)] // Some of the parts.
mod assembled;

/// Dockerfiles with waste.
const WASTE: &[&str] = &[
    "FROM debian\nRUN apt-get update\n# why\nRUN apt-get install -y curl gcc \\\n  # inside\n  make\nRUN curl -o a.tar.gz u && tar xf a.tar.gz\n",
    "FROM alpine:3 AS a\nENV A=1\nENV B=$A\nLABEL x=y\nRUN apk add --virtual .b gcc && cc a.c && apk del .b\nWORKDIR /a\nWORKDIR b\nCOPY . .\nRUN chown -R 1:1 /a/b\nRUN rm -r /a/b/c\nFROM a\nCOPY --from=a /a /b\nCMD x\nCMD [\"y\"]\n",
    "FROM python\nADD . /app\nWORKDIR /app\nRUN pip install -r requirements.txt && npm ci || true\nUSER app\nRUN set -ex; cd /tmp; export A=b; echo $A\nRUN if x; then yum install y; fi\nRUN <<EOF\ndnf install z\nEOF\nRUN a & b\nRUN [\"c\"]\n",
];

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/dockerfile");
    fs::create_dir_all(&folder)?;
    for (number, text) in mutation::SNIPPETS.iter().chain(WASTE).enumerate() {
        fs::write(folder.join(format!("{number:02}")), text)?;
    }
    fs::write(folder.join("pieces"), mutation::PIECES.concat())?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/layer_tree");
    fs::create_dir_all(&folder)?;
    for (name, text) in IMAGES {
        let image: ImageText = text.parse().map_err(io::Error::other)?;
        fs::write(folder.join(format!("{name}.txt")), text)?;
        fs::write(folder.join(format!("{name}.tar")), image.tars().map_err(io::Error::other)?.concat())?;
    }
    for (name, tar) in sparse() {
        fs::write(folder.join(name), tar)?;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/elf");
    fs::create_dir_all(&folder)?;
    for (name, file) in elf_files() {
        fs::write(folder.join(name), file)?;
    }
    Ok(())
}

/// ELF files of both classes and byte orders, and two of which one is the other without its symbols.
fn elf_files() -> Vec<(&'static str, Vec<u8>)> {
    let program = assembled::program(&[(assembled::NEEDED, "libc.so.6"), (assembled::RPATH, "$ORIGIN")]);
    let mut other = program.clone().with_symbols();
    (other.is_64, other.is_big_endian, other.machine) = (false, true, 8);
    let pair = [program.clone().with_symbols().bytes(), program.bytes()];
    let share = u8::try_from(pair[0].len() * 256 / (pair[0].len() + pair[1].len()) + 1).unwrap_or_default();
    vec![
        ("program", pair[0].clone()),
        ("32", other.bytes()),
        ("object", assembled::object(true, false).bytes()),
        ("object-32", assembled::object(false, true).bytes()),
        ("pair", [&[share], pair[0].as_slice(), pair[1].as_slice()].concat()),
        ("script", b"#!/usr/bin/env -S A=1 python3 -x\n".to_vec()),
    ]
}

/// Sparse files, which the text form has no word for: an old GNU header and a PAX form, each with one run.
/// The target puts the checksums right.
fn sparse() -> [(&'static str, Vec<u8>); 2] {
    let header = |name: &[u8], type_flag: u8, size: usize| {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name);
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = type_flag;
        block[257..263].copy_from_slice(b"ustar ");
        block
    };
    let padded = |text: &str| [text.as_bytes(), &vec![0; 512 - text.len()]].concat();
    let mut old_gnu = header(b"x", b'S', 3);
    old_gnu[386..410].copy_from_slice(b"00000000005\000000000003\0");
    old_gnu[483..494].copy_from_slice(b"00000000024");
    let records = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.realsize=20\n21 GNU.sparse.name=x\n";
    let pax = [
        header(b"p", b'x', records.len()),
        padded(records),
        header(b"x", b'0', 515),
        padded("1\n5\n3\n"),
        padded("abc"),
    ];
    [("sparse-old-gnu.tar", [old_gnu, padded("abc"), vec![0; 1024]].concat()), ("sparse-pax.tar", pax.concat())]
}
