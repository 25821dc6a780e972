//! Small packages for Alpine's real apk, and a base image with a repository of them: two gzip streams, the first with a
//! tar of what apk has to know, the second with a tar of the files (apk-package(5), version 2 of the format).

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jettison_image::Digest;

use crate::suite::Suite;

/// A package.
#[derive(Clone, Copy, Default)]
pub(crate) struct Package<'p> {
    pub(crate) name: &'p str,
    /// What it needs, in words.
    pub(crate) depends: &'p str,
    /// Each with its content; what lies in a folder `bin` may be executed.
    pub(crate) files: &'p [(&'p str, &'p str)],
    /// By their kinds: `post-install`, `post-deinstall`.
    pub(crate) scripts: &'p [(&'p str, &'p str)],
}

/// Whether a tar has the two empty blocks at its end: apk reads both streams as one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
}

fn packed(files: &[(String, &[u8])], end: End) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders: Vec<&str> = Vec::new();
    for (path, content) in files {
        let parents: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for folder in parents.iter().rev().filter_map(|folder| folder.to_str()).filter(|folder| !folder.is_empty()) {
            if !folders.contains(&folder) {
                folders.push(folder);
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                builder.append_data(&mut header, folder, std::io::empty()).expect("packs");
            }
        }
        let mut header = tar::Header::new_ustar();
        let is_program = path.contains("bin/") || path.starts_with(".p");
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(if is_program { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        if end == End::Closed {
            // Every file of a package has its checksum before it, in a header with a name.
            let record = format!("68 APK-TOOLS.checksum.SHA1={}\n", sha1(content));
            let mut pax = tar::Header::new_ustar();
            pax.set_entry_type(tar::EntryType::XHeader);
            pax.set_size(record.len() as u64);
            builder.append_data(&mut pax, "checksum", record.as_bytes()).expect("packs");
        }
        builder.append_data(&mut header, path, *content).expect("packs");
    }
    let mut bytes = builder.into_inner().expect("packs");
    if end == End::Open {
        bytes.truncate(bytes.len() - 1024);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&bytes).expect("memory");
    gzip.finish().expect("memory")
}

/// The checksum that apk wants of files (FIPS 180-4, section 6.1), in hexadecimal digits.
fn sha1(content: &[u8]) -> String {
    let mut message = [content, &[0x80]].concat();
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend((content.len() as u64 * 8).to_be_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in message.chunks_exact(64) {
        let word = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        let mut words: Vec<u32> = block.chunks_exact(4).map(word).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = [mixed, e, constant, *word].iter().fold(a.rotate_left(5), |sum, part| sum.wrapping_add(*part));
            (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
        }
        for (own, new) in state.iter_mut().zip([a, b, c, d, e]) {
            *own = own.wrapping_add(new);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

impl Package<'_> {
    fn bytes(&self) -> Vec<u8> {
        let files: Vec<(String, &[u8])> =
            self.files.iter().map(|(path, content)| ((*path).to_owned(), content.as_bytes())).collect();
        let data = packed(&files, End::Closed);
        let mut information = format!(
            "pkgname = {}\npkgver = 1.0-r0\npkgdesc = {}\nurl = http://localhost/\nbuilddate = 1700000000\n\
             size = 1\narch = x86_64\norigin = {}\nlicense = MIT\n",
            self.name, self.name, self.name
        );
        for name in self.depends.split_whitespace() {
            information += &format!("depend = {name}\n");
        }
        information += &format!("datahash = {}\n", Digest::of(&data).hex());
        let mut control = vec![(".PKGINFO".to_owned(), information.as_bytes())];
        control.extend(self.scripts.iter().map(|(kind, text)| (format!(".{kind}"), text.as_bytes())));
        [packed(&control, End::Open), data].concat()
    }
}

/// Makes the image `tools:1` in the suite's cache: Alpine, whose apk knows these packages and no others.
pub(crate) fn make_base(suite: &Suite, packages: &[Package<'_>]) {
    let context = suite.path("tools");
    let repository = context.join("repository/x86_64");
    fs::create_dir_all(&repository).expect("a folder");
    for package in packages {
        fs::write(repository.join(format!("{}-1.0-r0.apk", package.name)), package.bytes()).expect("writes");
    }
    let dockerfile = "FROM alpine:3.20\nCOPY repository /repository\nRUN cd /repository/x86_64 \
                      && apk index -q --allow-untrusted --rewrite-arch x86_64 -o APKINDEX.tar.gz *.apk \
                      && echo /repository > /etc/apk/repositories\n";
    fs::write(context.join("Dockerfile"), dockerfile).expect("writes");
    suite.give(&context);
    let mut command = suite.command();
    command.args(["build", "-O0", "--offline", "--network=none", "--progress=plain", "-t", "tools:1", "--cache-dir"]);
    let output = command.arg(suite.path("cache")).arg(&context).output().expect("jettison runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
