//! Which instruction made which layer, and the history of an image whose layers were merged.

use crate::config::{Config, HistoryEntry};

/// The comment that starts every history entry of a layer that jettison wrote.
pub const COMMENT: &str = "jettison -O1: ";

/// What a layer that is to be written is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The input layers, ascending, counted from 0.
    pub layers: Vec<usize>,
    /// What it holds, the largest first, where that is not simply all that these made.
    pub holds: Vec<String>,
}

/// The names that an entry's comment has; others are counted.
const NAMED: usize = 3;

/// For each of `layers` layers, the place in the history of the entry that made it; `None` where the
/// history is missing or too short. The n-th entry that is not `empty_layer` made the n-th layer
/// (image-spec, config.md, "history").
#[must_use]
pub fn makers(config: &Config, layers: usize) -> Vec<Option<usize>> {
    let mut makers: Vec<Option<usize>> =
        config.history().iter().enumerate().filter(|(_, entry)| !entry.empty_layer).map(|(at, _)| Some(at)).collect();
    makers.resize(layers, None);
    makers
}

/// The instruction behind each layer, as people wrote it: the builder's own wrapping is taken off. Before it stands what a
/// layer holds that was made for pulling.
#[must_use]
pub fn instructions(config: &Config, layers: usize) -> Vec<String> {
    makers(config, layers)
        .into_iter()
        .map(|maker| {
            let Some(entry) = maker.map(|at| &config.history()[at]) else { return String::new() };
            match held(entry) {
                Some(held) => format!("{held}: {}", instruction(entry)),
                None => instruction(entry),
            }
        })
        .collect()
}

/// What an entry of a layer that jettison wrote says that it holds.
fn held(entry: &HistoryEntry) -> Option<&str> {
    Some(entry.comment.as_deref()?.strip_prefix(COMMENT)?.split_once(": ")?.1)
}

/// An entry's text as a Dockerfile instruction. The classic builder writes `/bin/sh -c #(nop) COPY …` for
/// instructions and `|1 ARG=x /bin/sh -c …` for commands; BuildKit appends `# buildkit`.
#[must_use]
pub fn instruction(entry: &HistoryEntry) -> String {
    let text = entry.instruction().trim();
    if text.is_empty() {
        // `docker import` leaves a comment only.
        return entry.comment.clone().unwrap_or_default();
    }
    if let Some((_, instruction)) = text.split_once("/bin/sh -c #(nop)") {
        return instruction.trim().to_owned();
    }
    if let Some(instruction) = text.strip_suffix("# buildkit") {
        let instruction = instruction.trim();
        // BuildKit keeps the shell and build arguments of a RUN before its command.
        return match (instruction.strip_prefix("RUN "), instruction.split_once("/bin/sh -c ")) {
            (Some(_), Some((_, command))) => format!("RUN {command}"),
            _ => instruction.to_owned(),
        };
    }
    let wrapped = text.starts_with("/bin/sh -c ") || text.starts_with('|');
    match text.split_once("/bin/sh -c ") {
        Some((_, command)) if wrapped => format!("RUN {}", command.trim()),
        _ => text.to_owned(),
    }
}

/// The history of an image whose first `kept` layers stay and whose others became one layer for each of
/// `parts`.
///
/// Entries of metadata-only instructions stay, in their order. The new layers' entries stand where the
/// last merged one stood: only there is everything they hold in place.
#[must_use]
pub fn merged(config: &Config, layers: usize, kept: usize, parts: &[Source]) -> Vec<HistoryEntry> {
    let history = config.history();
    let makers = makers(config, layers);
    let last = makers.iter().skip(kept).flatten().next_back().copied();
    let mut out = Vec::with_capacity(history.len());
    let mut layer = 0;
    for (at, entry) in history.iter().enumerate() {
        if entry.empty_layer {
            out.push(entry.clone());
            continue;
        }
        if layer < kept {
            out.push(entry.clone());
        }
        layer += 1;
        if Some(at) == last {
            out.extend(parts.iter().map(|part| merged_entry(history, &makers, part)));
        }
    }
    // A history too short to name any of the merged layers, or all of the kept ones.
    let named = out.iter().filter(|entry| !entry.empty_layer).count();
    for number in named..kept + parts.len() {
        out.push(match number.checked_sub(kept) {
            Some(part) => merged_entry(history, &makers, &parts[part]),
            None => HistoryEntry { comment: Some("unknown instruction".to_owned()), ..HistoryEntry::default() },
        });
    }
    out
}

