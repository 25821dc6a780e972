//! Images of Docker's engine and of podman: brought to a file for as long as a command works on them, and given back as
//! a file that was proven before.

mod endpoint;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jettison_engine::{containers, ssh};
use jettison_store::daemon::Daemon;
use jettison_store::{ImageName, Progress as _, Reference, Selector, Transport};
use tempfile::TempDir;

use self::endpoint::Endpoint;
use crate::plugin::Engine;
use crate::printer::Printer;
use crate::progress::Stage;

/// What docker says of its engine, where this program is its plugin.
static TOLD: OnceLock<Engine> = OnceLock::new();

/// Takes note of what the docker command was told.
pub(crate) fn told(engine: Engine) {
    let _ = TOLD.set(engine);
}

/// Whether the user asks by way of docker: bare names are then those of its engine first.
pub(crate) fn is_plugin() -> bool {
    TOLD.get().is_some()
}

/// The user's engine of Docker's. Nothing is asked yet.
fn daemon() -> Result<Daemon> {
    let Endpoint { address, tls } = endpoint::of_user()?;
    Ok(if address.starts_with("ssh://") {
        Daemon::behind(&address, Arc::new(ssh::Remote::at(&address)?))
    } else {
        Daemon::at(&address, tls.as_ref())?
    })
}

/// The name that an engine knows an image by.
fn name(reference: &Reference) -> Option<&str> {
    match &reference.selector {
        Some(Selector::Name(name)) => Some(name),
        _ => None,
    }
}

/// Brings the image of an engine into a file of `folder`, where the reference then leads; others stay as they are.
pub(crate) fn bring(reference: &Reference, folder: &Path, printer: &Printer) -> Result<Reference> {
    let (Some(transport), Some(name)) =
        (reference.transport.filter(|transport| transport.is_engine()), name(reference))
    else {
        return Ok(reference.clone());
    };
    let (mut file, path) = tempfile::Builder::new()
        .prefix("image-")
        .tempfile_in(folder)
        .and_then(|file| Ok(file.keep()?))
        .context("no temporary file")?;
    match transport {
        Transport::DockerDaemon => {
            let stage = Stage::start(printer, format!("taking {reference} from the engine"), 0);
            daemon()?.export(name, &mut file, &stage)?;
            stage.end();
        }
        _ => {
            // Podman refuses to write over a file.
            drop(file);
            std::fs::remove_file(&path)?;
            let stage = Stage::start(printer, format!("taking {reference}"), 0);
            while_it_grows(&path, &stage, || containers::save(name, &path))?;
            stage.end();
        }
    }
    Ok(Reference { path, ..reference.clone() })
}

/// Shows how a file grows that another program writes.
fn while_it_grows<T: Send>(file: &Path, stage: &Stage<'_>, work: impl FnOnce() -> T + Send) -> T {
    const PAUSE: Duration = Duration::from_millis(20);
    thread::scope(|threads| {
        let working = threads.spawn(work);
        let mut seen = 0;
        while !working.is_finished() {
            thread::sleep(PAUSE);
            let length = file.metadata().map_or(seen, |metadata| metadata.len());
            stage.advance(length.saturating_sub(seen));
            seen = seen.max(length);
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Where the output for an engine is written before it goes there; others stay as they are.
pub(crate) fn prepare(reference: &Reference, folder: &Path) -> Reference {
    if !reference.transport.is_some_and(Transport::is_engine) {
        return reference.clone();
    }
    Reference { path: folder.join("output.tar"), ..reference.clone() }
}

/// Gives an engine what was written for it; does nothing for other places.
pub(crate) fn deliver(reference: &Reference, printer: &Printer) -> Result<()> {
    match reference.transport {
        Some(Transport::DockerDaemon) => {
            let stage = Stage::start(printer, format!("loading {reference}"), 0);
            daemon()?.import(&reference.path, &stage)?;
            stage.end();
        }
        Some(Transport::ContainersStorage) => containers::load(&reference.path)?,
        _ => return Ok(()),
    }
    std::fs::remove_file(&reference.path).context("a temporary file cannot be removed")
}

/// The engine that has an image of this name: Docker's if it is there, else podman's or buildah's.
pub(crate) fn find(text: &str) -> Option<Reference> {
    let name: ImageName = text.parse().ok()?;
    let docker = endpoint::is_there().then(|| daemon().ok()).flatten();
    if docker.is_some_and(|daemon| daemon.has(&name.full()).unwrap_or(false)) {
        return format!("docker-daemon:{text}").parse().ok();
    }
    containers::has(text).then(|| format!("containers-storage:{text}").parse().ok()).flatten()
}

/// Where a built image is loaded to: Docker's engine; podman's or buildah's images where only these are there.
pub(crate) fn for_loading() -> Transport {
    let is_docker = endpoint::is_told() || endpoint::is_there() || !containers::are_installed();
    if is_docker { Transport::DockerDaemon } else { Transport::ContainersStorage }
}

/// Where an image goes that gets a new name: to where the one that it is made from was.
pub(crate) fn beside(input: &Reference) -> Reference {
    let transport = input.transport.filter(|transport| transport.is_engine()).unwrap_or(Transport::Local);
    Reference { transport: Some(transport), path: PathBuf::new(), selector: None }
}

/// The folders that an interruption must remove.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder for the images of engines, removed with all that is in it.
pub(crate) fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("jettison-").tempdir().context("no folder for temporary files")?;
    if let Ok(mut folders) = FOLDERS.lock() {
        folders.push(folder.path().to_owned());
    }
    Ok(folder)
}

/// Removes what is left of images of engines, where the process is about to be ended.
pub(crate) fn remove_folders() {
    for folder in FOLDERS.lock().iter().flat_map(|folders| folders.iter()) {
        let _ = std::fs::remove_dir_all(folder);
    }
}
