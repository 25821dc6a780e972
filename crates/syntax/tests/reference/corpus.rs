//! Every file of the corpus: the same instructions, flags, words, heredocs and lines, and the same verdict.

use jettison_syntax::dockerfile::{Arguments, Body, Dockerfile, Instruction, Kind, stood_for};
use serde_json::{Value, json};

use crate::data;

/// Text as the reference prints it: bytes that are not UTF-8 are the replacement character.
fn shown(text: &str) -> String {
    text.chars().map(|c| if stood_for(c).is_some() { '\u{fffd}' } else { c }).collect()
}

fn words(arguments: &Arguments, line: &str) -> Vec<String> {
    match arguments {
        Arguments::None => Vec::new(),
        Arguments::Json(strings) => strings.iter().map(|string| shown(&string.value)).collect(),
        Arguments::Text(span) => vec![shown(span.of(line))],
        Arguments::Words(words) => words.iter().map(|word| shown(word.of(line))).collect(),
        Arguments::Pairs { pairs, .. } => {
            pairs.iter().flat_map(|pair| [shown(pair.name.of(line)), shown(pair.value.of(line))]).collect()
        }
        Arguments::Health { kind, command } => {
            let mut all = vec![shown(kind.of(line))];
            all.extend(words(command, line));
            all
        }
        Arguments::Trigger(body) => words(&body.arguments, line),
    }
}

fn is_json(arguments: &Arguments) -> bool {
    match arguments {
        Arguments::Json(_) => true,
        Arguments::Health { command, .. } => is_json(command),
        _ => false,
    }
}

fn seen(tree: &Dockerfile, instruction: &Instruction) -> Value {
    let line = tree.line(instruction);
    let body: &Body = instruction.body.effective();
    let heredocs: Vec<Value> = instruction
        .heredocs
        .iter()
        .map(|heredoc| {
            let body = shown(heredoc.body.of(tree.text()));
            json!({"name": heredoc.name, "fd": heredoc.descriptor, "content": body})
        })
        .collect();
    let keyword = |body: &Body| shown(body.keyword.of(line));
    let is_trigger = instruction.body.kind == Kind::Onbuild;
    json!({
        "cmd": keyword(&instruction.body),
        "sub": is_trigger.then(|| keyword(body)),
        "json": is_json(&body.arguments),
        "start": instruction.lines.0,
        "end": instruction.lines.1,
        "flags": body.flags.iter().map(|flag| shown(&flag.text)).collect::<Vec<_>>(),
        "value": words(&body.arguments, line),
        "heredocs": heredocs,
    })
}

/// The reference's version read a JSON array and ignored what follows it. BuildKit takes such a line for a shell form
/// since it decodes the whole text, and so do we.
fn is_followed_array(cmd: &Value, mine: &Value) -> bool {
    let text = mine["value"][0].as_str().unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let first = values.next().and_then(Result::ok);
    cmd["json"] == json!(true) && first.is_some_and(|first| first.is_array()) && values.byte_offset() < text.len()
}

#[test]
fn every_real_file_is_what_the_reference_makes_of_it() {
    let files = data::dockerfiles();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for expected in data::json_lines("corpus/expected.jsonl.zst") {
        let path = expected["file"].as_str().expect("a path").trim_start_matches("dockerfiles/dev/");
        let bytes = &files[path];
        let tree = Dockerfile::from_bytes(bytes.clone());
        compared += 1;
        if tree.bytes() != *bytes {
            wrong.push(format!("{path}: its bytes do not come back"));
        }
        if expected.get("error").is_some_and(|error| !error.is_null()) {
            if tree.parses() {
                wrong.push(format!("{path}: accepted, the reference says {}", expected["error"]));
            }
            continue;
        }
        if !tree.parses() {
            wrong.push(format!("{path}: refused: {}", tree.errors[0]));
            continue;
        }
        let cmds = expected["cmds"].as_array().expect("instructions");
        let mine: Vec<Value> = tree.instructions.iter().map(|instruction| seen(&tree, instruction)).collect();
        if cmds.len() != mine.len() {
            wrong.push(format!("{path}: {} instructions, the reference has {}", mine.len(), cmds.len()));
            continue;
        }
        for (cmd, mine) in cmds.iter().zip(&mine) {
            for (field, value) in mine.as_object().expect("an object") {
                // The reference keeps no arguments of instructions that there are not.
                let is_unknown = mine["value"] != cmd["value"] && cmd["value"] == json!([""]) && field == "value";
                let is_unknown = is_unknown && Kind::of(mine["cmd"].as_str().expect("text")) == Kind::Unknown;
                if cmd[field] != *value && !is_unknown && !(field == "json" && is_followed_array(cmd, mine)) {
                    if field == "value" && is_followed_array(cmd, mine) {
                        continue;
                    }
                    wrong.push(format!(
                        "{path}:{}: {field} is {value}, the reference has {}",
                        mine["start"], cmd[field]
                    ));
                    break;
                }
            }
        }
    }
    assert!(compared > 7_000, "only {compared} files were compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}
