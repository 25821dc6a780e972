//! Final stages of their own on Debian: a C program with a library, and a Python application with packages of PyPI. What
//! installs them is left out, and what they do stays. The mirror and PyPI are asked before; the builds have no network.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::tools::{folder, run, text};

struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Debian as an image in a cache, packages, and wheels.
    fn new() -> Self {
        let bench = Self { folder: folder() };
        for name in ["base", "packages", "wheels", "c", "python"] {
            fs::create_dir_all(bench.at(name)).expect("a folder");
        }
        let install = "chroot \"$1\" apt-get install -qq -y --no-install-recommends --download-only gcc libc6-dev \
                       libyaml-dev python3-venv";
        let copy = format!("copy-out /var/cache/apt/archives {}", bench.at("packages").display());
        let (install, copy) = (format!("--customize-hook={install}"), format!("--customize-hook={copy}"));
        let root = bench.at("base/root.tar");
        run("mmdebstrap", &["--variant=minbase", "--quiet", &install, &copy, "bookworm", text(&root)]);
        fs::write(bench.at("base/Dockerfile"), "FROM scratch\nADD root.tar /\nCMD [\"bash\"]\n").expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "-t", "debian:bookworm", "--offline", "--progress=quiet", "--cache-dir"]);
        let output = command.arg(bench.at("cache")).arg(bench.at("base")).output().expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Looks for a stage with these smoke commands, and has it written.
    fn ship_less(&self, name: &str, dockerfile: &str, smoke: &[&str]) -> Value {
        fs::write(self.at(name).join("Dockerfile"), dockerfile).expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["rewrite", "-Os", "--prove", "--multi-stage", "--skip=build-packages", "--offline"]);
        command.args(["--network=none", "--progress=quiet", "--format=json", "--cache-dir"]).arg(self.at("cache"));
        for (name, folder) in [("packages", "packages/archives"), ("wheels", "wheels")] {
            command.arg("--build-context").arg(format!("{name}={}", self.at(folder).display()));
        }
        command.args(smoke.iter().flat_map(|command| ["--smoke", command]));
        let output = command.arg(self.at(name)).output().expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        let found = &report["proof"]["final_stage"]["suggested"];
        assert!(found["is_applied"] == true, "{}", report["proof"]);
        report
    }
}

fn bytes(report: &Value) -> (u64, u64) {
    let found = &report["proof"]["final_stage"]["suggested"];
    let number = |name: &str| found[name].as_u64().expect("a number");
    (number("bytes_before"), number("bytes_after"))
}

const INSTALL: &str =
    "RUN --mount=type=bind,from=packages,target=/packages dpkg --force-depends --install /packages/*.deb > /dev/null";

const PROGRAM: &str = r#"#include <stdio.h>
#include <yaml.h>
int main(void) {
    int major, minor, patch;
    yaml_get_version(&major, &minor, &patch);
    return printf("libyaml %d.%d\n", major, minor) < 0;
}
"#;

#[test]
fn builds_of_c_and_python_ship_what_they_use() {
    let bench = Bench::new();
    fs::write(bench.at("c/app.c"), PROGRAM).expect("writes");
    let dockerfile = format!(
        "FROM debian:bookworm\n{INSTALL}\nWORKDIR /src\nCOPY app.c .\nRUN gcc -O2 -o /usr/local/bin/app app.c -lyaml\n\
         CMD [\"app\"]\n"
    );
    let report = bench.ship_less("c", &dockerfile, &[r#"["app"]"#]);
    let (before, after) = bytes(&report);
    assert!(before > 100_000_000 && after < 10_000_000, "{before} {after}");
    let written = report["text"].as_str().expect("a text");
    let has_library = written.contains("ln -s libyaml-0.so.2.0.9 /usr/lib/");
    assert!(has_library && !written.contains("/app.c /"), "{written}");

    let wheels = bench.at("wheels");
    let download =
        ["download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--python-version=3.11"];
    run("pip", &[&download[..], &["--dest", text(&wheels), "flask==3.0.3", "gunicorn==23.0.0"]].concat());
    fs::write(bench.at("python/app.py"), "import flask\nimport late\napp = flask.Flask(__name__)\n").expect("writes");
    fs::write(bench.at("python/late.py"), "def answer():\n    import json\n    return json.dumps(42)\n")
        .expect("writes");
    let dockerfile = format!(
        "FROM debian:bookworm\n{INSTALL}\nRUN python3 -m venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH\n\
         RUN --mount=type=bind,from=wheels,target=/wheels pip install --no-index --find-links=/wheels flask gunicorn\n\
         RUN useradd -m app\nWORKDIR /app\nCOPY . .\nUSER app\nCMD [\"gunicorn\", \"app:app\"]\n"
    );
    let smoke = ["python -c 'import app, flask; print(app.late.answer())'", "gunicorn --check-config app:app"];
    let report = bench.ship_less("python", &dockerfile, &smoke);
    let (before, after) = bytes(&report);
    assert!(before > 150_000_000 && after < before / 2, "{before} {after}");
}
