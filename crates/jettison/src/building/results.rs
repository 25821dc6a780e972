//! What a build says at its end: the image's ID, the metadata file, the last lines.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jettison_image::{Digest, media};
use jettison_ir::{Proof, Verdict};
use jettison_report::{bytes, proof_human};
use serde_json::{Value, json};

/// An image that was written, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) config: Digest,
    /// The manifest's size in bytes.
    pub(crate) manifest_size: u64,
    pub(crate) base_layers: usize,
    pub(crate) own_layers: usize,
    /// All layers' bytes as stored.
    pub(crate) stored: u64,
    /// The own layers' bytes unpacked.
    pub(crate) own_unpacked: u64,
    /// The same where each instruction's layer is written as it is.
    pub(crate) plain_unpacked: u64,
    /// Paths that the judge compared.
    pub(crate) paths: usize,
}

impl Summary {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "config": self.config,
            "manifest_size": self.manifest_size,
            "base_layers": self.base_layers,
            "own_layers": self.own_layers,
            "stored": self.stored,
            "own_unpacked": self.own_unpacked,
            "plain_unpacked": self.plain_unpacked,
            "paths": self.paths,
        })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key)?.as_u64();
        let count = |key: &str| usize::try_from(number(key)?).ok();
        Some(Self {
            config: value.get("config")?.as_str()?.parse().ok()?,
            manifest_size: number("manifest_size")?,
            base_layers: count("base_layers")?,
            own_layers: count("own_layers")?,
            stored: number("stored")?,
            own_unpacked: number("own_unpacked")?,
            plain_unpacked: number("plain_unpacked")?,
            paths: count("paths")?,
        })
    }
}

/// One output of a build.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// Where it is, as the user may name it.
    pub(crate) place: String,
    pub(crate) names: Vec<String>,
    /// The image; none for a tree.
    pub(crate) image: Option<(Digest, Summary)>,
    /// The image's layers' bytes as stored, the base's first; none for a tree.
    pub(crate) layers: Vec<u64>,
    /// Whether it was there already.
    pub(crate) reused: bool,
    pub(crate) verdict: Verdict,
    pub(crate) notes: Vec<String>,
    pub(crate) acted: Vec<(&'static str, i64)>,
}

/// The whole build's end.
pub(crate) struct Report {
    pub(crate) level: String,
    /// What building both forms of the Dockerfile showed.
    pub(crate) proof: Option<Proof>,
    /// The build by the lines of the Dockerfile, where the JSON is to have it.
    pub(crate) lines: Option<Value>,
    pub(crate) products: Vec<Product>,
    pub(crate) notes: Vec<String>,
    pub(crate) declines: Vec<String>,
    /// Steps: how many were there already, and how many there are.
    pub(crate) steps: (usize, usize),
    pub(crate) took: Duration,
}

impl Report {
    /// The first image that was written.
    pub(crate) fn image(&self) -> Option<(&Product, Digest, &Summary)> {
        self.products.iter().find_map(|product| {
            let (digest, summary) = product.image.as_ref()?;
            Some((product, *digest, summary))
        })
    }

    pub(crate) fn is_equal(&self) -> bool {
        self.products.iter().all(|product| product.verdict.is_equal())
    }

    /// The lines for people.
    pub(crate) fn human(&self, verbose: bool) -> String {
        let mut lines: Vec<String> = Vec::new();
        if let Some(proof) = &self.proof {
            lines.extend(proof_human(proof, verbose).lines().map(str::to_owned));
        }
        for product in &self.products {
            let mut line = format!("{}  {}", product.place, self.level);
            if let Some((_, summary)) = &product.image {
                let (base, own) = (summary.base_layers, summary.own_layers);
                line += &format!("  {base} base + {own} own layers, {} stored", bytes(summary.stored));
                let saved = summary.plain_unpacked.saturating_sub(summary.own_unpacked);
                if saved > 0 {
                    line += &format!(", {} less than at -O0", bytes(saved));
                }
                if product.reused {
                    line += ", was there already";
                }
            }
            lines.push(line);
            lines.extend(product.notes.iter().map(|note| format!("note: {note}")));
            if let Some((digest, summary)) = &product.image {
                lines.push(format!("image ID {}  manifest {digest}", summary.config));
            }
            lines.push(match product.verdict.is_equal() {
                true => format!("verdict: equal ({} paths and all settings compared)", product.verdict.paths),
                false => format!("verdict: NOT equal ({} differences)", product.verdict.differences.len()),
            });
            for difference in product.verdict.differences.iter().take(10) {
                lines.push(format!("  {difference:?}"));
            }
        }
        if verbose {
            lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
            lines.extend(self.declines.iter().map(|decline| format!("declined: {decline}")));
        }
        lines.join("\n")
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let products: Vec<Value> = self.products.iter().map(product_json).collect();
        let mut value = json!({
            "level": self.level,
            "proof": self.proof,
            "outputs": products,
            "steps": { "cached": self.steps.0, "all": self.steps.1 },
            "notes": self.notes,
            "declined": self.declines,
            "seconds": self.took.as_secs_f64(),
        });
        if let Some(lines) = &self.lines {
            value["report"] = lines.clone();
        }
        value
    }

