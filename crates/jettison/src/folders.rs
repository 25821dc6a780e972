//! The folders of this machine: where the cache is, and in it the images that are at hand by name.

use std::env;
use std::path::{Path, PathBuf};

use jettison_store::{ImageName, LocalStore, Reference, Transport};
use tempfile::TempDir;

use crate::cli::{Cli, Command};
use crate::engines;
use crate::error::Usage;
use crate::printer::Printer;

/// The cache's folder: what was asked for, else `$JETTISON_CACHE`, `$XDG_CACHE_HOME/jettison`, `~/.cache/jettison`.
/// `None` where the environment names no home.
pub(crate) fn cache(asked: Option<&Path>) -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification has relative paths ignored.
    let absolute = |path: &PathBuf| path.is_absolute();
    asked
        .map(Path::to_owned)
        .or_else(|| variable("JETTISON_CACHE"))
        .or_else(|| variable("XDG_CACHE_HOME").filter(absolute).map(|folder| folder.join("jettison")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/jettison")))
}

/// Where the local store is in the cache.
pub(crate) fn images(cache: &Path) -> PathBuf {
    cache.join("images")
}

/// Has the images that a command names by `local:NAME`, or reads by a name that the local store has, found there.
/// The images of engines are brought to files in the folder that is returned.
pub(crate) fn find_images(cli: &mut Cli, printer: &Printer) -> anyhow::Result<Option<TempDir>> {
    let (inputs, asked) = match &mut cli.command {
        Command::Weigh(args) => (vec![Some(&mut args.image), args.base.base.as_mut()], &args.read.cache_dir),
        Command::Optimize(args) => {
            let inputs = vec![Some(&mut args.image), args.base.base.as_mut(), args.layers.previous.as_mut()];
            (inputs, &args.read.cache_dir)
        }
        Command::Build(args) => (vec![args.layers.previous.as_mut()], &args.cache.place.folder),
        Command::Diff(args) => (vec![Some(&mut args.before), Some(&mut args.after)], &args.read.cache_dir),
        Command::Copy(args) => (vec![Some(&mut args.source)], &args.read.cache_dir),
        Command::Receipt(args) => (vec![Some(&mut args.image)], &args.read.cache_dir),
        Command::Dump(args) => (vec![Some(&mut args.image)], &args.read.cache_dir),
        _ => return Ok(None),
    };
    let folder = cache(asked.as_deref()).map(|cache| images(&cache));
    let mut brought = None;
    for input in inputs.into_iter().flatten() {
        *input = found(input, folder.as_deref())?;
        if input.transport.is_some_and(Transport::is_engine) {
            let place = brought.map_or_else(engines::folder, Ok)?;
            *input = engines::bring(input, place.path(), printer)?;
            brought = Some(place);
        }
    }
    let output = match &mut cli.command {
        Command::Optimize(args) if args.output.is_none() && !args.tags.is_empty() => {
            Some(args.output.insert(engines::beside(&args.image)))
        }
        Command::Optimize(args) => args.output.as_mut(),
        Command::Copy(args) => Some(&mut args.target),
        _ => None,
    };
    if let Some(output) = output {
        *output = in_folder(output, folder.as_deref(), |output, folder| Ok(output.in_store(folder)))?;
        if output.transport.is_some_and(Transport::is_engine) {
            let place = brought.map_or_else(engines::folder, Ok)?;
            *output = engines::prepare(output, place.path());
            brought = Some(place);
        }
    }
    Ok(brought)
}

/// An input where it is: a file, the local store, and last the engines of this machine; by way of docker, these first.
fn found(input: &Reference, folder: Option<&Path>) -> anyhow::Result<Reference> {
    let is_bare = input.transport.is_none() && !input.path.exists() && input.path != Path::new("-");
    let in_engine = || if is_bare { engines::find(&input.to_string()) } else { None };
    if engines::is_plugin()
        && let Some(found) = in_engine()
    {
        return Ok(found);
    }
    let here = in_folder(input, folder, Reference::found_in_store);
    if here.as_ref().is_ok_and(|found| found.transport.is_some()) {
        return here;
    }
    in_engine().map_or(here, Ok)
}

fn in_folder(
    reference: &Reference,
    folder: Option<&Path>,
    find: fn(&Reference, &Path) -> Result<Reference, jettison_store::Error>,
) -> anyhow::Result<Reference> {
    match folder {
        Some(folder) => {
            let found = find(reference, folder)?;
            explain_folder(&found, folder)?;
            Ok(found)
        }
        None if reference.transport == Some(Transport::Local) => {
            let error = Usage::new(format!("there is no folder in which {reference} could be"));
            Err(error.with_hint("say where the cache is with --cache-dir or JETTISON_CACHE").into())
        }
        None => Ok(reference.clone()),
    }
}

/// A bare name that is a folder is not looked up among the local images; where it holds no image, one of these may be meant.
fn explain_folder(reference: &Reference, images: &Path) -> Result<(), Usage> {
    let path = &reference.path;
    if reference.transport.is_some() || !path.is_dir() || path.join("index.json").exists() {
        return Ok(());
    }
    let Ok(name) = reference.to_string().parse::<ImageName>() else { return Ok(()) };
    let store = images.join("index.json").is_file().then(|| LocalStore::open(images).ok()).flatten();
    match store.and_then(|store| store.lookup(&name).ok().flatten()) {
        Some(_) => {
            let error = Usage::new(format!("{} is a folder that holds no image", path.display()));
            Err(error.with_hint(format!("the local image of this name is local:{reference}")))
        }
        None => Ok(()),
    }
}
