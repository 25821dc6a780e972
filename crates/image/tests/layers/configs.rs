//! Cases of merging, 13: configs and histories, from the text form and back to it.

use jettison_image::history::Source;
use jettison_image::text::ImageText;
use jettison_image::{Config, Digest, history, validate};

/// Every field that the specification and Docker know, and one that nobody does.
const SETTINGS: &str = r#"{"created":"2024-01-01T00:00:00Z","author":"a","architecture":"arm","os":"windows","variant":"v7","os.version":"10.0","os.features":["win32k"],"config":{"User":"u","ExposedPorts":{"80/tcp":{}},"Env":["A=\"b c\"\n"],"Entrypoint":null,"Cmd":[],"Volumes":{"/v":{}},"WorkingDir":"/","Labels":{"k":"v"},"StopSignal":"SIGKILL","ArgsEscaped":true,"Healthcheck":{"Test":["NONE"],"Interval":30000000000},"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"StopTimeout":5},"x-unknown":[1,-2.5,{"y":null}]}"#;

/// The text, and the config that is made of it and printed again.
fn round_trip(text: &str) -> Config {
    let image: ImageText = text.parse().expect("the text form");
    let bytes = image.bytes().expect("an image");
    let layers = image.layers().expect("layers");
    assert_eq!(ImageText::of(&bytes.config, &layers).to_string(), text);
    let diff_ids: Vec<Digest> = bytes.layers.iter().map(|tar| Digest::of(tar)).collect();
    assert_eq!(bytes.config.diff_ids(), diff_ids);
    validate::diff_ids(&bytes.config, &diff_ids).expect("the layers' digests");
    bytes.config
}

#[test]
fn case_13_every_field_is_kept() {
    let config = round_trip(&format!("config {SETTINGS}\nlayer 1\n"));
    let text = String::from_utf8(config.to_json()).expect("utf-8");
    assert!(text.starts_with(&SETTINGS[..SETTINGS.len() - 1]), "{text}");
    assert_eq!(config.platform().to_string(), "windows/arm/v7");
    let relayered = config.with_layers(Vec::new(), Vec::new());
    assert_eq!(relayered.settings(), config.settings());
}

#[test]
fn case_13_empty_layers_anywhere() {
    let config = round_trip(
        "empty \"ARG x\"\nempty \"ENV a=\\\"b\\\"\\n\"\nlayer 1  \"RUN 1\"\nempty \"USER u\"\nlayer 2  \"RUN 2\"  {\"created\":\"2024-01-01T00:00:00Z\",\"comment\":\"buildkit.dockerfile.v0\"}\nempty \"CMD x\"\n",
    );
    validate::history(&config).expect("an entry for each layer");
    assert_eq!(history::makers(&config, 2), [Some(2), Some(4)]);
    assert_eq!(history::instructions(&config, 2), ["RUN 1", "RUN 2"]);
    assert_eq!(config.history()[4].comment.as_deref(), Some("buildkit.dockerfile.v0"));
}

#[test]
fn case_13_history_missing_short_or_long() {
    let missing = round_trip("layer 1\nlayer 2\n");
    assert!(!missing.has_history());
    assert_eq!(history::makers(&missing, 2), [None, None]);
    let short = round_trip("layer 1  \"RUN 1\"\nlayer 2\n");
    assert!(validate::history(&short).is_err());
    assert_eq!(history::makers(&short, 2), [Some(0), None]);
    let long = round_trip("layer 1  \"RUN 1\"\nsurplus \"RUN 2\"\nempty \"CMD x\"\n");
    assert!(validate::history(&long).is_err());
    assert_eq!(history::makers(&long, 1), [Some(0)]);
    let none = round_trip("empty \"CMD x\"\n");
    assert_eq!(none.diff_ids().len(), 0);
}

#[test]
fn case_13_merged_histories_have_an_entry_a_layer() {
    for text in [
        "empty \"ARG\"\nlayer 1  \"1\"\nlayer 2  \"2\"\nempty \"ENV\"\nlayer 3  \"3\"\nempty \"CMD\"\n",
        "layer 1  \"1\"\nlayer 2\nlayer 3\n",
        "layer 1\nlayer 2\nlayer 3\n",
        "layer 1  \"1\"\nlayer 2  \"2\"\nlayer 3  \"3\"\nsurplus \"4\"\nsurplus \"5\"\nempty \"CMD\"\n",
    ] {
        let config = round_trip(text);
        for kept in 0..=3 {
            for parts in [vec![], vec![(kept..3).collect()], (kept..3).map(|layer| vec![layer]).collect::<Vec<_>>()] {
                let sources: Vec<Source> =
                    parts.iter().map(|layers| Source { layers: layers.clone(), holds: Vec::new() }).collect();
                let merged = history::merged(&config, 3, kept, &sources);
                let after = config.with_layers(vec![Digest::default(); kept + parts.len()], merged.clone());
                validate::history(&after).expect(text);
                let empty = |config: &Config| config.history().iter().filter(|entry| entry.empty_layer).count();
                assert!(!config.has_history() || empty(&after) == empty(&config), "{text}");
            }
        }
    }
}

#[test]
fn case_13_a_layer_without_a_text_before_one_with_a_text() {
    let image: ImageText = "layer 1\nlayer 2 \"RUN 2\"".parse().expect("the text form");
    let config = image.bytes().expect("an image").config;
    assert_eq!(history::instructions(&config, 2), ["", "RUN 2"]);
    let layers = image.layers().expect("layers");
    assert_eq!(ImageText::of(&config, &layers).to_string(), "layer 1  {}\nlayer 2  \"RUN 2\"\n");
}
