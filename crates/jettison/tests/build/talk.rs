//! What a user is told: mistakes with place, cause, hint and exit code; results in all their forms.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::site::{Said, Site};

#[test]
fn mistakes_are_named_with_their_place() {
    let site = Site::new();
    let missing = site.build(&[]);
    missing.expect(3, &["neither a Dockerfile nor a Containerfile", "hint: -f FILE"]);
    let of = |text: &str, more: &[&str], code: i32, parts: &[&str]| {
        site.dockerfile(text);
        site.build(more).expect(code, parts);
    };
    of("FROM alpine:3.20\nRUM x\n", &[], 3, &["Dockerfile:2", "RUM", "did you mean RUN?"]);
    of("FROM alpine:3.20 AS one\n", &["--target", "oen"], 2, &["\"oen\"", "the stages are one (did you mean one?)"]);
    of(
        "FROM alpine:3.20\nRUN echo told; exit 7\n",
        &[],
        1,
        &["exit code 7", "\ntold\n", "Dockerfile:2", ">>> RUN", "--debug-shell"],
    );
    of(
        "FROM alpine:3.20\nRUN <<E\necho a\nexit 9\nE\n",
        &[],
        1,
        &["error: RUN <<E (echo a...): the command ended with exit code 9\n"],
    );
    of("FROM alpine:3.20\nRUN [\"nosuch\"]\n", &[], 1, &["nosuch: not found in the image"]);
    of("FROM alpine:3.20\nUSER who\nRUN true\n", &[], 1, &["\"who\"", "/etc/passwd"]);
    of("FROM alpine:3.20\nCOPY nofile /\n", &[], 1, &["\"/nofile\": not found", "Dockerfile:2"]);
    let secret = "FROM alpine:3.20\nRUN --mount=type=secret,id=s,required=true true\n";
    of(secret, &[], 1, &["the secret \"s\" was not given", "--secret id=s,src=FILE"]);
    of(secret, &["--secret", "id=s,src=/no/such"], 2, &["there is no file /no/such"]);
    of("FROM alpine:7\n", &[], 3, &["Dockerfile:1", "alpine:7", "hint: without --offline"]);
    let plain = "FROM alpine:3.20\nRUN echo x\n";
    of(plain, &["-o", "type=oci,dest=/no/such/x"], 3, &["there is no folder /no/such"]);
    of(plain, &["--iidfile", "/no/such/x"], 3, &["there is no folder /no/such"]);
    of(plain, &["--cache-dir", "/proc/x"], 3, &["the cache's folder /proc/x cannot be used", "hint: --cache-dir"]);
    of(plain, &["--no-such"], 2, &["'--no-such'"]);
    of(plain, &["--debug-shell"], 2, &["needs a terminal"]);
    of(plain, &["--build-arg", "NOSUCH=1"], 0, &["WARNING: one or more build-args [NOSUCH] were not consumed"]);
    let nowhere = site.run(&["build", "/no/such"]);
    nowhere.expect(3, &["\"/no/such\": not found"]);
}

#[test]
fn progress_has_the_form_that_was_asked_for() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN echo out; echo err >&2\n");
    let plain =
        site.build(&["-t", "app"]).expect(0, &["#1 [1/2] FROM alpine:3.20\n", "#2 [2/2] RUN echo out", "app:latest"]);
    assert!(plain.out.is_empty() && plain.err.contains(" out\n#2 ") && plain.err.contains("#2 DONE "), "{}", plain.err);
    let raw = site.run(&["build", "--offline", "--no-cache", "--progress", "rawjson", "-t", "app", "."]).expect(0, &[]);
    let lines: Vec<Value> = raw.err.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["logs"][0]["stream"] == 2 && line["logs"][0]["data"] == "ZXJyCg=="));
    // An image without a name is one as well; -q says its ID alone.
    let quiet = site.run(&["build", "--offline", "-q", "--label", "a=b", "."]).expect(0, &[]);
    assert!(quiet.err.is_empty() && quiet.out.starts_with("sha256:") && quiet.out.len() == 72, "{}", quiet.out);
    let unnamed = site.run(&["build", "--offline", "-q", "--label", "a=b", "-t", "named", "."]).expect(0, &[]);
    assert_eq!(unnamed.out, quiet.out);
}

