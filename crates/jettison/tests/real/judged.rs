//! What jettison's judge says of two images, without what does not count between engines: times, and how and when an
//! image was built.

use std::process::{Command, Output};

use serde_json::Value;

/// What is in a saved image and is no part of what it is.
const IGNORED_SETTINGS: [&str; 8] = [
    "created",
    "history",
    // Docker's word on where an image is from, which BuildKit drops when it builds on that.
    "comment",
    "container",
    "container_config",
    "docker_version",
    "config.Image",
    "config.Hostname",
];

/// A difference that the judge found, as far as it counts here.
pub(crate) struct Difference {
    /// A path, or the name of a setting.
    pub(crate) place: String,
    pub(crate) line: String,
    /// A path that only the first image has.
    pub(crate) is_missing: bool,
}

/// Has the judge compare two images, named as on jettison's command line; fewer paths than `least` are no comparison.
pub(crate) fn judge(before: &str, after: &str, least: u64) -> Result<Vec<Difference>, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
    let judged = command.args(["diff", "--format", "json", before, after]).output().expect("jettison");
    let verdict: Value = serde_json::from_slice(&judged.stdout)
        .map_err(|error| format!("no verdict ({error}): {}", printed(&judged)))?;
    if verdict["paths"].as_u64().is_none_or(|paths| paths < least) {
        return Err(format!("the judge compared nothing: {verdict}"));
    }
    let differences = verdict["differences"].as_array().ok_or("a verdict has differences")?;
    Ok(differences.iter().filter_map(counted).collect())
}

fn counted(difference: &Value) -> Option<Difference> {
    let (path, setting) = (difference["path"].as_str(), difference["setting"].as_str());
    let what = difference["what"].as_str().unwrap_or_default();
    let is_ignored = |setting: &str| IGNORED_SETTINGS.contains(&setting) || setting.starts_with("moby.buildkit");
    if what == "mtime" || setting.is_some_and(|setting| is_ignored(setting) || is_unset(difference)) {
        return None;
    }
    let place = path.or(setting).unwrap_or_default().to_owned();
    let side = |name: &str| difference[name].as_str().unwrap_or("nothing").to_owned();
    let line = format!("{place}  {what}: {} → {}", side("before"), side("after"));
    Some(Difference { is_missing: path.is_some() && difference["after"].is_null(), place, line })
}

/// Engines leave out what is not set, or write it as null or as empty.
fn is_unset(difference: &Value) -> bool {
    let unset = |side: &str| matches!(difference[side].as_str(), None | Some("null" | "\"\"" | "false" | "[]" | "{}"));
    unset("before") && unset("after")
}

/// What a program said.
pub(crate) fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
