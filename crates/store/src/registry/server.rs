//! A server on the loopback interface that answers as a test tells it to: one thread, one request at a time
//! for each connection, HTTP/1.1 with a closed connection after each answer.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is answered to one request.
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
    headers: Vec<(String, String)>,
    sent: Option<usize>,
    after: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        Self { status, body, headers: Vec::new(), sent: None, after: Duration::ZERO }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub(crate) fn cut(mut self, sent: usize) -> Self {
        self.sent = Some(sent);
        self
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.after = pause;
        self
    }
}

/// A request.
pub(crate) struct Asked {
    /// How often this path was asked for before by this method.
    pub(crate) count: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    /// By their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;
/// After how many bytes of a body the connection is closed, without an answer.
type Cut = dyn Fn(&Asked) -> Option<usize> + Send + Sync;

/// The running server; it ends when dropped.
pub(crate) struct Server {
    host: String,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `handler` gets how often the path was asked for before, the path, the headers and the method.
    pub(crate) fn start(
        handler: impl Fn(usize, &str, &HashMap<String, String>, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let handler = move |asked: &Asked| handler(asked.count, &asked.path, &asked.headers, &asked.method);
        Self::with_bodies(handler, |_| None)
    }

    /// The same with whole requests. Of a body that `cut` cuts, `handler` gets what came before.
    pub(crate) fn with_bodies(
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
        cut: impl Fn(&Asked) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (ends, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_over, log, handler, cut) = (ends.clone(), asked.clone(), Arc::new(handler), Arc::new(cut));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (log, handler, cut) = (log.clone(), handler.clone(), cut.clone());
                std::thread::spawn(move || serve(stream, &log, &*handler, &*cut));
            }
        });
        Self { host, ends, thread: Some(thread), asked }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The paths that were asked for, each with its method.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.host);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The method, the path and the headers of a request, by their names in lower case.
pub(crate) fn head(reader: &mut impl BufRead) -> Option<(String, String, HashMap<String, String>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(_) if !line.trim().is_empty() => {
                let (name, value) = line.split_once(':').unwrap_or_default();
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            _ => return Some((method, path, headers)),
        }
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<String>>, handler: &Handler, cut: &Cut) {
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let Some((method, path, headers)) = head(&mut reader) else { return };
    let entry = format!("{method} {path}");
    let count = {
        let mut log = log.lock().expect("not poisoned");
        let count = log.iter().filter(|earlier| **earlier == entry).count();
        log.push(entry);
        count
    };
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut asked = Asked { count, method, path, headers, body: Vec::new() };
    let cut = cut(&asked);
    asked.body = vec![0; cut.unwrap_or(length).min(length)];
    if reader.read_exact(&mut asked.body).is_err() {
        return;
    }
    let answer = handler(&asked);
    if cut.is_some() {
        return;
    }
    std::thread::sleep(answer.after);
    let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
    let mut stream = &stream;
    let body = if asked.method == "HEAD" { &[][..] } else { &answer.body[..answer.sent.unwrap_or(answer.body.len())] };
    // A client that had enough may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
