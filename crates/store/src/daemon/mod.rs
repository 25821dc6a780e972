//! Docker's engine, by its API: it gives an image as an archive, and takes one.

mod connection;
mod error;
mod tls;
mod whole;

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::errors::Error as ApiError;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use futures_util::StreamExt as _;
use rustls::pki_types::ServerName;

pub use self::connection::Dial;
use self::connection::{Line, Way};
pub use self::error::DaemonError;
pub use self::tls::Tls;
use crate::Progress;
use crate::remote::{RemoteError, block_on, chain};

/// How long an answer may take to begin, in seconds: an engine says nothing while it unpacks.
const PATIENCE: u64 = 4 * 3600;
/// The size of the pieces in which archives are sent.
const PIECE: usize = 1 << 20;
/// Where engines listen, as the docker command has it: without TLS and with it.
const PORTS: (u16, u16) = (2375, 2376);

/// Docker's engine at an address, as `DOCKER_HOST` has it.
#[derive(Clone, Debug)]
pub struct Daemon {
    address: String,
    way: Way,
    /// What stands before the paths of the API.
    base: String,
}

impl Daemon {
    /// The engine at `unix:///var/run/docker.sock`, `tcp://host:2375` or the like; by TCP it may be spoken to by TLS.
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Where the address is one of another kind, or the files for TLS cannot be used.
    pub fn at(address: &str, tls: Option<&Tls>) -> Result<Self, DaemonError> {
        let wrong = |reason: &str| DaemonError::Address { address: address.to_owned(), reason: reason.to_owned() };
        let (scheme, rest) = address.split_once("://").ok_or_else(|| wrong("its address has no scheme"))?;
        let (way, base) = match scheme {
            "unix" => (Way::Socket(PathBuf::from(rest)), String::new()),
            "tcp" | "http" | "https" => {
                let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                let is_encrypted = tls.is_some() || scheme == "https";
                let (host, place) = host_and_place(place, if is_encrypted { PORTS.1 } else { PORTS.0 })
                    .ok_or_else(|| wrong("its address has no host"))?;
                let way = if is_encrypted {
                    let name = ServerName::try_from(host).map_err(|_| wrong("its host is no name or address"))?;
                    let config = tls.cloned().unwrap_or_default().config()?;
                    Way::Tls { place, name, config: Arc::new(config) }
                } else {
                    Way::Tcp(place)
                };
                (way, path.trim_end_matches('/').to_owned())
            }
            _ => return Err(wrong("only unix:, tcp: and ssh: are spoken")),
        };
        Ok(Self { address: address.to_owned(), way, base })
    }

    /// The engine behind connections that `dial` makes; the address is for messages.
    #[must_use]
    pub fn behind(address: &str, dial: Arc<dyn Dial>) -> Self {
        Self { address: address.to_owned(), way: Way::Dialed(dial), base: String::new() }
    }

