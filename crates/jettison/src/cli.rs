//! Arguments. Help texts are the comments here.

mod build;
mod layers;
mod registry;
mod source;

use std::path::PathBuf;

use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use jettison_ir::{ImageOptions, Level, Pattern};
use jettison_report::By;
use jettison_store::{Encoding, Reference};

pub(crate) use build::{
    Build, CacheAction, CacheArgs, CacheCommand, CachePlace, ImageArgs, Images, InputArgs, NetworkArg, ProgressArg,
    Prune, RemoveImages, SnapshotterArg, StepArgs,
};
pub(crate) use layers::{LayersArg, LayersArgs};
pub(crate) use registry::RegistryArgs;
pub(crate) use source::{ErrorOn, Lint, LintFormat, ProofArgs, Rewrite};

/// An optimizing compiler for container images
///
/// An IMAGE is docker-archive:FILE[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], local:NAME[:TAG],
/// docker://NAME[:TAG] on a registry, docker-daemon:NAME[:TAG], containers-storage:NAME[:TAG], or a bare path or name
/// that is one of them.
#[derive(Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args)]
pub(crate) struct OutputArgs {
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(crate) color: ColorWhen,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Say more: why each pass left something alone, how long each took
    #[arg(short, long, global = true, help_heading = "Output")]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Build an image from a Dockerfile, without a daemon, at any level
    Build(Box<Build>),
    /// Show or shrink the build cache
    Cache(CacheCommand),
    /// List the local images
    Images(Images),
    /// Remove local images by name or ID
    Rmi(RemoveImages),
    /// Show what an image weighs: layers, waste and its causes, what -O1 would save
    Weigh(Weigh),
    /// Write a smaller image, proven to be the input but for what it lists
    #[command(mut_arg("platform", several_platforms))]
    Optimize(Optimize),
    /// Copy an image from one place to another, byte for byte
    #[command(mut_arg("platform", several_platforms))]
    Copy(Copy),
    /// Show what `optimize` took out of an image, from the receipt that the image carries or that --receipt wrote
    #[command(mut_arg("platform", |arg| arg.help("The platforms, as in linux/amd64,linux/arm64; `all` for every one [default: this machine's; of a file all]")))]
    Receipt(ReceiptArgs),
    /// Rewrite a Dockerfile to its release form, or to its development form
    #[command(mut_args(source::needs_proof))]
    Rewrite(Rewrite),
    /// Find waste in Dockerfiles
    Lint(Lint),
    /// Compare two images as running containers see them
    Diff(Diff),
    /// Print an image's layers in the text form
    Dump(Dump),
    /// Build a Dockerfile on this machine's own files at -O0 and -O2, weigh and optimize images
    Demo(Demo),
    /// List the passes
    Passes,
    /// Explain a pass or an assumption
    Explain {
        /// Its name or a code of another linter, as listed by `jettison passes`; or an assumption's name
        name: String,
    },
    /// Print a completion script
    Completions {
        /// The shell that it is for
        shell: clap_complete::Shell,
    },
}

/// What works on an index as a whole takes several platforms, and all of them unless it is told otherwise.
fn several_platforms(arg: Arg) -> Arg {
    arg.value_name("OS/ARCH,…").help("Only these platforms, as in linux/amd64,linux/arm64; one alone is written without an index [default: all that are there, to an engine this machine's]")
}

