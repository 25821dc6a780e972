//! The secrets that an image ships, and what became of them.

use std::fmt::Write as _;

use bstr::ByteSlice as _;
use jettison_ir::{Confidence, SecretFate, ShippedSecret};
use serde_json::{Value, json};

use crate::style::{BAD, FAINT, GOOD, HEADING, styled};
use crate::text::{count, one_line, table};

/// The secrets of one image.
#[derive(Clone, Copy, Debug)]
pub struct SecretsReport<'r> {
    /// The secrets, by layer.
    pub secrets: &'r [ShippedSecret],
    /// The instruction behind each layer; empty where the history does not say.
    pub instructions: &'r [String],
    /// The width of the terminal.
    pub width: usize,
    /// The most secrets that are listed.
    pub rows: usize,
}

/// The block for people; empty where there is no secret. What looks made up is counted and not listed.
#[must_use]
pub fn secrets_human(report: &SecretsReport<'_>) -> String {
    let (listed, made_up): (Vec<_>, Vec<_>) =
        report.secrets.iter().partition(|found| found.secret.confidence > Confidence::Low);
    let mut out = String::new();
    if listed.is_empty() {
        if !made_up.is_empty() {
            let _ = writeln!(out, "secrets: none, but {}", doubtful(made_up.len()));
        }
        return out;
    }
    let hidden = listed.iter().filter(|found| found.hidden_by.is_some()).count();
    let heading = format!("secrets: {}", count(listed.len(), "find"));
    let _ = write!(out, "{} that whoever has the image can read", styled(BAD, &heading));
    if hidden > 0 {
        let _ = write!(out, ", {hidden} of them deleted or replaced by a later layer, which does not help");
    }
    let _ = writeln!(out);
    let width = report.width.saturating_sub(90).max(20);
    let rows = listed.iter().take(report.rows).map(|found| row(found, report.instructions, width)).collect();
    let _ = writeln!(out, "{}", table(&["layer", "file", "what", "shown as", "in a container"], &[], rows));
    if listed.len() > report.rows {
        let more = format!(" … and {} more (--rows, --format json)", listed.len() - report.rows);
        let _ = writeln!(out, "{}", styled(FAINT, &more));
    }
    if !made_up.is_empty() {
        let _ = writeln!(out, " and {}", doubtful(made_up.len()));
    }
    let _ = writeln!(
        out,
        " revoke what was real; a later RUN rm leaves it in its layer: use RUN --mount=type=secret, or a stage that is \
         not shipped"
    );
    out
}

fn doubtful(number: usize) -> String {
    let finds = count(number, "find");
    format!("{finds} of little weight, among tests, examples, documents and histories (--format json)")
}

fn row(found: &ShippedSecret, instructions: &[String], width: usize) -> Vec<String> {
    let instruction = instructions.get(found.layer).map_or(String::new(), |text| one_line(text, width));
    vec![
        format!("{} {instruction}", found.layer + 1).trim_end().to_owned(),
        place(found),
        found.secret.description.clone(),
        found.secret.redacted.clone(),
        match found.hidden_by {
            Some(layer) => format!("hidden by layer {}; layer {} still ships it", layer + 1, found.layer + 1),
            None => "visible".to_owned(),
        },
    ]
}

/// The file, and the line in it.
fn place(found: &ShippedSecret) -> String {
    let path = found.path.escape_bytes();
    match found.secret.line {
        Some(line) => format!("/{path}:{line}"),
        None => format!("/{path}"),
    }
}

/// The secrets for programs, layers counted from 1. The secrets themselves are not in it.
#[must_use]
pub fn secrets_json(secrets: &[ShippedSecret], instructions: &[String]) -> Value {
    secrets.iter().map(|found| secret_json(found, instructions)).collect()
}

fn secret_json(found: &ShippedSecret, instructions: &[String]) -> Value {
    json!({
        "layer": found.layer + 1,
        "instruction": instructions.get(found.layer).map_or("", String::as_str),
        "path": format!("/{}", found.path.escape_bytes()),
        "bytes": found.bytes,
        "digest": found.digest.to_string(),
        "rule": found.secret.rule,
        "description": found.secret.description,
        "line": found.secret.line,
        "redacted": found.secret.redacted,
        "confidence": found.secret.confidence.name(),
        "removable": found.is_removable(),
        "hidden_by": found.hidden_by.map(|layer| layer + 1),
    })
}

