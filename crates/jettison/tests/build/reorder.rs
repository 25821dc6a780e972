//! `rewrite --for development --prove`: what changes often moves below what does not need it, by the history of a
//! repository, and what that brings is measured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::suite::{Suite, Way};
use crate::ways;

/// A repository with a folder that is a build context.
struct Project {
    suite: Suite,
    repository: PathBuf,
    context: PathBuf,
}

impl Project {
    fn new(way: Way, dockerfile: &str) -> Self {
        let suite = Suite::new(way);
        let repository = suite.path("repository");
        let context = repository.join("app");
        fs::create_dir_all(context.join("src")).expect("a folder");
        let project = Self { suite, repository, context };
        project.write("Dockerfile", dockerfile);
        project
    }

    /// With a commit for each change of `src/a`.
    fn with_commits(way: Way, dockerfile: &str) -> Self {
        let project = Self::new(way, dockerfile);
        project.git(&["init", "-q"]);
        for content in ["1", "2", "3"] {
            project.write("src/a", content);
            project.commit();
        }
        project.suite.give(&project.repository);
        project
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.context.join(path), format!("{content}\n")).expect("writes");
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]);
        git.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(&self.repository);
        assert!(git.status().expect("git is installed").success(), "{arguments:?}");
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "change"]);
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut command = self.suite.command();
        command.args(["rewrite", "--prove", "--offline", "--network=none", "--progress=plain", "--cache-dir"]);
        command.arg(self.suite.path("cache")).args(more).arg(&self.context).output().expect("jettison runs")
    }

    /// The report of a proof that ends well.
    fn prove(&self, more: &[&str]) -> Value {
        let output = self.run(&[&["--for=development", "--format=json"], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What lies in the cache beside what is always there.
    fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.suite.path("cache")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("rebuilds-") || name.starts_with("context-")).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The instructions of the result, but for FROM.
fn instructions(report: &Value) -> Vec<&str> {
    report["text"].as_str().expect("a text").lines().skip(1).filter(|line| !line.is_empty()).collect()
}

/// How many RUN instructions ran in each rebuild, before and after.
fn runs(report: &Value) -> Vec<(u64, u64)> {
    let rebuilds = report["proof"]["gain"]["rebuilds"].as_array().unwrap_or_else(|| panic!("no gain: {report}"));
    let count = |rebuild: &Value, form: &str| rebuild[form]["runs"].as_u64().expect("a number");
    rebuilds.iter().map(|rebuild| (count(rebuild, "before"), count(rebuild, "after"))).collect()
}

fn declined(report: &Value) -> Vec<String> {
    let all = report["declines"].as_array().expect("a list").iter();
    let own = all.filter(|one| one["pass"] == "early-changes");
    own.map(|one| format!("{} {}: {}", one["lines"][0], one["code"].as_str().unwrap_or_default(), one["reason"]))
        .collect()
}

const SOURCES_FIRST: &str = "FROM alpine:3.20\n# the sources\nCOPY src /srv/src\nRUN sed s/1/one/ /srv/src/a > /copied\n\
                             RUN sleep 0.5 && sed -n 1p /etc/motd > /first";
const SOURCES_LAST: [&str; 4] = [
    "RUN sleep 0.5 && sed -n 1p /etc/motd > /first",
    "# the sources",
    "COPY src /srv/src",
    "RUN sed s/1/one/ /srv/src/a > /copied",
];

#[test]
fn what_changes_often_moves_below_what_does_not_need_it() {
    let project = Project::with_commits(Way::default(), SOURCES_FIRST);
    let report = project.prove(&[]);
    assert_eq!(instructions(&report), SOURCES_LAST, "{report}");
    // The first commit is where rebuilds start.
    assert_eq!(runs(&report), [(2, 1), (2, 1)], "{report}");
    let total = |form: &str| {
        let rebuilds = report["proof"]["gain"]["rebuilds"].as_array().into_iter().flatten();
        rebuilds.map(|rebuild| rebuild[form]["took_ms"].as_u64().expect("a number")).sum::<u64>()
    };
    assert!(total("before") >= 1000 && total("after") + 500 < total("before"), "{report}");
    assert_eq!(project.leftovers(), [""; 0]);
    let shown = said(&project.run(&["--for=development", "--no-cache", "--history=2"]));
    assert!(shown.contains("rebuild time over the last 2 commits: "), "{shown}");
    // An earlier proof says what was measured then.
    let again = project.prove(&[]);
    assert_eq!((&again["proof"]["builds"], runs(&again).len()), (&Value::from(0), 2), "{again}");
    // And a second run changes nothing.
    project.write("Dockerfile", again["text"].as_str().expect("a text").trim_end());
    let second = project.prove(&[]);
    assert_eq!((&second["changed"], &second["text"]), (&Value::from(false), &again["text"]), "{second}");
}

#[test]
fn what_a_command_reads_stays_above_it() {
    let project = Project::with_commits(
        Way::default(),
        "FROM alpine:3.20 AS one\nCOPY src /srv/src\nRUN sed -n 1p /srv/src/a > /x\n\
         FROM alpine:3.20\nCOPY src /opt/src\nRUN find /opt > /y\nCOPY --from=one /x /x",
    );
    let report = project.prove(&[]);
    let [first, second] = &declined(&report)[..] else { panic!("{report}") };
    assert_eq!(report["changed"], false, "{report}");
    assert!(first.contains("2 used") && first.contains("/srv/src"), "{first}");
    assert!(second.contains("5 used") && second.contains("/opt"), "{second}");
}

#[test]
fn an_order_that_is_no_faster_is_taken_back() {
    // With the last content the first command is slow, on a busy machine too.
    let text = "FROM alpine:3.20\nCOPY src/a /srv/a\n\
                RUN read n < /srv/a; [ $n != 3 ] || { sleep 0.6; for i in $(seq 150); do /bin/true; done; }; echo $n > /one\n\
                COPY src/b /srv/b\nRUN sed -n p /srv/b > /two";
    let project = Project::new(Way::default(), text);
    project.git(&["init", "-q"]);
    for (name, content) in [("b", "1"), ("a", "1"), ("a", "2"), ("a", "3"), ("b", "2")] {
        project.write(&format!("src/{name}"), content);
        project.commit();
    }
    project.write("src/a", "1");
    // By the number of commands that run again the other order is better, by their time it is not.
    let report = project.prove(&["--history=4"]);
    let taken = &report["proof"]["withdrawn"];
    assert_eq!((&taken[0]["pass"], &taken[1]), (&Value::from("early-changes"), &Value::Null), "{report}");
    assert!(taken[0]["evidence"]["slow"]["rebuilds"].is_number(), "{report}");
    assert_eq!(report["changed"], false, "{report}");
}

#[test]
fn arguments_that_are_others_in_each_build_sink() {
    let project = Project::with_commits(
        Way::default(),
        "FROM alpine:3.20\nARG BUILD_DATE\nRUN mkdir -p /srv/a && touch /srv/a/x\nLABEL created=$BUILD_DATE\n\
         COPY src /srv/src",
    );
    let report = project.prove(&[]);
    let expected =
        ["RUN mkdir -p /srv/a && touch /srv/a/x", "ARG BUILD_DATE", "LABEL created=$BUILD_DATE", "COPY src /srv/src"];
    assert_eq!(instructions(&report), expected, "{report}");
    assert_eq!(runs(&report), [(1, 0), (1, 0)], "{report}");
}

#[test]
fn commits_that_do_not_build_are_left_out() {
    // What is another one in each build stays above a command that may read it.
    let project = Project::new(
        Way::default(),
        "FROM alpine:3.20\nARG VCS_REF\nCOPY src /srv/src\nRUN sleep 0.5 && sed -n 1p /etc/motd > /first\n\
         RUN cat /srv/src/a > /copied",
    );
    project.git(&["init", "-q"]);
    for (name, content) in [("b", "1"), ("a", "2"), ("a", "3"), ("a", "4")] {
        project.write(&format!("src/{name}"), content);
        project.commit();
    }
    // The first one has no `src/a`.
    let report = project.prove(&[]);
    let expected = [
        "ARG VCS_REF",
        "RUN sleep 0.5 && sed -n 1p /etc/motd > /first",
        "COPY src /srv/src",
        "RUN cat /srv/src/a > /copied",
    ];
    assert_eq!((instructions(&report), runs(&report)), (expected.to_vec(), vec![(2, 1), (2, 1)]), "{report}");
    let notes = report["proof"]["notes"].to_string();
    assert!(notes.contains("not all commits were measured"), "{report}");
}

#[test]
fn without_a_history_nothing_is_ordered_by_it() {
    let project = Project::new(Way::default(), SOURCES_FIRST);
    project.write("src/a", "1");
    let notes = |report: &Value| report["notes"].to_string();
    let report = project.prove(&[]);
    assert!(report["changed"] == false && notes(&report).contains("lies in no git repository"), "{report}");
    project.git(&["init", "-q"]);
    let report = project.prove(&[]);
    assert!(report["changed"] == false && notes(&report).contains("has no commit"), "{report}");
    // What is asked for elsewhere means nothing.
    for arguments in [vec!["--history=3"], vec!["--for=development", "--history=0"]] {
        let refused = project.run(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {}", said(&refused));
    }
}

#[test]
fn nothing_of_a_repository_is_run() {
    let project = Project::with_commits(Way::default(), SOURCES_FIRST);
    let sign = project.suite.path("it-ran");
    let program = project.suite.path("program");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\ncat\n", sign.display())).expect("writes");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    project.write("src/.gitattributes", "* filter=evil diff=evil");
    project.commit();
    let program = program.to_str().expect("UTF-8");
    for name in ["core.fsmonitor", "core.pager", "diff.evil.textconv", "filter.evil.smudge", "filter.evil.process"] {
        project.git(&["config", name, program]);
    }
    fs::copy(program, project.repository.join(".git/hooks/post-checkout")).expect("copies");
    let report = project.prove(&["--history=2"]);
    assert_eq!(runs(&report).len(), 2, "{report}");
    assert!(!sign.exists(), "a program of the repository ran");
}

#[test]
fn ordinary_users_measure_as_well() {
    let project = Project::with_commits(ways::with_one_id(), SOURCES_FIRST);
    let report = project.prove(&["--history=1"]);
    assert_eq!((instructions(&report), runs(&report)), (SOURCES_LAST.to_vec(), vec![(2, 1)]), "{report}");
}
