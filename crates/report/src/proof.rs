//! What a proof by building showed.

use std::fmt::Write as _;

use jettison_ir::{Because, Difference, Evidence, Excused, Place, Proof, Smoked};

use crate::final_stage::final_stage_human;
use crate::place::readable;
use crate::style::{BAD, FAINT, GOOD, HEADING, styled};
use crate::text::{count, one_line};

/// So many places are named of each kind, and so many differences of a refuted change.
const SHOWN: usize = 5;

/// The proof for people: what was compared, what does not count, what was withdrawn; `all` names every place.
#[must_use]
pub fn proof_human(proof: &Proof, all: bool) -> String {
    let mut out = String::new();
    let shown = if all { usize::MAX } else { SHOWN };
    for withdrawal in &proof.withdrawn {
        let (first, last) = withdrawal.lines;
        let place = if first == last { format!("line {first}") } else { format!("lines {first}-{last}") };
        let (pass, message) = (styled(HEADING, &withdrawal.pass), one_line(&withdrawal.message, usize::MAX));
        let _ = writeln!(out, "{place}  {pass}: {}: {message}", styled(BAD, "withdrawn"));
        match &withdrawal.evidence {
            Evidence::Fails(message) => {
                let _ = writeln!(out, "  with it the file does not build: {}", one_line(message, 240));
            }
            Evidence::Smoke { command, differs } => {
                let command = one_line(command, 80);
                for differs in differs {
                    let _ = writeln!(out, "  with it the smoke command {command} {}", one_line(differs, 240));
                }
            }
            Evidence::Differs(differences) => {
                for difference in differences.iter().take(shown) {
                    let _ = writeln!(out, "  with it {}", one_line(&difference.to_string(), 240));
                }
                more(&mut out, differences.len(), shown);
            }
        }
    }
    for note in &proof.notes {
        let _ = writeln!(out, "note: {}", one_line(note, usize::MAX));
    }
    let paths = count(proof.weighed.paths, "path");
    let took = format!("{:.1} s", f64::from(u32::try_from(proof.took_ms).unwrap_or(u32::MAX)) / 1000.0);
    let how = match proof.is_kept {
        true => "as an earlier proof says; nothing was built".to_owned(),
        false => format!("{} in {took}", count(proof.builds, "build")),
    };
    let verdict = styled(GOOD, "proven");
    let _ = writeln!(out, "{verdict}: both forms make the same image: {paths} and all settings compared; {how}");
    for Smoked { command, exit_code, noise } in &proof.smoke {
        let same = format!("  smoke: {}: exit code {exit_code} and the same output in both", one_line(command, 80));
        let but = if noise.is_empty() { String::new() } else { format!("; {}", noise.join(", ")) };
        let _ = writeln!(out, "{}", styled(FAINT, &(same + &but)));
    }
    if proof.is_observed {
        let moved = "  instructions were moved across RUNs that were seen to use nothing of theirs";
        let _ = writeln!(out, "{}", styled(FAINT, moved));
    }
    for (reason, places) in groups(&proof.weighed.excused) {
        let (what, names) = (count(places.len(), "path"), places.iter().take(shown).copied().collect::<Vec<_>>());
        let dots = if places.len() > shown { ", …" } else { "" };
        let _ =
            writeln!(out, "{}", styled(FAINT, &format!("  {reason}: {what}: {}{dots}", readable(&names.join(", ")))));
    }
    if let Some(stage) = &proof.final_stage {
        out.push_str(&final_stage_human(stage, proof.smoke.len(), all));
    }
    out
}

fn more(out: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(out, "{}", styled(FAINT, &format!("  … and {} more (--remarks, --format json)", all - shown)));
    }
}

/// The places by what excuses them, each once.
fn groups(excused: &[Excused]) -> Vec<(String, Vec<&str>)> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for Excused { difference: Difference { place, .. }, because } in excused {
        let reason = match because {
            Because::Claimed => "gone, as the changes say".to_owned(),
            Because::Form(form) => format!("the same but for {form}"),
            Because::Noise => "different in any two builds of the original".to_owned(),
        };
        let (Place::Path(place) | Place::Setting(place)) = place;
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, places)) if places.contains(&place.as_str()) => {}
            Some((_, places)) => places.push(place),
            None => groups.push((reason, vec![place])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use jettison_ir::{Weighed, Withdrawal};

    use super::*;

    fn difference(path: &str) -> Difference {
        let (before, after) = (Some("a".to_owned()), Some("b".to_owned()));
        Difference { place: Place::Path(path.to_owned()), what: "content".to_owned(), before, after }
    }

    #[test]
    fn a_proof_says_what_was_compared_and_what_was_taken_back() {
        let excused = |path: &str, because| Excused { difference: difference(path), because };
        let form = || Because::Form("times in a log".to_owned());
        let proof = Proof {
            weighed: Weighed {
                paths: 12,
                excused: vec![excused("/a", Because::Noise), excused("/b", form()), excused("/b", form())],
                refuting: Vec::new(),
            },
            withdrawn: vec![
                Withdrawal {
                    pass: "adjacent-runs".to_owned(),
                    lines: (3, 4),
                    message: "two RUNs are one".to_owned(),
                    evidence: Evidence::Differs((0..7).map(|number| difference(&format!("/{number}"))).collect()),
                },
                Withdrawal {
                    pass: "build-packages".to_owned(),
                    lines: (5, 5),
                    message: "make goes".to_owned(),
                    evidence: Evidence::Smoke {
                        command: "app -v".to_owned(),
                        differs: vec!["ends with exit code 1, not with exit code 0".to_owned()],
                    },
                },
            ],
            smoke: vec![Smoked {
                command: "app --help".to_owned(),
                exit_code: 0,
                noise: vec!["1 line of its standard output differs from run to run".to_owned()],
            }],
            builds: 3,
            took_ms: 1500,
            ..Proof::default()
        };
        let text = proof_human(&proof, false);
        for part in [
            "lines 3-4  ",
            ": two RUNs are one",
            "with it /0 has another content: a → b",
            "… and 2 more",
            "with it the smoke command app -v ends with exit code 1, not with exit code 0",
            "smoke: app --help: exit code 0 and the same output in both; 1 line",
            "12 paths and all settings compared; 3 builds in 1.5 s",
            "the same but for times in a log: 1 path: /b",
            "different in any two builds of the original: 1 path: /a",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let kept = Proof { is_kept: true, ..proof };
        assert!(proof_human(&kept, true).contains("nothing was built") && proof_human(&kept, true).contains("/6"));
    }
}
