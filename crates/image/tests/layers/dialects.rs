//! Cases of merging, 10: the dialects of tar, as bytes made by hand.

use jettison_image::layer::LayerError;
use jettison_image::tar::TarErrorKind;
use jettison_image::{Layer, Limits};

use crate::{check_tars, unreadable};

/// One header block: fields are put in place, and the checksum last.
#[derive(Clone)]
struct Header([u8; 512]);

impl Header {
    /// A POSIX header with mode 0644, and zeros for all other numbers.
    fn posix(name: &[u8], type_flag: u8) -> Self {
        Self::v7(name).put(156, &[type_flag]).put(257, b"ustar\x0000")
    }

    /// A GNU header: the same but for the magic.
    fn gnu(name: &[u8], type_flag: u8) -> Self {
        Self::v7(name).put(156, &[type_flag]).put(257, b"ustar  \0")
    }

    /// A header of before POSIX: no magic, no type for files and directories.
    fn v7(name: &[u8]) -> Self {
        let zeros = Self([0; 512]).put(100, b"0000644\0").put(108, b"0000000\0").put(116, b"0000000\0");
        zeros.size(0).put(136, b"00000000000\0").put(0, name)
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn size(self, size: usize) -> Self {
        self.put(124, format!("{size:011o}\0").as_bytes())
    }

    /// A number in base 256 over a whole field.
    fn base_256(self, at: usize, width: usize, value: i64) -> Self {
        let mut field = vec![if value < 0 { 0xff } else { 0 }; width];
        field[width - 8..].copy_from_slice(&value.to_be_bytes());
        field[0] |= 0x80;
        self.put(at, &field)
    }

    /// The block, and the content with its padding.
    fn with(self, content: &[u8]) -> Vec<u8> {
        let mut block = self.size(content.len()).block();
        block.extend_from_slice(content);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }

    fn block(mut self) -> Vec<u8> {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes()).0.to_vec()
    }
}

/// A PAX header of type `x` or `g` with these records.
fn pax(type_flag: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let bare = key.len() + value.len() + 3;
        let length = (bare..).find(|length| bare + length.to_string().len() == *length).expect("some length");
        data.extend_from_slice(format!("{length} {key}=").as_bytes());
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    Header::posix(b"PaxHeaders/x", type_flag).with(&data)
}

/// A GNU long name, of type `L` or `K`.
fn long(type_flag: u8, name: &[u8]) -> Vec<u8> {
    Header::gnu(b"././@LongLink", type_flag).with(&[name, b"\0"].concat())
}

fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

fn check(members: &[Vec<u8>], expected: &str) {
    check_tars(&[tar(members)], expected);
}

#[test]
fn case_10_pax_records() {
    let records: [(&str, &[u8]); 7] = [
        ("path", b"a name/of PAX"),
        ("uid", b"4000000000"),
        ("gid", b"2097152"),
        ("mtime", b"1700000000.123456789"),
        ("size", b"3"),
        ("SCHILY.xattr.user.x", b"1=\n2"),
        ("comment", b"nothing"),
    ];
    // The record's size wins over the header's.
    let file = [Header::posix(b"cut", b'0').with(b"abc")[..512].to_vec(), Header([0; 512]).put(0, b"abc").0.to_vec()];
    check(
        &[pax(b'x', &records), file.concat()],
        "d 0755 0:0 \"/a name\"
         f 0644 4000000000:2097152 @1700000000.123456789 \"abc\" \"/a name/of PAX\" user.x=\"1=\\n2\"",
    );
    let link = pax(b'x', &[("linkpath", &[b'l'; 200])]);
    check(
        &[link, Header::posix(b"l", b'2').put(157, b"cut").block()],
        &format!("l 0644 0:0 /l -> {}", "l".repeat(200)),
    );
}

#[test]
fn case_10_attributes_in_any_order() {
    let records: [(&str, &[u8]); 3] =
        [("SCHILY.xattr.user.b", b"1"), ("SCHILY.xattr.user.b", b"3"), ("SCHILY.xattr.user.a", b"2")];
    let file = [pax(b'x', &records), Header::posix(b"x", b'0').block()];
    check(&[file.concat()], "f 0644 0:0 \"\" /x user.a=\"2\" user.b=\"3\"");
}

#[test]
fn case_10_the_size_of_a_record_wins_over_the_headers() {
    let member = [pax(b'x', &[("size", b"600")]), Header::posix(b"x", b'0').block(), vec![b'x'; 600], vec![0; 424]];
    check(&[member.concat(), Header::posix(b"y", b'0').block()], "f 0644 0:0 600*\"x\" /x\n f 0644 0:0 \"\" /y");
}

