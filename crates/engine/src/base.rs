//! Base images: found where FROM's name leads, and unpacked once into the cache.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jettison_image::{Config, Digest, Layer, Limits, Platform};
use jettison_store::registry::{self, Options};
use jettison_store::{
    ImageName, NameError, Opened, Reference, ReferenceError, RemoteError, ScannedLayer, Scans, Scope, StoredImage,
    Wanted,
};

use crate::build::{Cancel, NamedContext, Request, Session, Transfer};
use crate::cache::{Cache, CacheError, Snapshot, StepRecord};
use crate::events::{End, Event, Observer, Vertex};
use crate::ids::Ids;
use crate::plan::{Base, Bases, BasesError, Settings};
use crate::snapshot::{self, BaseLayer, SnapshotError};

/// Changes when bases are unpacked in another way.
const VERSION: u32 = 1;

/// Why a base image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The place of a named context cannot be read as one.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The image cannot be read where it is.
    #[error(transparent)]
    Store(#[from] jettison_store::Error),
    /// No registry gave it.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It is not at hand, and nothing may be fetched.
    #[error("{name} is not in the local content store, and --offline forbids to fetch it")]
    Offline {
        /// The image's full name.
        name: String,
    },
    /// It is for another platform.
    #[error("the image is for {found}, not for {wanted}")]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What the image's config says.
        found: String,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It cannot be unpacked.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// An image that stages start from or files are copied from.
#[derive(Debug)]
pub struct BaseImage {
    /// As the Dockerfile names it.
    pub name: String,
    /// The image with its blobs.
    pub image: StoredImage,
    /// Where it was found, for messages.
    place: PathBuf,
    /// Its tree, in use for as long as the image is.
    tree: OnceLock<Snapshot>,
    /// How long it took to find it, and to fetch it where it was not here.
    found_in: Duration,
    /// How long it took to unpack it, where that was done now.
    unpacked_in: OnceLock<Duration>,
}

/// Finds the images of a build: each once.
pub struct Resolver<'r> {
    request: &'r Request,
    session: &'r Session,
    observer: &'r dyn Observer,
    cancel: &'r Cancel,
    /// The number of the next step that is shown.
    next: &'r AtomicUsize,
    found: Mutex<HashMap<(String, String), Arc<BaseImage>>>,
}

impl<'r> Resolver<'r> {
    /// One for a build, whose shown steps are counted by `next`.
    #[must_use]
    pub fn new(
        request: &'r Request,
        session: &'r Session,
        observer: &'r dyn Observer,
        cancel: &'r Cancel,
        next: &'r AtomicUsize,
    ) -> Self {
        Self { request, session, observer, cancel, next, found: Mutex::default() }
    }