#[test]
fn results_are_written_in_every_form() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN echo result > /result\n");
    let path = |name: &str| site.path(name).display().to_string();
    let (id, metadata) = (path("id"), path("metadata"));
    let outputs = [
        format!("type=oci,dest={}", path("oci.tar")),
        format!("type=docker,dest={}", path("docker.tar")),
        format!("type=tar,dest={}", path("tree.tar")),
        format!("type=local,dest={}", path("tree")),
        format!("oci:{}", path("layout")),
    ];
    let mut words = vec!["-t", "app:v1", "--iidfile", &id, "--metadata-file", &metadata];
    outputs.iter().for_each(|output| words.extend(["-o", output]));
    site.build(&words).expect(0, &[]);
    assert_eq!(fs::read_to_string(site.path("tree/result")).expect("reads"), "result\n");
    let value: Value = serde_json::from_slice(&fs::read(&metadata).expect("reads")).expect("JSON");
    assert_eq!(value["containerimage.config.digest"], fs::read_to_string(&id).expect("reads").as_str());
    assert_eq!(value["image.name"], "app:v1");
    for image in ["oci-archive:oci.tar", "docker-archive:docker.tar", "oci:layout"] {
        let (transport, name) = image.split_once(':').expect("two");
        let said = site.run(&["dump", &format!("{transport}:{}", path(name))]).expect(0, &[]);
        assert!(said.out.contains("/result"), "{image}: {}", said.out);
    }
    let tar = site.jettison(&["build", "--offline", "-o", "-", "."]).output().expect("runs");
    let mut archive = tar::Archive::new(tar.stdout.as_slice());
    let has_it =
        archive.entries().expect("a tar").any(|entry| entry.expect("an entry").path_bytes().ends_with(b"result"));
    assert!(has_it);
    // By its name among the local images.
    site.build(&["-t", "app:v1"]).expect(0, &[]);
    site.build(&["-t", "app:v2", "--label", "v=2"]).expect(0, &[]);
    assert!(site.run(&["weigh", "app:v1"]).expect(0, &[]).out.contains("RUN echo result"));
    assert!(site.run(&["dump", "local:app:v1"]).expect(0, &[]).out.contains("/result"));
    assert!(site.run(&["diff", "local:app:v1", "local:app:v2"]).expect(1, &[]).out.contains("v"));
    site.run(&["optimize", "local:app:v1", "-o", &path("optimized.tar")]).expect(0, &[]);
    site.run(&["weigh", "local:nosuch"])
        .expect(3, &["no local image is called nosuch:latest", "hint: `jettison images`"]);
}

#[test]
fn contexts_come_from_stdin_archives_and_git() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nCOPY file /file\n");
    site.write("file", "of the context");
    let context = site.path("context");
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(context.join("Dockerfile"), "Dockerfile").expect("appends");
    tar.append_path_with_name(context.join("file"), "file").expect("appends");
    let tar = tar.into_inner().expect("ends");
    fs::write(site.path("context.tar"), &tar).expect("writes");
    let fed = |words: &[&str], input: &[u8]| {
        let words = [&["build", "--offline", "-q"], words].concat();
        let mut command = site.jettison(&words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        child.stdin.take().expect("a pipe").write_all(input).expect("writes");
        Said::of(&child.wait_with_output().expect("ends")).expect(0, &[]).out
    };
    let expected = fed(&["."], b"");
    assert_eq!(fed(&["-"], &tar), expected);
    assert_eq!(fed(&[&site.path("context.tar").display().to_string()], b""), expected);
    assert_eq!(fed(&["-f", "-", "."], b"FROM alpine:3.20\nCOPY file /file\n"), expected);
    fed(&["-"], b"FROM alpine:3.20\nRUN echo alone > /alone\n");
    // A repository, served to this machine alone.
    let git = "set -e; git init -q -b main .; git add .; git -c user.name=a -c user.email=a@b commit -qm one
        git clone -q --bare . ../served.git";
    let made = std::process::Command::new("sh").args(["-c", git]).current_dir(&context).output().expect("runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let mut daemon = std::process::Command::new("git")
        .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"])
        .arg(format!("--port={port}"))
        .arg(format!("--base-path={}", site.path("").display()))
        .stderr(Stdio::null())
        .spawn()
        .expect("git runs");
    crate::site::until("git daemon", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let url = format!("git://127.0.0.1:{port}/served.git");
    let [whole, branch, missing] =
        ["", "#main", "#nobranch"].map(|part| site.run(&["build", "-q", &format!("{url}{part}")]));
    // The daemon leaves a child, which ends with its standard input.
    let _ = std::process::Command::new("sh")
        .args(["-c", &format!("kill $(ps -o pid= --ppid {0}) {0}", daemon.id())])
        .status();
    let _ = daemon.kill();
    let _ = daemon.wait();
    assert_eq!(whole.expect(0, &[]).out, expected);
    assert_eq!(branch.expect(0, &[]).out, expected);
    missing.expect(3, &["nobranch", &url]);
}
