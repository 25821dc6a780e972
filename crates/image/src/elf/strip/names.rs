//! The table of section names.

/// A table of texts, each with its place.
pub(super) struct Names {
    pub(super) bytes: Vec<u8>,
    /// Where each of the texts stands, in their order.
    pub(super) places: Vec<u32>,
}

impl Names {
    /// The table of some texts: a zero first, equal texts once, and a text that ends another one within it.
    pub(super) fn of(texts: &[&[u8]]) -> Self {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // Backwards and the longest first, so that a text comes right behind those that it is the end of.
        order.sort_by(|&a, &b| texts[b].iter().rev().cmp(texts[a].iter().rev()));
        let mut bytes = vec![0];
        let mut places = vec![0; texts.len()];
        let mut last: (&[u8], usize) = (b"", 0);
        for at in order {
            let text = texts[at];
            // The name of nothing is the first byte, by the format.
            let place = if text.is_empty() {
                0
            } else if last.0.ends_with(text) {
                last.1 + last.0.len() - text.len()
            } else {
                let place = bytes.len();
                bytes.extend_from_slice(text);
                bytes.push(0);
                last = (text, place);
                place
            };
            places[at] = u32::try_from(place).unwrap_or_default();
        }
        Self { bytes, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_share_their_bytes() {
        let texts: [&[u8]; 6] = [b"", b".text", b".rela.text", b".data", b".rela.data", b".text"];
        let names = Names::of(&texts);
        for (text, place) in texts.iter().zip(&names.places) {
            let rest = &names.bytes[*place as usize..];
            assert_eq!(rest.split(|&byte| byte == 0).next().unwrap(), *text);
        }
        assert_eq!(names.places[0], 0, "no name is at the start, by the format");
        assert_eq!(names.bytes.len(), 1 + ".rela.text".len() + 1 + ".rela.data".len() + 1);
    }
}
