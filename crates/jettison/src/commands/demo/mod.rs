//! `jettison demo`: a Dockerfile built at -O0 and -O2, and an image that somebody else built optimized, all of this
//! machine's own files and proven.

mod host;
mod image;
mod layer;
mod project;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use jettison_engine::sandbox::Host;

use crate::cli::{Cli, Command, Demo};
use crate::folders;
use crate::printer::Printer;
use host::HostFiles;
use project::Project;

/// Commands of the demo, shown and run.
struct Stage<'d> {
    host: Option<&'d Host>,
    printer: &'d Printer,
}

pub(crate) fn run(args: &Demo, host: Option<&Host>, printer: &Printer) -> Result<ExitCode> {
    let folder = match &args.folder {
        Some(folder) => std::path::absolute(folder)?,
        None => default_folder()?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = host::files().context("cannot read this machine's own files")?;
    let stage = Stage { host, printer };
    let built = stage.build(&folder, &files);
    if let Err(error) = &built {
        printer.error(error);
    }
    let code = stage.optimize(&folder, &files)?;
    Ok(if built.is_ok() { code } else { ExitCode::from(super::FAILED) })
}

/// A folder for temporary files: the same one each time, unless it is somebody else's.
fn default_folder() -> Result<PathBuf> {
    let temporary = std::env::temp_dir();
    let folder = temporary.join("jettison-demo");
    let is_own = |folder: &Path| -> io::Result<bool> {
        let found = fs::symlink_metadata(folder)?;
        Ok(found.is_dir() && found.uid() == fs::metadata("/proc/self")?.uid())
    };
    match fs::create_dir(&folder) {
        Ok(()) => Ok(folder),
        Err(_) if is_own(&folder).unwrap_or(false) => Ok(folder),
        Err(_) => {
            let other = tempfile::Builder::new().prefix("jettison-demo-").tempdir_in(&temporary);
            Ok(other.with_context(|| format!("cannot make a folder in {}", temporary.display()))?.keep())
        }
    }
}

impl Stage<'_> {
    /// Builds the project at -O0, once more with its last line changed, and at -O2.
    fn build(&self, folder: &Path, files: &HostFiles) -> Result<()> {
        ensure!(self.host.is_some(), "nothing can be built here");
        let [base, app, cache] =
            ["base.tar", "app", "demo-cache"].map(|name| folder.join(name).to_string_lossy().into_owned());
        image::write_base(Path::new(&base), files)?;
        match fs::remove_dir_all(&cache) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {cache}"));
            }
            _ => {}
        }
        let project = Project::write(PathBuf::from(&app), files)?;
        let dockerfile = project.set_version("1")?;
        let context = format!("base=docker-archive:{base}");
        let build = |level, name| {
            vec!["jettison", "build", level, "-t", name, "--build-context", &context, "--cache-dir", &cache, &app]
        };
        self.say(&format!(
            "{} of this machine's tools and libraries are a base image in {base}.\n\
             On it stands a project, {app}, with this Dockerfile:\n\n{}\n\
             Built for development, each instruction is a layer:\n",
            files.tools.len(),
            indented(&dockerfile)
        ))?;
        self.run(&build("-O0", "app:dev"))?;
        let last = project.set_version("2")?;
        let last = last.lines().last().unwrap_or_default();
        self.say(&format!("\nNow the last line is `{last}`; the steps before it are cached:\n"))?;
        self.run(&build("-O0", "app:dev"))?;
        self.say("\nBuilt to be shipped, from the same cache:\n")?;
        self.run(&build("-O2", "app:v2"))?;
        self.say("\nWhat the one for development ships that no container sees, and whether both are the same:\n")?;
        self.run(&["jettison", "weigh", "app:dev", "--rows", "6", "--cache-dir", &cache])?;
        let compared = self.run(&["jettison", "diff", "app:dev", "app:v2", "--cache-dir", &cache])?;
        ensure!(compared == ExitCode::SUCCESS, "the two images differ: this is a bug in jettison");
        Ok(())
    }

    /// Weighs an image that something else built, and optimizes it.
    fn optimize(&self, folder: &Path, files: &HostFiles) -> Result<ExitCode> {
        let before = folder.join("demo.tar");
        image::write_wasteful(&before, files)?;
        let before = format!("docker-archive:{}:demo:latest", before.display());
        let after = format!("docker-archive:{}", folder.join("demo-optimized.tar").display());
        self.say(&format!(
            "\nAn image as other builders make them, of {} of this machine's files, is optimized without its Dockerfile:\n",
            files.count()
        ))?;
        self.run(&["jettison", "weigh", &before, "--rows", "6"])?;
        let code = self.run(&["jettison", "optimize", &before, "-O1", "-o", &after])?;
        self.say("\nAll of it stays there, to be looked at with the same commands.\n")?;
        Ok(code)
    }

    fn say(&self, text: &str) -> Result<()> {
        Ok(self.printer.result(text)?)
    }

    fn run(&self, words: &[&str]) -> Result<ExitCode> {
        self.say(&format!("\n$ {}\n", words.join(" ")))?;
        let mut cli = Cli::try_parse_from(words)?;
        let _brought = folders::find_images(&mut cli, self.printer)?;
        match cli.command {
            Command::Build(args) => super::build::run(&args, self.host, self.printer),
            Command::Weigh(args) => super::weigh::run(&args, self.printer),
            Command::Diff(args) => super::diff::run(&args, self.printer),
            Command::Optimize(args) => super::optimize::run(&args, self.printer),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