/// What became of the secrets, for people; empty where there were none that are listed.
#[must_use]
pub fn fates_human(fates: &[SecretFate<'_>], rows: usize) -> String {
    let listed: Vec<_> = fates.iter().filter(|fate| fate.secret.secret.confidence > Confidence::Low).collect();
    let mut out = String::new();
    if listed.is_empty() {
        return out;
    }
    let gone = listed.iter().filter(|fate| fate.still_in.is_none()).count();
    let style = if gone == listed.len() { GOOD } else { HEADING };
    let heading = format!("secrets: {gone} of {} no longer shipped", listed.len());
    let _ = writeln!(out, "{} (the layers that were written were read back)", styled(style, &heading));
    let cells = |fate: &&SecretFate<'_>| {
        let found = fate.secret;
        let now = match fate.still_in {
            Some(layer) => format!("still shipped, in layer {}", layer + 1),
            None => "no longer shipped".to_owned(),
        };
        vec![now, place(found), found.secret.description.clone(), format!("was in layer {}", found.layer + 1)]
    };
    // What is still there comes first: it is what something is to be done about.
    let mut ordered = listed.clone();
    ordered.sort_by_key(|fate| fate.still_in.is_none());
    let cells = ordered.iter().take(rows).map(|fate| cells(fate)).collect();
    let _ = writeln!(out, "{}", table(&["now", "file", "what", "before"], &[], cells));
    if listed.len() > rows {
        let _ = writeln!(out, "{}", styled(FAINT, &format!(" … and {} more", listed.len() - rows)));
    }
    out
}

/// What became of the secrets, for programs.
#[must_use]
pub fn fates_json(fates: &[SecretFate<'_>], instructions: &[String]) -> Value {
    fates
        .iter()
        .map(|fate| {
            let mut value = secret_json(fate.secret, instructions);
            value["still_in"] = json!(fate.still_in.map(|layer| layer + 1));
            value
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jettison_image::Digest;
    use jettison_ir::Secret;

    use super::*;

    fn found(path: &str, confidence: Confidence, hidden_by: Option<usize>) -> ShippedSecret {
        let secret = Secret {
            rule: "netrc".to_owned(),
            description: "password for a server".to_owned(),
            line: Some(2),
            redacted: "ab… (9 characters)".to_owned(),
            confidence,
            is_whole_file: true,
        };
        ShippedSecret { layer: 2, path: path.into(), bytes: 40, digest: Digest([7; 32]), secret, hidden_by }
    }

    /// The text without styles.
    fn plain(text: &str) -> String {
        let mut parts = text.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    fn human(secrets: &[ShippedSecret], rows: usize) -> String {
        let instructions = ["".to_owned(), "".to_owned(), "COPY . /app".to_owned()];
        let text = secrets_human(&SecretsReport { secrets, instructions: &instructions, width: 120, rows });
        plain(&text)
    }

    #[test]
    fn a_deleted_secret_is_said_to_be_shipped_by_its_layer() {
        let text = human(&[found("root/.netrc", Confidence::High, Some(4))], 20);
        assert!(text.contains("1 of them deleted or replaced by a later layer, which does not help"), "{text}");
        assert!(text.contains("hidden by layer 5; layer 3 still ships it"), "{text}");
        assert!(text.contains("3 COPY . /app") && text.contains("/root/.netrc:2"), "{text}");
    }

    #[test]
    fn what_is_made_up_is_counted_and_not_listed() {
        let text = human(&[found("app/tests/.netrc", Confidence::Low, None)], 20);
        assert!(text.starts_with("secrets: none, but 1 find of little weight"), "{text}");
        assert!(!text.contains(".netrc"), "{text}");
        assert_eq!(human(&[], 20), "");
    }

    #[test]
    fn rows_are_limited_and_the_rest_is_counted() {
        let secrets: Vec<_> = (0..3).map(|at| found(&format!("a/{at}"), Confidence::Medium, None)).collect();
        let text = human(&secrets, 2);
        assert!(text.contains("secrets: 3 finds") && text.contains("… and 1 more"), "{text}");
        assert!(!text.contains("/a/2"), "{text}");
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        let text = human(&[found("a\u{1b}[2J\n", Confidence::High, None)], 20);
        assert!(text.contains("/a\\x1B[2J\\n:2"), "{text:?}");
    }

    #[test]
    fn json_has_all_of_them_and_says_what_may_go() {
        let instructions = vec![String::new(); 3];
        let secrets = [found("a", Confidence::Low, None), found("b", Confidence::High, Some(3))];
        let value = secrets_json(&secrets, &instructions);
        assert_eq!(value[0]["removable"], true);
        assert_eq!((&value[1]["removable"], &value[1]["hidden_by"]), (&json!(false), &json!(4)));
        let fates = [SecretFate { secret: &secrets[1], still_in: None }];
        assert_eq!(fates_json(&fates, &instructions)[0]["still_in"], Value::Null);
    }

    #[test]
    fn what_is_still_shipped_is_named_first() {
        let secrets = [found("gone", Confidence::High, Some(3)), found("stays", Confidence::High, None)];
        let fates =
            [SecretFate { secret: &secrets[0], still_in: None }, SecretFate { secret: &secrets[1], still_in: Some(0) }];
        let text = plain(&fates_human(&fates, 20));
        assert!(text.starts_with("secrets: 1 of 2 no longer shipped"), "{text}");
        let (stays, gone) = (text.find("/stays").expect("a row"), text.find("/gone").expect("a row"));
        assert!(stays < gone && text.contains("still shipped, in layer 1"), "{text}");
        assert_eq!(fates_human(&[], 20), "");
    }
}
