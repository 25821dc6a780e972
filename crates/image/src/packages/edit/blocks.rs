//! Files of blocks with blank lines between them: what is left of one without some of its blocks, all others byte for byte.

use bstr::ByteSlice as _;

/// The pieces of a file, each a block with the blank lines behind it. What stands before the first block is a piece, too.
pub(super) fn pieces(content: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    let (mut start, mut at, mut was_blank) = (0, 0, false);
    for line in content.lines_with_terminator() {
        let is_blank = line.trim().is_empty();
        if was_blank && !is_blank {
            all.push(&content[start..at]);
            start = at;
        }
        was_blank = is_blank;
        at += line.len();
    }
    if start < content.len() {
        all.push(&content[start..]);
    }
    all
}

/// The value of a field in its first line; further lines of the value start with blanks.
pub(super) fn field<'b>(block: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let lines = block.lines().filter(|line| !line.starts_with(b" ") && !line.starts_with(b"\t"));
    let mut fields = lines.filter_map(|line| line.split_once_str(":"));
    fields.find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value.trim())
}

/// The same, as text; empty where there is none.
pub(super) fn text(block: &[u8], name: &str) -> String {
    field(block, name).unwrap_or_default().to_str_lossy().into_owned()
}

/// A file of lines without some of them.
pub(super) fn without_lines(content: &[u8], mut goes: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let stay = content.lines_with_terminator().filter(|line| !goes(line.trim_end_with(|letter| letter == '\n')));
    stay.flatten().copied().collect()
}
