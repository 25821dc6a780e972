//! The arguments of the commands on Dockerfiles.

use std::path::PathBuf;

use clap::{Arg, Args, Command, ValueEnum};
use jettison_ir::Level;
use jettison_ir::source::Goal;

use super::{CacheArgs, Format, ImageArgs, InputArgs, PassArgs, ProgressArg, StepArgs};

#[derive(Args)]
pub(crate) struct Rewrite {
    /// The build context, as `docker build` takes it: a folder; a Dockerfile stands for its folder [default: the
    /// Dockerfile's folder]
    pub(crate) context: Option<PathBuf>,
    /// The Dockerfile; `-` for stdin [default: Dockerfile or Containerfile of the context]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// 1: what a container cannot tell apart; 2: with named assumptions; s: for size
    #[arg(short = 'O', value_name = "LEVEL", default_value = "2", value_parser = parse_source_level)]
    pub(crate) level: Level,
    /// What the result is for: few layers without leftovers, or many cached steps
    #[arg(long = "for", value_name = "GOAL", default_value = "release")]
    pub(crate) goal: GoalArg,
    /// Write merged commands as heredocs
    #[arg(long)]
    pub(crate) heredoc: bool,
    /// Replace the Dockerfile, and `.dockerignore` where it changes
    #[arg(long, conflicts_with_all = ["output", "check"])]
    pub(crate) write: bool,
    /// Write the result to a file; `-` for stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "check")]
    pub(crate) output: Option<PathBuf>,
    /// Exit with 1 where anything would change
    #[arg(long)]
    pub(crate) check: bool,
    /// Show which lines each line of the result comes from
    #[arg(long)]
    pub(crate) source_map: bool,
    /// human or json
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) passes: PassArgs,
    #[command(flatten)]
    pub(crate) proof: ProofArgs,
}

/// How rewrites are proven.
#[derive(Args)]
#[command(next_help_heading = "Proof")]
pub(crate) struct ProofArgs {
    /// Build both forms and keep only the changes that make the same image
    #[arg(long, conflicts_with_all = ["print_after", "time_passes"])]
    pub(crate) prove: bool,
    /// With --for development: order instructions by what so many of the last commits changed in the context [default:
    /// 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) history: Option<u16>,
    /// Run a command in both images as their user would: it has to end and print the same. A JSON array is run without a
    /// shell
    #[arg(long, value_name = "CMD")]
    pub(crate) smoke: Vec<String>,
    /// Ship only what the command and the smoke commands use, from a stage of its own; needs -Os
    #[arg(long, requires = "smoke")]
    pub(crate) multi_stage: bool,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    #[command(flatten)]
    pub(crate) steps: StepArgs,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// How the builds' progress is shown
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressArg,
}

/// What says how to build means nothing where nothing is built.
pub(super) fn needs_proof(argument: Arg) -> Arg {
    let proof = ProofArgs::augment_args(Command::new("proof"));
    let is_of_proof =
        argument.get_id() != "prove" && proof.get_arguments().any(|own| own.get_id() == argument.get_id());
    if is_of_proof { argument.requires("prove").help_heading("Proof") } else { argument }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GoalArg {
    Release,
    Development,
}

impl From<GoalArg> for Goal {
    fn from(goal: GoalArg) -> Self {
        match goal {
            GoalArg::Release => Self::Release,
            GoalArg::Development => Self::Development,
        }
    }
}

#[derive(Args)]
pub(crate) struct Lint {
    /// Dockerfiles, and folders that are searched for them; `-` for stdin
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Passes of this level and below: 1, 2 or s
    #[arg(short = 'O', value_name = "LEVEL", default_value = "2", value_parser = parse_source_level)]
    pub(crate) level: Level,
    /// Apply the fixes that are exact, in place
    #[arg(long)]
    pub(crate) fix: bool,
    /// The least that makes the command exit with 1
    #[arg(long, value_name = "WHAT", default_value = "warning")]
    pub(crate) error_on: ErrorOn,
    /// human, json, sarif or github
    #[arg(long, default_value = "human")]
    pub(crate) format: LintFormat,
    /// Leave out a pass
    #[arg(long, value_name = "PASS", value_delimiter = ',', help_heading = "Passes")]
    pub(crate) skip: Vec<String>,
    /// Run no other passes
    #[arg(long, value_name = "PASS", value_delimiter = ',', help_heading = "Passes")]
    pub(crate) only: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    Human,
    Json,
    Sarif,
    Github,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorOn {
    Warning,
    Error,
    Never,
}

/// A level of rewriting.
fn parse_source_level(text: &str) -> Result<Level, String> {
    match text.parse() {
        Ok(Level::O0) | Err(_) => Err("Dockerfiles are rewritten at the levels 1, 2 and s".to_owned()),
        Ok(level) => Ok(level),
    }
}
