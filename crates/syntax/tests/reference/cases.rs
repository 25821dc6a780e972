//! The reference's own cases, as it dumps its tree, and the Dockerfiles of its tests.

use jettison_syntax::dockerfile::{Arguments, Body, Dockerfile, Kind};

use crate::data;

/// Go's `strconv.Quote`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            other => out.push(other),
        }
    }
    out + "\""
}

fn dump(body: &Body, line: &str) -> String {
    let mut out = body.keyword.of(line).to_lowercase();
    if !body.flags.is_empty() {
        let flags: Vec<String> = body.flags.iter().map(|flag| quoted(&flag.text)).collect();
        out = format!("{out} [{}]", flags.join(" "));
    }
    dump_arguments(body.kind, &body.arguments, line, &mut out);
    out
}

fn dump_arguments(kind: Kind, arguments: &Arguments, line: &str, out: &mut String) {
    let mut word = |text: &str| {
        out.push(' ');
        out.push_str(&quoted(text));
    };
    match arguments {
        Arguments::None => {}
        Arguments::Json(strings) => strings.iter().for_each(|string| word(&string.value)),
        Arguments::Text(_) if kind == Kind::Unknown => word(""),
        Arguments::Text(span) => word(span.of(line)),
        Arguments::Words(words) => words.iter().for_each(|span| word(span.of(line))),
        Arguments::Pairs { pairs, legacy } => {
            for pair in pairs {
                word(pair.name.of(line));
                word(pair.value.of(line));
                word(if *legacy { "" } else { "=" });
            }
        }
        Arguments::Health { kind, command } => {
            word(kind.of(line));
            dump_arguments(Kind::Healthcheck, command, line, out);
        }
        Arguments::Trigger(body) => *out = format!("{out} ({})", dump(body, line)),
    }
}

#[test]
fn the_parsers_own_cases_give_its_own_dumps() {
    let mut compared = 0;
    for case in data::json_lines("peer-tests/parser-testfiles-dev.jsonl") {
        let name = case["name"].as_str().expect("a name");
        let tree = Dockerfile::parse(case["dockerfile"].as_str().expect("a text"));
        compared += 1;
        if case["negative"].as_bool().expect("a verdict") {
            assert!(!tree.is_valid(), "{name} is refused");
            continue;
        }
        let dumped: String = tree
            .instructions
            .iter()
            .map(|instruction| format!("({})\n", dump(&instruction.body, tree.line(instruction))))
            .collect();
        assert_eq!(dumped.trim(), case["result"].as_str().expect("a dump").trim(), "{name}");
    }
    assert!(compared >= 18);
}

#[test]
fn the_dockerfiles_of_its_tests_come_back_and_hold_together() {
    let mut compared = 0;
    for file in ["peer-tests/inline-dockerfiles-dev.jsonl", "peer-tests/check-lint-dev.jsonl"] {
        for case in data::json_lines(file) {
            let text = case["dockerfile"].as_str().expect("a text");
            let tree = Dockerfile::parse(text);
            let joined: String = tree.tokens().map(|(_, span)| span.of(text)).collect();
            assert_eq!(joined, text);
            compared += 1;
        }
    }
    assert!(compared > 300);
}
