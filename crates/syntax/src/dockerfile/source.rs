//! Bytes of a file as text and back, without loss, also where they are not UTF-8.
//!
//! A Dockerfile may hold any bytes, in comments above all. Parsers here work on `str`, so a byte that is not part of
//! UTF-8 becomes one character of a private range, and that character becomes the byte again on the way out. A file
//! that holds characters of that very range is handled by the same rule: each of their bytes becomes one character.

/// The character that stands for the byte 0x80; the one for 0xFF is 0x7F further on.
const FIRST: u32 = 0x10_F780;

fn stand_in(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte) - 0x80).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character stands for, where it stands for one.
#[must_use]
pub fn stood_for(character: char) -> Option<u8> {
    let offset = u32::from(character).checked_sub(FIRST)?;
    u8::try_from(offset).ok().filter(|offset| *offset < 0x80).map(|offset| offset + 0x80)
}

/// Whether a text may hold characters that stand for bytes: they all begin with a byte that is rare in others.
fn may_stand_in(text: &str) -> bool {
    text.as_bytes().contains(&0xF4)
}

/// The bytes as text.
#[must_use]
pub fn decode(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if !may_stand_in(&text) => text,
        Ok(text) => decode_lossless(text.as_bytes()),
        Err(error) => decode_lossless(error.as_bytes()),
    }
}

fn decode_lossless(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if stood_for(character).is_some() {
                let mut buffer = [0; 4];
                out.extend(character.encode_utf8(&mut buffer).bytes().map(stand_in));
            } else {
                out.push(character);
            }
        }
        out.extend(chunk.invalid().iter().copied().map(stand_in));
    }
    out
}

/// The text's bytes as they were in the file.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    if !may_stand_in(text) {
        return text.as_bytes().to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut buffer = [0; 4];
    for character in text.chars() {
        match stood_for(character) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn any_bytes_come_back() {
        let stand_ins = "\u{10f780}\u{10f7ff}".as_bytes().to_vec();
        for bytes in [b"FROM a\n".to_vec(), b"# caf\xe9 \xff\n".to_vec(), stand_ins, vec![0xF4, 0x8F, 0x9E], vec![0]] {
            assert_eq!(encode(&decode(bytes.clone())), bytes);
        }
        assert_eq!(decode(b"a\xe9b".to_vec()).chars().count(), 3);
    }
}
