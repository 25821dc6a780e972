//! The checksums that databases have of files: MD5 (RFC 1321) of pacman, SHA-1 (RFC 3174) of apk. They tell whether somebody
//! changed a file, and protect nothing.

/// Bytes of a block of both.
const BLOCK: usize = 64;

/// How many bits MD5's steps turn, four for each of its rounds.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

pub(super) fn md5(content: &[u8]) -> [u8; 16] {
    // "The integer part of 4294967296 times abs(sin(i))" (RFC 1321, 3.4).
    let sines: Vec<u32> = (1..=64).map(|step: i32| (f64::from(step).sin().abs() * 4_294_967_296.0) as u32).collect();
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(content, u64::to_le_bytes).chunks_exact(BLOCK) {
        let words = words(block, u32::from_le_bytes);
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mixed, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let sum = a.wrapping_add(mixed).wrapping_add(sines[step]).wrapping_add(words[word]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(TURNS[step / 16][step % 4]));
        }
        add(&mut state, [a, b, c, d]);
    }
    bytes(state, u32::to_le_bytes)
}

pub(super) fn sha1(content: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded(content, u64::to_be_bytes).chunks_exact(BLOCK) {
        let mut words = words(block, u32::from_be_bytes);
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (step, word) in words.into_iter().enumerate() {
            let (mixed, constant) = match step / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
        }
        add(&mut state, [a, b, c, d, e]);
    }
    bytes(state, u32::to_be_bytes)
}

/// The content, a bit, zeros up to a whole block, and the number of bits.
fn padded(content: &[u8], number: fn(u64) -> [u8; 8]) -> Vec<u8> {
    let mut all = content.to_vec();
    all.push(0x80);
    all.resize((all.len() + 8).next_multiple_of(BLOCK) - 8, 0);
    all.extend_from_slice(&number((content.len() as u64).wrapping_mul(8)));
    all
}

fn words(block: &[u8], number: fn([u8; 4]) -> u32) -> Vec<u32> {
    block.chunks_exact(4).map(|word| number([word[0], word[1], word[2], word[3]])).collect()
}

fn add<const WORDS: usize>(state: &mut [u32; WORDS], more: [u32; WORDS]) {
    for (word, more) in state.iter_mut().zip(more) {
        *word = word.wrapping_add(more);
    }
}

fn bytes<const WORDS: usize, const BYTES: usize>(state: [u32; WORDS], number: fn(u32) -> [u8; 4]) -> [u8; BYTES] {
    let mut all = [0; BYTES];
    for (place, word) in all.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&number(word));
    }
    all
}

/// Lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base 64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let sum = three.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[sum >> (18 - 6 * place) & 63];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_the_standards() {
        assert_eq!(hexadecimal(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hexadecimal(&md5(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
        let long = b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(hexadecimal(&md5(long)), "57edf4a22be3c955ac49da2e2107b67a");
        assert_eq!(hexadecimal(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hexadecimal(&sha1(long)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes), text);
        }
    }
}
