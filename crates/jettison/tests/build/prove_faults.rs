//! `--prove` where builds themselves are unsteady: networks that fail, steps that make something else each time, steps that
//! look at the clock or at the layers. Each is reported as what it is, and the file stays as it was.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::prove::{Bench, builds, excused, said, withdrawn};

/// Serves a file on loopback for as long as the test runs: what it is and whether it is had depends on which request it is,
/// counted from 1.
fn server(answer: impl Fn(usize) -> Option<String> + Send + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            if let Some(content) = answer(counted.fetch_add(1, Ordering::Relaxed) + 1) {
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
                let _ = stream.write_all((head + &content).as_bytes());
            }
        }
    });
    (port, count)
}

/// A Dockerfile whose RUNs become one, of which one fetches a file.
fn fetching(port: u16) -> String {
    format!(
        "FROM alpine:3.20\nRUN mkdir /a\nRUN wget -q -O /a/fetched http://127.0.0.1:{port}/file\nRUN touch /a/done\n"
    )
}

impl Bench {
    /// Proves and writes the file, with the machine's network.
    fn write_over(&self) -> Output {
        let mut command = self.suite.command();
        command.args(["rewrite", "--prove", "--write", "--offline", "--network=host", "--progress=plain"]);
        command.args(["--format=json", "--cache-dir"]).arg(self.suite.path("cache")).arg(&self.context);
        command.output().expect("jettison runs")
    }
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_network_that_fails_once_is_no_evidence() {
    // The second request is that of the rewritten form.
    let (port, count) = server(|request| (request != 2).then(|| "content".to_owned()));
    let bench = Bench::of(&fetching(port));
    let report = report(&bench.write_over());
    assert_eq!((withdrawn(&report).len(), count.load(Ordering::Relaxed)), (0, 3), "{report}");
    let notes = report["proof"]["notes"].to_string();
    assert!(notes.contains("wget") && notes.contains("failed once, and did not when it was repeated"), "{notes}");
    assert_eq!(bench.text().matches("RUN").count(), 1, "{}", bench.text());
}

#[test]
fn a_network_that_fails_from_the_start_leaves_the_file() {
    let (port, _) = server(|_| None);
    let bench = Bench::of(&fetching(port));
    let output = bench.write_over();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("wget") && output.stdout.is_empty(), "{}", said(&output));
    assert_eq!(bench.text(), fetching(port));
}

#[test]
fn a_network_that_fails_for_good_leaves_the_file() {
    // As if it was gone after the first build.
    let (port, _) = server(|request| (request == 1).then(|| "content".to_owned()));
    let bench = Bench::of(&fetching(port));
    let report = report(&bench.write_over());
    let taken = withdrawn(&report);
    assert!(!taken.is_empty() && taken.iter().all(|one| one.contains("\"fails\"")), "{report}");
    assert_eq!((bench.text(), &report["changed"]), (fetching(port), &Value::Bool(false)), "{report}");
}

#[test]
fn a_site_that_serves_something_else_each_time_is_noise() {
    let (port, _) = server(|request| Some(format!("{request:06}")));
    let bench = Bench::of(&fetching(port));
    let report = report(&bench.write_over());
    let found = excused(&report);
    assert_eq!((withdrawn(&report).len(), builds(&report)), (0, 3), "{report}");
    assert!(found.iter().all(|one| one.starts_with("/a/fetched \"noise\"")) && !found.is_empty(), "{found:?}");
    assert_eq!(bench.text().matches("RUN").count(), 1, "{}", bench.text());
}

#[test]
fn a_build_that_fails_in_the_rewritten_form_only_is_taken_back() {
    let layers = "$(tr ':,' '\\n\\n' < /proc/mounts | wc -l)";
    let text = format!(
        "FROM alpine:3.20\nRUN echo {layers} > /count\nRUN touch /between\nRUN test {layers} != \"$(cat /count)\"\n"
    );
    let bench = Bench::of(&text);
    let report = report(&bench.write_over());
    let taken = withdrawn(&report);
    assert!(!taken.is_empty(), "{report}");
    assert!(taken.iter().any(|one| one.starts_with("adjacent-runs") && one.contains("\"fails\"")), "{report}");
    let left = report["declines"].as_array().expect("a list");
    assert!(left.iter().any(|left| left["code"] == "refuted"), "{report}");
    // What was not refuted may have been written; the step that looks at layers has one of its own.
    assert!(bench.text().contains(&format!("\nRUN test {layers}")), "{}", bench.text());
}

#[test]
fn what_a_step_makes_by_chance_is_noise() {
    let bench = Bench::of("FROM scratch\n");
    for (step, place) in [
        ("date > /made", "/made"),
        ("cat /proc/sys/kernel/random/uuid > /made", "/made"),
        ("touch /srv/$(cat /proc/sys/kernel/random/uuid)", "/srv/"),
        (
            "name=$(cat /proc/sys/kernel/random/uuid); mkdir -p /srv/$name/deep && echo 1 > /srv/$name/deep/file",
            "/srv/",
        ),
        ("chmod 7$(tr -dc 0-7 < /dev/urandom | head -c 2) /etc/motd", "/etc/motd"),
        ("ln -s $(cat /proc/sys/kernel/random/uuid) /srv/made", "/srv/"),
    ] {
        bench.write(&format!("FROM alpine:3.20\nRUN {step}\nRUN touch /srv/last\n"));
        let report = bench.prove(None, &[]);
        assert!(withdrawn(&report).is_empty(), "{step}: {report}");
        assert!(report["text"].as_str().is_some_and(|text| text.matches("RUN").count() == 1), "{step}: {report}");
        let found = excused(&report);
        // Two builds can fall into one second, or upon one mode.
        assert!(found.iter().all(|one| one.starts_with(place) && one.ends_with("\"noise\"")), "{step}: {found:?}");
        assert_eq!(found.is_empty(), builds(&report) == 2, "{step}: {report}");
        if place == "/srv/" {
            continue;
        }
        // What is wrong beside that is found all the same.
        let report = bench.prove(Some("touch /srv/last=>touch /srv/least"), &[]);
        let taken = withdrawn(&report);
        assert!(taken.iter().any(|one| one.contains("/srv/last")), "{step}: {report}");
        assert!(taken.iter().all(|one| one.starts_with("wrong-on-purpose")), "{step}: {report}");
    }
}

/// Which of two ways a step goes by the clock no number of builds tells for sure. Whatever happens, nothing but that step's
/// own files is held against a change, and a file that is written is a proven one.
#[test]
fn a_step_that_asks_the_clock_harms_no_file() {
    let text = "FROM alpine:3.20\nRUN mkdir /t\n\
                RUN if test $(($(date +%s) % 2)) = 0; then touch /t/even; else touch /t/odd; fi\n\
                RUN touch /t/last\n";
    let bench = Bench::of(text);
    for _ in 0..3 {
        bench.write(text);
        let report = report(&bench.write_over());
        for one in withdrawn(&report) {
            assert!(one.contains("/t/even") || one.contains("/t/odd"), "{report}");
        }
        let is_proven = report["proof"]["weighed"]["refuting"].as_array().is_some_and(Vec::is_empty);
        assert!(bench.text() == text || is_proven, "{report}");
        assert_eq!(report["text"], bench.text(), "{report}");
        fs::remove_dir_all(bench.suite.path("cache").join("steps")).expect("steps");
    }
}
