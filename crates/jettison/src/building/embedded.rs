//! The embedded engine, as builds use it.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use jettison_engine::build::{
    BuildError, Built, Cancel, Probe, Probed, Request, Session, Startup, StepError, build, identify, needs, probe,
    startup,
};
use jettison_engine::events::Observer;
use jettison_engine::ids::Ids;
use jettison_engine::snapshot::Kind;
use jettison_engine::trace::Closure;
use jettison_image::Digest;
use jettison_store::{Progress, http};

use super::export::Images;
use super::local::LocalImages;
use super::run::{Engine, Failed, Unfinished};
use crate::cli::SnapshotterArg;
use crate::error::{UNREADABLE, Unbuilt};

/// The engine over one cache.
pub(crate) struct Embedded {
    session: Session,
    images: LocalImages,
}

impl Embedded {
    /// Opens the cache in `folder`.
    pub(crate) fn open(folder: &Path, how: SnapshotterArg, ids: Ids) -> Result<Self> {
        let wanted = match how {
            SnapshotterArg::Auto => None,
            SnapshotterArg::Overlay => Some(Kind::Overlay),
            SnapshotterArg::FuseOverlayfs => Some(Kind::FuseOverlayfs),
            SnapshotterArg::Copy => Some(Kind::Copy),
        };
        let session = Session::open(folder, wanted, ids).map_err(|error| {
            let is_folder = matches!(error, BuildError::Cache(_));
            let error = anyhow::Error::new(error);
            if !is_folder {
                return error;
            }
            let message = format!("the cache's folder {} cannot be used", folder.display());
            let hint = Some("--cache-dir or JETTISON_CACHE names another one".to_owned());
            error.context(Unbuilt { message, hint, code: UNREADABLE })
        })?;
        Ok(Self { session, images: LocalImages::open(folder)? })
    }
}

fn unfinished(error: BuildError) -> Unfinished {
    match error {
        BuildError::Cancelled => Unfinished::Stopped,
        BuildError::Plan(error) => Unfinished::Plan(error),
        BuildError::Step(step) => {
            let ran = matches!(step.error, StepError::Failed { .. });
            let (lines, text, output) = (step.lines, step.text, step.output);
            let error = anyhow::Error::new(step.error);
            Unfinished::Step(Box::new(Failed { lines, text, output, error, ran }))
        }
        other => Unfinished::Other(other.into()),
    }
}

/// Goes on unless the build is stopped.
struct Unless<'c>(&'c Cancel);

impl Progress for Unless<'_> {
    fn advance(&self, _bytes: u64) {}

    fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl Engine for Embedded {
    fn build(&self, request: &Request, observer: &dyn Observer, cancel: &Cancel) -> Result<Built, Unfinished> {
        build(request, &self.session, observer, cancel).map_err(unfinished)
    }

    fn probe(&self, built: &Built, what: &Probe, request: &Request, cancel: &Cancel) -> Result<Probed> {
        Ok(probe(built, what, request, &self.session, cancel)?)
    }

    fn startup(&self, built: &Built) -> Result<Startup> {
        Ok(startup(built, &self.session)?)
    }

    fn needs(&self, built: &Built, files: &[Vec<u8>]) -> Result<Vec<Closure>> {
        Ok(needs(built, files, &self.session)?)
    }

    fn identify(
        &self,
        request: &Request,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Option<Digest>, Unfinished> {
        identify(request, &self.session, observer, cancel).map_err(unfinished)
    }

    fn kept(&self, key: Digest) -> Option<Vec<u8>> {
        self.session.cache.value(key)
    }

    fn keep(&self, key: Digest, value: &[u8]) -> Result<()> {
        Ok(self.session.cache.set_value(key, value)?)
    }

    fn images(&self) -> &dyn Images {
        &self.images
    }

    fn download(&self, url: &str, to: &Path, cancel: &Cancel) -> Result<()> {
        let mut file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
        http::download(url, &mut file, None, &http::Limits::default(), &Unless(cancel))?;
        Ok(())
    }

    fn export_cache(&self, built: &Built, folder: &Path) -> Result<()> {
        Ok(jettison_engine::cache::export(&self.session.cache, &built.keys, folder)?)
    }
}
