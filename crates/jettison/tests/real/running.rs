//! Images that are built, optimized, unpacked by umoci, and run: what their commands say, in namespaces of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::packages::Bench;
use crate::tools::{run, text};

/// What a container has beside its image, and then the command. Where the network is, the machine's resolver says.
const CONTAINER: &str = r#"set -e
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/dev"
cp -a /dev/null /dev/zero /dev/random /dev/urandom "$0/dev"
ln -s /proc/self/fd "$0/dev/fd"
mkdir "$0/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts"
ln -s pts/ptmx "$0/dev/ptmx"
cp --remove-destination -L /etc/resolv.conf "$0/etc/resolv.conf"
exec chroot "$0" /bin/sh -c "cd '$1' && { $2
}" 2>&1"#;

/// An image in an OCI layout of its own: as it was built, and what was made of it.
pub(crate) struct Subject<'b> {
    bench: &'b Bench,
    name: &'static str,
}

impl<'b> Subject<'b> {
    /// Builds a Dockerfile as it is written, a layer an instruction. Nothing is packed, as nothing of that is looked at.
    pub(crate) fn build(bench: &'b Bench, name: &'static str, context: &Path, more: &[&str]) -> Self {
        let subject = Self { bench, name };
        let out = format!("type=oci,tar=false,compression=uncompressed,dest={}", text(&subject.layout()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "--progress=quiet", "-t", &format!("{name}:before"), "-o", &out, "--cache-dir"]);
        let output = command.arg(bench.at("cache")).args(more).arg(context).output().expect("jettison");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        subject
    }

    fn layout(&self) -> PathBuf {
        self.bench.at(self.name)
    }

    fn place(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", text(&self.layout()))
    }

    /// Optimizes the image as it was built, into the same layout.
    pub(crate) fn optimize(&self, tag: &str, arguments: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command
            .args(["optimize", "--format=json", "--compression=none", "-o", &self.place(tag), &self.place("before")])
            .args(arguments);
        let output = command.arg("--cache-dir").arg(self.bench.at("cache")).output().expect("jettison");
        assert!(output.status.success(), "{} {arguments:?}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!(report.pointer("/proof/equal"), Some(&Value::Bool(true)), "{report}");
        report
    }

    /// Unpacks one of the images.
    pub(crate) fn unpack(&self, tag: &str) -> Root {
        let bundle = self.bench.at(&format!("{}-{tag}", self.name));
        run("umoci", &["unpack", "--image", &format!("{}:{tag}", text(&self.layout())), text(&bundle)]);
        let config = fs::read(bundle.join("config.json")).expect("a config");
        Root { bundle, config: serde_json::from_slice(&config).expect("JSON") }
    }
}

impl Drop for Subject<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.layout());
    }
}

/// An unpacked image with its settings.
pub(crate) struct Root {
    bundle: PathBuf,
    config: Value,
}

impl Root {
    pub(crate) fn path(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// What a command says, and how it ends, with the image's variables and working directory.
    pub(crate) fn says(&self, command: &str) -> String {
        let folder = self.config["process"]["cwd"].as_str().expect("a working directory");
        let variables = self.config["process"]["env"].as_array().expect("variables");
        let variables = variables.iter().filter_map(|one| one.as_str()?.split_once('='));
        let mut container = Command::new("/usr/bin/unshare");
        container.args(["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", CONTAINER]);
        container.arg(self.path()).args([folder, command]).env_clear().envs(variables);
        let output = container.output().expect("unshare does not start: install Debian's util-linux");
        let end = if output.status.success() { String::new() } else { format!("{}\n", output.status) };
        format!("{}{}{end}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// What a command says that has to succeed.
    pub(crate) fn run(&self, command: &str) -> String {
        let said = self.says(&format!("( {command} ) && echo it went well"));
        let Some(said) = said.strip_suffix("it went well\n") else { panic!("{command}: {said}") };
        said.to_owned()
    }

    /// The lines that a command says, which is about what is wrong: it may fail.
    pub(crate) fn lines(&self, command: &str) -> BTreeSet<String> {
        self.says(&format!("{command} || true")).lines().map(str::to_owned).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.bundle);
    }
}

/// Bytes of an image, unpacked.
pub(crate) fn bytes(report: &Value, side: &str) -> u64 {
    report[side]["unpacked"].as_u64().expect("a size")
}

/// The paths that a pass took away or changed.
pub(crate) fn paths_of<'r>(report: &'r Value, pass: &str) -> BTreeSet<&'r str> {
    let items = report.pointer("/receipt/items").and_then(Value::as_array).expect("items");
    let of_pass = items.iter().filter(|item| item["pass"] == pass);
    let paths = of_pass.flat_map(|item| item["paths"].as_array().expect("paths"));
    paths.filter_map(|path| path["path"].as_str()).collect()
}

/// The commands say in the image what they said before.
pub(crate) fn says_the_same(before: &Root, after: &Root, commands: &[&str]) {
    for command in commands {
        let (expected, said) = (before.run(command), after.says(command));
        assert!(!expected.is_empty(), "{command} says nothing");
        assert_eq!(said, expected, "{command} in {}", after.bundle.display());
    }
}
