//! What a build is asked, and what it gives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jettison_image::{Config, Digest, Layer, Platform};
use jettison_store::StoredImage;

use super::error::BuildError;
use super::state::OwnLayer;
use crate::base::BaseImage;
use crate::cache::Cache;
use crate::ids::Ids;
use crate::plan::Base;
use crate::trace::Trace;

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Request {
    /// The Dockerfile's bytes.
    pub dockerfile: Vec<u8>,
    /// Its path as messages show it.
    pub dockerfile_name: String,
    /// The context's folder, and the ignore file's text. A context from a tar, git or the standard input was unpacked.
    pub context: ContextFolder,
    /// `--build-context`: name to folder or image.
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--platform`.
    pub platform: Platform,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--secret`: id to the file or variable that holds it.
    pub secrets: BTreeMap<String, Secret>,
    /// `--ssh`: id to the agent's socket.
    pub ssh: BTreeMap<String, PathBuf>,
    /// `--add-host`.
    pub extra_hosts: Vec<(String, String)>,
    /// `--network`: of steps that say nothing.
    pub network: crate::sandbox::Network,
    /// `--shm-size`.
    pub shm_size: u64,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--no-cache-filter`: stages.
    pub no_cache_stages: Vec<String>,
    /// `--pull`: ask registries even for images that are here.
    pub pull: bool,
    /// `--offline`: never ask registries, nor fetch anything.
    pub offline: bool,
    /// How registries are spoken to.
    pub registry: jettison_store::registry::Options,
    /// `--cache-from`: OCI layouts.
    pub cache_from: Vec<PathBuf>,
    /// `--trace`.
    pub trace: bool,
    /// `--timeout`: of each RUN.
    pub timeout: Option<Duration>,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 for the times that the build makes up.
    pub source_date_epoch: Option<i64>,
    /// At most so many RUNs at once.
    pub jobs: usize,
    /// `--debug-shell`: a command that fails leaves a shell in its tree, on this process's terminal.
    pub debug_shell: bool,
}

/// A folder that files are copied from.
#[derive(Clone, Debug, Default)]
pub struct ContextFolder {
    /// The folder; `None` for an empty context.
    pub folder: Option<PathBuf>,
    /// The text of its ignore file; empty where there is none.
    pub ignore: String,
}

/// What `--build-context NAME=` names.
#[derive(Clone, Debug)]
pub enum NamedContext {
    /// A folder, with its own ignore file.
    Folder(ContextFolder),
    /// An image: a reference as commands take it, or as FROM does.
    Image(String),
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In this process's environment, read already.
    Value(Vec<u8>),
}

/// Stops a build from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    stopped: Arc<AtomicBool>,
    /// What stops it as well.
    above: Option<Arc<Cancel>>,
}

impl Cancel {
    /// Stops it.
    pub fn cancel(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.above.as_ref().is_some_and(|above| above.is_cancelled())
    }

    /// One that is stopped with this one, but not the other way round.
    pub(crate) fn below(&self) -> Self {
        Self { stopped: Arc::default(), above: Some(Arc::new(self.clone())) }
    }
}

/// An image that was built, whose own layers lie unpacked in the cache. Its layers are read only where that is asked
/// for: whoever finds that it was written before needs none of them.
#[derive(Debug)]
pub struct Built {
    /// The image that it is built on, its layers' blobs at hand; `None` for scratch.
    pub base: Option<Arc<BaseImage>>,
    /// What its steps made, the lowest layer first.
    pub(crate) own: Vec<OwnLayer>,
    /// Where its layers lie.
    pub(crate) cache: Cache,
    /// Whom its files belong to there.
    pub(crate) ids: Ids,
    /// The config's document without `rootfs`; `history` is complete, with `empty_layer` where there is none.
    pub config: Config,
    /// The steps of all stages that were needed, in the order in which they ended.
    pub steps: Vec<BuiltStep>,
    /// All stages, in the order of the Dockerfile.
    pub stages: Vec<BuiltStage>,
    /// Which of them the image is.
    pub target: usize,
    /// The keys of their results: what an exported cache holds.
    pub keys: Vec<Digest>,
}

impl Built {
    /// What its own layers say, the lowest first, each as one digest.
    ///
    /// # Errors
    /// Where the cache cannot be read.
    pub fn layer_digests(&self) -> Result<Vec<Digest>, BuildError> {
        self.own.iter().map(|own| Ok(own.snapshot.layer_digest()?)).collect()
    }

    /// The first and last line of a step, counted from 1; zeros where there is no such step.
    #[must_use]
    pub fn lines_of(&self, step: usize) -> (usize, usize) {
        let found = self.steps.iter().find(|one| one.number == step);
        found.map_or((0, 0), |step| (step.lines.0 as usize, step.lines.1 as usize))
    }

    /// What reads the contents of its base, one merged tree, when that is asked for.
    #[must_use]
    pub fn base_tree(&self) -> Option<BaseTree> {
        let base = self.base.as_ref()?;
        Some(BaseTree { base: Arc::clone(base), cache: self.cache.clone(), ids: self.ids })
    }

    /// Reads its layers.
    ///
    /// # Errors
    /// Where the cache or the base cannot be read.
    pub fn read(&self) -> Result<BuiltLayers, BuildError> {
        let own = self.own.iter().map(|own| {
            Ok(BuiltLayer {
                layer: own.snapshot.layer()?,
                folder: own.snapshot.folder(),
                instruction: own.instruction.clone(),
                step: own.step,
            })
        });
        let own = own.collect::<Result<_, BuildError>>()?;
        let Some(base) = &self.base else { return Ok(BuiltLayers { base: None, own }) };
        let layers = base
            .layers(&self.cache)
            .map_err(|source| BuildError::Base { image: base.name.clone(), source: Box::new(source) })?;
        Ok(BuiltLayers { base: Some(BuiltBase { name: base.name.clone(), image: base.image.clone(), layers }), own })
    }
}

/// The layers of a built image, read.
#[derive(Debug)]
pub struct BuiltLayers {
    /// The image that it is built on; `None` for scratch.
    pub base: Option<BuiltBase>,
    /// Its own layers, the lowest first.
    pub own: Vec<BuiltLayer>,
}

/// The tree of a base image, unpacked when it is opened if that was never done.
#[derive(Debug)]
pub struct BaseTree {
    base: Arc<BaseImage>,
    cache: Cache,
    ids: Ids,
}

impl BaseTree {
    /// Its one layer, and the folder with the files.
    ///
    /// # Errors
    /// Where the base or the cache cannot be read.
    pub fn open(&self) -> Result<(Arc<Layer>, PathBuf), BuildError> {
        let error = |source| BuildError::Base { image: self.base.name.clone(), source: Box::new(source) };
        let snapshot = self.base.unpacked(&self.cache, self.ids).map_err(error)?;
        Ok((snapshot.layer()?, snapshot.folder()))
    }
}

/// The base of a built image.
#[derive(Debug)]
pub struct BuiltBase {
    /// As FROM names it.
    pub name: String,
    /// The image with its blobs.
    pub image: StoredImage,
    /// Its layers as values, the lowest first.
    pub layers: Vec<Arc<Layer>>,
}

/// A layer of a built image.
#[derive(Clone, Debug)]
pub struct BuiltLayer {
    /// Its entries; offsets of contents count in the tar that `snapshot::write_tar` writes.
    pub layer: Arc<Layer>,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// The instruction that made it.
    pub instruction: String,
    /// The number of the step that made it, which may be one of a stage below the target.
    pub step: usize,
}

/// A stage of a Dockerfile that was built.
#[derive(Clone, Debug)]
pub struct BuiltStage {
    /// Its name, or its number where it has none.
    pub name: String,
    /// The first and last line of its FROM.
    pub lines: (u32, u32),
    /// What it starts from.
    pub base: Base,
    /// Whether the target needs it.
    pub is_needed: bool,
    /// How long it took to find, fetch and unpack the image that it starts from, as far as that was to be done; none
    /// where that is no image.
    pub prepared_in: Option<Duration>,
}

/// A step that was needed.
#[derive(Clone, Debug)]
pub struct BuiltStep {
    /// Its number, which no other step of the build has.
    pub number: usize,
    /// What its result is kept under: equal keys are the same work.
    pub key: Digest,
    /// Its stage's name.
    pub stage: String,
    /// Its first and last line.
    pub lines: (u32, u32),
    /// The instruction as shown.
    pub text: String,
    /// How it came about.
    pub outcome: Outcome,
    /// How long it took, without the time for which it waited for other commands or its base.
    pub took: Duration,
    /// How long its result took to make, in this build or in the one that it is kept from.
    pub made_in: Duration,
    /// What it read and wrote, where that was traced.
    pub trace: Option<Arc<Trace>>,
}

/// How a step's result came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was in the cache.
    Cached,
    /// It was done.
    Done,
}
