//! What a build gave, compared with what its case says.

use serde_json::Value;

use crate::build_cases::{Case, Expected};
use crate::tree::Tree;

/// Whether the last stage, or the target, stands on Alpine in the end.
pub(crate) fn built_on_alpine(dockerfile: &str, build: &[String]) -> bool {
    let mut stages: Vec<(String, bool)> = Vec::new();
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        if words.len() < 2 || !words[0].eq_ignore_ascii_case("from") {
            continue;
        }
        let named = stages.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(words[1]));
        let on_alpine = named.map_or(words[1] != "scratch" && words[1] != "root", |(_, on_alpine)| *on_alpine);
        let name = words.get(3).map_or_else(|| stages.len().to_string(), ToString::to_string);
        stages.push((name, on_alpine));
    }
    let target = build.iter().position(|word| word == "--target").map(|at| build[at + 1].to_lowercase());
    let stage = match target {
        Some(target) => stages.iter().enumerate().find_map(|(number, (name, on_alpine))| {
            (name.to_lowercase() == target || number.to_string() == target).then_some(*on_alpine)
        }),
        None => stages.last().map(|(_, on_alpine)| *on_alpine),
    };
    stage.unwrap_or_default()
}

pub(crate) fn differences(case: &Case, base: &Tree, tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, expected) in &case.tree {
        let seen = tree.get(path);
        let is_right = match (expected, seen) {
            (Expected::Any, _) | (Expected::Gone, None) => true,
            (Expected::Is(expected), Some(seen)) => expected == seen,
            (Expected::File(start), Some(seen)) => seen.starts_with(start.as_str()),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("/{path}: expected {expected:?}, found {seen:?}"));
        }
    }
    for (path, seen) in tree {
        if !case.tree.contains_key(path) && base.get(path) != Some(seen) {
            wrong.push(format!("/{path}: not expected, found {seen} (in the base {:?})", base.get(path)));
        }
    }
    for path in base.keys() {
        if !case.tree.contains_key(path) && !tree.contains_key(path) {
            wrong.push(format!("/{path}: gone, and should be there"));
        }
    }
    wrong.truncate(12);
    wrong
}

/// What is wrong with a config document.
pub(crate) fn settings(case: &Case, document: &Value) -> Vec<String> {
    let config = &document["config"];
    let mut wrong = Vec::new();
    for (key, expected) in &case.config {
        let found = config.get(key).cloned().unwrap_or(Value::Null);
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if found != *expected && !(expected.is_null() && is_empty(&found)) {
            wrong.push(format!("config {key}: expected {expected}, found {found}"));
        }
    }
    let layers = document["history"]
        .as_array()
        .map_or(0, |history| history.iter().filter(|entry| entry["empty_layer"] != Value::Bool(true)).count());
    let diff_ids = document["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    if layers != diff_ids {
        wrong.push(format!("the history speaks of {layers} layers, there are {diff_ids}"));
    }
    wrong
}
