//! What an image names itself: paths in its settings and in the scripts that its command runs. What is named stays.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, packages};
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
    /// Where the command starts.
    pub(crate) folder: String,
}

/// Programs that start others, and where these are named: schedules and services.
const STARTERS: [(&[&str], &[&str]); 4] = [
    (
        &["cron", "crond", "dcron", "fcron", "supercronic", "anacron"],
        &[
            "etc/crontab",
            "etc/cron.d",
            "etc/crontabs",
            "var/spool/cron",
            "etc/periodic",
            "etc/cron.hourly",
            "etc/cron.daily",
            "etc/cron.weekly",
            "etc/cron.monthly",
        ],
    ),
    (
        &["supervisord", "supervisor"],
        &["etc/supervisor", "etc/supervisord.conf", "etc/supervisor.d", "etc/supervisord.d"],
    ),
    (
        &["runsvdir", "runsvdir-start", "s6-svscan", "my_init", "init", "svscan"],
        &[
            "etc/service",
            "etc/services.d",
            "etc/s6-overlay",
            "etc/cont-init.d",
            "etc/my_init.d",
            "etc/sv",
            "etc/inittab",
            "service",
        ],
    ),
    (&["systemd", "init"], &["etc/systemd/system"]),
];

impl Mentions {
    /// Reads the settings, and the scripts that they name.
    pub(crate) fn of(unit: &ImageUnit<'_>) -> Self {
        let mut mentions = Self { nodes: BTreeSet::new(), programs: BTreeSet::new(), folder: "/".to_owned() };
        let settings = unit.config.settings();
        let Some(config) = settings.get("config") else { return mentions };
        let folder = config.get("WorkingDir").and_then(Value::as_str).filter(|folder| folder.starts_with('/'));
        mentions.folder = folder.unwrap_or("/").to_owned();
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
            mentions.read_relative(unit, text.as_bytes());
        }
        let mut seen = BTreeSet::new();
        mentions.read_scripts(unit, &mut seen);
        mentions.read_started(unit);
        mentions.read_scripts(unit, &mut seen);
        mentions
    }

    /// Whether the image's command, or a script that it runs, calls one of these programs.
    pub(crate) fn runs(&self, programs: &[&str]) -> Option<String> {
        let found = programs.iter().find(|name| self.programs.contains(name.as_bytes()));
        found.map(|name| (*name).to_owned())
    }

    /// What is used of the image: what is named, and programs that are called by their names.
    pub(crate) fn used_nodes(&self, unit: &ImageUnit<'_>) -> BTreeSet<Node> {
        self.nodes.union(&programs_at(unit, &self.programs)).copied().collect()
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
    fn read_scripts(&mut self, unit: &ImageUnit<'_>, seen: &mut BTreeSet<Node>) {
        loop {
            let new: Vec<Node> = self.nodes.difference(seen).copied().collect();
            if new.is_empty() {
                return;
            }
            for node in new {
                seen.insert(node);
                let is_small = unit.upper.attributes(node).size <= MOST;
                let Some(script) = unit.content(node).filter(|_| is_small) else { continue };
                let name = unit.upper.name(node);
                // What scripts source has no first line of that kind.
                let is_script = script.starts_with(b"#!") || name.ends_with(b".sh") || name.ends_with(b".bash");
                if is_script && script.to_str().is_ok() {
                    self.read_code(unit, &script);
                }
            }
        }
    }

    fn read_code(&mut self, unit: &ImageUnit<'_>, script: &[u8]) {
        let code = script.lines().filter(|line| !line.trim_start().starts_with(b"#"));
        let code = code.collect::<Vec<_>>().join(&b'\n');
        self.read(unit, &code);
        self.read_relative(unit, &code);
        self.read_folders(unit, &code);
        self.note_programs(&code);
    }

    /// What schedules and services name, where what starts them is run. Those of packages need what their packages need.
    fn read_started(&mut self, unit: &ImageUnit<'_>) {
        let tree = &unit.upper;
        let places =
            STARTERS.iter().filter(|(programs, _)| self.runs(programs).is_some()).flat_map(|(_, places)| *places);
        let mut stack: Vec<Node> = places.filter_map(|place| packages::follow(tree, place.as_bytes())).collect();
        while let Some(node) = stack.pop() {
            stack.extend(tree.children(node));
            let is_own =
                tree.kind(node) == Kind::File && tree.attributes(node).size <= MOST && unit.owner(node).is_none();
            if let Some(text) = unit.content(node).filter(|_| is_own) {
                self.read_code(unit, &text);
            }
        }
    }

    /// Files that are named from the folder that the command starts in, modules of Python included.
    fn read_relative(&mut self, unit: &ImageUnit<'_>, text: &[u8]) {
        let Some(folder) = packages::follow(&unit.upper, self.folder.as_bytes()) else { return };
        let start = unit.upper.path(folder);
        let words = text.split(|byte| is_separator(*byte)).filter(|word| word.len() > 1);
        for word in words.filter(|word| !word.starts_with(b"/") && !word.starts_with(b"-")) {
            let module = word.replace(".", "/");
            let names = [word.to_vec(), [word, b".js"].concat(), [&module, &b".py"[..]].concat()];
            let names = names.into_iter().chain([[&module, &b"/__main__.py"[..]].concat()]);
            let found = names.filter_map(|name| packages::follow(&unit.upper, &[&start, &b"/"[..], &name].concat()));
            self.nodes.extend(found.filter(|node| unit.upper.kind(*node) == Kind::File));
        }
    }

    /// The files of folders whose scripts are run one by one: `run-parts /app/init.d`, `/app/init.d/*.sh`.
    fn read_folders(&mut self, unit: &ImageUnit<'_>, code: &[u8]) {
        let tree = &unit.upper;
        let runs_parts = code.contains_str("run-parts");
        for word in code.split(|byte| is_separator(*byte)).filter(|word| word.starts_with(b"/")) {
            let folder = match word.find_byte(b'*') {
                Some(star) => word[..star].rsplit_once_str("/").map(|(folder, _)| folder),
                None => runs_parts.then_some(word),
            };
            let folder = folder.filter(|folder| folder.len() > 1).and_then(|folder| packages::follow(tree, folder));
            let files = folder.into_iter().flat_map(|folder| tree.children(folder));
            self.nodes.extend(files.filter(|node| tree.kind(*node) == Kind::File && unit.owner(*node).is_none()));
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

/// The programs of these names, links followed and not.
pub(crate) fn programs_at(unit: &ImageUnit<'_>, names: &BTreeSet<Vec<u8>>) -> BTreeSet<Node> {
    let mut found = BTreeSet::new();
    for folder in places::program_folders(unit) {
        for node in names.iter().filter_map(|name| unit.upper.child(folder, name)) {
            found.insert(node);
            found.extend(packages::follow(&unit.upper, &unit.upper.path(node)));
        }
    }
    found
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
