//! The library's rules, in the sets that files of different places are looked through with.

use jettison_ir::Confidence;
use redact_secret::{BuiltInRegistry, DefaultPolicy, DetectionSelection};

use super::SecretsError;
use super::place::Place;

/// Detectors that go by the name beside a value and not by the value's form. They are right about settings; in
/// source and documents they take examples and expressions for passwords.
const BY_NAME: [&str; 13] = [
    "ai21-api-key",
    "cohere-api-key",
    "confluent-cloud-api-secret-legacy",
    "datadog-api-key",
    "datadog-application-key-legacy",
    "deepgram-api-key",
    "generic-token",
    "heroku-api-key-legacy",
    "mistral-api-key",
    "new-relic-license-key",
    "pinecone-api-key",
    "twilio-api-key-secret",
    "twilio-auth-token",
];

/// Forms that documents and tests of packages are full of, while they are nobody's secret there.
const IN_DOCUMENTS: [&str; 4] = ["bearer-token", "connection-string", "jwt", "otpauth-uri"];

/// Private keys: looked for apart, since they have many lines.
const KEYS: &str = "private-key";

/// One find in a text.
pub(super) struct Hit {
    /// The detector.
    pub(super) rule: String,
    /// The kind of secret, in words with underscores.
    pub(super) kind: String,
    pub(super) confidence: Confidence,
    /// Where it starts and ends in the whole text, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The sets.
pub(super) struct Rules {
    /// Tokens of providers.
    tokens: BuiltInRegistry,
    /// Those, and what is found in documents.
    forms: BuiltInRegistry,
    /// All but private keys.
    everything: BuiltInRegistry,
    keys: BuiltInRegistry,
}

impl Rules {
    pub(super) fn new() -> Result<Self, SecretsError> {
        let without = |left_out: &[&[&str]]| {
            let ids = left_out.iter().flat_map(|ids| ids.iter().copied());
            set(&DetectionSelection::exclude(ids.chain([KEYS])))
        };
        Ok(Self {
            tokens: without(&[&BY_NAME, &IN_DOCUMENTS])?,
            forms: without(&[&BY_NAME])?,
            everything: without(&[])?,
            keys: set(&DetectionSelection::include([KEYS]))?,
        })
    }

    /// What is found in a window that starts at `offset` of a text at this place.
    pub(super) fn tokens(&self, place: Place, window: &[u8], offset: usize) -> Result<Vec<Hit>, SecretsError> {
        look(if place == Place::Software { &self.tokens } else { &self.forms }, window, offset)
    }

    /// What is found in a window that starts at `offset` of somebody's settings.
    pub(super) fn everything(&self, window: &[u8], offset: usize) -> Result<Vec<Hit>, SecretsError> {
        look(&self.everything, window, offset)
    }

    /// The private keys.
    pub(super) fn keys(&self, content: &[u8]) -> Result<Vec<Hit>, SecretsError> {
        look(&self.keys, content, 0)
    }
}

fn set(selection: &DetectionSelection) -> Result<BuiltInRegistry, SecretsError> {
    let all = BuiltInRegistry::with_built_in().map_err(|source| SecretsError::Library { source })?;
    all.with_detection(selection).map_err(|source| SecretsError::Rules { source })
}

/// The library takes text; what is not UTF-8 stands between the pieces that it is given.
fn look(rules: &BuiltInRegistry, content: &[u8], offset: usize) -> Result<Vec<Hit>, SecretsError> {
    let mut hits = Vec::new();
    let mut at = offset;
    for chunk in content.utf8_chunks() {
        let found = rules.scan(chunk.valid(), &DefaultPolicy).map_err(|source| SecretsError::File { source })?;
        hits.extend(found.iter().map(|found| Hit {
            rule: found.detector().to_owned(),
            kind: found.type_name().to_owned(),
            confidence: match found.confidence() {
                redact_secret::Confidence::Low => Confidence::Low,
                redact_secret::Confidence::Medium => Confidence::Medium,
                redact_secret::Confidence::High => Confidence::High,
            },
            start: at + found.range().start(),
            end: at + found.range().end(),
        }));
        at += chunk.valid().len() + chunk.invalid().len();
    }
    Ok(hits)
}