    /// Writes the files that name the image: `--iidfile`, and `--metadata-file` with BuildKit's keys.
    pub(crate) fn write_files(&self, id: Option<&Path>, metadata: Option<&Path>) -> Result<()> {
        let Some((product, digest, summary)) = self.image() else { return Ok(()) };
        let write = |path: &Path, text: String| {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        if let Some(path) = id {
            write(path, summary.config.to_string())?;
        }
        if let Some(path) = metadata {
            let mut value = json!({
                "containerimage.config.digest": summary.config,
                "containerimage.descriptor": {
                    "mediaType": media::OCI_MANIFEST,
                    "digest": digest,
                    "size": summary.manifest_size,
                },
                "containerimage.digest": digest,
            });
            if !product.names.is_empty() {
                value["image.name"] = Value::from(product.names.join(","));
            }
            write(path, format!("{}\n", serde_json::to_string_pretty(&value)?))?;
        }
        Ok(())
    }
}

fn product_json(product: &Product) -> Value {
    let verdict = &product.verdict;
    let mut value = json!({
        "place": product.place,
        "names": product.names,
        "reused": product.reused,
        "notes": product.notes,
        "proof": { "equal": verdict.is_equal(), "paths": verdict.paths, "differences": verdict.differences },
    });
    if let Some((digest, summary)) = &product.image {
        value["digest"] = json!(digest);
        value["image"] = summary.to_json();
        let passes = product.acted.iter().map(|(name, saved)| json!({ "pass": name, "saved_unpacked": saved }));
        value["passes"] = passes.collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let summary = Summary {
            config: Digest::of(b"config"),
            manifest_size: 7,
            base_layers: 1,
            own_layers: 1,
            stored: 3_400_000,
            own_unpacked: 1_000,
            plain_unpacked: 2_500,
            paths: 12,
        };
        let product = Product {
            place: "app:latest".to_owned(),
            names: vec!["app:latest".to_owned()],
            image: Some((Digest::of(b"manifest"), summary)),
            layers: vec![3_399_000, 1_000],
            reused: false,
            verdict: Verdict { paths: 12, ..Verdict::default() },
            notes: Vec::new(),
            acted: vec![("split-layers", 1500)],
        };
        Report {
            level: "-O2".to_owned(),
            proof: None,
            lines: None,
            products: vec![product],
            notes: vec!["-O2 is -O1".to_owned()],
            declines: Vec::new(),
            steps: (1, 2),
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn people_read_what_was_saved_and_that_it_is_proven() {
        let (config, manifest) = (Digest::of(b"config"), Digest::of(b"manifest"));
        let expected = format!(
            "app:latest  -O2  1 base + 1 own layers, 3.4 MB stored, 1.5 kB less than at -O0\nimage ID {config}  manifest {manifest}\nverdict: equal (12 paths and all settings compared)"
        );
        assert_eq!(report().human(false), expected);
        assert_eq!(report().human(true), format!("{expected}\nnote: -O2 is -O1"));
        assert_eq!(report().json()["notes"][0], "-O2 is -O1");
    }

    #[test]
    fn files_name_the_image() {
        let folder = tempfile::tempdir().expect("a folder");
        let (id, metadata) = (folder.path().join("id"), folder.path().join("metadata"));
        report().write_files(Some(&id), Some(&metadata)).expect("writes");
        assert_eq!(fs::read_to_string(id).expect("reads"), Digest::of(b"config").to_string());
        let value: Value = serde_json::from_slice(&fs::read(metadata).expect("reads")).expect("JSON");
        let manifest = Digest::of(b"manifest").to_string();
        assert_eq!(value["containerimage.digest"], manifest.as_str());
        assert_eq!(value["containerimage.descriptor"]["size"], 7);
        assert_eq!(value["containerimage.config.digest"], Digest::of(b"config").to_string());
        assert_eq!(value["image.name"], "app:latest");
    }

    #[test]
    fn summaries_survive() {
        let (_, summary) = report().products[0].image.clone().expect("an image");
        assert_eq!(Summary::from_json(&summary.to_json()), Some(summary));
        assert_eq!(Summary::from_json(&json!({})), None);
    }
}
