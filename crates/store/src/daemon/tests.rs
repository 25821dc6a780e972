//! Engines that fail as real ones do, old ones, and ones that are not there.

use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jettison_image::tar;

use super::server::{Asked, Engine};
use super::*;
use crate::remote::chain;

/// What `docker save` gives, in short: a member of zeros, and the list of images.
fn archive() -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in [("layer.tar", vec![0; 4096]), ("manifest.json", b"[]".to_vec())] {
        out.extend_from_slice(&tar::blob_header(name.as_bytes(), content.len() as u64));
        out.extend_from_slice(&content);
        out.extend_from_slice(&vec![0; tar::padding(content.len() as u64)]);
    }
    out.extend_from_slice(&tar::END);
    out
}

fn daemon(engine: &Engine) -> Daemon {
    Daemon::at(&engine.address, None).expect("an address")
}

fn export(daemon: &Daemon, name: &str) -> Result<Vec<u8>, DaemonError> {
    let mut file = tempfile::tempfile().expect("a file");
    daemon.export(name, &mut file, &())?;
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("reads");
    Ok(bytes)
}

/// Exports from an engine that answers so.
fn exported(handler: impl Fn(&mut Asked) + Send + Sync + 'static) -> Result<Vec<u8>, DaemonError> {
    export(&daemon(&Engine::start("1.41", handler)), "app")
}

