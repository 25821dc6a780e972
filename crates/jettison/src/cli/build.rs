//! The arguments of `jettison build` and `jettison cache`: docker build's flags and spellings, and jettison's own.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jettison_ir::Level;

use super::{Format, LayersArgs, PassArgs, RegistryArgs, parse_size};
use crate::building::values::{duration, memory_size};

#[derive(Args)]
// As docker has it: of what is given twice the last counts, so that scripts can add to what they were given.
#[command(args_override_self = true)]
pub(crate) struct Build {
    /// The build context: a folder, a git repository's address, or `-` for a tar or a Dockerfile on stdin
    #[arg(default_value = ".")]
    pub(crate) context: String,
    /// The Dockerfile; `-` for stdin [default: Dockerfile or Containerfile of the context]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The image's name, as in app:v1; several give several
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    /// A label of the image
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// -O0: as written, a layer an instruction; 1: lossless; 2: with named assumptions; s, with --prove: without packages
    /// that only the build needs
    #[arg(short = 'O', value_name = "LEVEL", default_value = "2")]
    pub(crate) level: Level,
    #[command(flatten)]
    pub(crate) layers: LayersArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Where to write the steps of this build: type=local,dest=DIR
    #[arg(long, value_name = "type=local,dest=DIR", help_heading = "Cache")]
    pub(crate) cache_to: Vec<String>,
    #[command(flatten)]
    pub(crate) results: ResultArgs,
    #[command(flatten)]
    pub(crate) passes: PassArgs,
    /// Rewrite the Dockerfile at this level first, as far as building both forms proves it
    #[arg(long, help_heading = "Passes")]
    pub(crate) prove: bool,
    /// Run a command in both images as their user would: it has to end and print the same. A JSON array is run without a
    /// shell
    #[arg(long, value_name = "CMD", requires = "prove", help_heading = "Passes")]
    pub(crate) smoke: Vec<String>,
    /// Have the judge compare after every pass
    #[arg(long, help_heading = "Passes")]
    pub(crate) verify_each: bool,
}

/// What is built, beside the Dockerfile and its context.
#[derive(Args)]
pub(crate) struct InputArgs {
    /// The stage to build [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// A build argument; without a value, the environment's
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) build_args: Vec<String>,
    /// A further context: a folder, a tar, a URL, a git repository, or an image such as docker-image://alpine
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    pub(crate) build_contexts: Vec<String>,
    /// The platform to build for, as in linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
}

/// How RUN is run, and what is kept of it.
#[derive(Args)]
#[command(next_help_heading = "Steps")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) steps: StepArgs,
    /// Record what each RUN read and wrote; with =FILE, write it there as JSON
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) trace: Option<Option<PathBuf>>,
    /// Where a RUN fails, open a shell in the state that it left
    #[arg(long)]
    pub(crate) debug_shell: bool,
}

/// What RUN sees.
#[derive(Args)]
#[command(next_help_heading = "Steps")]
pub(crate) struct StepArgs {
    /// A secret: id=NAME,src=FILE or id=NAME,env=VARIABLE
    #[arg(long = "secret", value_name = "id=NAME,…")]
    pub(crate) secrets: Vec<String>,
    /// An SSH agent: default, or NAME=SOCKET
    #[arg(long, value_name = "default|NAME[=SOCKET]")]
    pub(crate) ssh: Vec<String>,
    /// A line of /etc/hosts
    #[arg(long = "add-host", value_name = "NAME:IP")]
    pub(crate) hosts: Vec<String>,
    /// The network of steps that do not name one
    #[arg(long, value_name = "default|host|none", default_value = "default")]
    pub(crate) network: NetworkArg,
    /// The size of /dev/shm (with k, m or g)
    #[arg(long, value_name = "SIZE", default_value = "64m", value_parser = memory_size)]
    pub(crate) shm_size: u64,
    /// The most time that one RUN may take, as in 90s or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// At most so many RUNs at once [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
}

/// Where base images come from.
#[derive(Args)]
#[command(next_help_heading = "Base images")]
pub(crate) struct ImageArgs {
    /// Ask the registry even for images that are at hand
    #[arg(long, conflicts_with = "offline")]
    pub(crate) pull: bool,
    /// Ask no registry, and fetch nothing
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// What is kept between builds.
#[derive(Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheArgs {
    /// Run every step anew
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Run the steps of a stage anew
    #[arg(long = "no-cache-filter", value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_stages: Vec<String>,
    /// A cache to look steps up in: type=local,src=DIR
    #[arg(long = "cache-from", value_name = "type=local,src=DIR")]
    pub(crate) from: Vec<String>,
    #[command(flatten)]
    pub(crate) place: CachePlace,
    /// How trees are made
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) snapshotter: SnapshotterArg,
}

/// Where the cache is.
#[derive(Args, Clone)]
pub(crate) struct CachePlace {
    /// The cache's folder [default: $JETTISON_CACHE, else jettison in the user's folder for caches]
    #[arg(long = "cache-dir", value_name = "DIR", global = true)]
    pub(crate) folder: Option<PathBuf>,
}

/// What comes of a build.
#[derive(Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ResultArgs {
    /// Where to write: type=oci|docker|local|tar,dest=PATH[,…], type=cacheonly for nothing, a folder for the tree, `-` for its tar on stdout, or
    /// oci:DIR, oci-archive:FILE, docker-archive:FILE, local:NAME, docker://NAME,
    /// docker-daemon:NAME, containers-storage:NAME [default: the local images]
    #[arg(short, long = "output", value_name = "OUT")]
    pub(crate) outputs: Vec<String>,
    /// Push the image to the registries that its tags name
    #[arg(long)]
    pub(crate) push: bool,
    /// Load the image into Docker's engine, or where only podman or buildah is there, among their images
    #[arg(long)]
    pub(crate) load: bool,
    /// Write the image's ID to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write the image's digests and name to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressArg,
    /// Show each line of the Dockerfile with what it ships, wastes and takes: --report[=human|json|github][,dest=FILE];
    /// several may be given
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) report: Vec<String>,
    /// Who runs the steps: auto, embedded, buildkit[=ADDRESS], docker[=HOST], buildah [default: $JETTISON_ENGINE,
    /// else embedded]
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
    /// What the last lines are: human (on stderr) or json (on stdout)
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkArg {
    Default,
    Host,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SnapshotterArg {
    Auto,
    Overlay,
    FuseOverlayfs,
    Copy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ProgressArg {
    Auto,
    Plain,
    Tty,
    Rawjson,
    Quiet,
}

#[derive(Args)]
pub(crate) struct CacheCommand {
    #[command(subcommand)]
    pub(crate) action: CacheAction,
    #[command(flatten)]
    pub(crate) place: CachePlace,
}

#[derive(Args)]
pub(crate) struct Images {
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) place: CachePlace,
}

#[derive(Args)]
pub(crate) struct RemoveImages {
    /// Their names, or IDs or the first digits of these
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) place: CachePlace,
}

#[derive(Subcommand)]
pub(crate) enum CacheAction {
    /// Show what the build cache holds, and with --verbose when each entry was last used
    Du {
        /// human or json
        #[arg(long, default_value = "human")]
        format: Format,
    },
    /// Remove what no build uses at the moment
    Prune(Prune),
}

#[derive(Args)]
pub(crate) struct Prune {
    /// Everything, base images' trees too
    #[arg(long)]
    pub(crate) all: bool,
    /// Keep so much of what was used last (with k, M, G or T)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) keep_storage: Option<u64>,
    /// Only what was not used for so long, as in 24h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
}
