//! The settings of a stage of its own: the instructions that made those of the stage before it, so that the image has
//! the same ones whatever the build arguments are.

use std::collections::BTreeSet;

use jettison_image::Config;
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Instruction, Kind};
use jettison_syntax::expand::references;
use jettison_syntax::view::{Outline, Stage};

use super::Unfit;

/// The instructions that set something, as they stand in the file: of the stages that lead to the last one, the lowest
/// first.
pub(super) fn kept(tree: &Dockerfile, chain: &[&Stage], config: &Config) -> Result<Vec<String>, Unfit> {
    let all: Vec<(usize, usize)> = chain
        .iter()
        .enumerate()
        .flat_map(|(depth, stage)| stage.instructions.clone().map(move |at| (depth, at)))
        .collect();
    let has_command = config.get("config").and_then(|config| config.get("Cmd")).is_some_and(|cmd| !cmd.is_null());
    let (mut kept, mut wanted) = (Vec::new(), BTreeSet::new());
    let mut settled: BTreeSet<Kind> = BTreeSet::new();
    for (depth, at) in all.into_iter().rev() {
        let instruction = &tree.instructions[at];
        let line = tree.line(instruction);
        let kind = instruction.body.kind;
        let keeps = match kind {
            // The last one holds; a relative folder is one below the last absolute one.
            Kind::Workdir if settled.contains(&kind) => false,
            Kind::Workdir => {
                if instruction.body.rest.of(line).starts_with('/') {
                    settled.insert(kind);
                }
                true
            }
            Kind::Cmd if !has_command => false,
            Kind::Cmd | Kind::Entrypoint | Kind::User | Kind::Stopsignal | Kind::Maintainer | Kind::Healthcheck => {
                settled.insert(kind)
            }
            Kind::Env | Kind::Label | Kind::Expose | Kind::Volume | Kind::Shell | Kind::Onbuild => true,
            Kind::Arg => names(tree, instruction).iter().any(|name| wanted.contains(name)),
            _ => false,
        };
        if !keeps {
            continue;
        }
        // Arguments end with their stage, so that those of several stages may be different ones of the same name.
        if kind == Kind::Arg && depth + 1 < chain.len() {
            return Err(Unfit::Arguments);
        }
        wanted.extend(references(line, tree.escape).into_iter().map(|reference| reference.name));
        kept.push(instruction.span.of(tree.text()).to_owned());
    }
    kept.reverse();
    Ok(kept)
}

/// The names that an ARG declares.
fn names(tree: &Dockerfile, instruction: &Instruction) -> Vec<String> {
    let Arguments::Words(words) = &instruction.body.arguments else { return Vec::new() };
    let words = words.iter().map(|word| tree.part(instruction, *word));
    words.map(|word| word.split_once('=').map_or(word, |pair| pair.0).to_owned()).collect()
}

/// Whether one of the kept instructions is of a kind.
pub(super) fn has(kept: &[String], kind: Kind) -> bool {
    kept.iter().any(|text| text.split_whitespace().next().is_some_and(|keyword| Kind::of(keyword) == kind))
}

/// The stages that lead to the last one, the lowest first.
pub(super) fn chain(outline: &Outline) -> Vec<&Stage> {
    let mut chain: Vec<&Stage> = outline.stages.last().into_iter().collect();
    while let Some(jettison_syntax::view::Origin::Stage(below)) = chain.last().map(|stage| &stage.base) {
        chain.push(&outline.stages[*below]);
    }
    chain.reverse();
    chain
}

/// What a base image sets, as instructions: for a stage that starts without it. `kept` follow them.
pub(super) fn of_base(base: &Config, image: &Config, kept: &[String], escape: char) -> Result<Vec<String>, Unfit> {
    let empty = || Unfit::BaseSettings;
    let Some(own) = base.get("config").and_then(|config| config.as_object()) else { return Ok(Vec::new()) };
    let of_image = |name: &str| image.get("config").and_then(|config| config.get(name));
    let mut out = Vec::new();
    for (name, value) in own.iter().filter(|(_, value)| !value.is_null()) {
        let words = || value.as_array().into_iter().flatten().filter_map(|word| word.as_str());
        let keys = || value.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        match name.as_str() {
            "Env" => {
                for pair in words() {
                    let (name, value) = pair.split_once('=').ok_or_else(empty)?;
                    out.push(format!("ENV {name}={}", quoted(value, escape)?));
                }
            }
            "Labels" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let value = value.as_str().ok_or_else(empty)?;
                    out.push(format!("LABEL {}={}", quoted(name, escape)?, quoted(value, escape)?));
                }
            }
            "ExposedPorts" => out.extend(keys().map(|port| format!("EXPOSE {port}"))),
            "Volumes" => {
                for folder in keys() {
                    out.push(format!("VOLUME {}", quoted_json(folder)?));
                }
            }
            "User" | "WorkingDir" | "StopSignal" => {
                let (keyword, kind) = match name.as_str() {
                    "User" => ("USER", Kind::User),
                    "WorkingDir" => ("WORKDIR", Kind::Workdir),
                    _ => ("STOPSIGNAL", Kind::Stopsignal),
                };
                let text = value.as_str().ok_or_else(empty)?;
                // A relative WORKDIR goes on from the base's.
                let is_set_anew = kind != Kind::Workdir && has(kept, kind);
                if !text.is_empty() && !is_set_anew {
                    out.push(format!("{keyword} {}", quoted(text, escape)?));
                }
            }
            "Entrypoint" | "Cmd" => {
                let kind = if name == "Cmd" { Kind::Cmd } else { Kind::Entrypoint };
                if of_image(name) == Some(value) && !has(kept, kind) {
                    out.push(format!("{} {value}", kind.keyword()));
                }
            }
            // Engines note there how they came to it, or say nothing. What would be missing shows when it is built.
            "ArgsEscaped" | "Image" | "Hostname" | "Domainname" | "AttachStdin" | "AttachStdout" | "AttachStderr"
            | "Tty" | "OpenStdin" | "StdinOnce" => {}
            _ => return Err(Unfit::BaseSettings),
        }
    }
    Ok(out)
}

/// A word that stands for itself in an instruction that expands variables.
fn quoted(word: &str, escape: char) -> Result<String, Unfit> {
    if word.contains(char::is_control) {
        return Err(Unfit::BaseSettings);
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Ok(word.to_owned());
    }
    let mut out = String::from("\"");
    for letter in word.chars() {
        if letter == '"' || letter == '$' || letter == escape {
            out.push(escape);
        }
        out.push(letter);
    }
    out.push('"');
    Ok(out)
}

fn quoted_json(word: &str) -> Result<String, Unfit> {
    if word.contains(|letter: char| letter.is_control() || letter == '"' || letter == '\\' || letter == '$') {
        return Err(Unfit::BaseSettings);
    }
    Ok(format!("[\"{word}\"]"))
}
