//! What came of looking for a final stage of its own.

use std::fmt::Write as _;

use jettison_ir::{FinalStage, Suggestion};

use crate::place::readable;
use crate::style::{FAINT, GOOD, styled};
use crate::text::{bytes, count, one_line};

/// For people: the suggestion with what it saves, or why there is none. Where no command shows what is used, that is
/// said only with `all`.
pub(crate) fn final_stage_human(stage: &FinalStage, smoke: usize, all: bool) -> String {
    let mut out = String::new();
    match stage {
        FinalStage::Suggested(suggestion) => suggested(&mut out, suggestion, smoke),
        FinalStage::Declined { reason } if smoke > 0 || all => {
            let reason = one_line(&readable(reason), usize::MAX);
            let _ = writeln!(out, "{}", styled(FAINT, &format!("no final stage of its own: {reason}")));
        }
        FinalStage::Declined { .. } => {}
        FinalStage::Refuted { evidence } => {
            let _ = writeln!(out, "no final stage of its own: {}", one_line(&readable(&evidence.summary()), 240));
        }
    }
    out
}

fn suggested(out: &mut String, suggestion: &Suggestion, smoke: usize) {
    let Suggestion { bytes_before, bytes_after, paths, missing, rounds, .. } = suggestion;
    let (before, after) = (bytes(*bytes_before), bytes(*bytes_after));
    let without = if suggestion.is_from_scratch { ", without the base image," } else { "" };
    let _ = match suggestion.is_applied {
        true => {
            writeln!(out, "{}: the final stage{without} ships {after} instead of {before}", styled(GOOD, "multi-stage"))
        }
        false => writeln!(
            out,
            "{}: a final stage of its own{without} ships {after} instead of {before} (--multi-stage writes it)",
            styled(GOOD, "suggestion")
        ),
    };
    let same = format!(
        "  built: {} and all settings are the same, {} that nothing used are left out; {} and the command's programs are \
         complete in it",
        count(*paths, "path"),
        count(*missing, "path"),
        count(smoke, "smoke command"),
    );
    let _ = writeln!(out, "{}", styled(FAINT, &same));
    if *rounds > 0 {
        let more = format!(
            "  a smoke command missed something at first, so that more was copied: {}",
            count(*rounds, "more build")
        );
        let _ = writeln!(out, "{}", styled(FAINT, &more));
    }
}

#[cfg(test)]
mod tests {
    use jettison_ir::Evidence;

    use super::*;

    #[test]
    fn suggestions_say_what_they_save() {
        let suggestion = Suggestion {
            bytes_before: 340_000_000,
            bytes_after: 12_000_000,
            paths: 300,
            missing: 12_345,
            rounds: 1,
            ..Suggestion::default()
        };
        let said =
            |suggestion: &Suggestion| final_stage_human(&FinalStage::Suggested(Box::new(suggestion.clone())), 2, false);
        let text = said(&suggestion);
        for part in [
            "a final stage of its own ships 12.0 MB instead of 340.0 MB (--multi-stage writes it)",
            "300 paths and all settings are the same, 12,345 paths that nothing used",
            "2 smoke commands",
            "1 more build",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let applied = Suggestion { is_applied: true, is_from_scratch: true, ..suggestion };
        assert!(said(&applied).contains("the final stage, without the base image, ships"), "{}", said(&applied));
    }

    #[test]
    fn why_there_is_none_is_said_where_it_was_looked_for() {
        let declined = FinalStage::declined("all that the last stage ships is used");
        assert!(final_stage_human(&declined, 1, false).contains("no final stage of its own: all that"));
        assert_eq!(final_stage_human(&declined, 0, false), "");
        assert!(!final_stage_human(&declined, 0, true).is_empty());
        let refuted = FinalStage::Refuted { evidence: Evidence::Fails("RUN x: exit code 1".to_owned()) };
        assert!(final_stage_human(&refuted, 0, false).contains("does not build: RUN x"));
    }
}