/// Loads a file of so many bytes into an engine that answers so.
fn imported(size: usize, handler: impl Fn(&mut Asked) + Send + Sync + 'static) -> Result<(), DaemonError> {
    let engine = Engine::start("1.41", handler);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&vec![7; size]).expect("writes");
    daemon(&engine).import(file.path(), &())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, DaemonError>) -> String {
    match result {
        Err(DaemonError::Refused { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_archive_comes_in_chunks_or_by_its_length() {
    let whole = archive();
    let in_chunks = exported(|asked| {
        asked.begin();
        archive().chunks(700).for_each(|chunk| asked.chunk(chunk));
        asked.chunk(b"");
    });
    assert_eq!(in_chunks.expect("whole"), whole);
    let by_length = exported(|asked| {
        asked.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", archive().len()));
        asked.send(archive());
    });
    assert_eq!(by_length.expect("whole"), whole);
    let engine = Engine::start_tcp("1.41", |asked| {
        asked.begin();
        asked.chunk(&archive());
        asked.chunk(b"");
    });
    assert_eq!(export(&daemon(&engine), "app").expect("whole"), whole);
    assert_eq!(engine.asked(), ["GET /version", "GET /v1.41/images/app/get"]);
}

#[test]
fn a_cut_export_is_no_archive() {
    // All bytes of the archive came, but not the end of the answer: only the connection tells.
    let without_end = exported(|asked| {
        asked.begin();
        asked.chunk(&archive());
    });
    assert!(matches!(without_end, Err(DaemonError::Cut { .. })), "{without_end:?}");
    let too_short = exported(|asked| {
        asked.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", archive().len() + 1));
        asked.send(archive());
    });
    assert!(matches!(too_short, Err(DaemonError::Cut { .. })), "{too_short:?}");
}

#[test]
fn an_engine_that_stops_midway_and_ends_its_answer_is_found_out() {
    let midway = |bytes: Vec<u8>| {
        let result = exported(move |asked| {
            asked.begin();
            if !bytes.is_empty() {
                asked.chunk(&bytes);
            }
            asked.chunk(b"");
        });
        match result {
            Err(error @ DaemonError::Midway { .. }) => {
                assert!(error.hint().is_some());
                error.to_string()
            }
            other => panic!("{other:?}"),
        }
    };
    let whole = archive();
    let error = midway(whole[..700].to_vec());
    assert!(error.contains("stopped midway in the image app") && error.contains("after 700 bytes"), "{error}");
    // Within the zeros of the first member, which look like an end, and right after it.
    assert!(midway(whole[..512 + 2048].to_vec()).contains("layer.tar"));
    assert!(midway(whole[..512 + 4096].to_vec()).contains("no manifest.json"));
    // The end marker alone is missing.
    assert!(midway(whole[..whole.len() - 1024].to_vec()).contains("before its end marker"));
    assert!(midway(Vec::new()).contains("after 0 bytes"));
    let mut told = whole[..1024].to_vec();
    told.extend_from_slice(
        b"{\"errorDetail\":{\"message\":\"no space left on device\"},\"error\":\"no space left\"}\r\n",
    );
    assert!(midway(told).ends_with("no space left on device"));
}

#[test]
fn an_engine_says_in_its_own_words_why_it_does_not_give_an_image() {
    for (status, message) in [(404, "No such image: app:latest"), (500, "reference does not exist")] {
        let result = exported(move |asked| asked.answer(status, &format!(r#"{{"message":"{message}"}}"#)));
        assert!(matches!(&result, Err(DaemonError::NoSuchImage { name }) if name == "app"), "{result:?}");
    }
    let broken = exported(|asked| asked.answer(500, r#"{"message":"layer does not exist"}"#));
    assert_eq!(refusal(broken), "layer does not exist");
    let plain = exported(|asked| asked.answer(403, "forbidden by the proxy"));
    assert_eq!(refusal(plain), "forbidden by the proxy");
    let engine = Engine::start("1.41", |asked| match &*asked.path {
        "/v1.41/images/there/json" => asked.answer(200, r#"{"Id":"sha256:1"}"#),
        "/v1.41/images/gone/json" => asked.answer(404, r#"{"message":"No such image: gone"}"#),
        _ => asked.answer(500, r#"{"message":"broken"}"#),
    });
    assert!(daemon(&engine).has("there").expect("says"));
    assert!(!daemon(&engine).has("gone").expect("says"));
    assert_eq!(refusal(daemon(&engine).has("other")), "broken");
}

#[test]
fn a_loaded_file_arrives_whole() {
    let came = std::sync::Arc::new(std::sync::Mutex::new(0));
    let seen = came.clone();
    let size = 3 * PIECE + 5;
    let result = imported(size, move |asked| {
        assert_eq!(asked.path, "/v1.41/images/load?quiet=true");
        let body = asked.body();
        assert!(body.iter().all(|&byte| byte == 7));
        *seen.lock().expect("not poisoned") = body.len();
        asked.answer(200, "{\"stream\":\"Loaded image: app:latest\\n\"}\r\n");
    });
    result.expect("loads");
    assert_eq!(*came.lock().expect("not poisoned"), size);
}

#[test]
fn a_refused_load_is_an_error() {
    let late = imported(10, |asked| {
        asked.body();
        asked.answer(
            200,
            "{\"stream\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"no\"}\r\n",
        );
    });
    assert_eq!(refusal(late), "no space left");
    let cut = imported(10, |asked| {
        asked.body();
        asked.begin();
        asked.chunk(b"{\"stream\":\"x\"}\r\n");
    });
    assert!(matches!(cut, Err(DaemonError::Cut { .. })), "{cut:?}");
    let gone = imported(32 << 20, |_| {});
    assert!(matches!(gone, Err(DaemonError::Cut { .. })), "{gone:?}");
    let missing = Daemon::at("tcp://127.0.0.1:1", None).expect("an address").import(Path::new("/no/such/file"), &());
    assert!(matches!(missing, Err(DaemonError::File { .. })), "{missing:?}");
}

#[test]
fn a_load_may_be_refused_while_it_is_still_being_sent() {
    for status in [413, 500] {
        // The engine answers and goes, or answers and reads no further.
        for stays in [false, true] {
            let result = imported(32 << 20, move |asked| {
                asked.answer(status, r#"{"message":"too large for this engine"}"#);
                if stays {
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            assert_eq!(refusal(result), "too large for this engine");
        }
    }
}

#[test]
fn an_answer_counts_though_nothing_more_can_be_sent() {
    let (waits, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let until = |flag: &AtomicBool| {
        while !flag.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let (is_waiting, answers) = (waits.clone(), answered.clone());
    let engine = Engine::start("1.41", move |asked| {
        until(&is_waiting);
        asked.answer(413, r#"{"message":"too large"}"#);
        answers.store(true, Ordering::SeqCst);
    });
    // The engine answers and goes between the client's look for an answer and its next write.
    let pieces = futures_util::stream::unfold(0, move |count| {
        let (waits, answered) = (waits.clone(), answered.clone());
        async move {
            if count == 1 {
                tokio::task::yield_now().await;
                waits.store(true, Ordering::SeqCst);
                until(&answered);
                std::thread::sleep(Duration::from_millis(100));
            }
            (count < 3).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"piece")), count + 1))
        }
    });
    let pieces = Box::pin(pieces);
    let daemon = daemon(&engine);
    let result = daemon.run(&(), async {
        let docker = daemon.connect().await?;
        let options = ImportImageOptionsBuilder::default().build();
        let mut answers = std::pin::pin!(docker.import_image_stream(options, pieces, None));
        answers.next().await.expect("an answer").map_err(|error| daemon.failed("load the image", "", error))
    });
    assert_eq!(refusal(result), "too large");
}

#[test]
fn old_engines_are_spoken_to_in_their_own_version() {
    for version in ["1.24", "1.41", "1.53", "1.99"] {
        let engine = Engine::start(version, |asked| {
            asked.begin();
            asked.chunk(&archive());
            asked.chunk(b"");
        });
        export(&daemon(&engine), "app").expect("gives it");
        // Newer ones in the newest version that is known here.
        let spoken = if version == "1.99" { "1.53" } else { version };
        assert_eq!(engine.asked(), ["GET /version", &format!("GET /v{spoken}/images/app/get")]);
    }
}

#[test]
fn names_arrive_as_they_are() {
    let digest = "0123456789abcdef".repeat(4);
    let engine = Engine::start("1.41", |asked| asked.answer(404, r#"{"message":"No such image"}"#));
    let daemon = daemon(&engine);
    for name in ["registry.example:5000/team/app:v1.2-x_y", &format!("team/app@sha256:{digest}"), "sha256:0123"] {
        assert!(matches!(export(&daemon, name), Err(DaemonError::NoSuchImage { name: said }) if said == name));
        assert_eq!(engine.asked().last().expect("asked"), &format!("GET /v1.41/images/{name}/get"));
        assert!(!daemon.has(name).expect("says"));
        assert_eq!(engine.asked().last().expect("asked"), &format!("GET /v1.41/images/{name}/json"));
    }
    // What would lead elsewhere is asked of no engine.
    let before = engine.asked().len();
    for name in ["../containers/x", "a/../../info", "app?x=1", "app#x", "a%2Fb", "", "a b"] {
        assert!(!daemon.has(name).expect("says"), "{name}");
        assert!(matches!(export(&daemon, name), Err(DaemonError::NoSuchImage { .. })), "{name}");
    }
    assert_eq!(engine.asked().len(), before);
}

#[test]
fn an_engine_that_is_not_there_is_unreachable() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = folder.path().join("silent.sock");
    drop(std::os::unix::net::UnixListener::bind(&silent).expect("a socket"));
    let none = format!("unix://{}/none.sock", folder.path().display());
    for address in [&none, &format!("unix://{}", silent.display()), "tcp://127.0.0.1:1", "http://localhost:1/"] {
        match Daemon::at(address, None).expect("an address").has("app") {
            Err(error @ DaemonError::Unreachable { .. }) => {
                assert!(error.to_string().contains(address), "{error}");
                assert!(error.hint().expect("a hint").contains("DOCKER_HOST"));
            }
            other => panic!("{address}: {other:?}"),
        }
    }
    // Something else answers there.
    let engine = Engine::start("none", |_| {});
    let result = daemon(&engine).has("app");
    assert!(matches!(result, Err(DaemonError::Unreachable { .. })), "{result:?}");
}

#[test]
fn a_socket_without_permission_says_whose_it_is() {
    let engine = Engine::start("1.41", |asked| asked.answer(200, "{}"));
    let lock = |mode| std::fs::set_permissions(engine.folder.path(), std::fs::Permissions::from_mode(mode));
    lock(0o000).expect("locks");
    let result = daemon(&engine).has("app");
    lock(0o700).expect("unlocks");
    if rustix::process::geteuid().is_root() {
        // No mode keeps root out; what a refused connection says is the same error.
        assert!(result.is_ok(), "{result:?}");
        let source = std::io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        let error = daemon(&engine).unreachable(ApiError::from(source));
        assert!(error.hint().expect("a hint").contains("group docker"), "{error:?}");
        return;
    }
    match result {
        Err(error @ DaemonError::Unreachable { .. }) => {
            assert!(error.hint().expect("a hint").contains("group docker"), "{}", chain(&error));
        }
        other => panic!("{other:?}"),
    }
}

struct Impatient(AtomicBool);

impl Progress for Impatient {
    fn advance(&self, _: u64) {}

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_user_need_not_wait_for_an_engine_that_never_answers() {
    let engine = Engine::start("1.41", Asked::wait);
    let progress = Impatient(AtomicBool::new(false));
    let began = Instant::now();
    let result = std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let mut file = tempfile::tempfile().expect("a file");
            daemon(&engine).export("app", &mut file, &progress)
        });
        while engine.asked().len() < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        progress.0.store(true, Ordering::SeqCst);
        asks.join().expect("no panic")
    });
    assert!(matches!(result, Err(DaemonError::Stopped)), "{result:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn addresses_are_those_of_docker() {
    let place = |text: &str, tls: Option<&Tls>| match Daemon::at(text, tls).expect("an address") {
        Daemon { way: Way::Tcp(place) | Way::Tls { place, .. }, base, .. } => format!("{place} {base}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(place("tcp://host", None), "host:2375 ");
    assert_eq!(place("tcp://host:1/engine/", None), "host:1 /engine");
    assert_eq!(place("http://[::1]:1/", None), "[::1]:1 ");
    assert_eq!(place("tcp://[::1]", None), "[::1]:2375 ");
    assert_eq!(place("tcp://host", Some(&Tls { trusts_anyone: true, ..Tls::default() })), "host:2376 ");
    for wrong in ["/var/run/docker.sock", "npipe://x", "ssh://host", "tcp://", "tcp://host:port", "tcp://:1"] {
        assert!(matches!(Daemon::at(wrong, None), Err(DaemonError::Address { .. })), "{wrong}");
    }
}