#[test]
fn case_10_times_before_1970_and_below_a_second() {
    for (seconds, shown) in
        [(-1_i64, "-1"), (-315_619_200, "-315619200"), (1 << 33, "8589934592"), (i64::MIN, "-9223372036854775808")]
    {
        check(&[Header::gnu(b"x", b'0').base_256(136, 12, seconds).block()], &format!("f 0644 0:0 @{shown} \"\" /x"));
    }
    for time in ["-1.5", "-0.000000001", "1.000000001", "-9223372036854775808"] {
        let member = [pax(b'x', &[("mtime", time.as_bytes())]), Header::posix(b"x", b'0').block()];
        check(&[member.concat()], &format!("f 0644 0:0 @{time} \"\" /x"));
    }
    // Digits beyond nanoseconds are cut.
    let member = [pax(b'x', &[("mtime", b"1.1234567899")]), Header::posix(b"x", b'0').block()];
    check(&[member.concat()], "f 0644 0:0 @1.123456789 \"\" /x");
}

#[test]
fn case_10_numbers_in_base_256() {
    let header = Header::gnu(b"x", b'0').base_256(108, 8, 3_000_000).base_256(116, 8, 4_294_967_295);
    check(&[header.block()], "f 0644 3000000:4294967295 \"\" /x");
    let size = Header::gnu(b"x", b'0').base_256(124, 12, 3).block();
    check(&[size, Header([0; 512]).put(0, b"abc").0.to_vec()], "f 0644 0:0 \"abc\" /x");
    let negative = Header::gnu(b"x", b'0').base_256(108, 8, -1).block();
    assert!(matches!(unreadable(&tar(&[negative])), LayerError::Tar { .. }));
}

#[test]
fn case_10_names_of_every_length() {
    for length in [1, 98, 99, 100, 101, 154, 155, 156, 254, 255, 256, 257, 300, 5000] {
        let name = "n".repeat(length);
        let cut = name.as_bytes()[..length.min(100)].to_vec();
        let pax_file = [pax(b'x', &[("path", name.as_bytes())]), Header::posix(&cut, b'0').block()].concat();
        let gnu_file = [long(b'L', name.as_bytes()), Header::gnu(&cut, b'0').block()].concat();
        for file in [pax_file, gnu_file] {
            check(&[file], &format!("f 0644 0:0 \"\" /{name}"));
        }
        let folder = [long(b'L', format!("{name}/").as_bytes()), Header::gnu(&cut, b'5').block()].concat();
        check(&[folder], &format!("d 0644 0:0 /{name}"));
        let link = [long(b'K', name.as_bytes()), long(b'L', b"l"), Header::gnu(b"cut", b'2').block()].concat();
        check(&[link], &format!("l 0644 0:0 /l -> {name}"));
    }
}

#[test]
fn case_10_names_in_two_fields() {
    let (prefix, name) = ("p".repeat(155), "n".repeat(100));
    let header = Header::posix(name.as_bytes(), b'0').put(345, prefix.as_bytes());
    check(&[header.block()], &format!("d 0755 0:0 /{prefix}\n f 0644 0:0 \"\" /{prefix}/{name}"));
    // GNU headers keep times where POSIX has the prefix.
    let gnu = Header::gnu(b"x", b'0').put(345, b"14524676741\x0014524676741\0");
    check(&[gnu.block()], "f 0644 0:0 \"\" /x");
}

#[test]
fn case_10_names_of_any_bytes() {
    check(
        &[
            Header::posix(b"new\nline", b'0').block(),
            Header::posix(b"tab\t \"q\" \\", b'0').block(),
            Header::posix(b"\xff\xfe\x80", b'0').block(),
            Header::posix(b"caf\xc3\xa9", b'2').put(157, b"\xff").block(),
            Header::posix(b"\x01", b'1').put(157, b"\xff\xfe\x80").block(),
        ],
        "f 0644 0:0 \"\" \"/\\x01\"
         l 0644 0:0 /café -> \"\\xff\"
         f 0644 0:0 \"\" \"/new\\nline\"
         f 0644 0:0 \"\" \"/tab\\t \\\"q\\\" \\\\\"
         h \"/\\xff\\xfe\\x80\" => \"/\\x01\"",
    );
}

