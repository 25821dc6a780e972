//! The table: pairs merged, findings by pass, what was left alone by pass and reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jettison_ir::source::Goal;
use jettison_passes::{PASSES, Rewritten};
use jettison_syntax::dockerfile::Dockerfile;

use crate::FORMS;
use crate::pairs::Pairs;

type Counts = [usize; FORMS.len()];

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) valid: usize,
    pub(crate) invalid: usize,
    changed: Counts,
    pairs: [Pairs; FORMS.len()],
    /// By the pass's place in the list.
    found: BTreeMap<usize, Counts>,
    applied: BTreeMap<usize, Counts>,
    declined: BTreeMap<(usize, &'static str), Counts>,
}

impl Table {
    /// Adds what came of a file.
    pub(crate) fn add(&mut self, form: usize, before: &Dockerfile, result: &Rewritten) {
        self.changed[form] += usize::from(before.text() != result.tree.text());
        self.pairs[form].join(Pairs::of(before, result));
        let place = |name: &str| PASSES.iter().position(|pass| pass.name == name).expect("a pass of the list");
        for found in &result.found {
            let place = place(found.pass.name);
            self.found.entry(place).or_default()[form] += 1;
            self.applied.entry(place).or_default()[form] += usize::from(found.applied);
        }
        for left in &result.declined {
            self.declined.entry((place(left.pass.name), left.decline.code)).or_default()[form] += 1;
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.valid += other.valid;
        self.invalid += other.invalid;
        add(&mut self.changed, &other.changed);
        self.pairs.iter_mut().zip(other.pairs).for_each(|(mine, theirs)| mine.join(theirs));
        other.found.iter().for_each(|(key, counts)| add(self.found.entry(*key).or_default(), counts));
        other.applied.iter().for_each(|(key, counts)| add(self.applied.entry(*key).or_default(), counts));
        other.declined.iter().for_each(|(key, counts)| add(self.declined.entry(*key).or_default(), counts));
    }

    /// All of it.
    pub(crate) fn markdown(&self) -> String {
        let names: Vec<String> = FORMS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let mut out = String::from("# The passes over real Dockerfiles\n\n");
        let _ = writeln!(
            out,
            "`cargo xtask corpus` over {} Dockerfiles of public repositories; {} more are refused by BuildKit as they \
             are and left alone. Every result is valid and keeps every comment and every line that no change is about, \
             and a second run changes nothing.\n",
            self.valid, self.invalid
        );
        row(&mut out, "", "", &names);
        out.push_str(&format!("|---|---|{}\n", "--:|".repeat(FORMS.len())));
        let numbers = |counts: &Counts| counts.map(|count| count.to_string());
        row(&mut out, "files changed", "", &numbers(&self.changed));
        let share = |of: fn(&Pairs) -> (usize, usize)| {
            std::array::from_fn::<_, { FORMS.len() }, _>(|form| {
                let (merged, all) = of(&self.pairs[form]);
                // The development form takes RUNs apart.
                if FORMS[form].2 == Goal::Development {
                    return "–".to_owned();
                }
                format!("{merged} of {all} ({:.1} %)", 100.0 * merged as f64 / all.max(1) as f64)
            })
        };
        row(&mut out, "RUN directly behind RUN, merged", "", &share(|pairs| (pairs.adjacent_merged, pairs.adjacent)));
        row(
            &mut out,
            "RUN behind RUN with others between, merged",
            "",
            &share(|pairs| (pairs.separated_merged, pairs.separated)),
        );
        let left = self.pairs.each_ref().map(|pairs| pairs.left.to_string());
        row(&mut out, "RUN directly behind RUN in the result", "", &left);
        for (place, found) in &self.found {
            let applied = &self.applied[place];
            let cells: Vec<String> = found.iter().zip(applied).map(|(all, done)| format!("{all} / {done}")).collect();
            row(&mut out, &format!("`{}`", PASSES[*place].name), "found / fixed", &cells);
        }
        for ((place, code), counts) in &self.declined {
            row(&mut out, &format!("`{}`", PASSES[*place].name), &format!("left alone: {code}"), &numbers(counts));
        }
        out
    }
}

fn add(mine: &mut Counts, theirs: &Counts) {
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
}

fn row(out: &mut String, what: &str, more: &str, cells: &[String]) {
    let _ = writeln!(out, "| {what} | {more} | {} |", cells.join(" | "));
}
