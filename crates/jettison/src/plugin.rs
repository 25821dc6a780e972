//! `docker jettison`: this program as a plugin of the docker command (docker/cli, "CLI plugins"), which starts it as
//! `docker-jettison` with the words that the user wrote.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The name that the docker command looks for.
const FILE: &str = "docker-jettison";
/// The word by which it asks what a plugin is.
const METADATA: &str = "docker-cli-plugin-metadata";
/// The plugin's name among the words.
const NAME: &str = "jettison";

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The command as it stands.
    Plain(Vec<OsString>),
    /// What the plugin is.
    Metadata,
    /// A command by way of docker, whose own options say which engine is meant.
    Plugin { words: Vec<OsString>, engine: Engine },
}

/// Which engine the docker command was told to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Engine {
    pub(crate) host: Option<String>,
    pub(crate) context: Option<String>,
    /// Whether TLS is to be spoken.
    pub(crate) tls: Option<bool>,
    /// Whether the engine's certificate is to be checked; saying either asks for TLS.
    pub(crate) tls_verify: Option<bool>,
    /// The files for TLS, in PEM.
    pub(crate) authority: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
}

/// What is asked for by the words of the process, its own name the first.
pub(crate) fn call(words: Vec<OsString>) -> Call {
    let is_plugin = words.first().and_then(|name| Path::new(name).file_name()) == Some(OsStr::new(FILE));
    if !is_plugin {
        return Call::Plain(words);
    }
    if words.get(1).is_some_and(|word| word == METADATA) {
        return Call::Metadata;
    }
    // Docker's own options stand before the plugin's name. Without the name somebody has started the program by hand.
    let Some(at) = words.iter().skip(1).position(|word| word == NAME).map(|at| at + 1) else {
        return Call::Plain(words);
    };
    let (before, after) = (&words[1..at], &words[at + 1..]);
    // `docker help jettison weigh` asks for what `docker jettison weigh --help` shows.
    let help = before.iter().any(|word| word == "help").then(|| OsString::from("--help"));
    let words = std::iter::once(OsString::from(NAME)).chain(after.iter().cloned()).chain(help).collect();
    Call::Plugin { words, engine: engine(before) }
}

fn engine(words: &[OsString]) -> Engine {
    let mut engine = Engine::default();
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        let place = match name {
            "-H" | "--host" => &mut engine.host,
            "-c" | "--context" => &mut engine.context,
            "--tlscacert" => &mut engine.authority,
            "--tlscert" => &mut engine.certificate,
            "--tlskey" => &mut engine.key,
            "--tls" | "--tlsverify" => {
                // As Go reads it: without a value it is on.
                let is_on = value.is_none_or(|value| matches!(&*value, "1" | "t" | "T" | "true" | "TRUE" | "True"));
                *(if name == "--tls" { &mut engine.tls } else { &mut engine.tls_verify }) = Some(is_on);
                continue;
            }
            _ => continue,
        };
        *place = value.or_else(|| words.next().map(str::to_owned));
    }
    engine
}

/// What docker shows of the plugin.
pub(crate) fn metadata() -> String {
    let value = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "jettison",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Make images smaller, and prove that they are the same",
    });
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn docker_asks_and_calls_in_its_own_way() {
        let plain = "jettison docker-cli-plugin-metadata";
        assert_eq!(call(words(plain)), Call::Plain(words(plain)));
        assert_eq!(call(words("/x/docker-jettison docker-cli-plugin-metadata")), Call::Metadata);
        let metadata: serde_json::Value = serde_json::from_str(&metadata()).expect("JSON");
        assert_eq!(metadata["SchemaVersion"], "0.1.0");
        let by_hand = "/x/docker-jettison weigh app";
        assert_eq!(call(words(by_hand)), Call::Plain(words(by_hand)));
        let engine = |host: Option<&str>, context: Option<&str>| Engine {
            host: host.map(str::to_owned),
            context: context.map(str::to_owned),
            ..Engine::default()
        };
        for (line, expected) in [
            ("jettison weigh jettison:1", engine(None, None)),
            ("--host tcp://h:1 jettison weigh jettison:1", engine(Some("tcp://h:1"), None)),
            ("-D --context=far -H=tcp://h:1 jettison weigh jettison:1", engine(Some("tcp://h:1"), Some("far"))),
        ] {
            let found = call(words(&format!("/x/docker-jettison {line}")));
            assert_eq!(found, Call::Plugin { words: words("jettison weigh jettison:1"), engine: expected }, "{line}");
        }
        let line = "/x/docker-jettison --tlsverify=false --tls --tlscacert /a --tlscert=/c --tlskey /k jettison weigh";
        let Call::Plugin { engine: encrypted, .. } = call(words(line)) else { panic!("{line}") };
        assert_eq!((encrypted.tls, encrypted.tls_verify), (Some(true), Some(false)));
        let files = [encrypted.authority, encrypted.certificate, encrypted.key];
        assert_eq!(files, ["/a", "/c", "/k"].map(|file| Some(file.to_owned())));
        let help = call(words("/x/docker-jettison help jettison weigh"));
        assert_eq!(help, Call::Plugin { words: words("jettison weigh --help"), engine: engine(None, None) });
    }
}