#[test]
fn case_10_paths_are_cleaned() {
    check(
        &[
            Header::posix(b"./", b'5').put(136, b"00000000007\0").block(),
            Header::posix(b"./a/", b'5').block(),
            Header::posix(b"/b///", b'5').block(),
            Header::posix(b"./b/../a/.//x", b'0').block(),
            Header::posix(b"/y/", b'1').put(157, b"/a/./x").block(),
        ],
        "d 0644 0:0 @7 /\n d 0644 0:0 /a\n f 0644 0:0 \"\" /a/x\n d 0644 0:0 /b\n h /y => /a/x",
    );
    for path in [&b".."[..], b"../x", b"a/../../x", b"/..", b"./.."] {
        let refused = unreadable(&tar(&[Header::posix(b"first", b'0').block(), Header::posix(path, b'0').block()]));
        assert!(matches!(&refused, LayerError::Escapes { path: found, offset: 512 } if found == path), "{refused:?}");
        let target = unreadable(&tar(&[Header::posix(b"x", b'1').put(157, path).block()]));
        assert!(matches!(&target, LayerError::Escapes { path: found, offset: 0 } if found == path), "{target:?}");
    }
}

#[test]
fn case_10_before_posix() {
    check(
        &[
            Header::v7(b"d/").block(),
            Header::v7(b"d/x").with(b"abc"),
            Header::v7(b"l").put(156, b"2").put(157, b"d").block(),
        ],
        "d 0644 0:0 /d\n f 0644 0:0 \"abc\" /d/x\n l 0644 0:0 /l -> d",
    );
    // Numbers without leading zeros, with blanks before and behind.
    let blanks = Header::v7(b"x").put(100, b"   600 \0").put(108, b"     7\0 ").put(116, b"\0\0\0\0\0\0\0\0");
    check(&[blanks.block()], "f 0600 7:0 \"\" /x");
}

#[test]
fn case_10_types() {
    check(&[Header::posix(b"x", b'7').with(b"contiguous")], "f 0644 0:0 \"contiguous\" /x");
    check(&[Header::gnu(b"label", b'V').block(), Header::posix(b"x", b'0').block()], "f 0644 0:0 \"\" /x");
    // What has no content may state a size all the same.
    for type_flag in *b"123456" {
        let member = Header::posix(b"y", type_flag).put(157, b"x").size(700).block();
        let layer =
            Layer::read(&tar(&[Header::posix(b"x", b'0').block(), member])[..], Limits::default()).expect("valid");
        assert_eq!(layer.entries.len(), 2, "{type_flag}");
    }
    for type_flag in *b"8DMNsZ" {
        let error = unreadable(&tar(&[Header::posix(b"x", type_flag).block()]));
        let LayerError::Tar { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source.kind, TarErrorKind::Type(found) if found == char::from(type_flag)), "{source:?}");
    }
}

#[test]
fn case_10_devices_by_records() {
    let records: [(&str, &[u8]); 2] = [("SCHILY.devmajor", b"4000000"), ("SCHILY.devminor", b"3000000")];
    check(&[pax(b'x', &records), Header::posix(b"c", b'3').block()], "c 0644 0:0 4000000,3000000 /c");
    // star writes the device that holds a file into such records of every member.
    let file = tar(&[pax(b'x', &records), Header::posix(b"f", b'0').block()]);
    assert_eq!(Layer::read(&file[..], Limits::default()).expect("valid").entries[0].device, (0, 0));
    check(&[pax(b'x', &records), Header::posix(b"f", b'0').block()], "f 0644 0:0 \"\" /f");
}

#[test]
fn case_10_global_headers_hold_for_all_that_follow() {
    check(
        &[
            Header::posix(b"a", b'0').block(),
            pax(b'g', &[("mtime", b"7"), ("uid", b"9")]),
            Header::posix(b"b", b'0').block(),
            pax(b'g', &[("mtime", b"8"), ("comment", b"0123456789abcdef")]),
            pax(b'x', &[("uid", b"1")]),
            Header::posix(b"c", b'0').block(),
            Header::posix(b"d", b'0').block(),
        ],
        "f 0644 0:0 \"\" /a\n f 0644 9:0 @7 \"\" /b\n f 0644 1:0 @8 \"\" /c\n f 0644 9:0 @8 \"\" /d",
    );
}

/// Twenty bytes, of which `abc` at 5 and `de` at 12 are stored.
const SPARSE: &str = "f 0644 0:0 \"\\x00\\x00\\x00\\x00\\x00abc\\x00\\x00\\x00\\x00de\\x00\\x00\\x00\\x00\\x00\\x00\" /x\n f 0644 0:0 \"\" /y";

fn check_sparse(file: Vec<u8>) {
    check(&[file, Header::posix(b"y", b'0').block()], SPARSE);
}

