//! Docker's engine, by its API: it gives an image as an archive, and takes one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use bollard::errors::Error as ApiError;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::Progress;
use crate::remote::{RemoteError, block_on, chain};

/// How long an answer may take to begin, in seconds: an engine says nothing while it unpacks.
const PATIENCE: u64 = 4 * 3600;
/// The size of the pieces in which archives are sent.
const PIECE: usize = 1 << 20;

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum DaemonError {
    #[error("Docker's engine cannot be reached at {address}")]
    Unreachable {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("Docker's engine has no image {name}")]
    NoSuchImage { name: String },
    #[error("Docker's engine at {address} does not {what}: {message}")]
    Refused { address: String, what: String, message: String },
    #[error("the connection to Docker's engine at {address} was cut")]
    Cut {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("Docker's engine at {address} cannot be used: only unix: and tcp: are spoken")]
    Address { address: String },
}

impl DaemonError {
    /// What the user could do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { source, .. } if chain(source.as_ref()).contains("ermission denied") => {
                "the engine's socket is for root and the group docker".to_owned()
            }
            Self::Unreachable { .. } => {
                "start it, or say where it is with DOCKER_HOST or `docker context use`".to_owned()
            }
            Self::NoSuchImage { .. } => "`docker images` lists those that it has".to_owned(),
            Self::Cut { .. } => "the engine has what it had before".to_owned(),
            Self::Address { .. } => "`docker save` gives an image as a file".to_owned(),
            Self::Refused { .. } => return None,
        })
    }
}

/// Docker's engine at an address, as `DOCKER_HOST` has it.
#[derive(Clone, Debug)]
pub struct Daemon {
    address: String,
}

impl Daemon {
    /// The engine at `unix:///var/run/docker.sock`, `tcp://host:2375` or the like. Nothing is asked yet.
    ///
    /// # Errors
    /// Where the address is one of another kind.
    pub fn at(address: &str) -> Result<Self, DaemonError> {
        let is_known = ["unix://", "tcp://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        if is_known {
            Ok(Self { address: address.to_owned() })
        } else {
            Err(DaemonError::Address { address: address.to_owned() })
        }
    }

    /// Whether the engine has an image of this name.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn has(&self, name: &str) -> Result<bool, DaemonError> {
        self.run(&(), async {
            let docker = self.connect().await?;
            match docker.inspect_image(name).await {
                Ok(_) => Ok(true),
                Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
                Err(error) => Err(self.failed("say what it has", name, error)),
            }
        })
    }

    /// Writes an image to a file, as `docker save` does.
    ///
    /// # Errors
    /// Where the engine does not have it or stops on the way, or the file cannot be written.
    pub fn export(&self, name: &str, to: &mut File, progress: &dyn Progress) -> Result<(), DaemonError> {
        self.run(progress, async {
            let docker = self.connect().await?;
            let mut pieces = std::pin::pin!(docker.export_image(name));
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| self.failed("give the image", name, error))?;
                to.write_all(&piece).map_err(|error| self.cut(error))?;
                progress.advance(piece.len() as u64);
            }
            Ok(())
        })
    }

    /// Loads an archive, as `docker load` does; the images in it bring their names.
    ///
    /// # Errors
    /// Where the file cannot be read, or the engine does not take it.
    pub fn import(&self, from: &Path, progress: &dyn Progress) -> Result<(), DaemonError> {
        let file = File::open(from).map_err(|error| self.cut(error))?;
        let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
        });
        progress.expect(from.metadata().map_or(0, |metadata| metadata.len()));
        self.run(progress, async {
            let docker = self.connect().await?;
            let options = ImportImageOptionsBuilder::default().quiet(true).build();
            let mut answers = std::pin::pin!(docker.import_image_stream(options, pieces, None));
            while let Some(answer) = answers.next().await {
                let answer = answer.map_err(|error| self.failed("load the image", "", error))?;
                if let Some(message) = answer.error_detail.and_then(|detail| detail.message) {
                    let (address, what) = (self.address.clone(), "load the image".to_owned());
                    return Err(DaemonError::Refused { address, what, message });
                }
            }
            Ok(())
        })
    }

    async fn connect(&self) -> Result<Docker, DaemonError> {
        let unreachable = |error| self.unreachable(error);
        let connected = if self.address.starts_with("unix://") {
            Docker::connect_with_socket(&self.address, PATIENCE, API_DEFAULT_VERSION)
        } else {
            Docker::connect_with_http(&self.address, PATIENCE, API_DEFAULT_VERSION)
        };
        connected.map_err(unreachable)?.negotiate_version().await.map_err(unreachable)
    }

    fn run<T>(
        &self,
        progress: &dyn Progress,
        work: impl Future<Output = Result<T, DaemonError>>,
    ) -> Result<T, DaemonError> {
        let mut failure = None;
        let work = async {
            work.await.map_err(|error| {
                failure = Some(error);
                RemoteError::Stopped
            })
        };
        block_on(work, progress).map_err(|error| failure.take().unwrap_or_else(|| self.unreachable(error)))
    }

    fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> DaemonError {
        DaemonError::Unreachable { address: self.address.clone(), source: Box::new(source) }
    }

    fn cut(&self, source: impl std::error::Error + Send + Sync + 'static) -> DaemonError {
        DaemonError::Cut { address: self.address.clone(), source: Box::new(source) }
    }

    fn failed(&self, what: &str, name: &str, error: ApiError) -> DaemonError {
        match error {
            ApiError::DockerResponseServerError { status_code: 404, .. } if !name.is_empty() => {
                DaemonError::NoSuchImage { name: name.to_owned() }
            }
            ApiError::DockerResponseServerError { message, .. } | ApiError::DockerStreamError { error: message } => {
                DaemonError::Refused { address: self.address.clone(), what: what.to_owned(), message }
            }
            other => self.cut(other),
        }
    }
}
