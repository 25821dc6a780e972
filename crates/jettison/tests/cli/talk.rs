//! How the command line speaks: streams, colours, exit codes, usage errors.

use std::io::Read as _;
use std::process::Stdio;

use crate::image::Image;
use crate::place::{Layout, Packing};
use crate::run::{Folder, finish, jettison, run};

fn app(folder: &Folder) -> String {
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    format!("oci:{}", folder.at("in"))
}

#[test]
fn results_go_to_stdout_and_talk_to_stderr() {
    let folder = Folder::new();
    let app = app(&folder);
    let ran = run(&format!("optimize {app} -o oci:{} --time-passes --format json", folder.at("out"))).ok();
    assert!(ran.json().is_object());
    assert!(ran.err.contains("pass shadowed-files"), "{}", ran.err);
    let ran = run(&format!("-q optimize {app} -o oci:{} --time-passes", folder.at("out"))).ok();
    assert!(ran.out.contains("proof: equal"), "{}", ran.out);
    assert_eq!(ran.err, "");
    let ran = run(&format!("weigh {app} --quiet")).ok();
    assert!(ran.out.contains("-O1 would save") && ran.err.is_empty());
    // Errors are no talk.
    run(&format!("weigh {app}:none --quiet")).fails(3, &["no image none"]);
}

#[test]
fn colours_come_when_asked_for_and_never_into_a_pipe_unasked() {
    let folder = Folder::new();
    let app = app(&folder);
    let line = format!("weigh {app}");
    let has_colour = |options: &str, variable: Option<(&str, &str)>| {
        let line = format!("{line} {options}");
        let mut command = jettison(&line);
        command.envs(variable);
        let ran = finish(command, &line).ok();
        let plain = anstream::adapter::strip_str(&ran.out).to_string();
        assert_eq!(plain, run(&format!("weigh {app}")).ok().out, "colour carries no meaning of its own");
        ran.out.contains('\u{1b}')
    };
    assert!(!has_colour("", None));
    assert!(has_colour("--color always", None));
    assert!(!has_colour("--color never", None));
    assert!(!has_colour("", Some(("NO_COLOR", "1"))));
    assert!(has_colour("", Some(("CLICOLOR_FORCE", "1"))));
    assert!(!has_colour("--color never", Some(("CLICOLOR_FORCE", "1"))));
    assert!(run(&format!("weigh {app}:none --color always")).err.contains('\u{1b}'));
    assert!(!run(&format!("weigh {app}:none")).err.contains('\u{1b}'));
}

#[test]
fn transports_that_are_missing_are_refused_by_name() {
    for (place, transport) in [("ostree:app", "ostree:"), ("sif:app", "sif:"), ("dir:/tmp/x", "dir:")] {
        for line in [
            format!("weigh {place}"),
            format!("optimize a -o {place}"),
            format!("diff a {place}"),
            format!("weigh a --base {place}"),
        ] {
            run(&line).fails(2, &[&format!("the transport {transport} is not supported"), place]);
        }
    }
    run("weigh docker-daemon:App").fails(2, &["lower case"]);
    run("optimize a -t b -o oci:c").fails(2, &["cannot be used with"]);
    run("weigh docker:alpine").fails(2, &["docker://NAME"]);
    run("weigh docker://Alpine").fails(2, &["lower case"]);
    run("copy docker://127.0.0.1:9/app oci:out").fails(3, &["cannot reach 127.0.0.1:9", "Connection refused", "hint:"]);
    run("copy docker://127.0.0.1:9/app oci:out --creds secret").fails(2, &["--creds is not USER:PASSWORD"]);
    run("weigh oci:").fails(2, &["names no file or folder"]);
    run("weigh oci:x@y").fails(2, &["\"y\" is neither a digest nor a position"]);
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    for line in [
        "",
        "nonsense",
        "weigh",
        "optimize a",
        "diff a",
        "weigh a --format xml",
        "weigh a --by nothing",
        "weigh a --max-layer-size 5X",
        "explain",
    ] {
        let ran = run(line);
        assert_eq!(ran.code, Some(2), "{line}: {}{}", ran.out, ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{line}");
    }
    for line in ["--help", "-h", "--version", "weigh --help", "optimize -h"] {
        let ran = run(line).ok();
        assert!(!ran.out.is_empty() && ran.err.is_empty(), "{line}");
    }
    let help = run("--help").ok().out;
    for command in ["weigh", "optimize", "rewrite", "lint", "diff", "dump", "demo", "passes", "explain", "completions"]
    {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&format!("completions {shell}")).ok().out;
        assert!(script.contains("squash-all") && script.contains("weigh") && script.contains("source-map"), "{shell}");
    }
    run("completions cmd").fails(2, &["cmd"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = Folder::new();
    let entries: String =
        (0..4000).map(|at| format!(" f 0644 0:0 \"{at}\" /a-rather-long-name-of-a-file-{at}\n")).collect();
    let image = Image::of(&format!("config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1\n{entries}"));
    Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let mut command = jettison(&format!("dump oci:{}", folder.at("in")));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut first = [0; 6];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("reads");
    assert_eq!(&first, b"config");
    let output = child.wait_with_output().expect("ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn tables_fit_the_width_that_is_given() {
    let folder = Folder::new();
    let instruction = "COPY . /app && ".repeat(20);
    let text = format!("config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1 \"{instruction}\"");
    Layout::of(&Image::of(&text), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let line = format!("weigh oci:{}", folder.at("in"));
    let widest = |columns: &str| {
        let mut command = jettison(&line);
        command.env("COLUMNS", columns);
        let out = finish(command, &line).ok().out;
        out.lines().filter(|line| line.contains("COPY")).map(|line| line.chars().count()).max().expect("a row")
    };
    assert!(widest("80") <= 80 && widest("100") <= 100);
    assert!(widest("80") < widest("100") && widest("100") < widest("200"));
}
