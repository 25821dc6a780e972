//! What changes save, in words.

use jettison_ir::{Held, Lines, Measured};

use super::{Gain, on_lines};
use crate::text::{bytes, count};

impl Gain {
    /// What a change saves that is about these lines; `told` are the parts that other changes were told of before.
    #[must_use]
    pub fn of(measured: &Measured, lines: Lines, told: &mut Vec<Lines>) -> Option<Self> {
        let part = measured.part(lines)?;
        let first = part.lines.first().copied().unwrap_or(lines);
        let is_shared = told.contains(&first);
        if !is_shared {
            told.push(first);
        }
        Some(Self { before: part.before, after: part.after, lines: part.lines.clone(), is_shared })
    }

    /// What a withdrawn change would save, which was measured alone.
    #[must_use]
    pub fn alone((before, after): (Held, Held)) -> Self {
        Self { before, after, lines: Vec::new(), is_shared: false }
    }

    /// In words, without a full stop.
    pub(crate) fn sentence(&self) -> String {
        if let (true, Some(first)) = (self.is_shared, self.lines.first()) {
            return format!("measured with {}", on_lines(*first));
        }
        gain(self.before, self.after)
    }
}

/// What the layers of both forms of a whole Dockerfile hold, in words.
pub(crate) fn forms(measured: &Measured) -> String {
    let Measured { before, after, .. } = measured;
    let layers = match before.layers == after.layers {
        true => format!("{} as before", count(after.layers, "own layer")),
        false => format!("own layers {} → {}", before.layers, after.layers),
    };
    let (held, seen) = (arrow(before.bytes, after.bytes), arrow(before.seen, after.seen));
    format!("measured: {layers}, {held} in them, {seen} that a container sees")
}

/// Both sizes, or one where they read alike.
fn arrow(before: u64, after: u64) -> String {
    let (before, after) = (bytes(before), bytes(after));
    if before == after { after } else { format!("{before} → {after}") }
}

/// What the layers of some lines hold without a change and with it, in words.
pub(crate) fn gain(before: Held, after: Held) -> String {
    if before.layers + after.layers == 0 {
        return "measured: no layer of the image comes of it".to_owned();
    }
    let layers = match before.layers == after.layers {
        true => String::new(),
        false => format!(", layers {} → {}", before.layers, after.layers),
    };
    if before == (Held { layers: before.layers, ..after }) {
        return format!("measured: {} as before{layers}", bytes(after.bytes));
    }
    let change = |before: u64, after: u64| match after > before {
        true => format!("{} more", bytes(after - before)),
        false => format!("{} less", bytes(before - after)),
    };
    let hidden = |held: Held| held.bytes.saturating_sub(held.seen);
    let saved = before.bytes.saturating_sub(after.bytes);
    // What no container sees is in no merged layer anyway.
    let part = match hidden(before).saturating_sub(hidden(after)) {
        waste if waste > 0 && waste == saved => ", all of it waste".to_owned(),
        waste if waste > 0 && waste < saved && bytes(waste) == bytes(saved) => ", nearly all of it waste".to_owned(),
        waste if waste > 0 && waste < saved => format!(", {} of it waste", bytes(waste)),
        _ if hidden(before) == hidden(after) => String::new(),
        _ => format!(", {} of what a container sees", change(before.seen, after.seen)),
    };
    let held = arrow(before.bytes, after.bytes);
    format!("measured: {held} ({}{part}){layers}", change(before.bytes, after.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: (usize, u64, u64), after: (usize, u64, u64), expected: &str) {
        let held = |(layers, bytes, seen)| Held { layers, bytes, seen };
        assert_eq!(gain(held(before), held(after)), format!("measured: {expected}"));
    }

    #[test]
    fn savings_in_words() {
        check((0, 0, 0), (0, 0, 0), "no layer of the image comes of it");
        check((3, 500, 500), (1, 500, 500), "500 B as before, layers 3 → 1");
        check((1, 500, 500), (1, 500, 500), "500 B as before");
        check((2, 7_000, 1_000), (1, 1_000, 1_000), "7.0 kB → 1.0 kB (6.0 kB less, all of it waste), layers 2 → 1");
        check((1, 7_000, 7_000), (1, 1_000, 1_000), "7.0 kB → 1.0 kB (6.0 kB less)");
        check((1, 7_000, 5_000), (1, 1_000, 1_000), "7.0 kB → 1.0 kB (6.0 kB less, 2.0 kB of it waste)");
        check((1, 1_000, 1_000), (1, 3_000, 3_000), "1.0 kB → 3.0 kB (2.0 kB more)");
        check(
            (1, 1_000, 1_000),
            (1, 3_000, 1_500),
            "1.0 kB → 3.0 kB (2.0 kB more, 500 B more of what a container sees)",
        );
        check((1, 90_000, 2), (1, 1, 1), "90.0 kB → 1 B (90.0 kB less, nearly all of it waste)");
        check((1, 1_000, 0), (1, 1_000, 1_000), "1.0 kB (0 B less, 1.0 kB more of what a container sees)");
    }

    #[test]
    fn lines_that_changed_together_are_told_once() {
        let held = |bytes| Held { layers: 1, bytes, seen: bytes };
        let part = jettison_ir::MeasuredPart { lines: vec![(2, 3), (5, 5)], before: held(9), after: held(4) };
        let measured = Measured { before: held(9), after: held(4), parts: vec![part] };
        let mut told = Vec::new();
        let mut said = |lines| Gain::of(&measured, lines, &mut told).map(|gain| gain.sentence());
        assert_eq!(said((5, 5)).as_deref(), Some("measured: 9 B → 4 B (5 B less)"));
        assert_eq!(said((3, 3)).as_deref(), Some("measured with lines 2-3"));
        assert_eq!(said((4, 4)), None);
        assert_eq!(
            forms(&measured),
            "measured: 1 own layer as before, 9 B → 4 B in them, 9 B → 4 B that a container sees"
        );
    }
}
