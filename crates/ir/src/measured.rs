//! What changes to a Dockerfile save, measured by building both forms: the bytes of the layers before and after, by the
//! lines that changed together.

use serde::{Deserialize, Serialize};

/// First and last line of the original, counted from 1.
pub type Lines = (usize, usize);

/// What layers hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How many layers, without the base's.
    pub layers: usize,
    /// The bytes of the files in them, unpacked.
    pub bytes: u64,
    /// Those of them that a container sees.
    pub seen: u64,
}

/// A layer, and the lines of the original that its instruction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLayer {
    /// The lines, in any order.
    pub lines: Vec<Lines>,
    /// What it holds.
    pub held: Held,
}

/// Instructions that changed together: what they save cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredPart {
    /// The lines of each instruction of the original.
    pub lines: Vec<Lines>,
    /// What their layers hold as the original is.
    pub before: Held,
    /// What their layers hold as it was rewritten.
    pub after: Held,
}

/// Both forms of a Dockerfile, measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The own layers of the original's image.
    pub before: Held,
    /// The own layers of the rewritten form's image.
    pub after: Held,
    /// Each part that changed, in order of its first line.
    pub parts: Vec<MeasuredPart>,
}

impl std::ops::AddAssign for Held {
    fn add_assign(&mut self, other: Self) {
        self.layers += other.layers;
        self.bytes += other.bytes;
        self.seen += other.seen;
    }
}

impl std::iter::Sum for Held {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

impl Measured {
    /// The comparison of the layers of both forms. `instructions` are the lines of each instruction of the original, in
    /// order; `changes` those of each applied change.
    #[must_use]
    pub fn of(instructions: &[Lines], before: &[HeldLayer], after: &[HeldLayer], changes: &[Lines]) -> Self {
        let mut groups = Groups { instructions, above: (0..instructions.len()).collect() };
        for lines in changes {
            groups.join(&[*lines]);
        }
        for layer in after {
            groups.join(&layer.lines);
        }
        let mut changed: Vec<usize> = changes.iter().filter_map(|lines| groups.of(&[*lines])).collect();
        changed.sort_unstable();
        changed.dedup();
        let held = |layers: &[HeldLayer], group: usize| -> Held {
            let of_group = layers.iter().filter(|layer| groups.of(&layer.lines) == Some(group));
            of_group.map(|layer| layer.held).sum()
        };
        let part = |group: usize| MeasuredPart {
            lines: instructions.iter().copied().filter(|lines| groups.of(&[*lines]) == Some(group)).collect(),
            before: held(before, group),
            after: held(after, group),
        };
        let sum = |layers: &[HeldLayer]| layers.iter().map(|layer| layer.held).sum();
        Self { before: sum(before), after: sum(after), parts: changed.into_iter().map(part).collect() }
    }

    /// The part that a change is in, by the lines of the original that the change is about.
    #[must_use]
    pub fn part(&self, (first, last): Lines) -> Option<&MeasuredPart> {
        self.parts.iter().find(|part| part.lines.iter().any(|(from, to)| *from <= last && first <= *to))
    }
}

/// Which instructions belong together.
struct Groups<'g> {
    instructions: &'g [Lines],
    /// For each instruction an earlier one of its group; for the first one, itself.
    above: Vec<usize>,
}

impl Groups<'_> {
    /// The instructions on any of these lines; what stands on none of them belongs to the one above.
    fn on(&self, (first, last): Lines) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.instructions.len()).collect();
        all.retain(|at| self.instructions[*at].0 <= last && first <= self.instructions[*at].1);
        if all.is_empty() {
            self.instructions.iter().rposition(|own| own.0 <= first).into_iter().collect()
        } else {
            all
        }
    }

    /// The first instruction of an instruction's group.
    fn first(&self, mut at: usize) -> usize {
        while self.above[at] != at {
            at = self.above[at];
        }
        at
    }

    /// The group of what stands on these lines, once they are joined.
    fn of(&self, lines: &[Lines]) -> Option<usize> {
        let at = lines.iter().find_map(|lines| self.on(*lines).first().copied())?;
        Some(self.first(at))
    }

    fn join(&mut self, lines: &[Lines]) {
        let all: Vec<usize> = lines.iter().flat_map(|lines| self.on(*lines)).collect();
        for pair in all.windows(2) {
            let (one, other) = (self.first(pair[0]), self.first(pair[1]));
            self.above[one.max(other)] = one.min(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(lines: &[Lines], bytes: u64) -> HeldLayer {
        HeldLayer { lines: lines.to_vec(), held: Held { layers: 1, bytes, seen: bytes / 2 } }
    }

    fn held(layers: usize, bytes: u64) -> Held {
        Held { layers, bytes, seen: bytes / 2 }
    }

    #[test]
    fn what_changed_together_shares_its_numbers() {
        // FROM, RUN, RUN over two lines, COPY, a comment, RUN, RUN.
        let instructions = [(1, 1), (2, 2), (3, 4), (5, 5), (7, 7), (8, 8)];
        let before = [
            layer(&[(2, 2)], 100),
            layer(&[(3, 4)], 60),
            layer(&[(5, 5)], 8),
            layer(&[(7, 7)], 40),
            layer(&[(8, 8)], 2),
        ];
        // The COPY goes first; three RUNs are one, without what one of them left; the last one is as it was.
        let after = [layer(&[(5, 5)], 8), layer(&[(2, 2), (3, 3), (4, 4), (6, 7)], 120), layer(&[(8, 8)], 2)];
        let measured = Measured::of(&instructions, &before, &after, &[(2, 4), (7, 7), (2, 7)]);
        assert_eq!((measured.before, measured.after), (held(5, 210), held(3, 130)));
        // A change about a range of lines is about all that stands in it.
        let [all] = measured.parts.as_slice() else { panic!("{measured:?}") };
        assert_eq!((all.before, all.after), (held(4, 208), held(2, 128)));
        let measured = Measured::of(&instructions, &before, &after, &[(3, 4), (5, 5)]);
        let [runs, copy] = measured.parts.as_slice() else { panic!("{measured:?}") };
        assert_eq!(
            (runs.before, runs.after, copy.before, copy.after),
            (held(3, 200), held(1, 120), held(1, 8), held(1, 8))
        );
        assert_eq!(runs.lines, [(2, 2), (3, 4), (7, 7)]);
        assert_eq!(measured.part((7, 7)), Some(runs));
        assert_eq!(measured.part((8, 8)), None);
        // What no layer comes of changes nothing.
        let measured = Measured::of(&instructions, &before, &before, &[(1, 1)]);
        assert_eq!(measured.parts, [MeasuredPart { lines: vec![(1, 1)], before: held(0, 0), after: held(0, 0) }]);
        assert_eq!(Measured::of(&[], &[], &[], &[(1, 1)]), Measured::default());
    }
}
