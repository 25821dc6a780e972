//! Deterministic file content that compresses as real images do: text-like, program-like and random stretches.

use std::io::Read;
use std::sync::OnceLock;

/// A seeded generator (SplitMix64, Steele et al. 2014): the same numbers on every machine and with every version.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number in `0..bound`; `bound` must not be zero. The bias for bounds far below 2^64 does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// As [`Random::below`], with small numbers far more frequent than large ones, as words and opcodes are.
    fn skewed(&mut self, bound: u64) -> u64 {
        let uniform = self.next() >> 32;
        (((((uniform * uniform) >> 32) * uniform) >> 32) * bound) >> 32
    }

    /// A relative file size: half of all files are small, three in a hundred are large, and the mean is near 1,000.
    pub(crate) fn size_weight(&mut self) -> u64 {
        let (low, high) = match self.below(100) {
            0..50 => (50, 500),
            50..85 => (500, 1_500),
            85..97 => (1_500, 4_000),
            _ => (4_000, 12_000),
        };
        low + self.below(high - low)
    }
}

/// The bytes of one generated file.
#[derive(Debug)]
pub(crate) struct Content {
    random: Random,
    left: u64,
    chunk: Vec<u8>,
    at: usize,
}

impl Content {
    /// A stretch of one kind: large files mix kinds, small ones are of one kind.
    const CHUNK: usize = 32 * 1024;

    /// `size` bytes that depend on `seed` alone.
    pub(crate) fn new(seed: u64, size: u64) -> Self {
        // Neighbouring seeds are scrambled, since SplitMix64 walks through its seeds by addition.
        Self { random: Random::new(Random::new(seed).next()), left: size, chunk: Vec::new(), at: 0 }
    }

    fn fill(&mut self) {
        let size = usize::try_from(self.left).map_or(Self::CHUNK, |left| left.min(Self::CHUNK));
        self.chunk.clear();
        self.at = 0;
        match self.random.below(100) {
            0..65 => text(&mut self.random, &mut self.chunk, size),
            65..92 => program(&mut self.random, &mut self.chunk, size),
            _ => packed(&mut self.random, &mut self.chunk, size),
        }
        self.chunk.truncate(size);
        self.left -= size as u64;
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.chunk.len() {
            self.fill();
        }
        let count = out.len().min(self.chunk.len() - self.at);
        out[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Indented lines of words from a skewed vocabulary, with numbers between: source code, scripts, documents.
fn text(random: &mut Random, out: &mut Vec<u8>, size: usize) {
    let words = vocabulary();
    let count = words.len() as u64;
    while out.len() < size {
        let bits = random.next();
        out.extend_from_slice(&b"            "[..(bits % 4) as usize * 4]);
        for _ in 0..3 + (bits >> 8) % 8 {
            if random.0.is_multiple_of(16) {
                out.extend_from_slice((bits >> 40).to_string().as_bytes());
            } else {
                out.extend_from_slice(&words[random.skewed(count) as usize]);
            }
            out.push(b' ');
        }
        out.push(b'\n');
    }
}

/// Records of a frequent operation and an operand of few random bits: machine code and tables.
fn program(random: &mut Random, out: &mut Vec<u8>, size: usize) {
    while out.len() < size {
        let bits = random.next();
        let operation = random.skewed(64) as u8;
        match bits % 4 {
            0 => out.extend_from_slice(&[0x48, operation, (bits >> 8) as u8]),
            1 => out.extend_from_slice(&[operation, (bits >> 8) as u8, (bits >> 16) as u8, 0, 0]),
            2 => out.extend_from_slice(&[0xe8, (bits >> 8) as u8, (bits >> 16) as u8, 0xff, 0xff]),
            _ => out.extend_from_slice(&[0x0f, operation, operation / 2, 0]),
        }
    }
}

/// Random bytes: pictures, archives, keys.
fn packed(random: &mut Random, out: &mut Vec<u8>, size: usize) {
    while out.len() < size {
        out.extend_from_slice(&random.next().to_le_bytes());
    }
}

fn vocabulary() -> &'static [Vec<u8>] {
    static WORDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let mut random = Random::new(0x7e57);
        let word = |random: &mut Random| {
            let length = 2 + random.below(9);
            (0..length).map(|_| b'a' + random.skewed(26) as u8).collect()
        };
        (0..8192).map(|_| word(&mut random)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_depends_on_seed_and_size_alone() {
        let read = |seed, size| {
            let mut bytes = Vec::new();
            Content::new(seed, size).read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(read(1, 100_000), read(1, 100_000));
        assert_eq!(read(1, 100_000).len(), 100_000);
        assert_ne!(read(1, 64), read(2, 64));
        assert!(read(3, 0).is_empty());
    }
}
