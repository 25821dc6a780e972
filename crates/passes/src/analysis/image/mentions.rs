//! What an image names itself: paths in its settings and in the scripts that its command runs. What is named stays.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Node, packages};
use jettison_ir::ImageUnit;
use serde_json::Value;

use super::places;

/// The largest script that is read.
const MOST: u64 = 1 << 20;

/// Names and paths that an image's settings have.
pub(crate) struct Mentions {
    /// What is there at the paths that are named, links followed and not, and all that is in volumes.
    pub(crate) nodes: BTreeSet<Node>,
    /// The words of the command, entry point and health check, folders cut off: programs that are run.
    programs: BTreeSet<Vec<u8>>,
}

impl Mentions {
    /// Reads the settings, and the scripts that they name.
    pub(crate) fn of(unit: &ImageUnit<'_>) -> Self {
        let mut mentions = Self { nodes: BTreeSet::new(), programs: BTreeSet::new() };
        let settings = unit.config.settings();
        let Some(config) = settings.get("config") else { return mentions };
        let mut texts = Vec::new();
        for key in ["Cmd", "Entrypoint", "Healthcheck", "OnBuild", "Env", "WorkingDir", "Volumes", "Shell"] {
            strings(config.get(key).unwrap_or(&Value::Null), &mut texts);
        }
        for text in texts {
            mentions.read(unit, text.as_bytes());
        }
        let mut volumes = Vec::new();
        strings(config.get("Volumes").unwrap_or(&Value::Null), &mut volumes);
        let mut shared: Vec<Node> =
            volumes.iter().filter_map(|path| packages::follow(&unit.upper, path.as_bytes())).collect();
        while let Some(node) = shared.pop() {
            // What a volume starts with is copied out of the image.
            mentions.nodes.insert(node);
            shared.extend(unit.upper.children(node));
        }
        let mut commands = Vec::new();
        for key in ["Cmd", "Entrypoint", "Healthcheck", "OnBuild"] {
            strings(config.get(key).unwrap_or(&Value::Null), &mut commands);
        }
        for text in commands {
            mentions.note_programs(text.as_bytes());
        }
        mentions.read_scripts(unit);
        mentions
    }

    /// Whether the image's command, or a script that it runs, calls one of these programs.
    pub(crate) fn runs(&self, programs: &[&str]) -> Option<String> {
        let found = programs.iter().find(|name| self.programs.contains(name.as_bytes()));
        found.map(|name| (*name).to_owned())
    }

    /// What is used of the image: what is named, and programs that are called by their names.
    pub(crate) fn used_nodes(&self, unit: &ImageUnit<'_>) -> BTreeSet<Node> {
        let mut used = self.nodes.clone();
        for folder in places::program_folders(unit) {
            let named = self.programs.iter().filter_map(|name| unit.upper.child(folder, name));
            for node in named {
                used.insert(node);
                used.extend(packages::follow(&unit.upper, &unit.upper.path(node)));
            }
        }
        used
    }

    /// Whether the command is none or nothing but a shell, so that nobody can say what the image is for.
    pub(crate) fn is_only_shell(unit: &ImageUnit<'_>) -> bool {
        const SHELLS: [&str; 7] = ["sh", "bash", "ash", "dash", "zsh", "ksh", "fish"];
        let settings = unit.config.settings();
        let words: Vec<&str> = ["Entrypoint", "Cmd"]
            .iter()
            .filter_map(|key| settings.get("config")?.get(*key)?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is_shell = |word: &&str| SHELLS.contains(&word.rsplit('/').next().unwrap_or(word)) || word.starts_with('-');
        // `sh -c COMMAND` is a command.
        words.iter().all(is_shell) && !words.contains(&"-c")
    }

    /// Scripts that are named name what they use.
    fn read_scripts(&mut self, unit: &ImageUnit<'_>) {
        let mut seen: BTreeSet<Node> = BTreeSet::new();
        loop {
            let new: Vec<Node> = self.nodes.difference(&seen).copied().collect();
            if new.is_empty() {
                return;
            }
            for node in new {
                seen.insert(node);
                let is_small = unit.upper.attributes(node).size <= MOST;
                let Some(script) = unit.content(node).filter(|_| is_small) else { continue };
                if script.starts_with(b"#!") && script.to_str().is_ok() {
                    let code = script.lines().filter(|line| !line.trim_start().starts_with(b"#"));
                    let code = code.collect::<Vec<_>>().join(&b'\n');
                    self.read(unit, &code);
                    self.note_programs(&code);
                }
            }
        }
    }

    fn note_programs(&mut self, text: &[u8]) {
        let words = text.split(|byte| is_separator(*byte)).filter(|word| !word.is_empty());
        self.programs.extend(words.map(|word| word.rsplit_str("/").next().unwrap_or(word).to_vec()));
    }

    fn read(&mut self, unit: &ImageUnit<'_>, text: &[u8]) {
        for word in text.split(|byte| is_separator(*byte)).filter(|word| word.len() > 1 && word.starts_with(b"/")) {
            let path = word.trim_end_with(|c| c == '/' || c == '.');
            self.nodes.extend(unit.upper.find(&packages::canonical(&unit.upper, path)));
            self.nodes.extend(packages::follow(&unit.upper, path));
        }
    }
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"=:,;\"'()[]{}|&<>$`\\!".contains(&byte)
}

/// All texts in a value, keys included.
fn strings<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(all) => all.iter().for_each(|one| strings(one, out)),
        Value::Object(all) => {
            for (key, value) in all {
                out.push(key);
                strings(value, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
