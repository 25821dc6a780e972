//! Files that `curl` and `wget` write, and the commands that unpack them.

use std::collections::HashMap;

use jettison_syntax::Span;
use jettison_syntax::packages::{PackageCommand, Verb};
use jettison_syntax::shell::{RedirectOperator, Script, Word};

use super::calls::Call;

/// The text of a word without its quotes; variables stand as they are written.
pub(crate) fn unquoted(word: &Word, script: &Script) -> String {
    word.text(&script.text).chars().filter(|c| !['"', '\''].contains(c)).collect()
}

/// The file that a command downloads, as it names it: a path, or what its working directory is to hold.
pub(crate) fn downloaded(call: &Call<'_>, script: &Script) -> Option<String> {
    let (program, words) = call.program()?;
    let words: Vec<String> = words.iter().map(|word| unquoted(word, script)).collect();
    let options = match program.rsplit('/').next()? {
        "curl" => Options { file: 'o', long_file: "--output", folder: None, long_folder: "--output-dir" },
        "wget" => {
            Options { file: 'O', long_file: "--output-document", folder: Some('P'), long_folder: "--directory-prefix" }
        }
        _ => return None,
    };
    let is_curl = options.folder.is_none();
    let mut file = None;
    let mut folder = None;
    let mut from_address = !is_curl;
    let mut addresses = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word.contains("://") && !word.starts_with('-') {
            addresses.push(word);
        } else if let Some((name, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
            match name {
                _ if name == options.long_file => file = Some(value.to_owned()),
                _ if name == options.long_folder => folder = Some(value.to_owned()),
                _ => {}
            }
        } else if word == options.long_file {
            file = Some(rest.next()?.clone());
        } else if word == options.long_folder {
            folder = Some(rest.next()?.clone());
        } else if word.starts_with("--") {
            from_address |= is_curl && word == "--remote-name";
        } else if let Some(letters) = word.strip_prefix('-') {
            match letters.find(|letter| letter == options.file || Some(letter) == options.folder) {
                Some(at) => {
                    let value =
                        if letters.len() > at + 1 { letters[at + 1..].to_owned() } else { rest.next()?.clone() };
                    let is_file = letters[at..].starts_with(options.file);
                    *(if is_file { &mut file } else { &mut folder }) = Some(value);
                }
                None => from_address |= is_curl && letters.contains('O'),
            }
        }
    }
    // What the server may call otherwise, and several files, are not followed.
    let other_name = ["-J", "--remote-header-name", "--content-disposition", "-i", "--input-file", "-r", "--recursive"];
    if words.iter().any(|word| other_name.contains(&word.as_str())) {
        return None;
    }
    let redirect = call.command.redirects.iter().find(|redirect| {
        matches!(redirect.operator, RedirectOperator::Out | RedirectOperator::Clobber)
            && redirect.fd.is_none_or(|fd| fd == 1)
    });
    let named = file.or_else(|| redirect.map(|redirect| unquoted(&redirect.target, script)));
    let name = match (named, &addresses[..]) {
        (Some(name), _) => name,
        (None, [address]) if from_address => {
            let (_, path) = address.split_once("://")?;
            let name = path.rsplit_once('/')?.1;
            name.split(['?', '#']).next().filter(|_| !name.contains('?'))?.to_owned()
        }
        _ => return None,
    };
    let is_name = !name.is_empty() && !name.ends_with('/') && !name.starts_with(['-', '~']) && name != "/dev/null";
    let is_plain = !name.contains(['*', '`', '(', ' ', '\\', '{']) || name.contains("${");
    let whole = match folder {
        Some(folder) if !name.starts_with('/') => format!("{}/{name}", folder.trim_end_matches('/')),
        _ => name,
    };
    (is_name && is_plain && !whole.contains("$(")).then_some(whole)
}

struct Options {
    file: char,
    long_file: &'static str,
    folder: Option<char>,
    long_folder: &'static str,
}

/// The words of a command that unpacks or installs files, which may name one of them.
pub(crate) fn unpacks<'c>(call: &'c Call<'_>, script: &Script) -> Vec<&'c Word> {
    if let Some(command) = &call.package {
        return installed_files(call, command);
    }
    let Some((program, words)) = call.program() else { return Vec::new() };
    let unpacks = match program.rsplit('/').next().unwrap_or_default() {
        "tar" | "bsdtar" => words.iter().enumerate().any(|(at, word)| {
            let text = word.text(&script.text);
            let is_cluster = text.starts_with('-') && !text.starts_with("--");
            matches!(text, "--extract" | "--get")
                || ((is_cluster || at == 0) && text.contains('x') && !text.contains('.'))
        }),
        "unzip" => true,
        "7z" | "7za" | "unrar" => words.first().is_some_and(|word| matches!(word.text(&script.text), "x" | "e")),
        _ => false,
    };
    if unpacks { words.iter().collect() } else { Vec::new() }
}

fn installed_files<'c>(call: &'c Call<'_>, command: &PackageCommand) -> Vec<&'c Word> {
    if command.verb != Verb::Install || !command.is_system() {
        return Vec::new();
    }
    let files: Vec<Span> =
        command.packages.iter().filter(|package| package.is_file).map(|package| package.span).collect();
    // dpkg and rpm take files alone.
    let takes_files = command.packages.is_empty() || !files.is_empty();
    call.simple
        .words
        .iter()
        .filter(|word| takes_files && word.span.start >= command.name_span.end)
        .filter(|word| files.is_empty() || files.contains(&word.span) || word.has_expansion())
        .collect()
}

/// Where the text names each file last.
pub(crate) fn last_uses(text: &str) -> HashMap<&str, usize> {
    let is_end = |c: char| c.is_whitespace() || "/\"'=;&|()<>,".contains(c);
    let mut uses = HashMap::new();
    let mut start = 0;
    for (at, c) in text.char_indices().chain(std::iter::once((text.len(), ' '))) {
        if is_end(c) {
            if start < at {
                uses.insert(&text[start..at], start);
            }
            start = at + c.len_utf8();
        }
    }
    uses
}

/// Patterns for the file: variables stand for any part of a name, and an unknown folder for a few.
pub(crate) fn patterns(path: Option<String>, file: &str) -> Vec<String> {
    let patterns = match path {
        Some(path) => vec![path],
        None => (0..4).map(|depth| format!("{}/{}", "/*".repeat(depth), file.trim_start_matches("./"))).collect(),
    };
    patterns.iter().map(|pattern| without_variables(pattern)).collect()
}

fn without_variables(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        out.push('*');
        let behind = &rest[at + 1..];
        rest = match behind.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map_or("", |(_, rest)| rest),
            None => behind.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
        };
    }
    out + rest
}
