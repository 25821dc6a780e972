//! Contexts that are no folders: repositories, tars, by themselves and by name.

use std::fs::{self, File};
use std::process::Command;

use crate::site::Site;

/// Makes a repository in the site's folder, a branch of which has another content than its tag; gives its address.
fn repository(site: &Site) -> String {
    let folder = site.path("repository");
    fs::create_dir_all(folder.join("sub")).expect("a folder");
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]);
        git.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(&folder);
        assert!(git.status().expect("git is installed").success(), "{arguments:?}");
    };
    fs::write(folder.join("Dockerfile"), "FROM alpine:3.20\nCOPY file /file\nRUN echo it is $(cat /file)\n")
        .expect("writes");
    fs::write(folder.join("file"), "the root's").expect("writes");
    fs::copy(folder.join("Dockerfile"), folder.join("sub/Dockerfile")).expect("copies");
    fs::write(folder.join("sub/file"), "the first").expect("writes");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["tag", "v1"]);
    fs::write(folder.join("sub/file"), "the second").expect("writes");
    git(&["commit", "-q", "-a", "-m", "two"]);
    format!("file://{}", folder.display())
}

#[test]
fn repositories_of_this_machine_are_contexts() {
    let site = Site::new();
    let address = repository(&site);
    for (end, content) in [
        ("", "the root's"),
        ("#main", "the root's"),
        ("#main:sub", "the second"),
        ("#v1:sub", "the first"),
        ("#:sub", "the second"),
        ("?tag=v1&subdir=sub", "the first"),
    ] {
        let context = format!("{address}{end}");
        let words = ["build", "--progress", "plain", "--offline", "--no-cache", &context];
        site.run(&words).expect(0, &[&format!(" it is {content}\n")]);
    }
    let none = site.run(&["build", "--offline", &format!("{address}#none")]);
    none.expect(3, &["none"]);
    // A Dockerfile, which somebody else may have written, does not reach them.
    site.dockerfile(&format!("FROM alpine:3.20\nADD {address} /x\n"));
    site.build(&[]).expect(1, &["not found"]);
    assert!(!names_of_contexts(&site), "what was unpacked stays behind");
}

#[test]
fn named_contexts_are_whatever_a_context_can_be() {
    let site = Site::new();
    let address = repository(&site);
    site.dockerfile("FROM alpine:3.20\nCOPY --from=other file /file\nRUN echo it is $(cat /file)\n");
    let tar = site.path("context.tar");
    let mut builder = tar::Builder::new(File::create(&tar).expect("a file"));
    builder.append_dir_all(".", site.path("repository/sub")).expect("packs");
    builder.into_inner().expect("finishes");
    for (value, content) in [
        (format!("{address}#v1:sub"), "the first"),
        (tar.display().to_string(), "the second"),
        (site.path("repository").display().to_string(), "the root's"),
    ] {
        site.build(&["--no-cache", "--build-context", &format!("other={value}")])
            .expect(0, &[&format!(" it is {content}\n")]);
    }
    site.build(&["--build-context", "other=/no/such"])
        .expect(2, &["--build-context other: there is no /no/such", "hint: "]);
    assert!(!names_of_contexts(&site), "what was unpacked stays behind");
}

fn names_of_contexts(site: &Site) -> bool {
    crate::site::names(&site.path("cache")).iter().any(|name| name.starts_with("context-"))
}
