//! The shape of a plan.

use std::collections::BTreeMap;
use std::ops::Range;

use jettison_image::Platform;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sandbox::Network;

/// What is to be built. Only stages that the target needs have steps.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stages, in the order of the file.
    pub stages: Vec<StagePlan>,
    /// Which of them is built.
    pub target: usize,
    /// What the user should know: one sentence each.
    pub warnings: Vec<String>,
    /// `SOURCE_DATE_EPOCH`, where it is given as a build argument or set before the first FROM.
    pub source_date_epoch: Option<i64>,
}

/// A stage.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// Its name, or its number where it has none.
    pub name: String,
    /// What it starts from.
    pub base: Base,
    /// The platform that it is for.
    pub platform: Platform,
    /// Its lines of FROM, counted from 1.
    pub lines: (u32, u32),
    /// Its steps; those that the base's ONBUILD adds come first.
    pub steps: Vec<Step>,
    /// The config's document at its end, without `rootfs` and `history`: what a child stage starts with.
    pub settings: Settings,
    /// Whether the target needs it.
    pub is_needed: bool,
    /// Numbers of the stages that it needs: its base's, those it copies or mounts from.
    pub needs: Vec<usize>,
}

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image, named as `FROM` names it, expanded.
    Image(String),
    /// A folder given by `--build-context` under the name that `FROM` uses.
    Context(String),
}

/// An image config's document but for `rootfs` and `history`, in the specification's shape
/// (`architecture`, `os`, `config: {Env, Cmd, …}`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub Map<String, Value>);

/// An instruction that is to be done.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its first and last line, counted from 1; ONBUILD's steps have the lines of FROM.
    pub lines: (u32, u32),
    /// Where it stands in the file, in bytes; empty for ONBUILD's steps.
    pub span: Range<usize>,
    /// The instruction as shown: on one line, with variables as BuildKit shows them (`RUN make`, `COPY a b`).
    pub text: String,
    /// `created_by` of the image's history, as BuildKit writes it.
    pub history: String,
    /// USER in force, expanded; empty for root. BuildKit gives it the folder that WORKDIR makes.
    pub user: String,
    /// What is done.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Runs a command.
    Run(Run),
    /// COPY and ADD.
    Copy(Copy),
    /// Makes the working directory where it is missing (0755, owned by the step's user).
    Workdir(String),
    /// Changes only settings: no layer.
    Settings,
}

/// RUN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The whole command: the shell and its text, or the JSON form's words.
    pub argv: Vec<String>,
    /// The environment: ENV and the arguments in scope, each name once; of both the later one holds, as in
    /// BuildKit. `PATH` is there.
    pub env: Vec<(String, String)>,
    /// Arguments of proxies and the like that are in the environment and not in the key.
    pub unkeyed_env: Vec<(String, String)>,
    /// The working directory, absolute.
    pub workdir: String,
    /// USER as written, expanded; empty for root.
    pub user: String,
    /// `--network`.
    pub network: Network,
    /// `--mount`.
    pub mounts: Vec<FileMount>,
    /// A heredoc that begins with `#!`: the path of a file that is mounted read-only (0755, root's), and its text.
    pub script: Option<(String, String)>,
}

/// `RUN --mount`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// Where, absolute; a relative one was joined to the working directory.
    pub target: String,
    /// What.
    pub kind: FileMountKind,
    /// Nothing can be written; what is written to a writable bind is thrown away.
    pub read_only: bool,
}

/// The types of `RUN --mount`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileMountKind {
    /// `bind`.
    Bind {
        /// Of what.
        from: CopySource,
        /// The path in it, absolute.
        source: String,
    },
    /// `cache`.
    Cache {
        /// Its name; the target where none is given.
        id: String,
        /// Who may use it at once.
        sharing: CacheSharing,
        /// What it starts with.
        from: Option<(CopySource, String)>,
        /// Of a new one.
        mode: u32,
        /// Owner of a new one.
        uid: u32,
        /// Group of a new one.
        gid: u32,
    },
    /// `tmpfs`.
    Tmpfs {
        /// At most so many bytes; 0 for no limit.
        size: u64,
    },
    /// `secret`.
    Secret {
        /// Which secret.
        id: String,
        /// Given as this variable too, or instead where there is no target.
        env: Option<String>,
        /// Whether it is mounted as a file.
        is_file: bool,
        /// Whether its absence is an error.
        required: bool,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// `ssh`: the socket of an agent.
    Ssh {
        /// Which agent.
        id: String,
        /// Whether its absence is an error.
        required: bool,
        /// The socket's mode.
        mode: u32,
        /// The socket's owner.
        uid: u32,
        /// The socket's group.
        gid: u32,
    },
}

/// Who may use a cache mount at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheSharing {
    /// All.
    Shared,
    /// Each its own.
    Private,
    /// One after the other.
    Locked,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopySource {
    /// The build context.
    Context,
    /// A named context that is a folder (`--build-context`).
    Named(String),
    /// The tree of a stage.
    Stage(usize),
    /// The tree of an image.
    Image(String),
}

/// COPY and ADD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// It is an ADD: archives are unpacked, URLs and git repositories fetched.
    pub is_add: bool,
    /// Of what.
    pub from: CopySource,
    /// The sources as written, expanded: paths with Go's wildcards; of ADD also URLs and git references.
    pub sources: Vec<String>,
    /// The heredocs among the sources: name and content, expanded.
    pub heredocs: Vec<(String, Vec<u8>)>,
    /// The destination: absolute, with the trailing slash that was written.
    pub destination: String,
    /// `--chown`.
    pub chown: Option<Owner>,
    /// `--chmod`, as written: octal, or symbolic (`u=rwX,go=rX`).
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: bool,
    /// `--unpack`; `None` where it is not given.
    pub unpack: Option<bool>,
}

/// `--chown`, expanded and split: names are looked up in the image later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// A name or number.
    pub user: String,
    /// A name or number; where it is missing, the number of the user.
    pub group: Option<String>,
}

/// Values of build arguments by name.
pub type BuildArguments = BTreeMap<String, String>;
