//! The config's document: setting its fields as BuildKit does.

use jettison_image::Platform;
use serde_json::{Map, Value, json};

use super::model::Settings;

/// `PATH` where an image has none (BuildKit, `util/system/path.go`).
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The fields of `config`, in the order of the specification and Docker's additions.
const ORDER: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

impl Settings {
    /// What a stage from scratch starts with.
    #[must_use]
    pub fn empty(platform: &Platform) -> Self {
        let mut settings = Self(Map::new());
        settings.set_platform(platform);
        settings.set("Env", json!([format!("PATH={PATH}")]));
        settings.set("WorkingDir", json!("/"));
        settings
    }

    /// A field of `config`.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get("config")?.get(field).filter(|value| !value.is_null())
    }

    /// A field that is a text; empty where it is absent.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field that is a list of texts.
    #[must_use]
    pub fn list(&self, field: &str) -> Vec<String> {
        let values = self.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The environment, name and value.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let split = |pair: &String| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (pair.clone(), String::new()),
        };
        self.list("Env").iter().map(split).collect()
    }

    /// Sets a field of `config`; what is empty is left out, as in Go's `omitempty`.
    pub(super) fn set(&mut self, field: &str, value: Value) {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(set) => !set,
            Value::Number(_) => false,
        };
        let config = self.object();
        if is_empty {
            config.shift_remove(field);
        } else {
            config.insert(field.to_owned(), value);
        }
    }

    /// Adds a name to a field that is an object.
    pub(super) fn insert(&mut self, field: &str, name: &str, value: Value) {
        let entry = self.object().entry(field).or_insert_with(|| json!({}));
        if !entry.is_object() {
            *entry = json!({});
        }
        if let Value::Object(fields) = entry {
            fields.insert(name.to_owned(), value);
        }
    }

    /// Sets a variable, in the place that it has already.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let mut env = self.list("Env");
        let pair = format!("{name}={value}");
        match env.iter_mut().find(|have| have.split('=').next() == Some(name)) {
            Some(have) => *have = pair,
            None => env.push(pair),
        }
        self.set("Env", json!(env));
    }

    /// Says for which platform the image is.
    pub(super) fn set_platform(&mut self, platform: &Platform) {
        let field = |name: &str| self.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let same = field("architecture") == platform.architecture && field("os") == platform.os;
        self.0.insert("architecture".to_owned(), json!(platform.architecture));
        self.0.insert("os".to_owned(), json!(platform.os));
        match &platform.variant {
            Some(variant) => drop(self.0.insert("variant".to_owned(), json!(variant))),
            None if !same => drop(self.0.shift_remove("variant")),
            None => {}
        }
    }

    /// Brings the fields of `config` into their order; others stay behind them.
    pub(super) fn arrange(&mut self) {
        let mut old = std::mem::take(self.object());
        let mut new = Map::new();
        for field in ORDER {
            if let Some(value) = old.shift_remove(*field).filter(|value| !value.is_null()) {
                new.insert((*field).to_owned(), value);
            }
        }
        new.append(&mut old);
        *self.object() = new;
    }

    fn object(&mut self) -> &mut Map<String, Value> {
        let entry = self.0.entry("config").or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        match entry {
            Value::Object(fields) => fields,
            _ => unreachable!("it was made an object"),
        }
    }
}
