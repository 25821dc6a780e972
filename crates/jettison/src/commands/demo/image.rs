//! The demo's images: a base of this machine's tools, and one on top of it whose layers do to files what Dockerfiles do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jettison_image::{Compression, Config, Descriptor, Manifest, media};
use jettison_store::{Encoding, Output, Reference, Transport};
use serde_json::json;

use super::host::HostFiles;
use super::layer::{Content, Entry, write_layer};

/// Where the image keeps the small files.
const APP: &str = "srv/app";
/// Where the tools lie.
const PATH: &str = "PATH=/usr/bin:/bin:/usr/sbin:/sbin";

fn file(path: impl Into<String>, mode: u16, content: Content) -> Entry {
    Entry::File { path: path.into(), mode, content }
}

/// A layer with the Dockerfile line that stands for it.
type Made = (&'static str, Vec<Entry>);

fn base_layer(files: &HostFiles) -> Made {
    let tool =
        |path: &PathBuf| file(path.to_string_lossy().trim_start_matches('/'), 0o755, Content::Host(path.clone()));
    let mut entries: Vec<Entry> = files.tools.iter().map(tool).collect();
    entries.push(file("etc/passwd", 0o644, Content::Text("root:x:0:0:root:/root:/bin/sh\n")));
    ("ADD rootfs.tar /", entries)
}

fn layers(files: &HostFiles) -> Vec<Made> {
    let app = |path: &PathBuf| format!("{APP}{}", path.to_string_lossy());
    let third = |at: usize| files.small.iter().enumerate().filter(move |(n, _)| n % 3 == at).map(|(_, path)| path);
    let build =
        |path: &PathBuf| file(format!("opt/build{}", path.to_string_lossy()), 0o644, Content::Host(path.clone()));
    vec![
        base_layer(files),
        (
            "COPY . /srv/app",
            files.small.iter().map(|path| file(app(path), 0o600, Content::Host(path.clone()))).collect(),
        ),
        ("RUN make -C /srv/app DESTDIR=/opt/build", third(0).chain(third(1)).map(build).collect()),
        (
            "RUN chmod -R go+r /srv/app",
            files.small.iter().map(|path| file(app(path), 0o644, Content::Host(path.clone()))).collect(),
        ),
        (
            "RUN sed -i '$a # ready' $(cat /srv/app/list)",
            third(2).map(|path| file(app(path), 0o644, Content::Edited(path.clone()))).collect(),
        ),
        ("RUN rm -rf /opt/build", vec![Entry::Whiteout("opt/.wh.build".to_owned())]),
        (
            "RUN mkdir /opt/build && echo done > /opt/build/stamp",
            vec![file("opt/build/stamp", 0o644, Content::Text("done\n"))],
        ),
    ]
}

/// Writes the image that nobody optimized to `path`.
pub(super) fn write_wasteful(path: &Path, files: &HostFiles) -> Result<()> {
    write(path, "demo:latest", layers(files), &["APP=/srv/app"])
}

/// Writes the base image to `path`.
pub(super) fn write_base(path: &Path, files: &HostFiles) -> Result<()> {
    write(path, "base:latest", vec![base_layer(files)], &[])
}

fn write(path: &Path, name: &str, layers: Vec<Made>, variables: &[&str]) -> Result<()> {
    let target = Reference { transport: Some(Transport::DockerArchive), path: path.to_owned(), selector: None };
    let mut output = Output::create(&target, Transport::DockerArchive)?;
    let mut diff_ids = Vec::new();
    let mut descriptors = Vec::new();
    let mut history = Vec::new();
    for (instruction, entries) in layers {
        let (written, _) = output.write_layer(Encoding::NONE, &(), |out| write_layer(&entries, out))?;
        diff_ids.push(written.diff_id.to_string());
        let media_type = Compression::None.media_type(media::Dialect::Oci);
        descriptors.push(Descriptor::new(media_type, written.digest, written.stored_size));
        let comment = "buildkit.dockerfile.v0";
        history.push(json!({ "created_by": format!("{instruction} # buildkit"), "comment": comment }));
        if history.len() == 1 {
            history.push(json!({ "created_by": "CMD [\"/bin/sh\"]", "comment": comment, "empty_layer": true }));
        }
    }
    for variable in variables {
        let created_by = format!("ENV {variable}");
        history.push(json!({ "created_by": created_by, "comment": "buildkit.dockerfile.v0", "empty_layer": true }));
    }
    let environment: Vec<&str> = std::iter::once(PATH).chain(variables.iter().copied()).collect();
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": environment, "Cmd": ["/bin/sh"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    }))?;
    Config::parse(&config).context("the demo's own config")?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.to_owned()),
        config: Descriptor::of(media::OCI_CONFIG, &config),
        layers: descriptors,
        rest: serde_json::Map::new(),
    };
    let bytes = serde_json::to_vec(&manifest)?;
    output.add_image(manifest, &bytes, &config)?;
    output.finish(&[name.to_owned()], None)?;
    output.publish(&())?;
    Ok(())
}
