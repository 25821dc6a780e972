//! How texts are laid out in the loader's cache.

use std::cmp::Ordering;

use hashbrown::HashMap;

/// The order of texts, and whether they share their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Sorted by their ends, each within a longer one that ends in it: glibc from 2.33 on (`stringtable_finalize`).
    Shared,
    /// One after the other, as they come, however often they do: glibc before that.
    Sequential,
}

/// Texts with the zeros behind them, and for each of those that were given where it is.
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    pub(super) offsets: Vec<usize>,
}

pub(super) fn lay_out(texts: &[&[u8]], layout: Layout) -> Texts {
    let mut bytes = Vec::new();
    if layout == Layout::Sequential {
        let offsets = texts.iter().map(|text| push(&mut bytes, text)).collect();
        return Texts { bytes, offsets };
    }
    let mut order = texts.to_vec();
    order.sort_by(|a, b| by_ends(a, b));
    order.dedup();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut before: (&[u8], usize) = (b"", 0);
    for (at, text) in order.into_iter().enumerate() {
        let place = if at > 0 && before.0.ends_with(text) {
            before.1 + before.0.len() - text.len()
        } else {
            push(&mut bytes, text)
        };
        places.insert(text, place);
        before = (text, place);
    }
    let offsets = texts.iter().map(|text| places[text]).collect();
    Texts { bytes, offsets }
}

fn push(bytes: &mut Vec<u8>, text: &[u8]) -> usize {
    let at = bytes.len();
    bytes.extend_from_slice(text);
    bytes.push(0);
    at
}

/// Compares from the last byte on, the greatest first; of two that end the same the longer one is first.
fn by_ends(a: &[u8], b: &[u8]) -> Ordering {
    let differing = a.iter().rev().zip(b.iter().rev()).find(|(a, b)| a != b);
    differing.map_or(b.len().cmp(&a.len()), |(a, b)| b.cmp(a))
}
