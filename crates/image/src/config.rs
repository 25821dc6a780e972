//! The image config, kept field for field: only `rootfs.diff_ids` and `history` are ever rewritten.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::platform::Platform;

/// An image config (image-spec, config.md), with all its fields in the order of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    document: Map<String, Value>,
    diff_ids: Vec<Digest>,
    history: Option<Vec<HistoryEntry>>,
}

/// One entry of the config's history.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, as RFC 3339; kept as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction or command that made the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The builder's own remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True for instructions that made no layer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    /// `author` and whatever else is there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature that serde calls.
fn is_false(value: &bool) -> bool {
    !value
}

impl HistoryEntry {
    /// The instruction as text; empty where the builder left none.
    #[must_use]
    pub fn instruction(&self) -> &str {
        self.created_by.as_deref().unwrap_or_default()
    }
}

/// Why a document is not an image config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a field of another type than the specification's.
    #[error("image config is not valid")]
    Json(#[from] serde_json::Error),
    /// `rootfs.diff_ids` is missing: an image of before Docker 1.10, or no image at all.
    #[error("image config has no rootfs.diff_ids")]
    NoDiffIds,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

impl Config {
    /// Reads a config document.
    ///
    /// # Errors
    /// Where the bytes are not a JSON object with the `rootfs` that every image has.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let document: Map<String, Value> = serde_json::from_slice(bytes)?;
        let rootfs: RootFs = match document.get("rootfs") {
            Some(value) if value.get("diff_ids").is_some() => serde_json::from_value(value.clone())?,
            _ => return Err(ConfigError::NoDiffIds),
        };
        let history = match document.get("history") {
            None | Some(Value::Null) => None,
            Some(value) => Some(serde_json::from_value(value.clone())?),
        };
        Ok(Self { document, diff_ids: rootfs.diff_ids, history })
    }

    /// The digests of the uncompressed layers, lowest first.
    #[must_use]
    pub fn diff_ids(&self) -> &[Digest] {
        &self.diff_ids
    }

    /// The history, oldest first; empty where the config has none.
    #[must_use]
    pub fn history(&self) -> &[HistoryEntry] {
        self.history.as_deref().unwrap_or_default()
    }

    /// Whether the config has a history at all.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// Every field but `rootfs` and `history`: what a container's configuration is made of.
    #[must_use]
    pub fn settings(&self) -> Map<String, Value> {
        let mut settings = self.document.clone();
        settings.shift_remove("rootfs");
        settings.shift_remove("history");
        settings
    }

    /// One top-level field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.document.get(key)
    }

    /// The platform that the image is for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let text = |key: &str| self.document.get(key).and_then(Value::as_str).map(str::to_owned);
        Platform {
            os: text("os").unwrap_or_default(),
            architecture: text("architecture").unwrap_or_default(),
            variant: text("variant").filter(|v| !v.is_empty()),
            rest: Map::new(),
        }
    }

    /// The same config over other layers. All other fields, and their order, stay. A config without
    /// a history stays without one.
    #[must_use]
    pub fn with_layers(&self, diff_ids: Vec<Digest>, history: Vec<HistoryEntry>) -> Self {
        let mut document = self.document.clone();
        let texts: Vec<Value> = diff_ids.iter().map(|id| Value::from(id.to_string())).collect();
        if let Some(rootfs) = document.get_mut("rootfs").and_then(Value::as_object_mut) {
            rootfs.insert("diff_ids".to_owned(), Value::from(texts));
        }
        let history = self.history.is_some().then_some(history);
        if let Some(history) = &history {
            let entries = serde_json::to_value(history).unwrap_or_default();
            document.insert("history".to_owned(), entries);
        }
        Self { document, diff_ids, history }
    }

    /// The document as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // A map of values always prints: its keys are strings and its numbers come from JSON.
        serde_json::to_vec(&self.document).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn replaces_layers_and_keeps_every_other_field_in_place() {
        let text = format!(
            r#"{{"x":1,"config":{{"Healthcheck":{{"Test":["CMD"]}},"OnBuild":["RUN x"]}},"rootfs":{{"type":"layers","diff_ids":["{ID}"]}},"history":[{{"created_by":"a","author":"me"}}],"os.features":["f"]}}"#
        );
        let config = Config::parse(text.as_bytes()).expect("parses");
        assert_eq!(config.history()[0].instruction(), "a");
        let same = config.with_layers(config.diff_ids().to_vec(), config.history().to_vec());
        assert_eq!(String::from_utf8(same.to_json()).expect("utf-8"), text);
    }

    #[test]
    fn a_config_without_history_gets_none() {
        let config = Config::parse(format!(r#"{{"rootfs":{{"diff_ids":["{ID}"]}}}}"#).as_bytes()).expect("parses");
        assert!(!config.has_history());
        assert!(config.with_layers(vec![], vec![HistoryEntry::default()]).get("history").is_none());
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(matches!(Config::parse(b"{"), Err(ConfigError::Json(_))));
        assert!(matches!(Config::parse(b"{}"), Err(ConfigError::NoDiffIds)));
        assert!(matches!(Config::parse(br#"{"rootfs":{"diff_ids":["x"]}}"#), Err(ConfigError::Json(_))));
    }
}