#[test]
fn case_10_sparse_in_pax_form_0_0() {
    let records: [(&str, &[u8]); 6] = [
        ("GNU.sparse.size", b"20"),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"5"),
        ("GNU.sparse.numbytes", b"3"),
        ("GNU.sparse.offset", b"12"),
        ("GNU.sparse.numbytes", b"2"),
    ];
    check_sparse([pax(b'x', &records), Header::posix(b"x", b'0').with(b"abcde")].concat());
}

#[test]
fn case_10_sparse_in_pax_form_0_1() {
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.size", b"20"), ("GNU.sparse.name", b"x"), ("GNU.sparse.map", b"5,3,12,2,20,0")];
    check_sparse([pax(b'x', &records), Header::posix(b"GNUSparseFile.1/x", b'0').with(b"abcde")].concat());
}

fn pax_1_0(map: &[u8], real_size: &[u8], data: &[u8]) -> Vec<u8> {
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"x"),
        ("GNU.sparse.realsize", real_size),
    ];
    let mut content = map.to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend_from_slice(data);
    [pax(b'x', &records), Header::posix(b"GNUSparseFile.1/x", b'0').with(&content)].concat()
}

#[test]
fn case_10_sparse_in_pax_form_1_0() {
    check_sparse(pax_1_0(b"3\n5\n3\n12\n2\n20\n0\n", b"20", b"abcde"));
    check(&[pax_1_0(b"0\n", b"1000", b"")], "f 0644 0:0 1000*\"\\x00\" /x");
    // A map of several blocks, with a number over the border of two.
    let (map, data): (String, Vec<u8>) = ((0..200).map(|run| format!("{}\n1\n", run * 5)).collect(), vec![b'x'; 200]);
    check(&[pax_1_0(format!("200\n{map}").as_bytes(), b"1000", &data)], "f 0644 0:0 1000*\"x\\x00\\x00\\x00\\x00\" /x");
}

/// An old GNU header with up to four runs, and more blocks of up to 21.
fn old_gnu(real_size: usize, runs: &[(usize, usize)], data: &[u8]) -> Vec<u8> {
    let runs: Vec<String> = runs.iter().map(|(offset, length)| format!("{offset:011o}\0{length:011o}\0")).collect();
    let (first, rest) = runs.split_at(runs.len().min(4));
    let more = rest.chunks(21);
    let header = Header::gnu(b"x", b'S').put(386, first.concat().as_bytes()).put(482, &[u8::from(!rest.is_empty())]);
    let header = header.put(483, format!("{real_size:011o}\0").as_bytes());
    let mut out = header.with(data);
    let blocks = more.clone().enumerate().flat_map(|(at, runs)| {
        Header([0; 512]).put(0, runs.concat().as_bytes()).put(504, &[u8::from(at + 1 < more.len())]).0
    });
    out.splice(512..512, blocks);
    out
}

#[test]
fn case_10_sparse_in_the_old_gnu_form() {
    check_sparse(old_gnu(20, &[(5, 3), (12, 2), (20, 0)], b"abcde"));
    let runs: Vec<(usize, usize)> = (0..60).map(|run| (run * 5, 1)).collect();
    check(&[old_gnu(300, &runs, &[b'x'; 60])], "f 0644 0:0 300*\"x\\x00\\x00\\x00\\x00\" /x");
}

#[test]
fn case_10_sparse_maps_that_do_not_fit() {
    let count = format!("{}\n", u64::MAX);
    let half = format!("{}\n0\n", u64::MAX / 2);
    for bad in [
        pax_1_0(b"1\n0\n6\n", b"20", b"abcde"),
        pax_1_0(b"1\n0\n4\n", b"20", b"abcde"),
        pax_1_0(b"1\n18\n5\n", b"20", b"abcde"),
        pax_1_0(b"2\n5\n3\n4\n2\n", b"20", b"abcde"),
        pax_1_0(b"1\n18446744073709551615\n5\n", b"20", b"abcde"),
        pax_1_0(b"2\n5\n", b"20", b""),
        pax_1_0(b"", b"20", b""),
        pax_1_0(b"x\n", b"20", b"abcde"),
        pax_1_0(count.as_bytes(), b"20", b"abcde"),
        pax_1_0(half.as_bytes(), b"20", b"abcde"),
        old_gnu(20, &[(5, 3)], b"abcde"),
        old_gnu(4, &[(0, 5)], b"abcde"),
    ] {
        let error = unreadable(&tar(&[bad]));
        let LayerError::Tar { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source.kind, TarErrorKind::Sparse), "{source:?}");
    }
}

