//! Images of an engine on another machine, by a program that stands for ssh.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use jettison_image::Digest;

use crate::image::{APP, Image};
use crate::place::{Packing, docker_archive};
use crate::run::{Folder, Ran, finish, jettison};

/// An engine with one image, the file `image`, that refuses every archive.
const ENGINE: &str = r#"
read -r method path protocol
while read -r line && [ ${#line} -gt 1 ]; do :; done
head() { printf 'HTTP/1.1 %s X\r\nContent-Length: %s\r\n\r\n' "$1" "$2"; }
answer() { head "$1" "${#2}"; printf '%s' "$2"; }
case $path in
    /version) answer 200 '{"ApiVersion":"1.30"}' ;;
    /v1.30/images/docker.io/library/app:latest/get) head 200 "$(wc -c < "$folder/image")"; cat "$folder/image" ;;
    /v1.30/images/load*) answer 500 '{"message":"this engine is full"}' ;;
    *) answer 404 '{"message":"No such image"}' ;;
esac
"#;

/// A folder with the image, and with a program `ssh` that notes its words and does as the script says.
fn far(script: &str) -> Folder {
    let folder = Folder::new();
    docker_archive(&[(&Image::of(APP), &["app:latest"][..])], Packing::Plain).to_archive(folder.at("image"));
    let text = format!("#!/bin/sh\nfolder='{}'\necho \"$@\" >> \"$folder/words\"\n{script}", folder.at(""));
    fs::create_dir(folder.at("bin")).expect("a folder");
    fs::write(folder.at("bin/ssh"), text).expect("writes");
    fs::set_permissions(folder.at("bin/ssh"), fs::Permissions::from_mode(0o755)).expect("makes it a program");
    folder
}

/// Runs the binary with the program on its path.
fn run(folder: &Folder, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = jettison(line);
    for name in ["DOCKER_CONTEXT", "DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
        command.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.at("bin"))).env("DOCKER_CONFIG", folder.at("docker"));
    command.env("JETTISON_CACHE", folder.at("cache")).envs(variables.iter().copied());
    finish(command, line)
}

#[test]
fn an_engine_behind_ssh_gives_its_images() {
    let folder = far(ENGINE);
    let host = [("DOCKER_HOST", "ssh://me@far:2222/run/x.sock")];
    let (copied, file) = (folder.at("copied"), folder.at("image"));
    run(&folder, &format!("copy docker-daemon:app docker-archive:{copied}"), &host).ok();
    run(&folder, &format!("diff docker-archive:{copied} docker-archive:{file}"), &host).ok();
    let words = fs::read_to_string(folder.at("words")).expect("noted");
    let once = "-l me -p 2222 -o ConnectTimeout=30 -T -- far docker --host=unix:///run/x.sock system dial-stdio\n";
    assert_eq!(words, once.repeat(2));
    run(&folder, "weigh docker-daemon:none", &host).fails(3, &["has no image docker.io/library/none:latest"]);
    let load = format!("copy docker-archive:{file} docker-daemon:new");
    run(&folder, &load, &host).fails(3, &["does not load the image: this engine is full"]);
}

#[test]
fn a_context_leads_to_an_engine_behind_ssh() {
    let folder = far(ENGINE);
    let meta = folder.at(&format!("docker/contexts/meta/{}", Digest::of(b"far").hex()));
    fs::create_dir_all(&meta).expect("makes a folder");
    let context = r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://far"}}}"#;
    fs::write(format!("{meta}/meta.json"), context).expect("writes");
    run(&folder, "weigh docker-daemon:app", &[("DOCKER_CONTEXT", "far")]).ok();
    let nowhere = [("DOCKER_CONTEXT", "nowhere")];
    run(&folder, "weigh docker-daemon:app", &nowhere).fails(2, &["no context \"nowhere\"", "docker context ls"]);
}

#[test]
fn what_ssh_says_is_shown() {
    let folder = far("echo 'me@far: Permission denied (publickey).' >&2; exit 255");
    let line = "weigh docker-daemon:app";
    run(&folder, line, &[("DOCKER_HOST", "ssh://me@far")]).fails(
        3,
        &["cannot be reached at ssh://me@far", "caused by: ssh says: me@far: Permission denied", "hint: `ssh HOST"],
    );
    run(&folder, line, &[("DOCKER_HOST", "ssh://me:secret@far")]).fails(3, &["passwords are not taken"]);
    let verify = [("DOCKER_HOST", "tcp://127.0.0.1:1"), ("DOCKER_TLS_VERIFY", "1")];
    run(&folder, line, &verify).fails(3, &["docker/ca.pem cannot be used", "DOCKER_CERT_PATH"]);
}