    /// The image of that name: a named context, else the local content store's, else a registry's.
    ///
    /// # Errors
    /// Where none of them has it for the platform.
    pub fn image(&self, name: &str, platform: &Platform) -> Result<Arc<BaseImage>, BaseError> {
        // One at a time: whoever asks second for an image that is being fetched is given it.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), platform.to_string());
        if let Some(image) = found.get(&key) {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(self.find(name, platform)?);
        found.insert(key, Arc::clone(&image));
        Ok(image)
    }

    fn find(&self, name: &str, platform: &Platform) -> Result<BaseImage, BaseError> {
        let start = Instant::now();
        let named = self.context(name).and_then(|context| match context {
            NamedContext::Image(place) => Some(place.as_str()),
            NamedContext::Folder(_) => None,
        });
        let wanted = Wanted::Platform(platform.clone());
        let (opened, place) = match named.map(Place::of).transpose()? {
            Some(Place::Here(reference)) => {
                let opened = jettison_store::open(&reference, &wanted, Limits::default())?;
                (opened, reference.path)
            }
            Some(Place::Name(other)) => {
                (self.by_name(&other, platform, &wanted)?, self.session.store.folder().to_owned())
            }
            None => (self.by_name(&name.parse()?, platform, &wanted)?, self.session.store.folder().to_owned()),
        };
        let image = opened.images.into_iter().next().ok_or_else(|| jettison_store::Error::NotAnImage {
            path: place.clone(),
            reason: format!("it has no image for {platform}"),
        })?;
        let found = image.config.platform();
        // Old images state no platform at all.
        if !found.architecture.is_empty() && !found.satisfies(platform) {
            return Err(BaseError::Platform { wanted: platform.to_string(), found: found.to_string() });
        }
        let (name, found_in) = (name.to_owned(), start.elapsed());
        Ok(BaseImage { name, image, place, tree: OnceLock::new(), found_in, unpacked_in: OnceLock::new() })
    }

    /// By its name: here, or from its registry.
    fn by_name(&self, name: &ImageName, platform: &Platform, wanted: &Wanted) -> Result<Opened, BaseError> {
        let here = self.session.store.find(name, wanted, Limits::default())?;
        let fits = |opened: &Opened| {
            opened.images.iter().all(|image| {
                let found = image.config.platform();
                found.architecture.is_empty() || found.satisfies(platform)
            })
        };
        let here = here.filter(fits);
        let options = Options { offline: self.request.offline, ..self.request.registry.clone() };
        match &here {
            Some(_) if !self.request.pull || self.request.offline => {}
            None if self.request.offline => return Err(BaseError::Offline { name: name.full() }),
            known => return self.pulled(name, platform, known.is_some(), &options, wanted),
        }
        here.ok_or_else(|| BaseError::Offline { name: name.full() })
    }

    /// From its registry, shown as a step: it may take long.
    fn pulled(
        &self,
        name: &ImageName,
        platform: &Platform,
        is_here: bool,
        options: &Options,
        wanted: &Wanted,
    ) -> Result<Opened, BaseError> {
        let store = &self.session.store;
        let (vertex, start) = (Vertex(self.next.fetch_add(1, Ordering::Relaxed)), Instant::now());
        self.observer.hear(Event::Started { vertex, name: format!("[internal] pull {}", name.full()).into() });
        let transfer = Transfer::new(self.cancel, self.observer, vertex);
        let pull = || -> Result<End, BaseError> {
            let stands_for = store.descriptor(name)?.map(|descriptor| descriptor.digest);
            if is_here && registry::resolve(name, options, &transfer).ok() == stands_for {
                return Ok(End::Cached);
            }
            registry::pull(name, platform, store, options, &transfer)?;
            Ok(End::Done)
        };
        let pulled = pull();
        let end = match &pulled {
            Ok(end) => end.clone(),
            Err(BaseError::Remote(RemoteError::Stopped)) => End::Cancelled,
            Err(error) => End::Failed(error.to_string()),
        };
        self.observer.hear(Event::Finished { vertex, end, took: start.elapsed() });
        pulled?;
        store.find(name, wanted, Limits::default())?.ok_or_else(|| BaseError::Offline { name: name.full() })
    }

    /// The named context that a name stands for; `alpine` is `docker.io/library/alpine:latest`.
    fn context(&self, name: &str) -> Option<&NamedContext> {
        let full = |name: &str| name.parse::<ImageName>().ok().map(|name| name.full());
        let contexts = &self.request.contexts;
        contexts.get(name).or_else(|| {
            let wanted = full(name)?;
            contexts.iter().find(|(own, _)| full(own).as_ref() == Some(&wanted)).map(|(_, context)| context)
        })
    }

    /// The name under which a named context was given.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<&crate::build::ContextFolder> {
        match self.context(name) {
            Some(NamedContext::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    /// Tells the user something.
    pub fn warn(&self, message: String) {
        self.observer.hear(Event::Warning { message });
    }
}

impl Bases for &Resolver<'_> {
    fn settings(
        &mut self,
        reference: &str,
        platform: &Platform,
        _lines: (u32, u32),
    ) -> Result<(Base, Settings), BasesError> {
        if self.is_folder(reference) {
            return Ok((Base::Context(reference.to_owned()), Settings::default()));
        }
        let image = self.image(reference, platform).map_err(|error| BasesError(Box::new(error)))?;
        Ok((Base::Image(reference.to_owned()), Settings(image.image.config.settings())))
    }

    fn is_context(&self, name: &str) -> bool {
        self.context(name).is_some()
    }

    fn is_folder(&self, name: &str) -> bool {
        self.folder(name).is_some()
    }
}

/// Where a named context's image is.
enum Place {
    Here(Reference),
    Name(ImageName),
}

impl Place {
    fn of(text: &str) -> Result<Self, BaseError> {
        if let Some(name) = text.strip_prefix("docker-image://") {
            return Ok(Self::Name(name.parse()?));
        }
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            return Ok(Self::Here(format!("oci:{layout}").parse()?));
        }
        let reference: Reference = text.parse()?;
        Ok(Self::Here(reference))
    }
}

impl BaseImage {
    /// How long it took until steps could be run upon it.
    #[must_use]
    pub fn prepared_in(&self) -> Duration {
        self.found_in + self.unpacked_in.get().copied().unwrap_or_default()
    }

