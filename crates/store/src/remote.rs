//! What can go wrong between here and a server, and what the ways to servers share: waiting, trying again.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use jettison_image::Digest;

use crate::Progress;
use crate::error::Error;

/// How long nothing may come over a connection before it counts as cut.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take to stand.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a stop may go unnoticed.
const NOTICED: Duration = Duration::from_millis(50);
/// How the program names itself to servers.
pub(crate) const USER_AGENT: &str = concat!("jettison/", env!("CARGO_PKG_VERSION"));
/// The longest answer that is taken from a `Retry-After`, and the longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Why something could not be fetched: what, from where, why.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum RemoteError {
    #[error("cannot fetch {what} from {host}: it asks for credentials, or refuses those it got")]
    Unauthorized { what: String, host: String },
    #[error("cannot fetch {what} from {host}: access is denied")]
    Denied { what: String, host: String },
    #[error("cannot fetch {what} from {host}: there is no such thing (404)")]
    NotFound { what: String, host: String },
    #[error("cannot fetch {what} from {host}: it answers {code}{message}")]
    Status { what: String, host: String, code: u16, message: String, retry_after: Option<Duration> },
    #[error("cannot reach {host} for {what}")]
    Unreachable {
        what: String,
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the connection to {host} was cut while {what} was fetched")]
    Cut {
        what: String,
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} gave for {what} content with the digest {got} instead of {expected}")]
    Digest { what: String, host: String, expected: String, got: String },
    #[error("{host} gave {got} bytes for {what} instead of {expected}")]
    Size { what: String, host: String, expected: u64, got: u64 },
    #[error("{what} from {host} is larger than the limit of {limit} bytes")]
    TooLarge { what: String, host: String, limit: u64 },
    #[error("{host} gave for {what} something that cannot be read: {reason}")]
    Malformed { what: String, host: String, reason: String },
    #[error("{what} on {host} has no image for {wanted}")]
    NoSuchPlatform { what: String, host: String, wanted: String, platforms: Vec<String> },
    #[error("the credentials for {host} cannot be used: {reason}")]
    Credentials { host: String, reason: String },
    #[error("{what} is not at hand, and the network is not to be used")]
    Offline { what: String },
    #[error("{url:?} is no address that can be fetched: {reason}")]
    Address { url: String, reason: String },
    #[error("{} holds no certificate of an authority, in PEM", path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("no network connection can be prepared")]
    Client {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("it was stopped")]
    Stopped,
    #[error(transparent)]
    Store(#[from] Error),
}

impl RemoteError {
    /// What the user could do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unauthorized { host, .. } | Self::Denied { host, .. } => {
                format!("log in with `docker login {host}`, and check that the name is right: some registries say this of names that do not exist")
            }
            Self::NotFound { .. } => "check the name and the tag".to_owned(),
            Self::Status { code: 429, .. } => {
                "the registry limits how often it is asked; wait, log in, or use --registry-mirror".to_owned()
            }
            Self::Unreachable { source, .. } if chain(source.as_ref()).contains("certificate") => {
                "the server's certificate is checked against this machine's own list (Debian's ca-certificates); a registry's own authority must be in it, or be named with --tls-ca".to_owned()
            }
            Self::Unreachable { .. } | Self::Cut { .. } => {
                "check the network and the proxy settings (HTTPS_PROXY, NO_PROXY)".to_owned()
            }
            Self::NoSuchPlatform { platforms, .. } if !platforms.is_empty() => {
                format!("it has {}; choose one with --platform", platforms.join(", "))
            }
            Self::Credentials { host, .. } => format!("log in again with `docker login {host}`"),
            Self::Store(error) => return error.hint(),
            _ => return None,
        })
    }

    /// Whether the same may work a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Cut { .. })
            || matches!(self, Self::Status { code, .. } if *code == 429 || *code == 408 || *code >= 500)
    }

    /// What stands for a failed request.
    pub(crate) fn of_request(what: &str, host: &str, error: reqwest::Error) -> Self {
        let (what, host) = (what.to_owned(), host.to_owned());
        // A connection that never stood is told apart: trying again rarely helps, and delays the message.
        let never_stood = error.is_connect() || error.is_builder() || error.is_redirect();
        let source = Box::new(error.without_url());
        if never_stood { Self::Unreachable { what, host, source } } else { Self::Cut { what, host, source } }
    }

    /// What stands for an answer that is no success.
    pub(crate) fn of_status(what: &str, host: &str, code: u16, message: &str, retry_after: Option<Duration>) -> Self {
        let (what, host) = (what.to_owned(), host.to_owned());
        match code {
            401 => Self::Unauthorized { what, host },
            403 => Self::Denied { what, host },
            404 | 410 => Self::NotFound { what, host },
            _ => {
                let first = message.lines().next().unwrap_or_default().trim();
                let message = if first.is_empty() || first.starts_with('<') {
                    String::new()
                } else {
                    format!(": {}", first.chars().take(200).collect::<String>())
                };
                Self::Status { what, host, code, message, retry_after }
            }
        }
    }

    pub(crate) fn digest(what: &str, host: &str, expected: Digest, got: Digest) -> Self {
        let (expected, got) = (expected.to_string(), got.to_string());
        Self::Digest { what: what.to_owned(), host: host.to_owned(), expected, got }
    }
}

/// An error and its causes in one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How often something is tried, and how long the pauses between are.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Tries in all.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_millis(500) }
    }
}

impl Retry {
    /// The pause after a failed try, unless it was the last, or trying again is of no use.
    pub(crate) fn pause_after(&self, attempt: u32, error: &RemoteError) -> Option<Duration> {
        if error.is_passing() { self.pause_whatever(attempt, error) } else { None }
    }

    /// The same where trying again in another way is of use, whatever went wrong.
    pub(crate) fn pause_whatever(&self, attempt: u32, error: &RemoteError) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let own = self.pause.saturating_mul(1 << (attempt - 1).min(16));
        let asked = match error {
            RemoteError::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        Some(own.max(asked).min(MAX_PAUSE))
    }

    /// Tries until it works, fails for good, or was tried often enough.
    pub(crate) async fn run<T, F: Future<Output = Result<T, RemoteError>>>(
        &self,
        mut work: impl FnMut() -> F,
    ) -> Result<T, RemoteError> {
        let mut attempt = 1;
        loop {
            match work().await {
                Ok(value) => return Ok(value),
                Err(error) => match self.pause_after(attempt, &error) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
            }
            attempt += 1;
        }
    }
}

/// Runs asynchronous work on this thread until it ends, or is to be given up.
pub(crate) fn block_on<T>(
    work: impl Future<Output = Result<T, RemoteError>>,
    progress: &dyn Progress,
) -> Result<T, RemoteError> {
    use futures_util::future::{Either, select};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RemoteError::Client { source: Box::new(error) })?;
    let stop = async {
        while !progress.is_stopped() {
            tokio::time::sleep(NOTICED).await;
        }
    };
    let result = runtime.block_on(async {
        match select(std::pin::pin!(work), std::pin::pin!(stop)).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => Err(RemoteError::Stopped),
        }
    });
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
    result
}

/// Whether a host (with or without a port) is this machine itself, to which plain HTTP is as good as any.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
