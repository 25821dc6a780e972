//! `examples/jekyll` end to end, on Debian: its packages of Ruby and Jekyll stand for those that gems would give. The
//! mirror is asked when the base is made; the build itself has no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::tools::{folder, run, text};

/// What stands for the example's instructions where they ask registries.
const ON_DEBIAN: [(&str, &str); 4] = [
    ("FROM alpine:3.20\n", "FROM debian:bookworm\n"),
    (
        "RUN apk add ruby ruby-dev build-base\n",
        "RUN --mount=type=bind,from=packages,target=/packages dpkg --force-depends --install /packages/*.deb\n",
    ),
    ("RUN gem install bundler jekyll\n", "RUN gem list --local >/gems\n"),
    ("RUN bundle install && jekyll build\n", "RUN jekyll build\n"),
];

struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Debian as an image in a cache, the packages, and a site with its Dockerfile.
    fn new() -> Self {
        let bench = Self { folder: folder() };
        for name in ["base", "packages", "site/_layouts"] {
            fs::create_dir_all(bench.at(name)).expect("a folder");
        }
        let install = "chroot \"$1\" apt-get install -qq -y --no-install-recommends --download-only ruby jekyll";
        let copy = format!("copy-out /var/cache/apt/archives {}", bench.at("packages").display());
        let (install, copy) = (format!("--customize-hook={install}"), format!("--customize-hook={copy}"));
        let root = bench.at("base/root.tar");
        run("mmdebstrap", &["--variant=minbase", "--quiet", &install, &copy, "bookworm", text(&root)]);
        fs::write(bench.at("base/Dockerfile"), "FROM scratch\nADD root.tar /\nCMD [\"bash\"]\n").expect("writes");
        bench.run(&bench.at("base"), &["-O0", "-t", "debian:bookworm"]);
        let site = |name: &str, content: &str| fs::write(bench.at("site").join(name), content).expect("writes");
        // What says how to build is not part of what is built.
        site(".dockerignore", "Dockerfile\n.dockerignore\n");
        site("_config.yml", "title: A site\n");
        site("_layouts/page.html", "<html><title>{{ page.title }}</title>{{ content }}</html>\n");
        site("index.md", "---\nlayout: page\ntitle: Hello\n---\nfrom *here*\n");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/jekyll/Dockerfile");
        let mut dockerfile = fs::read_to_string(example).expect("the example");
        for (theirs, ours) in ON_DEBIAN {
            assert!(dockerfile.contains(theirs), "the example has no {theirs:?}");
            dockerfile = dockerfile.replace(theirs, ours);
        }
        site("Dockerfile", &dockerfile);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, context: &Path, more: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "--offline", "--network=none", "--progress=quiet", "--format=json", "--cache-dir"]);
        let output = command.arg(self.at("cache")).args(more).arg(context).output().expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report")
    }

    /// Rewrites the site's Dockerfile, proven by building both forms.
    fn prove(&self) -> Value {
        let packages = format!("packages={}", self.at("packages/archives").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["rewrite", "--prove", "--offline", "--network=none", "--progress=quiet", "--format=json"]);
        command.args(["--build-context", &packages, "--cache-dir"]).arg(self.at("cache")).arg(self.at("site"));
        let output = command.output().expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report")
    }

    /// Builds the site: base layers, own layers, steps from the cache, and all steps.
    fn build(&self, level: &str) -> [u64; 4] {
        let packages = format!("packages={}", self.at("packages/archives").display());
        let out = format!("type=oci,tar=false,dest={}", self.at("out").display());
        let _ = fs::remove_dir_all(self.at("out"));
        let report = self.run(&self.at("site"), &[level, "--build-context", &packages, "-o", &out]);
        assert_eq!(report.pointer("/outputs/0/proof/equal"), Some(&Value::Bool(true)), "{report}");
        ["/outputs/0/image/base_layers", "/outputs/0/image/own_layers", "/steps/cached", "/steps/all"]
            .map(|pointer| report.pointer(pointer).and_then(Value::as_u64).expect("a number"))
    }
}

#[test]
fn the_example_with_jekyll_at_every_level() {
    let bench = Bench::new();
    // WORKDIR finds the folder that ADD made, and makes no layer.
    assert_eq!(bench.build("-O0"), [1, 4, 0, 5]);

    // Touched in the last line that runs, all before that is reused.
    let file = bench.at("site/Dockerfile");
    let dockerfile = fs::read_to_string(&file).expect("reads");
    fs::write(&file, dockerfile.replace("RUN jekyll build", "RUN jekyll build --profile")).expect("writes");
    assert_eq!(bench.build("-O0"), [1, 4, 4, 5]);

    fs::write(&file, &dockerfile).expect("writes");
    for level in ["-O1", "-O2"] {
        assert_eq!(bench.build(level), [1, 1, 5, 5], "{level}");
    }
    let place = format!("oci:{}", bench.at("out").display());
    let config = run("skopeo", &["inspect", "--config", &place]);
    assert!(config.contains("4000/tcp") && config.contains("\"/app\""), "{config}");

    let report = bench.prove();
    println!("{report}");
    let proven = report["text"].as_str().expect("a text");
    assert!(proven.matches("RUN").count() < dockerfile.matches("RUN").count(), "{report}");
    assert!(report.pointer("/proof/withdrawn").and_then(Value::as_array).is_some_and(Vec::is_empty), "{report}");

    let packages = format!("packages={}", bench.at("packages/archives").display());
    let tree = bench.at("tree.tar");
    let out = format!("type=tar,dest={}", tree.display());
    bench.run(&bench.at("site"), &["--build-context", &packages, "-o", &out]);
    let page = run("tar", &["-xOf", text(&tree), "app/_site/index.html"]);
    assert!(page.contains("<title>Hello</title>") && page.contains("<em>here</em>"), "{page}");
}
