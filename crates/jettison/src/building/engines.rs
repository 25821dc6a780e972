//! Which engine runs the steps, and builds by the others: their image is optimized like any that is given.

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jettison_engine::adapters::{self, Adapter, AdapterError, Order};
use jettison_engine::build::Cancel;
use jettison_image::Limits;
use jettison_ir::{ImageOptions, Level, OptimizeReport};
use jettison_store::{Reference, Selector, Transport, Wanted, open};

use super::cancel::on_interrupt;
use super::export::{Images as _, place_of_image};
use super::local::LocalImages;
use super::outputs::{Kind, Place, Target};
use super::request::Checked;
use super::results::{Product, Report, Summary};
use super::run::{finish, pass_all_on};
use super::values::{build_args, host, pair};
use crate::cli::{BaseArgs, Build, NetworkArg, ReadArgs, SnapshotterArg};
use crate::error::{Unbuilt, Usage};
use crate::optimizer::{Request, optimize};
use crate::printer::Printer;

/// Who runs the steps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Embedded,
    Other(Adapter),
}

impl Choice {
    /// `--engine`, else `$JETTISON_ENGINE`, else the embedded one.
    pub(crate) fn of(flag: Option<&str>) -> Result<Self> {
        let variable = || env::var("JETTISON_ENGINE").ok().filter(|text| !text.is_empty());
        match flag {
            None | Some("auto") => Self::parse(variable().as_deref().unwrap_or("embedded")),
            Some(text) => Self::parse(text),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let (name, place) = match text.split_once('=') {
            Some((name, place)) => (name, Some(place.to_owned()).filter(|place| !place.is_empty())),
            None => (text, None),
        };
        Ok(match (name, place) {
            ("auto" | "embedded", None) => Self::Embedded,
            ("docker", host) => Self::Other(Adapter::Docker { host }),
            ("buildkit", address) => Self::Other(Adapter::Buildkit { address }),
            ("buildah", None) => Self::Other(Adapter::Buildah),
            _ => {
                let hint = "there are auto, embedded, buildkit[=ADDRESS], docker[=HOST] and buildah";
                return Err(Usage::new(format!("there is no engine {text:?}")).with_hint(hint).into());
            }
        })
    }
}

/// Builds by another engine, and optimizes what it built into every output.
pub(crate) fn other(
    adapter: &Adapter,
    args: &Build,
    checked: &Checked,
    cache: &Path,
    printer: &Printer,
) -> Result<ExitCode> {
    let start = Instant::now();
    refuse_what_others_lack(adapter, args, checked)?;
    std::fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let folder = tempfile::Builder::new().prefix("built-").tempdir_in(cache).context("cannot write in the cache")?;
    let archive = folder.path().join("image.tar");
    let name = folder.path().file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let tag = format!("jettison-build:{}-{}", std::process::id(), name.trim_start_matches("built-"));
    let recipe = adapter.recipe(&order(args)?, &tag, &archive).map_err(unbuilt)?;
    let cancel = Cancel::default();
    let guard = on_interrupt(&cancel);
    adapters::run(&recipe, &cancel).map_err(unbuilt)?;
    drop(guard);
    let transport = if recipe.is_docker_archive { Transport::DockerArchive } else { Transport::OciArchive };
    let input = Reference { transport: Some(transport), path: archive, selector: None };
    let images = LocalImages::open(cache)?;
    let mut report = Report {
        level: args.level.to_string(),
        proof: None,
        lines: None,
        products: Vec::new(),
        notes: Vec::new(),
        declines: Vec::new(),
        steps: (0, 0),
        took: start.elapsed(),
    };
    for target in checked.targets.iter().filter(|target| target.kind != Kind::Nothing) {
        report.products.push(optimized(args, checked, &input, target, &images, &mut report.declines, printer)?);
    }
    if report.is_equal() {
        pass_all_on(args, checked, &images, &mut report.products, printer)?;
    }
    report.took = start.elapsed();
    finish(args, &report, false, printer)
}

fn optimized(
    args: &Build,
    checked: &Checked,
    input: &Reference,
    target: &Target,
    images: &LocalImages,
    declines: &mut Vec<String>,
    printer: &Printer,
) -> Result<Product> {
    let names = if target.names.is_empty() { &checked.names } else { &target.names };
    let (output, written_names) = match &target.kind {
        Kind::Image(transport, Place::Path(path)) => {
            (Reference { transport: Some(*transport), path: path.clone(), selector: None }, names.clone())
        }
        _ => (images.reference(), images.full(names)?),
    };
    let read = ReadArgs {
        platform: args.inputs.platform.clone(),
        max_layer_size: None,
        cache_dir: args.cache.place.folder.clone(),
        registry: args.images.registry.clone(),
    };
    let request = Request {
        input,
        output: &output,
        level: args.level.min(Level::O1),
        is_plan: false,
        options: ImageOptions::default(),
        attaches_receipt: false,
        base: &BaseArgs { base: None, squash_all: false },
        layers: &args.layers,
        compression: Some(target.encoding()),
        is_dual: false,
        recompress_base: false,
        wanted: read.wanted()?,
        read: &read,
        passes: &args.passes,
        verify_each: args.verify_each,
        names: Some(&written_names),
        target_options: args.images.registry.options()?,
    };
    let mut reports = optimize(&request, printer)?;
    let report = reports.pop().context("the engine built no image")?;
    declines.clone_from(&report.declines);
    let image = if report.verdict.is_equal() { Some(summary(&report, &output)?) } else { None };
    let place = match &image {
        Some((_, summary)) if target.kind == Kind::Store => place_of_image(names, summary.config),
        _ if target.kind == Kind::Store => names.join(", "),
        _ => output.path.display().to_string(),
    };
    Ok(Product {
        place,
        names: names.clone(),
        image,
        layers: Vec::new(),
        reused: false,
        acted: report.acted.iter().map(|acted| (acted.name, acted.saved)).collect(),
        notes: report.notes,
        verdict: report.verdict,
    })
}

/// The image in numbers, of which the report has all but the config's digest.
fn summary(report: &OptimizeReport, output: &Reference) -> Result<(jettison_image::Digest, Summary)> {
    let digest = report.digest.parse().context("the report has no digest")?;
    // Every place that is written holds an OCI layout, which names images by their digests.
    let transport = match output.transport {
        Some(Transport::DockerArchive) => Some(Transport::OciArchive),
        Some(Transport::Local) => Some(Transport::Oci),
        other => other,
    };
    let written = Reference { transport, selector: Some(Selector::Digest(digest)), ..output.clone() };
    let image = open(&written, &Wanted::All, Limits::default())?.images.pop().context("the image is not there")?;
    let own = |measure: &jettison_ir::Measure| measure.unpacked;
    let summary = Summary {
        config: image.manifest.config.digest,
        manifest_size: image.stored_manifest.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64),
        base_layers: report.after.base_layers,
        own_layers: report.after.layers - report.after.base_layers,
        stored: report.after.stored,
        own_unpacked: own(&report.after),
        plain_unpacked: own(&report.before),
        paths: report.verdict.paths,
    };
    Ok((digest, summary))
}

