//! The rules of what is waste by its place, read from `data/waste.txt`.

use std::sync::LazyLock;

/// Waste of one kind.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// The pass that it belongs to.
    pub(crate) pass: &'static str,
    /// What it is.
    pub(crate) what: &'static str,
    /// What to write in a Dockerfile so that it is not there.
    pub(crate) help: String,
    /// Where it is: `~` stands for every home, `$NAME` for a variable of the image.
    pub(crate) paths: Vec<&'static str>,
    /// Where it is if a setting says so: a file, a key, and what follows the key's value.
    pub(crate) settings: Vec<Setting>,
    /// What stays though a path matches.
    pub(crate) keep: Vec<&'static str>,
    /// It is in use where the image's command runs one of these programs.
    pub(crate) run: Vec<&'static str>,
    /// It is in use where the image has one of these programs.
    pub(crate) without: Vec<&'static str>,
    /// Only folders that have one of these in them.
    pub(crate) holding: Vec<&'static str>,
    /// Only where one of these lies beside it.
    pub(crate) beside: Vec<&'static str>,
    /// Only files that are not empty.
    pub(crate) is_filled: bool,
    /// Only files that the kernel wrote of a program's memory.
    pub(crate) is_dump: bool,
    /// Files of packages as well.
    pub(crate) is_of_packages: bool,
}

/// A line of a tool's configuration that moves its cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) file: &'static str,
    pub(crate) key: &'static str,
    pub(crate) below: &'static str,
}

/// All rules.
pub(crate) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| parse(include_str!("../../data/waste.txt")));

/// The rules of a pass.
pub(crate) fn of(pass: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.pass == pass)
}

fn parse(text: &'static str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let (mut pass, mut is_of_packages) = ("", false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[') {
            let (name, rest) = section.split_once(']').unwrap_or((section, ""));
            (pass, is_of_packages) = (name, rest.trim() == "of packages");
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "waste" {
            rules.push(Rule { pass, what: rest, is_of_packages, ..Rule::default() });
            continue;
        }
        let Some(rule) = rules.last_mut() else { continue };
        let words = rest.split_whitespace();
        match word {
            "help" if rule.help.is_empty() => rule.help = rest.to_owned(),
            "help" => rule.help = format!("{} {rest}", rule.help),
            "path" => rule.paths.extend(words),
            "keep" => rule.keep.extend(words),
            "run" => rule.run.extend(words),
            "without" => rule.without.extend(words),
            "holding" => rule.holding.extend(words),
            "beside" => rule.beside.extend(words),
            "filled" => rule.is_filled = true,
            "dumps" => rule.is_dump = true,
            "setting" => {
                let words: Vec<&str> = words.collect();
                if let [file, key, below] = words[..] {
                    rule.settings.push(Setting { file, key, below });
                }
            }
            _ => {}
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PASSES;

    #[test]
    fn every_line_is_understood() {
        let words =
            ["waste", "help", "path", "keep", "run", "without", "holding", "beside", "setting", "filled", "dumps"];
        for line in include_str!("../../data/waste.txt").lines().map(str::trim) {
            let is_rule = !line.is_empty() && !line.starts_with(['#', '[']);
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            assert!(!is_rule || (words.contains(&word) && !rest.is_empty()), "{line}");
            assert!(word != "setting" || rest.split_whitespace().count() == 3, "{line}");
        }
        for rule in RULES.iter() {
            assert!(PASSES.iter().any(|pass| pass.name == rule.pass), "{} is no pass", rule.pass);
            assert!(!rule.paths.is_empty() && !rule.help.is_empty(), "{} has paths and help", rule.what);
            for path in rule.paths.iter().chain(&rule.keep) {
                assert!(path.starts_with(['/', '~', '$']) && !path.ends_with("/**"), "{path}");
                // Folders of any depth stand behind names that are known.
                let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
                let first = names.iter().position(|name| name.contains(['*', '?', '[']));
                let deep = names.iter().position(|name| *name == "**");
                assert!(
                    deep.is_none() || (deep == first && names.iter().filter(|name| **name == "**").count() == 1),
                    "{path}"
                );
            }
        }
    }
}
