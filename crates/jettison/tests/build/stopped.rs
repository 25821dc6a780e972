//! Interruptions while the build waits for something other than a command: it ends at once, and says so.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::site::Site;

fn start(site: &Site, stdin: Stdio, words: &[&str]) -> Child {
    let log = fs::File::create(site.path("log")).expect("a file");
    site.jettison(words).stdin(stdin).stdout(Stdio::null()).stderr(log).spawn().expect("jettison runs")
}

/// Interrupts a build, and gives what it said.
#[track_caller]
fn interrupted(site: &Site, mut child: Child) -> String {
    let script = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &script]).status().expect("sh runs").success());
    // A second interruption, which ends the process whatever it does, is not needed.
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    let said = fs::read_to_string(site.path("log")).expect("reads");
    assert!(said.contains("error: the build was stopped\n"), "{said}");
    assert_eq!(site.work(), [""; 0]);
    said
}

#[test]
fn a_build_that_waits_for_its_context_is_stopped() {
    let site = Site::new();
    for words in [["build", "-f", "-", "."], ["build", "-f", "Dockerfile", "-"]] {
        let mut child = start(&site, Stdio::piped(), &words);
        let stdin = child.stdin.take();
        thread::sleep(Duration::from_millis(300));
        interrupted(&site, child);
        drop(stdin);
    }
}

#[test]
fn a_build_that_waits_for_a_server_is_stopped() {
    let site = Site::new();
    // It takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let image = format!("{host}/team/app:latest");
    let cases = [
        (format!("FROM {image}\n"), format!("[internal] pull {image}")),
        (format!("FROM scratch\nADD http://{host}/file /\n"), format!("ADD http://{host}/file")),
        (format!("FROM scratch\nCOPY --from={image} / /\n"), format!("[internal] pull {image}")),
    ];
    for (dockerfile, step) in cases {
        site.dockerfile(&dockerfile);
        let child = start(&site, Stdio::null(), &["build", "--progress", "plain", "."]);
        site.wait_for(&step);
        let said = interrupted(&site, child);
        assert!(said.contains("CANCELED"), "{said}");
    }
    let child = start(&site, Stdio::null(), &["build", &format!("http://{host}/context.tar")]);
    thread::sleep(Duration::from_millis(300));
    interrupted(&site, child);
}

#[test]
fn a_build_that_copies_is_stopped() {
    let site = Site::new();
    for folder in 0..100 {
        let folder = site.path(&format!("context/many/{folder}"));
        fs::create_dir_all(&folder).expect("a folder");
        (0..200).for_each(|file| fs::write(folder.join(file.to_string()), "x").expect("writes"));
    }
    site.dockerfile("FROM scratch\nCOPY many /many\n");
    let child = site.start(&["--no-cache"]);
    site.wait_for("COPY many");
    let said = interrupted(&site, child);
    assert!(said.contains("CANCELED"), "{said}");
}
