//! Findings in SARIF 2.1.0 (OASIS), as code scanning of forges reads it.

use std::collections::BTreeMap;

use jettison_ir::Pass;
use jettison_ir::source::Target;
use jettison_syntax::Span;
use serde::Serialize;

use crate::lint::{LintFinding, LintedFile, Rule};
use crate::place::{Places, readable};

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<RuleText>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleText {
    id: &'static str,
    name: &'static str,
    short_description: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Help>,
    default_configuration: Configuration,
    properties: Properties,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Help {
    text: &'static str,
    markdown: &'static str,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Properties {
    tags: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<Fix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressions: Option<[Suppression; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fix {
    description: Text,
    artifact_changes: [Change; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    artifact_location: Artifact,
    replacements: Vec<Replacement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    deleted_region: Region,
    inserted_content: Text,
}

#[derive(Serialize)]
struct Suppression {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<String>,
}

/// The findings of some files as a SARIF log; the rules are the passes that look at Dockerfiles.
///
/// # Errors
/// Where the log is no JSON, which its types rule out.
pub fn lint_sarif(files: &[LintedFile], passes: &[&'static Pass]) -> serde_json::Result<String> {
    let rules: Vec<Rule> =
        [Rule::Syntax, Rule::Comment].into_iter().chain(passes.iter().map(|pass| Rule::Pass(pass))).collect();
    let index: BTreeMap<&str, usize> = rules.iter().enumerate().map(|(at, rule)| (rule.name(), at)).collect();
    let mut results = Vec::new();
    for file in files {
        let places = Places::of(&file.text);
        let all = file.findings.iter().map(|finding| (finding, None));
        let allowed = file.allowed.iter().map(|finding| {
            let suppression = Suppression { kind: "inSource", justification: finding.reason.as_deref().map(readable) };
            (finding, Some([suppression]))
        });
        for (finding, suppressions) in all.chain(allowed) {
            let location = Physical {
                artifact_location: Artifact { uri: uri(&file.path) },
                region: region(&places, finding.span),
            };
            results.push(Outcome {
                rule_id: finding.rule.name(),
                rule_index: index.get(finding.rule.name()).copied().unwrap_or_default(),
                level: finding.rule.severity().name(),
                message: Text { text: message(finding) },
                locations: [Location { physical_location: location }],
                fixes: fixes(finding, file, &places),
                suppressions,
            });
        }
    }
    let driver = Driver {
        name: "jettison",
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules: rules.iter().map(|rule| rule_text(*rule)).collect(),
    };
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results }],
    };
    serde_json::to_string_pretty(&log)
}

fn rule_text(rule: Rule) -> RuleText {
    let (summary, help) = match rule {
        Rule::Syntax => ("what a builder refuses", None),
        Rule::Comment => ("comments for jettison that say nothing that it knows", None),
        Rule::Pass(pass) => {
            // The cases are for those who work on passes.
            let page = pass.page.split("\n## Cases").next().unwrap_or_default();
            (pass.summary, Some(Help { text: page, markdown: page }))
        }
    };
    RuleText {
        id: rule.name(),
        name: rule.name(),
        short_description: Text { text: summary.to_owned() },
        help,
        default_configuration: Configuration { level: rule.severity().name() },
        properties: Properties { tags: rule.aliases().to_vec() },
    }
}

fn message(finding: &LintFinding) -> String {
    match &finding.help {
        Some(help) => readable(&format!("{}\n{help}", finding.message)),
        None => readable(&finding.message),
    }
}

/// A fix of the Dockerfile itself; what changes other files has no place in its regions.
fn fixes(finding: &LintFinding, file: &LintedFile, places: &Places<'_>) -> Vec<Fix> {
    let fix = finding.fix.iter().filter(|fix| fix.target == Target::Dockerfile);
    fix.map(|fix| {
        let replacements = fix.edits.iter().map(|edit| Replacement {
            deleted_region: region(places, edit.span),
            inserted_content: Text { text: readable(&edit.text) },
        });
        Fix {
            description: Text { text: readable(&finding.message) },
            artifact_changes: [Change {
                artifact_location: Artifact { uri: uri(&file.path) },
                replacements: replacements.collect(),
            }],
        }
    })
    .collect()
}

fn region(places: &Places<'_>, span: Span) -> Region {
    let (start, end) = (places.position(span.start), places.position(span.end.max(span.start)));
    Region { start_line: start.line, start_column: start.column, end_line: end.line, end_column: end.column }
}

/// A path as a reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in jettison_syntax::dockerfile::encode(path) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("a b/Döckerfile:1"), "a%20b/D%C3%B6ckerfile%3A1");
        assert_eq!(uri("/x/Dockerfile"), "file:///x/Dockerfile");
    }
}
