//! What a proof by building showed.

use std::fmt::Write as _;

use jettison_ir::{
    Because, Difference, Evidence, Excused, Gain, GonePackage, Place, Proof, Rebuild, Smoked, Weighed, Work,
};

use crate::final_stage::final_stage_human;
use crate::lines::{forms, gain};
use crate::place::readable;
use crate::style::{BAD, FAINT, GOOD, HEADING, styled};
use crate::text::{bytes, count, one_line};

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
            Evidence::Slow { .. } => {
                let _ = writeln!(out, "  {}", withdrawal.evidence.summary());
            }
            Evidence::Uses(package, used) => {
                let _ = writeln!(out, "  with it {package} is gone, and {}", one_line(used, 240));
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
        if let Some((before, after)) = withdrawal.measured {
            let _ = writeln!(out, "  it alone, {}", gain(before, after));
        }
    }
    for note in &proof.notes {
        let _ = writeln!(out, "note: {}", one_line(note, usize::MAX));
    }
    let paths = count(proof.weighed.paths, "path");
    let took = seconds(proof.took_ms);
    let how = match proof.is_kept {
        true => "as an earlier proof says; nothing was built".to_owned(),
        false => format!("{} in {took}", count(proof.builds, "build")),
    };
    let verdict = styled(GOOD, "proven");
    let but_for = if proof.weighed.gone.is_empty() { "" } else { " but for packages" };
    let _ =
        writeln!(out, "{verdict}: both forms make the same image{but_for}: {paths} and all settings compared; {how}");
    if !proof.weighed.gone.is_empty() {
        let _ = writeln!(out, "  gone: {}", readable(&gone(&proof.weighed, all)));
    }
    if let Some(measured) = &proof.measured {
        let _ = writeln!(out, "  {}", forms(measured));
    }
    for Smoked { command, exit_code, noise } in &proof.smoke {
        let same = format!("  smoke: {}: exit code {exit_code} and the same output in both", one_line(command, 80));
        let but = if noise.is_empty() { String::new() } else { format!("; {}", noise.join(", ")) };
        let _ = writeln!(out, "{}", styled(FAINT, &(same + &but)));
    }
    if proof.is_observed {
        let moved = "  instructions were moved across RUNs that were seen to use nothing of theirs";
        let _ = writeln!(out, "{}", styled(FAINT, moved));
    }
    if let Some(gain) = &proof.gain {
        out.push_str(&gained(gain, all));
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

fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", f64::from(u32::try_from(milliseconds).unwrap_or(u32::MAX)) / 1000.0)
}

/// What rebuilds took before and after; `all` names every commit.
fn gained(gain: &Gain, all: bool) -> String {
    let (before, after) = (gain.before(), gain.after());
    let change = |before: Work, after: Work| format!("{} → {}", seconds(before.took_ms), seconds(after.took_ms));
    let commits = match gain.rebuilds.len() {
        1 => "commit".to_owned(),
        many => format!("{many} commits"),
    };
    let mut out = format!("rebuild time over the last {commits}: {}", change(before, after));
    let _ = write!(out, " ({} → {} RUN instructions run", before.runs, after.runs);
    if let Some(without) = gain.without_ms {
        let _ = write!(out, "; {} without the new order", seconds(without));
    }
    out.push_str(")\n");
    for Rebuild { commit, before, after } in gain.rebuilds.iter().filter(|_| all) {
        let line = format!("  {}: {}", commit.get(..10).unwrap_or(commit), change(*before, *after));
        let _ = writeln!(out, "{}", styled(FAINT, &line));
    }
    out
}

