//! Docker's engine on another machine, as the docker command reaches it: each connection is the standard input and
//! output of `ssh HOST docker system dial-stdio` (docker/cli, `cli/connhelper`).

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jettison_store::daemon::{DaemonError, Dial};

/// What ssh is told each time: the docker command's own settings.
const ALWAYS: [&str; 3] = ["-o", "ConnectTimeout=30", "-T"];
/// How long a program that failed may take to say why, and one that is no longer needed to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(10);
/// How much of what ssh says is kept: the end of it.
const MOST: usize = 4 << 10;

/// The way to another machine.
#[derive(Debug)]
pub struct Remote {
    program: OsString,
    arguments: Vec<String>,
    running: Mutex<Vec<Running>>,
    said: Arc<Mutex<Vec<u8>>>,
}

#[derive(Debug)]
struct Running {
    program: Child,
    listener: Option<JoinHandle<()>>,
}

impl Remote {
    /// The way to `ssh://user@host:port/path/to/docker.sock`, of which the host alone must be there. Nothing is started
    /// yet.
    ///
    /// # Errors
    /// Where the address names no host, or holds what ssh cannot use.
    pub fn at(address: &str) -> Result<Self, DaemonError> {
        let arguments = arguments(address)
            .map_err(|reason| DaemonError::Address { address: address.to_owned(), reason: reason.to_owned() })?;
        Ok(Self { program: "ssh".into(), arguments, running: Mutex::default(), said: Arc::default() })
    }

    /// Waits until all programs have ended, or for long enough; whether they have.
    fn settle(&self) -> bool {
        let begin = Instant::now();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let is_over = |one: &mut Running| {
                // A connection that ssh shares with others may go on holding the standard error.
                one.program.try_wait().is_ok_and(|status| status.is_some())
                    && one.listener.as_ref().is_none_or(JoinHandle::is_finished)
            };
            if running.iter_mut().all(is_over) {
                return true;
            }
            if begin.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Dial for Remote {
    fn dial(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let output = theirs.try_clone()?;
        let mut program = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("ssh cannot be started: {error}")))?;
        let said = self.said.clone();
        let listener = program.stderr.take().map(|errors| std::thread::spawn(move || listen(errors, &said)));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(Running { program, listener });
        Ok(ours)
    }

    fn complaint(&self) -> Option<String> {
        self.settle();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if !lines.is_empty() {
            return Some(format!("ssh says: {}", lines.join(" / ")));
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses = running.iter_mut().filter_map(|one| one.program.try_wait().ok().flatten());
        statuses.filter(|status| !status.success()).last().map(|status| format!("ssh ended with {status}"))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Its connections are closed, so that each program is about to end.
        if self.settle() {
            return;
        }
        for one in self.running.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let _ = one.program.kill();
            let _ = one.program.wait();
        }
    }
}

/// Keeps the end of what a program says.
fn listen(mut errors: ChildStderr, said: &Mutex<Vec<u8>>) {
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = errors.read(&mut piece) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&piece[..read]);
        let over = said.len().saturating_sub(MOST);
        said.drain(..over);
    }
}

/// The words after `ssh` for an address.
fn arguments(address: &str) -> Result<Vec<String>, &'static str> {
    let rest = address.strip_prefix("ssh://").ok_or("it is not one of ssh")?;
    if rest.contains(['?', '#']) {
        return Err("an address of ssh has neither a query nor a fragment");
    }
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user, place) = place.rsplit_once('@').map_or(("", place), |(user, place)| (user, place));
    if user.contains(':') {
        return Err("passwords are not taken in an address; keys and ssh-agent are");
    }
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, ""),
        Some((host, after)) => (host, after.strip_prefix(':').ok_or("its port is no number")?),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if host.is_empty() {
        return Err("it names no host");
    }
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err("its port is no number");
    }
    let mut words: Vec<String> = Vec::new();
    for (option, value) in [("-l", unescaped(user)), ("-p", port.to_owned())] {
        if !value.is_empty() {
            words.extend([option.to_owned(), value]);
        }
    }
    words.extend(ALWAYS.map(str::to_owned));
    words.extend(["--".to_owned(), host.to_owned(), "docker".to_owned()]);
    if !path.trim_matches('/').is_empty() {
        words.push(quoted(&format!("--host=unix://{}", unescaped(path))));
    }
    words.extend(["system", "dial-stdio"].map(str::to_owned));
    Ok(words)
}