/// Which image, and how much of it may be read.
#[derive(Args, Clone)]
pub(crate) struct ReadArgs {
    /// The platform, as in linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", help_heading = "Reading")]
    pub(crate) platform: Option<String>,
    /// The most bytes that one layer may unpack to (with k, M, G or T)
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Reading")]
    pub(crate) max_layer_size: Option<u64>,
    /// The cache's folder, where local: images are [default: $JETTISON_CACHE, else jettison in the user's cache folder]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub(crate) cache_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// How the base is found.
#[derive(Args, Clone)]
pub(crate) struct BaseArgs {
    /// The base image, whose layers stay as they are
    #[arg(long, value_name = "IMAGE")]
    pub(crate) base: Option<Reference>,
    /// The image has no base, or none worth sharing: every layer is its own
    #[arg(long, conflicts_with = "base")]
    pub(crate) squash_all: bool,
}

#[derive(Args)]
pub(crate) struct Weigh {
    /// The image
    pub(crate) image: Reference,
    #[command(flatten)]
    pub(crate) base: BaseArgs,
    /// What the waste is listed by; or package, for the packages and why they are there
    #[arg(long, value_name = "WHAT", default_value = "layer")]
    pub(crate) by: ByArg,
    /// The most rows that are listed
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) rows: usize,
    /// Don't pack the layers to measure what -O1 saves of the stored size
    #[arg(long)]
    pub(crate) no_measure: bool,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ByArg {
    Layer,
    Path,
    Cause,
    /// Not the waste, but what is seen: packages and why they are there
    Package,
}

impl ByArg {
    /// What the waste is listed by; none where it is not listed.
    pub(crate) fn waste(self) -> Option<By> {
        match self {
            Self::Layer => Some(By::Layer),
            Self::Path => Some(By::Path),
            Self::Cause => Some(By::Cause),
            Self::Package => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

#[derive(Args)]
pub(crate) struct Optimize {
    /// The image
    pub(crate) image: Reference,
    /// Where to write: docker-archive:FILE, oci:DIR[:TAG], oci-archive:FILE, local:NAME, docker://NAME,
    /// docker-daemon:NAME, containers-storage:NAME; a bare path is of the input's kind
    #[arg(short, long, value_name = "OUT", required_unless_present_any = ["plan", "tags"])]
    pub(crate) output: Option<Reference>,
    /// Give the result a name in the place that the input came from: Docker's engine, podman's images, or the local images,
    /// which also take what came from files and registries; several give several
    #[arg(short, long = "tag", value_name = "NAME[:TAG]", conflicts_with_all = ["output", "plan"])]
    pub(crate) tags: Vec<String>,
    /// Print what would be done and what it would save, and write nothing
    #[arg(long, conflicts_with = "output")]
    pub(crate) plan: bool,
    /// 0: copy as it is; 1: lossless; 2: without what no program reads when it runs; s: without what a container does not
    /// need to run
    #[arg(short = 'O', value_name = "LEVEL", default_value = "2")]
    pub(crate) level: Level,
    #[command(flatten)]
    pub(crate) base: BaseArgs,
    #[command(flatten)]
    pub(crate) layers: LayersArgs,
    /// How written layers are packed: gzip, zstd or none, with :LEVEL; zstd also with ,long or ,long=N for a window of
    /// 2^N bytes, 27 at most [default: none to docker-archive, else gzip]
    #[arg(long, value_name = "FORMAT[:LEVEL][,long]")]
    pub(crate) compression: Option<Encoding>,
    /// Write each image twice below one index: packed by gzip for clients that take the first they find, and by zstd for
    /// those that know both
    #[arg(long)]
    pub(crate) dual: bool,
    /// Pack layers anew that stay what they are, the base's too: nobody shares their bytes any more
    #[arg(long)]
    pub(crate) recompress_base: bool,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) passes: PassArgs,
    #[command(flatten)]
    pub(crate) keeping: KeepArgs,
    /// Write the receipt to a file as JSON: every path that was changed, with the pass and the reason; `-` is standard
    /// output, and the report then goes to standard error
    #[arg(long, value_name = "FILE", conflicts_with = "plan", help_heading = "Receipt")]
    pub(crate) receipt: Option<PathBuf>,
    /// Have the receipt go with the image, where `jettison receipt OUT` finds it
    #[arg(long, conflicts_with = "plan", help_heading = "Receipt")]
    pub(crate) attach_receipt: bool,
    /// Have the judge compare after every pass
    #[arg(long, help_heading = "Passes")]
    pub(crate) verify_each: bool,
    /// The user and the password for the output's registry, where they are not those of the input's
    #[arg(long, value_name = "USER:PASSWORD", help_heading = "Registries")]
    pub(crate) dest_creds: Option<String>,
}

#[derive(Args)]
pub(crate) struct Copy {
    /// The image
    pub(crate) source: Reference,
    /// Where it is to be
    pub(crate) target: Reference,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// The user and the password for the target's registry, where they are not those of the source's
    #[arg(long, value_name = "USER:PASSWORD", help_heading = "Registries")]
    pub(crate) dest_creds: Option<String>,
}

#[derive(Args)]
pub(crate) struct ReceiptArgs {
    /// The image; or the file that `optimize --receipt FILE` wrote
    pub(crate) image: Reference,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// What stays and what goes, whatever the passes say.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "What stays and what goes")]
pub(crate) struct KeepArgs {
    /// Leave these paths as they are, whatever a pass says: * and ? within a name, ** over folders
    #[arg(long, value_name = "GLOB")]
    pub(crate) keep: Vec<Pattern>,
    /// Keep the texts of a language at -Os, as de or pt_BR; `all` for every one [default: those that the image's LANG,
    /// LC_* and LANGUAGE name]
    #[arg(long, value_name = "LANG", value_delimiter = ',', value_parser = parse_name)]
    pub(crate) keep_locale: Vec<String>,
    /// Remove these packages, and what was installed for them alone; one that is needed is refused
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    pub(crate) purge: Vec<String>,
    /// Remove a group of packages: one that `apk add --virtual NAME` made, or a package that is nothing but a name for others
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) r#virtual: Vec<String>,
    /// Remove the configuration of packages that go as well
    #[arg(long)]
    pub(crate) purge_configuration: bool,
    /// Remove compiled Python whose source is there: programs start slower, once or each time
    #[arg(long)]
    pub(crate) drop_compiled_python: bool,
    /// Remove files that are secrets as a whole, such as private keys
    #[arg(long)]
    pub(crate) remove_secrets: bool,
}

impl KeepArgs {
    pub(crate) fn options(&self) -> ImageOptions {
        ImageOptions {
            keep: self.keep.clone(),
            keep_locales: self.keep_locale.clone(),
            purge: self.purge.clone(),
            virtuals: self.r#virtual.clone(),
            purge_configuration: self.purge_configuration,
            drop_compiled_python: self.drop_compiled_python,
            remove_secrets: self.remove_secrets,
        }
    }
}

/// Which passes run, for those who look for the one that does something wrong.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Passes")]
pub(crate) struct PassArgs {
    /// Leave out a pass
    #[arg(long, value_name = "PASS", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Run no other passes
    #[arg(long, value_name = "PASS", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Apply no more than so many fixes
    #[arg(long, value_name = "N")]
    pub(crate) pass_limit: Option<usize>,
    /// Print what there is after a pass: the own layers in the text form, or the Dockerfile
    #[arg(long, value_name = "PASS")]
    pub(crate) print_after: Option<String>,
    /// Say how long each pass took
    #[arg(long)]
    pub(crate) time_passes: bool,
    /// Say what passes left alone, and why
    #[arg(long)]
    pub(crate) remarks: bool,
}

#[derive(Args)]
pub(crate) struct Diff {
    /// One image
    pub(crate) before: Reference,
    /// The other
    pub(crate) after: Reference,
    /// The most differences that are listed
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) rows: usize,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Args)]
pub(crate) struct Dump {
    /// The image
    pub(crate) image: Reference,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Args)]
pub(crate) struct Demo {
    /// Where to put the images [default: jettison-demo in the folder for temporary files]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// A name, which an unset variable of a script does not give.
fn parse_name(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("the name is empty") } else { Ok(text.to_owned()) }
}

/// A number of bytes, with a decimal unit.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.trim_end_matches(['B', 'b', 'i']) {
        trimmed if trimmed.ends_with(|c: char| c.is_ascii_alphabetic()) => trimmed.split_at(trimmed.len() - 1),
        trimmed => (trimmed, ""),
    };
    let factor: u64 = match unit {
        "" => 1,
        "k" | "K" => 1000,
        "M" | "m" => 1_000_000,
        "G" | "g" => 1_000_000_000,
        "T" | "t" => 1_000_000_000_000,
        other => return Err(format!("{other:?} is no unit; there are k, M, G and T")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a size such as 500M"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("500M"), Ok(500_000_000));
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("7"), Ok(7));
        for bad in ["", "M", "1X", "-1", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
