//! Connections to an engine: by a socket, TCP, TLS or what the caller dials. Each request has one of its own, and says
//! in its path the version of the API that was agreed upon: the library leaves the version out of all paths.

use std::io;
use std::os::unix::net::UnixStream as StandardStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bollard::errors::Error as ApiError;
use bollard::{BollardRequest, ClientVersion};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT as AGENT};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::remote::{CONNECT_TIMEOUT, USER_AGENT};

/// Makes connections to an engine that lies behind a program.
pub trait Dial: std::fmt::Debug + Send + Sync {
    /// A new connection.
    ///
    /// # Errors
    /// Where none can be begun.
    fn dial(&self) -> io::Result<StandardStream>;

    /// What the program said where a connection failed.
    fn complaint(&self) -> Option<String>;
}

/// How an engine is connected to.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Socket(PathBuf),
    /// A host and a port.
    Tcp(String),
    Tls {
        place: String,
        name: ServerName<'static>,
        config: Arc<rustls::ClientConfig>,
    },
    Dialed(Arc<dyn Dial>),
}

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Way {
    /// The host as requests name it; what stands for a socket is what Go's servers take.
    fn host(&self) -> &str {
        match self {
            Self::Socket(_) | Self::Dialed(_) => "localhost",
            Self::Tcp(place) | Self::Tls { place, .. } => place,
        }
    }

    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(place) => Box::new(tcp(place).await?),
            Self::Tls { place, name, config } => {
                let connector = TlsConnector::from(config.clone());
                let shaken = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name.clone(), tcp(place).await?));
                Box::new(shaken.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
            }
            Self::Dialed(dial) => {
                let stream = dial.dial()?;
                stream.set_nonblocking(true)?;
                Box::new(UnixStream::from_std(stream)?)
            }
        })
    }
}

async fn tcp(place: &str) -> io::Result<TcpStream> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(place)).await;
    connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// An engine's place, and the version that it is spoken to in.
#[derive(Debug)]
pub(super) struct Line {
    way: Way,
    /// What stands before all paths, as in `tcp://host:2375/engine`; empty or without a slash at its end.
    base: String,
    version: OnceLock<ClientVersion>,
}

impl Line {
    pub(super) fn new(way: Way, base: String) -> Self {
        Self { way, base, version: OnceLock::new() }
    }

    /// Has all further requests made in this version.
    pub(super) fn agree(&self, version: ClientVersion) {
        let _ = self.version.set(version);
    }

    /// Makes a request over a connection of its own.
    pub(super) async fn send(&self, mut request: BollardRequest) -> Result<Response<Incoming>, ApiError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let version = self.version.get().map(|version| format!("/v{version}")).unwrap_or_default();
        *request.uri_mut() = format!("{}{version}{path}", self.base).parse()?;
        let host = HeaderValue::from_str(self.way.host()).map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(AGENT, HeaderValue::from_static(USER_AGENT));
        let stream = Patient { stream: self.way.open().await? };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer's body; what goes wrong is told where the answer is read.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}

/// A stream whose reading side tells of its end: a server that refuses a large body answers and closes, and the answer
/// must be read though no more of the body can be sent.
struct Patient {
    stream: Box<dyn Stream>,
}

/// Waits for ever on the writing side once the other end has gone.
fn patiently<T>(result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    match result {
        Poll::Ready(Err(error))
            if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
        {
            Poll::Pending
        }
        other => other,
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        patiently(Pin::new(&mut self.stream).poll_write(cx, buffer))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        patiently(Pin::new(&mut self.stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
