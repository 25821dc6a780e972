//! Secrets in an image's config: in the environment, the labels, and the history, where build arguments stand.

use std::fmt;

use bstr::ByteSlice as _;
use jettison_image::Config;
use jettison_ir::{Confidence, Secret};
use serde_json::Value;

use super::{Scanner, SecretsError};

/// A secret that the image's config says. No layer holds it, so that removing files does not remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSecret {
    /// Where it stands, such as `environment variable API_SECRET` or `history of layer 2`.
    pub place: String,
    /// What it is.
    pub secret: Secret,
}

impl fmt::Display for ConfigSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Secret { description, redacted, confidence, .. } = &self.secret;
        write!(
            f,
            "secret in the image's config, which --remove-secrets cannot take out: {description} {redacted} in the {} \
             ({} confidence); give it to the container when it starts, or to the build by RUN --mount=type=secret",
            self.place,
            confidence.name()
        )
    }
}

impl Scanner {
    /// The secrets in an image's config, the first of each place. An instruction of the history that set a variable or
    /// a label is not named again.
    ///
    /// # Errors
    /// Where the library gives up on a text.
    pub fn scan_config(&self, config: &Config) -> Result<Vec<ConfigSecret>, SecretsError> {
        let settings = config.settings();
        let settings = settings.get("config").unwrap_or(&Value::Null);
        let mut found = Vec::new();
        let mut set: Vec<String> = Vec::new();
        for variable in settings["Env"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let name = variable.split('=').next().unwrap_or_default();
            let place = format!("environment variable {}", name.as_bytes().escape_bytes());
            found.extend(self.first(place, &[variable])?);
            set.push(variable.to_owned());
        }
        for (name, value) in settings["Labels"].as_object().into_iter().flatten() {
            let label = format!("{name}={}", value.as_str().unwrap_or_default());
            found.extend(self.first(format!("label {}", name.as_bytes().escape_bytes()), &[&label])?);
            set.push(label);
        }
        let mut layers = 0;
        for (at, entry) in config.history().iter().enumerate() {
            layers += usize::from(!entry.empty_layer);
            let place = if entry.empty_layer {
                format!("history, entry {}", at + 1)
            } else {
                format!("history of layer {layers}")
            };
            let words: Vec<&str> = entry.instruction().split_whitespace().collect();
            // Build arguments stand before the command, and what commands are given stands in it, each as `NAME=value`.
            let is_new = |word: &&str| !set.iter().any(|set| *word == set);
            found.extend(self.first(place, &words.into_iter().filter(is_new).collect::<Vec<_>>())?);
        }
        Ok(found)
    }

    /// The surest secret in texts that are looked at as lines of a file of variables.
    fn first(&self, place: String, texts: &[&str]) -> Result<Option<ConfigSecret>, SecretsError> {
        let texts: Vec<&str> = texts.iter().copied().filter(|text| !is_harmless(text)).collect();
        let mut secrets = self.scan(b"config.env", texts.join("\n").as_bytes())?;
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.confidence));
        let secret = secrets.into_iter().find(|secret| secret.confidence > Confidence::Low);
        Ok(secret.map(|secret| ConfigSecret { place, secret: Secret { line: None, is_whole_file: false, ..secret } }))
    }
}

/// Whether a setting is none of a secret, whatever its name says: a path to one, a word of yes or no, the key that
/// official images know a publisher's signature by, or a digest.
fn is_harmless(text: &str) -> bool {
    const WORDS: [&str; 8] = ["yes", "no", "on", "off", "0", "1", "true", "false"];
    let Some((name, value)) = text.split_once('=') else { return false };
    let value = value.trim_matches(['"', '\'']);
    let name = name.to_ascii_uppercase();
    let is_hexadecimal = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_public =
        ["GPG_KEY", "GPG_KEYS", "SHA256", "SHA512", "SHA1", "CHECKSUM", "DIGEST", "FINGERPRINT", "REVISION"]
            .iter()
            .any(|end| name.ends_with(end));
    value.starts_with('/') || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)) || is_hexadecimal && is_public
}
