//! An engine that answers as a test tells it to, on a socket, on the loopback interface, or there by TLS: a thread and
//! one request for each connection.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::registry::server::head;

/// What a connection consists of.
pub(super) trait Both: Read + Write + Send {}
impl<S: Read + Write + Send> Both for S {}

/// A request, of which the head was read.
pub(super) struct Asked {
    pub(super) path: String,
    headers: HashMap<String, String>,
    stream: BufReader<Box<dyn Both>>,
}

impl Asked {
    /// A whole answer.
    pub(super) fn answer(&mut self, status: u16, body: &str) {
        self.send(format!("HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// The beginning of an answer in chunks.
    pub(super) fn begin(&mut self) {
        self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    }

    /// A chunk; the empty one ends the answer.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()));
        self.send(bytes);
        self.send("\r\n");
    }

    /// Bytes as they are. A client that had enough may have gone.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.stream.get_mut();
        let _ = stream.write_all(bytes.as_ref()).and_then(|()| stream.flush());
    }

    /// The body of the request, which comes in chunks; as much of it as came.
    pub(super) fn body(&mut self) -> Vec<u8> {
        assert_eq!(self.headers.get("transfer-encoding").map(String::as_str), Some("chunked"));
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            if self.stream.read_line(&mut size).is_err() {
                return body;
            }
            let Ok(size) = usize::from_str_radix(size.trim(), 16) else { return body };
            let mut chunk = vec![0; size + 2];
            if self.stream.read_exact(&mut chunk).is_err() || size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Waits until the client goes.
    pub(super) fn wait(&mut self) {
        let _ = std::io::copy(&mut self.stream, &mut std::io::sink());
    }
}

type Handler = dyn Fn(&mut Asked) + Send + Sync;

/// The running engine; it ends when dropped.
pub(super) struct Engine {
    pub(super) address: String,
    pub(super) folder: TempDir,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    /// On a socket, in a version of the API; `handler` answers all but the question for the version.
    pub(super) fn start(version: &'static str, handler: impl Fn(&mut Asked) + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let accept = move || listener.accept().ok().map(|(stream, _)| Box::new(stream) as Box<dyn Both>);
        Self::run(format!("unix://{}", path.display()), folder, version, accept, handler)
    }

    /// The same on the loopback interface.
    pub(super) fn start_tcp(version: &'static str, handler: impl Fn(&mut Asked) + Send + Sync + 'static) -> Self {
        let (address, accept) = tcp(|stream| Some(Box::new(stream) as Box<dyn Both>));
        Self::run(address, tempfile::tempdir().expect("a folder"), version, accept, handler)
    }

    /// The same by TLS.
    pub(super) fn start_tls(
        config: rustls::ServerConfig,
        handler: impl Fn(&mut Asked) + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(config);
        let (address, accept) = tcp(move |stream| {
            let connection = rustls::ServerConnection::new(config.clone()).ok()?;
            Some(Box::new(rustls::StreamOwned::new(connection, stream)) as Box<dyn Both>)
        });
        Self::run(address, tempfile::tempdir().expect("a folder"), "1.41", accept, handler)
    }

    fn run(
        address: String,
        folder: TempDir,
        version: &'static str,
        accept: impl Fn() -> Option<Box<dyn Both>> + Send + 'static,
        handler: impl Fn(&mut Asked) + Send + Sync + 'static,
    ) -> Self {
        let (ends, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_over, log, handler) = (ends.clone(), asked.clone(), Arc::new(handler));
        let thread = std::thread::spawn(move || {
            while let Some(stream) = accept() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (log, handler) = (log.clone(), handler.clone());
                std::thread::spawn(move || serve(BufReader::new(stream), version, &log, &*handler));
            }
        });
        Self { address, folder, ends, thread: Some(thread), asked }
    }

    /// The requests so far, each with its method.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        match self.address.split_once("://") {
            Some(("unix", path)) => drop(UnixStream::connect(path)),
            Some((_, place)) => drop(TcpStream::connect(place)),
            None => {}
        }
        self.thread.take().map(JoinHandle::join);
    }
}

fn tcp(
    wrap: impl Fn(TcpStream) -> Option<Box<dyn Both>> + Send + 'static,
) -> (String, impl Fn() -> Option<Box<dyn Both>> + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    (address, move || listener.accept().ok().and_then(|(stream, _)| wrap(stream)))
}

fn serve(mut stream: BufReader<Box<dyn Both>>, version: &str, log: &Mutex<Vec<String>>, handler: &Handler) {
    let Some((method, path, headers)) = head(&mut stream) else { return };
    log.lock().expect("not poisoned").push(format!("{method} {path}"));
    let mut asked = Asked { path, headers, stream };
    // An address of 1.30 is refused by an engine of 1.24, as Docker's does it.
    let newer = asked.path.strip_prefix("/v").and_then(|rest| rest.split_once('/')).map(|(of_path, _)| of_path);
    let minor = |version: &str| version.split_once('.').and_then(|(_, minor)| minor.parse::<u32>().ok());
    if asked.path == "/version" {
        asked.answer(200, &format!(r#"{{"Version":"1","ApiVersion":"{version}","MinAPIVersion":"1.12"}}"#));
    } else if newer.is_some_and(|newer| minor(newer) > minor(version)) {
        asked.answer(400, r#"{"message":"client version is too new"}"#);
    } else {
        handler(&mut asked);
    }
}