/// What the other engines cannot do, or this command cannot ask of them.
fn refuse_what_others_lack(adapter: &Adapter, args: &Build, checked: &Checked) -> Result<()> {
    let (run, cache, images) = (&args.run, &args.cache, &args.images);
    let is_tree = |target: &Target| matches!(target.kind, Kind::Folder(_) | Kind::Tar(_)) || target.is_stdout();
    let lacking = [
        ("--offline", images.offline),
        ("--registry-mirror", !images.registry.mirrors.is_empty()),
        ("--cache-from", !cache.from.is_empty()),
        ("--cache-to", !args.cache_to.is_empty()),
        ("--snapshotter", cache.snapshotter != SnapshotterArg::Auto),
        ("--trace", run.trace.is_some()),
        ("--timeout", run.steps.timeout.is_some()),
        ("--debug-shell", run.debug_shell),
        ("--jobs", run.steps.jobs.is_some()),
        ("--prove", args.prove),
        ("--report", !checked.reports.is_empty()),
        ("--file -", args.file.as_deref() == Some(Path::new("-"))),
        ("a context on stdin", args.context == "-"),
        ("outputs that are trees or go to stdout", checked.targets.iter().any(is_tree)),
    ];
    let Some((what, _)) = lacking.iter().find(|(_, given)| *given) else { return Ok(()) };
    let message = format!("the engine {} has nothing for {what}", adapter.name());
    Err(Usage::new(message).with_hint("--engine embedded, the default, has").into())
}

fn order(args: &Build) -> Result<Order> {
    let default_shm = 64 << 20;
    Ok(Order {
        context: args.context.clone(),
        file: args.file.clone(),
        target: args.inputs.target.clone(),
        build_args: build_args(&args.inputs.build_args)?.into_iter().collect(),
        contexts: args.inputs.build_contexts.iter().map(|text| pair("--build-context", text)).collect::<Result<_>>()?,
        platform: args.inputs.platform.clone(),
        labels: args.labels.iter().map(|text| pair("--label", text)).collect::<Result<_>>()?,
        secrets: args.run.steps.secrets.clone(),
        ssh: args.run.steps.ssh.clone(),
        hosts: args.run.steps.hosts.iter().map(|text| host(text)).collect::<Result<_>>()?,
        network: match args.run.steps.network {
            NetworkArg::Default => None,
            NetworkArg::Host => Some("host".to_owned()),
            NetworkArg::None => Some("none".to_owned()),
        },
        shm_size: Some(args.run.steps.shm_size).filter(|size| *size != default_shm),
        no_cache: args.cache.no_cache,
        no_cache_stages: args.cache.no_cache_stages.clone(),
        pull: args.images.pull,
    })
}

fn unbuilt(error: AdapterError) -> anyhow::Error {
    let (hint, code) = match &error {
        AdapterError::Missing { .. } => (Some("--engine embedded needs nothing installed".to_owned()), 3),
        AdapterError::Unsupported { .. } => (Some("--engine embedded, the default, has".to_owned()), 2),
        AdapterError::Start { .. } => (None, 3),
        AdapterError::Failed { .. } => (Some("its own message is above".to_owned()), 1),
        AdapterError::Cancelled => (None, 130),
    };
    Unbuilt { message: format!("{:#}", anyhow::Error::new(error)), hint, code }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_by_name() {
        let place = |text: &str| Some(text.to_owned());
        for (text, choice) in [
            ("embedded", Choice::Embedded),
            ("docker", Choice::Other(Adapter::Docker { host: None })),
            ("docker=tcp://h:1", Choice::Other(Adapter::Docker { host: place("tcp://h:1") })),
            ("buildkit=unix:///x", Choice::Other(Adapter::Buildkit { address: place("unix:///x") })),
            ("buildah", Choice::Other(Adapter::Buildah)),
        ] {
            assert_eq!(Choice::of(Some(text)).expect(text), choice);
        }
        assert!(Choice::of(Some("podman")).is_err() && Choice::of(Some("buildah=x")).is_err());
    }
}