#[test]
fn case_10_a_sparse_map_is_cut_short() {
    // The archive ends where the map goes on.
    let whole = pax_1_0(b"1\n0\n5\n", b"20", b"abcde");
    let map = whole.len() - 1024;
    let error = unreadable(&whole[..map]);
    let LayerError::Tar { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source.kind, TarErrorKind::Truncated), "{source:?}");
}

#[test]
fn case_10_extended_headers_without_end() {
    let records = |type_flag| pax(type_flag, &[("comment", &[b'x'; 6 << 20])]);
    for header in [records(b'x'), records(b'g'), long(b'L', &[b'x'; 6 << 20]), long(b'K', &[b'x'; 6 << 20])] {
        let error = unreadable(&tar(&[header.clone(), header.clone(), header]));
        let LayerError::Tar { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source.kind, TarErrorKind::HeaderTooLarge(total) if total > 18 << 20), "{source:?}");
    }
}

#[test]
fn case_10_a_sparse_map_without_end() {
    // Five million runs would take more memory than any archive has to say of one file.
    let runs = 5_000_000;
    let map: Vec<u8> = [format!("{runs}\n").into_bytes(), b"0\n0\n".repeat(runs)].concat();
    let error = unreadable(&tar(&[pax_1_0(&map, b"20", b"")]));
    let LayerError::Tar { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source.kind, TarErrorKind::HeaderTooLarge(_)), "{source:?}");
}

#[test]
fn case_10_the_end_of_an_archive() {
    let file = Header::posix(b"x", b'0').with(b"abc");
    let rubbish = [vec![0; 1024], b"what stands behind the end marker".repeat(99)].concat();
    for end in [vec![], vec![0; 512], vec![0; 1024], vec![0; 10_240], rubbish] {
        let bytes = [file.clone(), end].concat();
        let layer = Layer::read(&bytes[..], Limits::default()).expect("valid");
        assert_eq!((layer.entries.len(), layer.size), (1, bytes.len() as u64));
        check_tars(&[bytes], "f 0644 0:0 \"abc\" /x");
    }
    // The padding of the last member may miss.
    check_tars(&[file[..515].to_vec()], "f 0644 0:0 \"abc\" /x");
}

#[test]
fn case_10_empty_layers() {
    for empty in [vec![], vec![0; 512], vec![0; 1024], vec![0; 10_240]] {
        let file = tar(&[Header::posix(b"x", b'0').with(b"abc")]);
        check_tars(std::slice::from_ref(&empty), "");
        check_tars(&[empty.clone(), file.clone(), empty], "f 0644 0:0 \"abc\" /x");
    }
}

#[test]
fn case_10_damage_is_named_with_its_place() {
    let good = tar(&[Header::posix(b"a", b'0').block(), Header::posix(b"b", b'0').with(&[b'x'; 600])]);
    let error = |bytes: &[u8]| match unreadable(bytes) {
        LayerError::Tar { entry, source } => format!("{} {source}", String::from_utf8_lossy(&entry)),
        other => panic!("{other:?}"),
    };
    let mut flipped = good.clone();
    flipped[512 + 100] ^= 1;
    assert_eq!(error(&flipped), "a the header's checksum does not match at offset 512");
    assert_eq!(error(&good[..700]), "a the archive ends in the middle of a member at offset 700");
    assert_eq!(error(&good[..1100]), "b the archive ends in the middle of a member at offset 1100");
    let dangling = tar(&[long(b'L', b"name")]);
    assert_eq!(error(&dangling), " an extended header is not followed by a member at offset 1024");
    let nul = tar(&[pax(b'x', &[("path", b"a\0b")]), Header::posix(b"x", b'0').block()]);
    assert_eq!(error(&nul), " a name holds a NUL byte at offset 1024");
    let large = tar(&[Header::posix(b"x", b'x').size(17 << 20).block()]);
    assert_eq!(error(&large), " extended headers of 17825792 bytes are larger than the limit of 16 MiB at offset 0");
}

#[test]
fn case_10_limits() {
    let bytes = tar(&[Header::posix(b"a", b'0').block(), Header::posix(b"b", b'0').with(&[b'x'; 600])]);
    let read = |layer_bytes, layer_entries| Layer::read(&bytes[..], Limits { layer_bytes, layer_entries });
    read(10_000, 2).expect("within the limits");
    assert!(matches!(read(1500, 2), Err(LayerError::TooLarge { offset: 512, .. })));
    assert!(matches!(read(10_000, 1), Err(LayerError::TooMany { limit: 1 })));
    // The holes of a sparse file count.
    let sparse = tar(&[pax_1_0(b"0\n", b"1000000000000", b"")]);
    assert!(matches!(unreadable(&sparse), LayerError::TooLarge { .. }));
}