    /// Whether its tree lies in the cache.
    #[must_use]
    pub fn is_unpacked(&self, cache: &Cache) -> bool {
        cache.step(tree_key(&self.image.config)).is_some()
    }

    /// Its merged tree, unpacked now if it never was.
    ///
    /// # Errors
    /// Where its layers cannot be read or written.
    pub fn unpacked(&self, cache: &Cache, ids: Ids) -> Result<Snapshot, BaseError> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree.clone());
        }
        let tree = self.find_or_unpack(cache, ids)?;
        Ok(self.tree.get_or_init(|| tree).clone())
    }

    fn find_or_unpack(&self, cache: &Cache, ids: Ids) -> Result<Snapshot, BaseError> {
        let key = tree_key(&self.image.config);
        let known = |cache: &Cache| cache.step(key).and_then(|(_, snapshot)| snapshot);
        if let Some(snapshot) = known(cache) {
            return Ok(snapshot);
        }
        let _lock = cache.lock(key)?;
        if let Some(snapshot) = known(cache) {
            return Ok(snapshot);
        }
        let start = Instant::now();
        let work = cache.work()?;
        let scope = Scope {
            limits: Limits::default(),
            unpack: Some(jettison_store::Unpack {
                first: 0,
                later: false,
                seen_only: false,
                folder: work.path().to_owned(),
            }),
        };
        let (scanned, layers) = jettison_store::scan(&self.place, &self.image, &scope, &Scans::default(), &())?;
        for (diff_id, layer) in self.image.config.diff_ids().iter().zip(&layers) {
            cache.set_value(layer_key(*diff_id), &layer.to_bytes())?;
        }
        let mut readers: Vec<_> = scanned.iter().map(reader).collect();
        let mut bases: Vec<BaseLayer<'_>> =
            layers.iter().zip(&mut readers).map(|(layer, open)| BaseLayer { layer, open }).collect();
        let layer = snapshot::unpack(&mut bases, &work.path().join("fs"), ids)?;
        drop(bases);
        drop(readers);
        drop(scanned);
        let snapshot = cache.adopt(work, &layer, None)?;
        cache.record(key, &StepRecord::of_base(snapshot.id()))?;
        let _ = self.unpacked_in.set(start.elapsed());
        Ok(snapshot)
    }

    /// Its layers as values, the lowest first.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn layers(&self, cache: &Cache) -> Result<Vec<Arc<Layer>>, BaseError> {
        let diff_ids = self.image.config.diff_ids();
        // What is missing or damaged is read from the image again.
        let known = |diff_id: &Digest| {
            let bytes = cache.value(layer_key(*diff_id))?;
            Layer::from_bytes(&bytes).ok().map(Arc::new)
        };
        let Some(layers) = diff_ids.iter().map(known).collect::<Option<Vec<_>>>() else {
            let scope = Scope { limits: Limits::default(), unpack: None };
            let (_, layers) = jettison_store::scan(&self.place, &self.image, &scope, &Scans::default(), &())?;
            for (diff_id, layer) in diff_ids.iter().zip(&layers) {
                cache.set_value(layer_key(*diff_id), &layer.to_bytes())?;
            }
            return Ok(layers);
        };
        Ok(layers)
    }
}

/// What opens a layer's plain tar.
fn reader(layer: &ScannedLayer) -> impl FnMut() -> std::io::Result<Box<dyn Read>> + Send + use<> {
    let plain = layer.plain.clone();
    move || {
        let plain = plain.section().ok_or_else(|| std::io::Error::other("the layer was not unpacked"))?;
        Ok(Box::new(plain.reader()) as Box<dyn Read>)
    }
}

fn tree_key(config: &Config) -> Digest {
    let texts: Vec<String> = config.diff_ids().iter().map(Digest::to_string).collect();
    Digest::of(format!("base tree {VERSION} {}", texts.join(" ")).as_bytes())
}

fn layer_key(diff_id: Digest) -> Digest {
    Digest::of(format!("layer {VERSION} {diff_id}").as_bytes())
}
