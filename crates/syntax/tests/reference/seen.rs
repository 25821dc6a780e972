//! An instruction as the reference parser's Python module describes it, and how two such descriptions differ.

use jettison_syntax::dockerfile::{Arguments, Body, Dockerfile, ErrorStage, Instruction, Kind, stood_for};
use jettison_syntax::expand::{self, ModifierKind};
use serde_json::{Value, json};

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
    let is_trigger = matches!(instruction.body.arguments, Arguments::Trigger(_));
    json!({
        "cmd": keyword(&instruction.body),
        "sub": is_trigger.then(|| keyword(body)),
        "json": is_json(&body.arguments),
        "start": instruction.lines.0,
        "end": instruction.lines.1,
        "flags": instruction.body.flags.iter().map(|flag| shown(&flag.text)).collect::<Vec<_>>(),
        "value": words(&body.arguments, line),
        "heredocs": heredocs,
    })
}

/// Whether text follows a JSON array. The reference's version reads the array and ignores what follows it. BuildKit takes
/// such a line for a shell form since it decodes the whole text, and so do we.
fn is_followed_array(tree: &Dockerfile, instruction: &Instruction) -> bool {
    let body = instruction.body.effective();
    let rest = match &body.arguments {
        Arguments::Health { command, .. } => match &**command {
            Arguments::Text(span) => *span,
            _ => return false,
        },
        _ => body.rest,
    };
    let mut values = serde_json::Deserializer::from_str(rest.of(tree.line(instruction))).into_iter::<Value>();
    values.next().and_then(Result::ok).is_some_and(|first| first.is_array())
}

/// Whether the reference's version finds other heredocs: where text follows an array, and where parts of variables are
/// taken, which it does not know.
fn has_other_heredocs(tree: &Dockerfile) -> bool {
    tree.instructions.iter().filter(|instruction| tree.line(instruction).contains("<<")).any(|instruction| {
        let line = tree.line(instruction);
        let references = expand::references(line, '\\');
        let newer = [ModifierKind::Replace, ModifierKind::TrimPrefix, ModifierKind::TrimSuffix];
        is_followed_array(tree, instruction)
            || references.iter().any(|one| one.modifier.is_some_and(|modifier| newer.contains(&modifier.kind)))
    })
}

/// The first difference between a tree and what the reference makes of the same text, in words.
pub(crate) fn difference(tree: &Dockerfile, expected: &Value) -> Option<String> {
    if has_other_heredocs(tree) {
        return None;
    }
    if let Some(error) = expected["error"].as_str() {
        let is_array = error.contains("arrays must be comprised of strings only")
            && tree.instructions.iter().any(|instruction| is_followed_array(tree, instruction));
        return (tree.parses() && !is_array).then(|| format!("accepted, the reference says {error}"));
    }
    if let Some(error) = tree.errors.iter().find(|error| error.kind.stage() == ErrorStage::Parse) {
        return Some(format!("refused: {error}"));
    }
    let cmds = expected["cmds"].as_array().expect("instructions");
    if cmds.len() != tree.instructions.len() {
        return Some(format!("{} instructions, the reference has {}", tree.instructions.len(), cmds.len()));
    }
    cmds.iter().zip(&tree.instructions).find_map(|(cmd, instruction)| {
        let mine = seen(tree, instruction);
        let fields = mine.as_object().expect("an object");
        let (name, value) = fields
            .iter()
            .find(|(name, value)| cmd[*name] != **value && !is_known(name, tree, instruction, cmd, &mine))?;
        Some(format!("line {}: {name} is {value}, the reference has {}", mine["start"], cmd[name]))
    })
}

/// Whether a field may differ, for a reason that is known.
fn is_known(field: &str, tree: &Dockerfile, instruction: &Instruction, cmd: &Value, mine: &Value) -> bool {
    let flags = &instruction.body.flags;
    // The reference keeps no arguments of instructions that there are not, and looks into one ONBUILD only.
    let is_left_out = matches!(instruction.body.effective().kind, Kind::Unknown | Kind::Onbuild);
    let is_unknown = is_left_out && cmd["value"] == json!([""]);
    // It reads flags byte by byte, each one as a character.
    let is_foreign = flags.iter().any(|flag| !flag.span.of(tree.line(instruction)).is_ascii())
        || !cmd["flags"].to_string().is_ascii();
    match field {
        // An instruction without any text: the module has no empty names.
        "cmd" => mine["cmd"] == "" && cmd["cmd"].is_null(),
        // The module looks at the inner instruction, and the parser keeps heredocs at the outer one.
        "heredocs" => instruction.body.kind == Kind::Onbuild && cmd["heredocs"] == json!([]),
        "json" => is_followed_array(tree, instruction) || is_foreign,
        "value" => is_followed_array(tree, instruction) || is_unknown || is_foreign,
        "flags" => is_foreign,
        _ => false,
    }
}
