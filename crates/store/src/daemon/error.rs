//! Why an engine did not do what it was asked, and what the user could do about it.

use std::path::PathBuf;

use crate::remote::chain;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum DaemonError {
    #[error("Docker's engine cannot be reached at {address}")]
    Unreachable {
        address: String,
        #[source]
        source: Source,
    },
    #[error("Docker's engine has no image {name}")]
    NoSuchImage { name: String },
    #[error("Docker's engine at {address} does not {what}: {message}")]
    Refused { address: String, what: String, message: String },
    #[error("the connection to Docker's engine at {address} was cut")]
    Cut {
        address: String,
        #[source]
        source: Source,
    },
    #[error("Docker's engine at {address} stopped midway in the image {name}: {reason}")]
    Midway { address: String, name: String, reason: String },
    #[error("the file of an image that Docker's engine gives or takes cannot be used")]
    File {
        #[source]
        source: Source,
    },
    #[error("Docker's engine at {address} cannot be used: {reason}")]
    Address { address: String, reason: String },
    #[error("{} cannot be used for the connection to Docker's engine", path.display())]
    Certificate {
        path: PathBuf,
        #[source]
        source: Source,
    },
    #[error("it was stopped")]
    Stopped,
}

impl DaemonError {
    /// What the user could do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { address, source } => of_connection(address, &chain(source.as_ref())),
            Self::NoSuchImage { .. } => "`docker images` lists those that it has",
            Self::Refused { message, .. } if message.contains("HTTPS server") => {
                "the engine wants TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a context that has certificates"
            }
            Self::Midway { .. } => "its log says more, as in `journalctl -u docker`; often its disk is full or damaged",
            Self::Cut { .. } => "the engine has what it had before",
            Self::Address { .. } => "`docker save` gives an image as a file",
            Self::Certificate { .. } => {
                "DOCKER_CERT_PATH holds ca.pem, and cert.pem with key.pem where the engine asks for them, as a context does"
            }
            Self::Refused { .. } | Self::File { .. } | Self::Stopped => return None,
        };
        Some(text.to_owned())
    }
}

/// What may help where no connection stands, by what went wrong.
fn of_connection(address: &str, causes: &str) -> &'static str {
    if address.starts_with("ssh://") {
        "`ssh HOST docker version` must work without a question; the remote docker must be of 18.09 or later"
    } else if causes.contains("ermission denied") {
        "the engine's socket is for root and the group docker"
    } else if causes.contains("fatal alert") {
        "the engine does not take this client: it wants cert.pem and key.pem of its own authority, in DOCKER_CERT_PATH or the context"
    } else if causes.contains("certificate") {
        "the engine's certificate is checked against ca.pem in DOCKER_CERT_PATH or the context, and must name the host"
    } else if causes.contains("InvalidContentType") || causes.contains("handshake eof") {
        "the engine does not speak TLS at this port: leave out DOCKER_TLS_VERIFY"
    } else {
        "start it, or say where it is with DOCKER_HOST or `docker context use`"
    }
}
