//! Built images made by hand, for tests.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use jettison_engine::build::BuiltLayer;
use jettison_image::changes::Contents;
use jettison_image::{Config, Descriptor, Digest, Layer, Limits};
use jettison_store::{Reference, Transport};
use serde_json::{Value, json};

use super::export::Images;
use super::write::OwnLayers;

/// Own layers as plain tars in memory.
pub(crate) struct Tars(pub(crate) Vec<Vec<u8>>);

impl OwnLayers for Tars {
    fn write_tar(&self, layer: usize, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.0[layer])
    }

    fn contents(&self) -> Box<dyn Contents + '_> {
        Box::new(Slices(&self.0))
    }
}

struct Slices<'t>(&'t [Vec<u8>]);

impl Contents for Slices<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        out.write_all(&self.0[layer][start..start + usize::try_from(length).map_err(io::Error::other)?])
    }
}

/// A tar of files: path, content, mode.
pub(crate) fn tar(files: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_mtime(1_600_000_000);
        if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).expect("packs");
    }
    builder.into_inner().expect("finishes")
}

/// The layers of tars, one an instruction.
pub(crate) fn layers(tars: &[Vec<u8>]) -> Vec<BuiltLayer> {
    let layer = |(at, bytes): (usize, &Vec<u8>)| BuiltLayer {
        layer: Arc::new(Layer::read(bytes.as_slice(), Limits::default()).expect("a layer")),
        folder: PathBuf::new(),
        instruction: format!("RUN {}", at + 1),
        step: at + 1,
    };
    tars.iter().enumerate().map(layer).collect()
}

/// A config whose history has so many layers, with one instruction without a layer at its end.
pub(crate) fn config(layers: usize) -> Config {
    let mut history: Vec<Value> = (1..=layers).map(|at| json!({ "created_by": format!("RUN {at}") })).collect();
    history.push(json!({ "created_by": "CMD [\"x\"]", "empty_layer": true }));
    let document = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": ["x"] },
        "rootfs": { "type": "layers", "diff_ids": [] },
        "history": history,
    });
    Config::parse(document.to_string().as_bytes()).expect("a config")
}

/// Local images in a folder, with the names that were given.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) tagged: std::cell::RefCell<Vec<(Vec<String>, Digest)>>,
}

impl Folder {
    pub(crate) fn below(cache: &Path) -> Self {
        Self { path: cache.join("images"), tagged: Default::default() }
    }
}

impl Images for Folder {
    fn reference(&self) -> Reference {
        Reference { transport: Some(Transport::Oci), path: self.path.clone(), selector: None }
    }

    fn full(&self, names: &[String]) -> Result<Vec<String>> {
        Ok(names.to_vec())
    }

    fn tag(&self, names: &[String], manifest: &Descriptor, needed: &[Digest]) -> Result<()> {
        for digest in needed {
            assert!(self.path.join("blobs/sha256").join(digest.hex()).is_file(), "{digest} is not there");
        }
        self.tagged.borrow_mut().push((names.to_vec(), manifest.digest));
        Ok(())
    }
}
