//! The jobs: what is timed, of the floor and of jettison.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::images::{Image, Purpose};
use super::measure::Step;
use super::peers::Tools;

/// A kind of work, the same for all tools that are compared in it. The order is that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// Reading and hashing the input, writing it, reading and hashing it back.
    Floor,
    /// Saying what an image weighs and wastes.
    Weigh,
    /// Merging layers into an uncompressed docker-archive.
    Uncompressed,
    /// Merging or copying into an OCI folder of gzip layers.
    Gzip,
    /// Merging or copying into an OCI folder of zstd layers.
    Zstd,
}

impl Work {
    /// As people read it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Weigh => "weigh",
            Self::Uncompressed => "to uncompressed",
            Self::Gzip => "to gzip",
            Self::Zstd => "to zstd",
        }
    }
}

/// Names of the tools whose results are compared by name.
pub(crate) mod tool {
    /// The floor's first part.
    pub(crate) const READ: &str = "read + hash";
    /// The floor's second part.
    pub(crate) const WRITE: &str = "write";
    /// The floor's third part.
    pub(crate) const READ_BACK: &str = "read back + hash";
    /// `jettison weigh`.
    pub(crate) const WEIGH: &str = "jettison weigh";
    /// `jettison optimize -O1`.
    pub(crate) const OPTIMIZE: &str = "jettison -O1";
    /// `jettison optimize -O1 --squash-all`.
    pub(crate) const SQUASH_ALL: &str = "jettison -O1 --squash-all";
}

/// One row to measure.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// What is done.
    pub(crate) work: Work,
    /// Who does it.
    pub(crate) tool: String,
    /// The row of jettison that did the same work.
    pub(crate) against: Option<&'static str>,
    /// Why it cannot be run, if so.
    pub(crate) unavailable: Option<String>,
    /// Run once before all rounds, not timed.
    pub(crate) setup: Vec<Step>,
    /// Run before each run, not timed.
    pub(crate) prepare: Vec<Step>,
    /// What is timed.
    pub(crate) steps: Vec<Step>,
    /// Run after each run, not timed; may fail.
    pub(crate) cleanup: Vec<Step>,
    /// Run after all rounds, not timed; may fail.
    pub(crate) teardown: Vec<Step>,
    /// The file or folder that is written, and whose bytes count.
    pub(crate) output: Option<PathBuf>,
    /// Other files and folders to remove around each run.
    pub(crate) scratch: Vec<PathBuf>,
}

impl Job {
    /// A job of `steps` without anything around them.
    pub(crate) fn new(work: Work, tool: &str, steps: Vec<Step>) -> Self {
        Self {
            work,
            tool: tool.to_owned(),
            against: None,
            unavailable: None,
            setup: Vec::new(),
            prepare: Vec::new(),
            steps,
            cleanup: Vec::new(),
            teardown: Vec::new(),
            output: None,
            scratch: Vec::new(),
        }
    }

    /// With the file or folder that it writes.
    pub(crate) fn writes(mut self, output: PathBuf) -> Self {
        self.output = Some(output);
        self
    }

    /// Work and tool as a part of a file name.
    pub(crate) fn file_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        format!("{}-{}", self.work.title(), self.tool).chars().map(plain).collect()
    }
}

/// The three parts of the floor, whose sum is the least that a tool can take which verifies what it reads and writes.
pub(crate) fn floor(tools: &Tools, image: &Image, work: &Path) -> Vec<Job> {
    let copy = work.join("out/floor.tar");
    let hash = |path: &Path| Step::new(&tools.openssl, ["dgst".as_ref(), "-sha256".as_ref(), path.as_os_str()]);
    // Without these two options `cp` would let the file system share or skip blocks: nothing would be written.
    let options = ["--reflink=never", "--sparse=never"].map(std::ffi::OsString::from);
    let paths = [image.archive.clone().into_os_string(), copy.clone().into_os_string()];
    let write = Step::new(Path::new("cp"), options.into_iter().chain(paths));
    let read_back = Job::new(Work::Floor, tool::READ_BACK, vec![hash(&copy)]);
    vec![
        Job::new(Work::Floor, tool::READ, vec![hash(&image.archive)]),
        Job::new(Work::Floor, tool::WRITE, vec![write.clone()]).writes(copy.clone()),
        Job { prepare: vec![write], scratch: vec![copy], ..read_back },
    ]
}

/// jettison's own rows. On the images of a series only those that the series is about.
pub(crate) fn jettison(tools: &Tools, image: &Image, work: &Path) -> Vec<Job> {
    let archive = format!("docker-archive:{}", image.archive.display());
    let run = |arguments: &[&str]| vec![Step::new(&tools.jettison, arguments)];
    let tar = work.join("out/jettison.tar");
    let to_tar = format!("docker-archive:{}", tar.display());
    let optimize = |options: &[&str], out: &str| {
        let mut arguments = vec!["optimize", archive.as_str(), "-O1", "-o", out];
        arguments.extend(options);
        run(&arguments)
    };
    let mut jobs = vec![
        Job::new(Work::Weigh, tool::WEIGH, run(&["weigh", &archive, "--format", "json"])),
        Job::new(Work::Uncompressed, tool::OPTIMIZE, optimize(&[], &to_tar)).writes(tar.clone()),
    ];
    if image.purpose == Purpose::Compare {
        let all = optimize(&["--squash-all"], &to_tar);
        jobs.push(Job::new(Work::Uncompressed, tool::SQUASH_ALL, all).writes(tar));
        for (target, compression) in [(Work::Gzip, "gzip"), (Work::Zstd, "zstd")] {
            let folder = work.join("out/jettison");
            let out = format!("oci:{}:latest", folder.display());
            let merged = optimize(&["--compression", compression], &out);
            let all = optimize(&["--squash-all", "--compression", compression], &out);
            jobs.push(Job::new(target, tool::OPTIMIZE, merged).writes(folder.clone()));
            jobs.push(Job::new(target, tool::SQUASH_ALL, all).writes(folder));
        }
    }
    jobs
}
