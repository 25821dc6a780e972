//! Images made from their text form, and those that most tests use.

use jettison_image::text::{ImageText, LayerText};
use jettison_image::{Digest, Layer, Limits, Tree};
use serde_json::{Value, json};

/// This machine's platform, the one that is taken by default.
pub(crate) const HERE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
/// Another one.
pub(crate) const ELSEWHERE: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
/// The argument for commands that would take all platforms of an index.
pub(crate) const HERE_ALONE: &str =
    if cfg!(target_arch = "aarch64") { "--platform linux/arm64" } else { "--platform linux/amd64" };

/// A base of one layer, then own layers that overwrite, chmod, delete and make again. The history shows
/// where the base ends.
pub(crate) const APP: &str = r##"
config {"architecture":"ARCH","os":"linux","config":{"Cmd":["/app/run"],"Env":["PATH=/bin"]},"x-unknown":{"a":[1,null]}}
layer 1 "ADD rootfs.tar / # buildkit"  {"created":"2024-01-01T00:00:00Z"}
  d 0755 0:0  @1700000000  /bin
  f 0755 0:0  @1700000000.123456789  6000*"sh\n"  /bin/sh
  d 0755 0:0  @1700000000  /etc
  f 0644 0:0  @1700000000  "root:x:0:0\n"  /etc/passwd
  f 0600 0:0  @1700000000  900*"old"  /etc/shadow
empty "CMD [\"/bin/sh\"]"  {"comment":"buildkit.dockerfile.v0"}
layer 2 "COPY . /app # buildkit"  {"created":"2024-01-02T00:00:00Z"}
  d 0755 7:8  @1700000001  /app
  f 0644 7:8  @1700000001  5000*"program"  /app/run  user.note="x\x00y"
  f 0644 7:8  @1700000001  4000*"build"  /app/run.o
  h /app/start => /app/run
  l 0777 0:0  @1700000001  /app/link -> ../etc/passwd
empty "ENV PATH=/bin"  {"comment":"buildkit.dockerfile.v0"}
layer 3 "RUN chmod 755 /app/run # buildkit"  {"created":"2024-01-03T00:00:00Z"}
  d 0755 7:8  @1700000001  /app
  f 0755 7:8  @1700000001  5000*"program"  /app/run  user.note="x\x00y"
  h /app/start => /app/run
layer 4 "RUN rm /app/run.o /etc/shadow # buildkit"  {"created":"2024-01-04T00:00:00Z"}
  d 0755 7:8  @1700000004  /app
  w /app/run.o
  w /etc/shadow
empty "CMD [\"/app/run\"]"  {"comment":"buildkit.dockerfile.v0","author":"me"}
"##;

/// What a container sees of [`APP`].
pub(crate) const APP_SEEN: &str = r##"
  d 0755 7:8  @1700000004  /app
  l 0777 0:0  @1700000001  /app/link -> ../etc/passwd
  f 0755 7:8  @1700000001  5000*"program"  /app/run  user.note="x\x00y"
  h /app/start => /app/run
  d 0755 0:0  @1700000000  /bin
  f 0755 0:0  @1700000000.123456789  6000*"sh\n"  /bin/sh
  d 0755 0:0  @1700000000  /etc
  f 0644 0:0  @1700000000  "root:x:0:0\n"  /etc/passwd
"##;

/// An image with all its bytes.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) config: Vec<u8>,
    /// Plain tars, lowest first.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Image {
    /// The image of a text in which `ARCH` stands for this machine's architecture.
    pub(crate) fn of(text: &str) -> Self {
        let text: ImageText = text.replace("ARCH", HERE).parse().expect("the text form");
        let bytes = text.bytes().expect("contents");
        Self { config: bytes.config.to_json(), layers: bytes.layers }
    }

    /// Layers that the text form cannot write, in an image that is otherwise right.
    pub(crate) fn of_tars(layers: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({
            "architecture": HERE, "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Self { config: config.to_string().into_bytes(), layers }
    }

    pub(crate) fn app() -> Self {
        Self::of(APP)
    }

    /// The same image with another config.
    pub(crate) fn with_config(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut config = self.config_json();
        edit(&mut config);
        self.config = config.to_string().into_bytes();
        self
    }

    /// The same image for another architecture, which its settings name too.
    pub(crate) fn of_architecture(self, architecture: &str) -> Self {
        self.with_config(|config| {
            config["architecture"] = json!(architecture);
            config["config"]["Env"] = json!([format!("ARCH={architecture}")]);
        })
    }

    pub(crate) fn config_json(&self) -> Value {
        serde_json::from_slice(&self.config).expect("JSON")
    }

    /// What a container sees.
    pub(crate) fn seen(&self) -> String {
        seen(&self.layers)
    }
}

/// What a container sees of plain tars, in the text form of the one layer that makes it.
pub(crate) fn seen(tars: &[Vec<u8>]) -> String {
    let layers: Vec<Layer> =
        tars.iter().map(|tar| Layer::read(&tar[..], Limits::default()).expect("a valid layer")).collect();
    LayerText::of_tree(&Tree::of(&layers).expect("layers that apply")).to_string()
}

/// Entries as [`seen`] prints them.
pub(crate) fn entries(text: &str) -> String {
    let image: ImageText = format!("layer 1\n{text}").parse().expect("the text form");
    seen(&image.tars().expect("contents"))
}

#[test]
fn the_image_that_tests_use_is_what_it_says() {
    assert_eq!(Image::app().seen(), entries(APP_SEEN));
}
