//! The developers' commands: `cargo xtask NAME`. Each command is one variant of [`Command`] and one module.
#![allow(clippy::print_stdout, clippy::print_stderr)] // A program for developers talks to its terminal directly.

mod bench;
mod build_bench;
mod prove_bench;
mod pull_bench;
mod registry_bench;
mod source;
mod trace;

use anyhow::Result;
use clap::Parser;

/// Developer commands of jettison.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Measure jettison against the floor (reading, hashing, writing) and against its peers.
    Bench(bench::Options),
    /// Build the same Dockerfiles with jettison, BuildKit and buildah; writes bench/build.md.
    BenchBuild(build_bench::Options),
    /// Prove rewrites of real projects and build both forms; writes bench/prove.md.
    BenchProve(prove_bench::Options),
    /// What a client pulls for the next release, by how own layers are cut; writes bench/pull.md.
    BenchPull(pull_bench::Options),
    /// Copy and optimize images from registry to registry, against skopeo and crane; writes bench/registry.md.
    BenchRegistry(registry_bench::Options),
    /// Measure what watching a step costs; writes bench/trace.md.
    BenchTrace(trace::Options),
    /// Measure jettison on the Dockerfiles of the corpus, against hadolint and tally; writes bench/source.md.
    BenchSource(source::bench::Options),
    /// Compare findings with hadolint's, rule by rule, over the corpus; writes bench/agreement.md.
    Agreement(source::agreement::Options),
    /// Run the laws over the corpus and write what the passes make of it to bench/corpus.md.
    Corpus,
    /// Write docs/ASSUMPTIONS.md from the table of passes.
    Assumptions,
    /// Optimize the images of some projects at each level; writes bench/savings.snap.
    Savings(prove_bench::Common),
    /// Run one program and write what it cost (started by `bench`, once for every timed step).
    #[command(hide = true)]
    Measured(bench::MeasuredOptions),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Bench(options) => bench::run(&options),
        Command::BenchBuild(options) => build_bench::run(&options),
        Command::BenchProve(options) => prove_bench::run(&options),
        Command::BenchPull(options) => pull_bench::run(&options),
        Command::BenchRegistry(options) => registry_bench::run(&options),
        Command::BenchTrace(options) => trace::run(&options),
        Command::BenchSource(options) => source::bench::run(&options),
        Command::Agreement(options) => source::agreement::run(&options),
        Command::Corpus => source::bless(),
        Command::Assumptions => source::assumptions(),
        Command::Savings(options) => prove_bench::savings::run(&options),
        Command::Measured(options) => bench::run_measured(&options),
    }
}