/// The packages that are gone: those that changes name, and how many others; `all` names these, too.
fn gone(weighed: &Weighed, all: bool) -> String {
    let is_named = |package: &&GonePackage| all || package.is_claimed;
    let names: Vec<&str> = weighed.gone.iter().filter(is_named).map(|package| package.name.as_str()).collect();
    let others = weighed.gone.len() - names.len();
    let mut parts = names.join(", ");
    if others > 0 {
        let more = count(others, if names.is_empty() { "package" } else { "more package" });
        parts.push_str(if names.is_empty() { "" } else { " and " });
        parts.push_str(&more);
    }
    format!("{parts}, {}", bytes(weighed.gone_bytes))
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
            Because::Packages => "of packages that are gone".to_owned(),
            Because::Noise => "different in any two builds of the original".to_owned(),
        };
        let (Place::Path(place) | Place::Setting(place) | Place::Package(place)) = place;
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
    use jettison_ir::{Held, Measured, Withdrawal};

    use super::*;

    fn difference(path: &str) -> Difference {
        let (before, after) = (Some("a".to_owned()), Some("b".to_owned()));
        Difference { place: Place::Path(path.to_owned()), what: "content".to_owned(), before, after }
    }

    fn gone_package((name, is_claimed): (&str, bool)) -> GonePackage {
        GonePackage { name: name.to_owned(), version: "1".to_owned(), bytes: 7, is_claimed }
    }

    #[test]
    fn a_proof_says_what_was_compared_and_what_was_taken_back() {
        let excused = |path: &str, because| Excused { difference: difference(path), because };
        let held = |layers, bytes| Held { layers, bytes, seen: bytes };
        let form = || Because::Form("times in a log".to_owned());
        let proof = Proof {
            weighed: Weighed {
                paths: 12,
                excused: vec![excused("/a", Because::Noise), excused("/b", form()), excused("/b", form())],
                gone: [("gcc", true), ("libc6-dev", true), ("cpp", false)].map(gone_package).to_vec(),
                gone_bytes: 143_000_000,
                ..Weighed::default()
            },
            withdrawn: vec![
                Withdrawal {
                    pass: "adjacent-runs".to_owned(),
                    lines: (3, 4),
                    message: "two RUNs are one".to_owned(),
                    evidence: Evidence::Differs((0..7).map(|number| difference(&format!("/{number}"))).collect()),
                    measured: Some((held(2, 900), held(1, 400))),
                },
                Withdrawal {
                    pass: "build-packages".to_owned(),
                    lines: (5, 5),
                    message: "make goes".to_owned(),
                    evidence: Evidence::Smoke {
                        command: "app -v".to_owned(),
                        differs: vec!["ends with exit code 1, not with exit code 0".to_owned()],
                    },
                    measured: None,
                },
            ],
            smoke: vec![Smoked {
                command: "app --help".to_owned(),
                exit_code: 0,
                noise: vec!["1 line of its standard output differs from run to run".to_owned()],
            }],
            builds: 3,
            measured: Some(Measured { before: held(5, 900), after: held(3, 700), parts: Vec::new() }),
            took_ms: 1500,
            ..Proof::default()
        };
        let text = proof_human(&proof, false);
        for part in [
            "lines 3-4  ",
            "it alone, measured: 900 B → 400 B (500 B less), layers 2 → 1",
            "measured: own layers 5 → 3, 900 B → 700 B in them, 900 B → 700 B that a container sees",
            ": two RUNs are one",
            "with it /0 has another content: a → b",
            "… and 2 more",
            "with it the smoke command app -v ends with exit code 1, not with exit code 0",
            "smoke: app --help: exit code 0 and the same output in both; 1 line",
            "the same image but for packages: 12 paths and all settings compared; 3 builds in 1.5 s",
            "gone: gcc, libc6-dev and 1 more package, 143.0 MB",
            "the same but for times in a log: 1 path: /b",
            "different in any two builds of the original: 1 path: /a",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(proof_human(&proof, true).contains("gone: gcc, libc6-dev, cpp, 143.0 MB"));
        let work = |took_ms, runs| Work { took_ms, runs };
        let rebuild = Rebuild { commit: "0123456789abcdef".to_owned(), before: work(4100, 3), after: work(640, 1) };
        let gain = Some(Gain { rebuilds: vec![rebuild.clone(), rebuild], without_ms: Some(5000) });
        let slow = Evidence::Slow { rebuilds: 2, without_ms: 10, with_ms: 11 };
        let slower = Withdrawal { evidence: slow, ..proof.withdrawn[0].clone() };
        let text = proof_human(&Proof { gain, withdrawn: vec![slower], ..proof.clone() }, true);
        for part in [
            "last 2 commits: 8.2 s → 1.3 s (6 → 2 RUN instructions run; 5.0 s without the new order)",
            "  0123456789: 4.1 s → 0.6 s",
            "with it 2 rebuilds take 11 ms, and 10 ms without it",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let kept = Proof { is_kept: true, ..proof };
        assert!(proof_human(&kept, true).contains("nothing was built") && proof_human(&kept, true).contains("/6"));
    }
}