fn merged_entry(history: &[HistoryEntry], makers: &[Option<usize>], part: &Source) -> HistoryEntry {
    let layers = &part.layers;
    let entries: Vec<&HistoryEntry> = layers.iter().filter_map(|&layer| history.get((*makers.get(layer)?)?)).collect();
    let texts: Vec<&str> = entries.iter().map(|entry| entry.instruction().trim()).filter(|t| !t.is_empty()).collect();
    let plural = if layers.len() == 1 { "" } else { "s" };
    let mut comment = format!("{COMMENT}{} layer{plural}", layers.len());
    if !part.holds.is_empty() {
        let (named, others) = part.holds.split_at(NAMED.min(part.holds.len()));
        let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        comment = format!("{comment}: {}{others}", named.join(", "));
    }
    HistoryEntry {
        created: entries.iter().rev().find_map(|entry| entry.created.clone()),
        created_by: (!texts.is_empty()).then(|| texts.join(" ; ")),
        comment: Some(comment),
        ..HistoryEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(history: &str) -> Config {
        Config::parse(format!(r#"{{"rootfs":{{"diff_ids":[]}},"history":{history}}}"#).as_bytes()).expect("parses")
    }

    fn texts(history: &[HistoryEntry]) -> Vec<&str> {
        history.iter().map(HistoryEntry::instruction).collect()
    }

    fn source(layers: &[usize]) -> Source {
        Source { layers: layers.to_vec(), holds: Vec::new() }
    }

    #[test]
    fn layers_made_for_pulling_say_what_they_hold() {
        let config = config(r#"[{"created_by":"base"},{"created_by":"RUN 1"}]"#);
        let holds =
            |names: &[&str]| Source { holds: names.iter().map(|&name| name.to_owned()).collect(), ..source(&[1]) };
        let history = merged(&config, 2, 1, &[holds(&["a"]), holds(&["b", "c", "d", "e", "f"]), source(&[1])]);
        let comments: Vec<&str> = history[1..].iter().filter_map(|entry| entry.comment.as_deref()).collect();
        let expected = ["1 layer: a", "1 layer: b, c, d and 2 more", "1 layer"].map(|text| format!("{COMMENT}{text}"));
        assert_eq!(comments, expected);
        let config = config.with_layers(vec![crate::Digest::default(); 4], history);
        assert_eq!(instructions(&config, 4), ["base", "a: RUN 1", "b, c, d and 2 more: RUN 1", "RUN 1"]);
    }

    #[test]
    fn metadata_instructions_keep_their_places() {
        let config = config(
            r#"[{"created_by":"base"},{"created_by":"CMD b","empty_layer":true},{"created_by":"RUN 1"},
                {"created_by":"ENV e","empty_layer":true},{"created_by":"RUN 2","created":"2024-01-01T00:00:00Z"},
                {"created_by":"CMD c","empty_layer":true}]"#,
        );
        let merged = merged(&config, 3, 1, &[source(&[1, 2])]);
        assert_eq!(texts(&merged), ["base", "CMD b", "ENV e", "RUN 1 ; RUN 2", "CMD c"]);
        assert_eq!(merged[3].created.as_deref(), Some("2024-01-01T00:00:00Z"));
        assert_eq!(merged[3].comment.as_deref(), Some("jettison -O1: 2 layers"));
    }

    #[test]
    fn a_short_or_long_history_comes_out_with_an_entry_a_layer() {
        let layers_of = |history: &[HistoryEntry]| history.iter().filter(|e| !e.empty_layer).count();
        let short = config(r#"[{"created_by":"base"}]"#);
        assert_eq!(layers_of(&merged(&short, 4, 2, &[source(&[2, 3])])), 3);
        let long = config(r#"[{"created_by":"a"},{"created_by":"b"},{"created_by":"c"}]"#);
        assert_eq!(layers_of(&merged(&long, 2, 1, &[source(&[1])])), 2);
        let nothing_left = config(r#"[{"created_by":"a"},{"created_by":"b"}]"#);
        assert_eq!(layers_of(&merged(&nothing_left, 2, 1, &[])), 1);
    }

    #[test]
    fn instructions_read_as_people_wrote_them() {
        let read =
            |text: &str| instruction(&HistoryEntry { created_by: Some(text.to_owned()), ..HistoryEntry::default() });
        assert_eq!(read("/bin/sh -c #(nop) COPY file:1 in /x "), "COPY file:1 in /x");
        assert_eq!(read("/bin/sh -c apk add curl"), "RUN apk add curl");
        assert_eq!(read("|1 A=b /bin/sh -c make"), "RUN make");
        assert_eq!(read("RUN /bin/sh -c make # buildkit"), "RUN make");
        assert_eq!(read("RUN |1 A=b /bin/sh -c make # buildkit"), "RUN make");
        assert_eq!(read("COPY . . # buildkit"), "COPY . .");
        assert_eq!(read("# debian.sh --arch 'amd64'"), "# debian.sh --arch 'amd64'");
    }
}