    /// Whether the engine has an image of this name.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn has(&self, name: &str) -> Result<bool, DaemonError> {
        if !is_name(name) {
            return Ok(false);
        }
        self.run(&(), async {
            let docker = self.connect().await?;
            match docker.inspect_image(name).await {
                Ok(_) => Ok(true),
                Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
                Err(error) => Err(self.failed("say what it has", name, error)),
            }
        })
    }

    /// Writes an image to a file, as `docker save` does. The file is empty and open for reading as well.
    ///
    /// # Errors
    /// Where the engine does not have it or stops on the way, or the file cannot be written.
    pub fn export(&self, name: &str, to: &mut File, progress: &dyn Progress) -> Result<(), DaemonError> {
        if !is_name(name) {
            return Err(DaemonError::NoSuchImage { name: name.to_owned() });
        }
        self.run(progress, async {
            let docker = self.connect().await?;
            let mut pieces = std::pin::pin!(docker.export_image(name));
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| self.failed("give the image", name, error))?;
                to.write_all(&piece).map_err(of_file)?;
                progress.advance(piece.len() as u64);
            }
            match whole::missing(to).map_err(of_file)? {
                None => Ok(()),
                Some(reason) => {
                    Err(DaemonError::Midway { address: self.address.clone(), name: name.to_owned(), reason })
                }
            }
        })
    }

    /// Loads an archive, as `docker load` does; the images in it bring their names.
    ///
    /// # Errors
    /// Where the file cannot be read, or the engine does not take it.
    pub fn import(&self, from: &Path, progress: &dyn Progress) -> Result<(), DaemonError> {
        let file = File::open(from).map_err(of_file)?;
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

    /// Makes ready to ask in a version of the API that both sides know.
    async fn connect(&self) -> Result<Docker, DaemonError> {
        let line = Arc::new(Line::new(self.way.clone(), self.base.clone()));
        let asked = line.clone();
        let transport = move |request| {
            let line = asked.clone();
            async move { line.send(request).await }
        };
        let docker =
            Docker::connect_with_custom_transport(transport, Some("http://engine"), PATIENCE, API_DEFAULT_VERSION)
                .map_err(|error| self.unreachable(error))?;
        let docker = docker.negotiate_version().await.map_err(|error| match error {
            ApiError::DockerResponseServerError { .. } => self.failed("say which version it has", "", error),
            other => self.unreachable(other),
        })?;
        line.agree(docker.client_version());
        Ok(docker)
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
        let result = block_on(work, progress);
        result.map_err(|error| match (failure.take(), error) {
            (Some(failure), _) => failure,
            (None, RemoteError::Stopped) => DaemonError::Stopped,
            (None, other) => self.unreachable(other),
        })
    }

    fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> DaemonError {
        DaemonError::Unreachable { address: self.address.clone(), source: self.cause(source) }
    }

    fn cut(&self, source: impl std::error::Error + Send + Sync + 'static) -> DaemonError {
        DaemonError::Cut { address: self.address.clone(), source: self.cause(source) }
    }

    /// What went wrong, in the words of the program that connects where it said something.
    fn cause(
        &self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Box<dyn std::error::Error + Send + Sync> {
        match &self.way {
            Way::Dialed(dial) => match dial.complaint() {
                Some(complaint) => format!("{complaint} ({})", chain(&source)).into(),
                None => Box::new(source),
            },
            _ => Box::new(source),
        }
    }

    fn failed(&self, what: &str, name: &str, error: ApiError) -> DaemonError {
        match error {
            ApiError::DockerResponseServerError { status_code, message }
                if !name.is_empty() && says_no_such_image(status_code, &message) =>
            {
                DaemonError::NoSuchImage { name: name.to_owned() }
            }
            ApiError::DockerResponseServerError { message, .. } | ApiError::DockerStreamError { error: message } => {
                DaemonError::Refused { address: self.address.clone(), what: what.to_owned(), message }
            }
            // What is sent is read on the way.
            ApiError::HyperResponseError { err } if err.is_user() => DaemonError::File { source: Box::new(err) },
            other => self.cut(other),
        }
    }
}

/// Old engines answer 500 to the name of an image that they do not have.
fn says_no_such_image(status: u16, message: &str) -> bool {
    status == 404 || message.contains("reference does not exist") || message.starts_with("No such image")
}

fn of_file(source: std::io::Error) -> DaemonError {
    DaemonError::File { source: Box::new(source) }
}

/// Whether a text may be an image's name, tag, digest or ID: others would lead to other paths of the API.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    !text.is_empty() && text.chars().all(is_plain) && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The host of `host:port`, `[::1]:port` or a host alone, and both with the port; `None` where there is no host.
fn host_and_place(text: &str, port: u16) -> Option<(String, String)> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let (host, place) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, format!("{text}:{port}")),
        Some((host, after)) => after.strip_prefix(':').filter(|port| is_port(port)).map(|_| (host, text.to_owned()))?,
        None => match text.rsplit_once(':') {
            Some((host, port)) if is_port(port) => (host, text.to_owned()),
            Some(_) => return None,
            None => (text, format!("{text}:{port}")),
        },
    };
    (!host.is_empty()).then(|| (host.to_owned(), place))
}