/// A text with its `%XX` resolved.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                out.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                out.push(b'%');
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A word as the shell on the other machine must read it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "=:/._-".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use jettison_store::daemon::Daemon;
    use tempfile::TempDir;

    use super::*;

    /// A program that stands for ssh: it notes its words, and does as the script says.
    fn fake(script: &str) -> (TempDir, Remote) {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("ssh");
        let text =
            format!("#!/bin/sh\nfolder='{}'\necho \"$@\" >> \"$folder/words\"\n{script}", folder.path().display());
        fs::write(&program, text).expect("writes");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("makes it a program");
        let mut remote = Remote::at("ssh://me@far:2222").expect("an address");
        remote.program = program.into();
        (folder, remote)
    }

    /// An engine with the image `there`, in shell.
    const ENGINE: &str = r#"
        read -r method path protocol
        while read -r line && [ ${#line} -gt 1 ]; do :; done
        answer() { printf 'HTTP/1.1 %s X\r\nContent-Length: %s\r\n\r\n%s' "$1" "${#2}" "$2"; }
        case $path in
            /version) answer 200 '{"ApiVersion":"1.30"}' ;;
            /v1.30/images/there/json) answer 200 '{"Id":"sha256:1"}' ;;
            *) answer 404 '{"message":"No such image"}' ;;
        esac
        echo harmless words >&2
        cat > /dev/null
    "#;

    #[test]
    fn an_engine_behind_ssh_is_spoken_to() {
        let (folder, remote) = fake(ENGINE);
        let daemon = Daemon::behind("ssh://me@far:2222", Arc::new(remote));
        assert!(daemon.has("there").expect("says"));
        assert!(!daemon.has("other").expect("says"));
        let began = Instant::now();
        drop(daemon);
        assert!(began.elapsed() < PATIENCE, "the programs end with their connections");
        let words = fs::read_to_string(folder.path().join("words")).expect("noted");
        let once = "-l me -p 2222 -o ConnectTimeout=30 -T -- far docker system dial-stdio\n";
        assert_eq!(words, once.repeat(4), "each request has a connection of its own");
    }

    #[test]
    fn what_ssh_says_is_in_the_error() {
        for (script, expected) in [
            (
                "sleep 0.1; echo 'me@far: Permission denied (publickey).' >&2; exit 255",
                "Permission denied (publickey).",
            ),
            ("echo 'sh: docker: not found' >&2; exit 127", "sh: docker: not found"),
            ("exit 7", "ssh ended with exit status: 7"),
        ] {
            let (_folder, remote) = fake(script);
            let error = Daemon::behind("ssh://me@far:2222", Arc::new(remote)).has("app").expect_err("nothing answers");
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            assert!(matches!(error, DaemonError::Unreachable { .. }) && cause.contains(expected), "{error:?}");
            assert!(error.hint().expect("a hint").contains("docker version"));
        }
        let (folder, remote) = fake("");
        fs::remove_file(folder.path().join("ssh")).expect("removes");
        let error = Daemon::behind("ssh://far", Arc::new(remote)).has("app").expect_err("there is no ssh");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains("ssh cannot be started"), "{cause}");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let (folder, remote) = fake("echo $$ > \"$folder/number\"; exec sleep 600");
        let connection = remote.dial().expect("starts");
        let number = folder.path().join("number");
        while fs::read_to_string(&number).unwrap_or_default().is_empty() {
            std::thread::sleep(PAUSE);
        }
        drop(connection);
        drop(remote);
        let number = fs::read_to_string(number).expect("noted");
        assert!(!std::path::Path::new("/proc").join(number.trim()).exists());
    }

    #[test]
    fn addresses_are_those_of_docker() {
        let words = |address: &str| arguments(address).map(|words| words.join(" "));
        let rest = "-o ConnectTimeout=30 -T --";
        for (address, expected) in [
            ("ssh://far", format!("{rest} far docker system dial-stdio")),
            ("ssh://far/", format!("{rest} far docker system dial-stdio")),
            ("ssh://a%40b@[::1]:22", format!("-l a@b -p 22 {rest} ::1 docker system dial-stdio")),
            ("ssh://far/run/x.sock", format!("{rest} far docker --host=unix:///run/x.sock system dial-stdio")),
            ("ssh://far/a%20b;c", format!("{rest} far docker '--host=unix:///a b;c' system dial-stdio")),
            ("ssh://-oProxyCommand=x", format!("{rest} -oProxyCommand=x docker system dial-stdio")),
        ] {
            assert_eq!(words(address), Ok(expected), "{address}");
        }
        for wrong in [
            "ssh://",
            "ssh://me@",
            "ssh://me:secret@far",
            "ssh://far:x",
            "ssh://[::1]22",
            "ssh://far?a",
            "ssh://far#a",
            "tcp://a",
        ] {
            assert!(words(wrong).is_err(), "{wrong}");
            assert!(matches!(Remote::at(wrong), Err(DaemonError::Address { .. })), "{wrong}");
        }
    }
}
