//! What BuildKit refuses once a text has parsed: unknown instructions and flags, missing arguments, a missing FROM.

use crate::Span;

use super::error::{ErrorKind, SyntaxError, closest};
use super::instruction::{Arguments, Body, Instruction, Kind};
use super::{Dockerfile, ErrorStage};

/// Adds the errors of a tree's instructions to it.
pub(super) fn check(tree: &mut Dockerfile) {
    let mut errors = Vec::new();
    let mut seen_from = false;
    for instruction in &tree.instructions {
        let text = instruction.logical.text(&tree.text);
        let mut refuse = |span: Span, kind| {
            errors.push(SyntaxError { span: instruction.logical.source_span(span), kind });
        };
        let body = &instruction.body;
        check_body(body, text, instruction, &mut refuse);
        match body.kind {
            Kind::From => seen_from = true,
            Kind::Arg | Kind::Unknown => {}
            kind if !seen_from => {
                refuse(body.keyword, ErrorKind::BeforeFrom { keyword: kind.keyword() });
                // One message is enough for a file without FROM.
                seen_from = true;
            }
            _ => {}
        }
    }
    let has_from = tree.instructions.iter().any(|instruction| instruction.body.kind == Kind::From);
    if !has_from && tree.errors.iter().all(|error| error.kind.stage() != ErrorStage::Parse) && errors.is_empty() {
        let span = tree.instructions.last().map_or(Span::default(), |last| last.span);
        errors.push(SyntaxError { span, kind: ErrorKind::NoFrom });
    }
    tree.errors.append(&mut errors);
}

fn check_body(body: &Body, text: &str, instruction: &Instruction, refuse: &mut dyn FnMut(Span, ErrorKind)) {
    let keyword = body.kind.keyword();
    if body.kind == Kind::Unknown {
        let found = body.keyword.of(text).to_owned();
        let meant = closest(&found, Kind::KEYWORDS);
        refuse(body.keyword, ErrorKind::UnknownInstruction { found, meant });
        return;
    }
    for flag in &body.flags {
        let known = body.kind.flags();
        if !known.contains(&flag.name()) {
            let found = flag.name().to_owned();
            let meant = closest(&found, known);
            refuse(flag.span, ErrorKind::UnknownFlag { keyword, found, meant });
        }
    }
    let mut wrong = |wanted| refuse(body.keyword.to(body.rest), ErrorKind::Arguments { keyword, wanted });
    match (&body.arguments, body.kind) {
        (Arguments::None, Kind::Run | Kind::Cmd | Kind::Entrypoint) => {
            if body.kind == Kind::Run && !instruction.heredocs.is_empty() {
                return;
            }
            if body.kind == Kind::Run {
                wrong("a command");
            }
        }
        (Arguments::None, Kind::Copy | Kind::Add) => wrong("at least one source and the destination"),
        (Arguments::None, _) => wrong("an argument"),
        (Arguments::Words(words), Kind::Copy | Kind::Add) if words.len() < 2 => {
            wrong("at least one source and the destination");
        }
        (Arguments::Json(words), Kind::Copy | Kind::Add) if words.len() < 2 => {
            wrong("at least one source and the destination");
        }
        (Arguments::Json(words), Kind::Shell | Kind::Volume) if words.is_empty() => wrong("at least one argument"),
        (Arguments::Text(_), Kind::Shell) => wrong("the JSON form: SHELL [\"executable\", \"parameter\"]"),
        (Arguments::Words(words), Kind::From) => {
            let named = words.len() == 3 && words[1].of(text).eq_ignore_ascii_case("as");
            if words.len() != 1 && !named {
                wrong("an image, or an image, AS and a name");
            } else if named && !is_stage_name(words[2].of(text)) {
                let name = words[2].of(text).to_owned();
                refuse(words[2], ErrorKind::StageName { name });
            }
        }
        (Arguments::Pairs { pairs, .. }, _) => {
            for pair in pairs.iter().filter(|pair| pair.name.is_empty()) {
                refuse(pair.name.to(pair.value), ErrorKind::EmptyName);
            }
        }
        (Arguments::Health { kind, command }, _) => check_health(kind.of(text), command, &mut wrong),
        (Arguments::Trigger(inner), _) => match inner.kind {
            Kind::Onbuild | Kind::From | Kind::Maintainer => {
                refuse(inner.keyword, ErrorKind::Trigger { keyword: inner.kind.keyword().to_owned() });
            }
            _ => check_body(inner, text, instruction, refuse),
        },
        _ => {}
    }
}

fn check_health(kind: &str, command: &Arguments, wrong: &mut dyn FnMut(&'static str)) {
    if kind.eq_ignore_ascii_case("none") {
        if *command != Arguments::None {
            wrong("nothing behind NONE");
        }
    } else if kind.eq_ignore_ascii_case("cmd") {
        if matches!(command, Arguments::None) {
            wrong("a command behind CMD");
        }
    } else {
        wrong("NONE or CMD");
    }
}

/// Whether BuildKit takes it for a stage's name, which it compares in lower case.
fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
