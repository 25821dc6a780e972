//! The releases: real packages of Debian and of PyPI in the versions of their time, and an application that changes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What one release moves.
struct Move {
    /// Distributions with their versions, as pip takes them.
    pins: &'static str,
    /// Which of the system's packages it has: an index of [`SUITES`].
    system: usize,
}

/// Debian as released, with its security updates, and with all updates.
const SUITES: [&[&str]; 3] = [
    &["deb http://deb.debian.org/debian bookworm main"],
    &[
        "deb http://deb.debian.org/debian bookworm main",
        "deb http://deb.debian.org/debian-security bookworm-security main",
    ],
    &[
        "deb http://deb.debian.org/debian bookworm main",
        "deb http://deb.debian.org/debian-security bookworm-security main",
        "deb http://deb.debian.org/debian bookworm-updates main",
    ],
];

/// What the application has of Debian above its base.
const PACKAGES: &str = "ca-certificates,curl,libmagic1,libpq5,python3,tzdata";

const MOVES: [Move; 10] = [
    Move {
        pins: "flask==2.3.2 werkzeug==2.3.3 jinja2==3.1.2 click==8.1.3 itsdangerous==2.1.2 markupsafe==2.1.2 blinker==1.6.2 \
               requests==2.29.0 urllib3==1.26.15 certifi==2022.12.7 idna==3.4 charset-normalizer==3.1.0 numpy==1.24.3 \
               sqlalchemy==2.0.12 greenlet==2.0.2 typing-extensions==4.5.0",
        system: 0,
    },
    Move { pins: "requests==2.31.0 certifi==2023.5.7 werkzeug==2.3.4", system: 0 },
    Move { pins: "sqlalchemy==2.0.15 typing-extensions==4.6.3 urllib3==1.26.16 werkzeug==2.3.6", system: 0 },
    Move { pins: "numpy==1.25.1 click==8.1.5 charset-normalizer==3.2.0 markupsafe==2.1.3", system: 0 },
    Move { pins: "certifi==2023.7.22 sqlalchemy==2.0.19 typing-extensions==4.7.1 click==8.1.6", system: 1 },
    Move { pins: "flask==2.3.3 werkzeug==2.3.7 click==8.1.7", system: 1 },
    Move { pins: "urllib3==2.0.7 flask==3.0.0 werkzeug==3.0.1 charset-normalizer==3.3.2 blinker==1.7.0", system: 1 },
    Move { pins: "numpy==1.26.2 sqlalchemy==2.0.23 greenlet==3.0.1 certifi==2023.11.17", system: 1 },
    Move { pins: "jinja2==3.1.3 idna==3.6 typing-extensions==4.9.0 sqlalchemy==2.0.25 greenlet==3.0.3", system: 2 },
    Move { pins: "urllib3==2.2.1 numpy==1.26.4 certifi==2024.2.2 markupsafe==2.1.5", system: 2 },
];

/// The time of all files where builds give them one.
const TIME: u64 = 1_700_000_000;

/// One release.
pub(super) struct Release {
    /// Its image, as `docker save` writes it.
    pub(super) image: PathBuf,
    /// Bytes of what is not as in the release before, packed: nobody can pull less by layers.
    pub(super) changed: u64,
}

/// Releases whose parts lie in folders and tars.
pub(super) struct Series {
    /// What it is, for the table.
    pub(super) about: String,
    /// What each release moves, for the table.
    pub(super) moves: Vec<String>,
    base: PathBuf,
    /// For each release the tar of the system's packages and the folder of the distributions.
    parts: Vec<(PathBuf, PathBuf)>,
}

impl Series {
    /// From Debian's and PyPI's servers. What was fetched stays in `kept` from run to run.
    pub(super) fn real(folder: &Path, kept: &Path) -> Result<Self> {
        let base = kept.join("base.tar");
        let wholes: Vec<PathBuf> = (0..SUITES.len()).map(|at| kept.join(format!("whole{at}.tar"))).collect();
        // Most of the time goes to the network and to waiting for the disk.
        std::thread::scope(|scope| {
            let mut threads = vec![scope.spawn(|| bootstrap(&base, SUITES[0], None))];
            for (whole, suites) in wholes.iter().zip(SUITES) {
                threads.push(scope.spawn(|| bootstrap(whole, suites, Some(PACKAGES))));
            }
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread died")));
            joined.collect::<Result<Vec<()>>>()
        })?;
        let mut systems = Vec::new();
        for (at, whole) in wholes.iter().enumerate() {
            let above = folder.join(format!("system{at}.tar"));
            difference(&base, whole, &above)?;
            systems.push(above);
        }
        let mut pins: BTreeMap<&str, &str> = BTreeMap::new();
        let (mut parts, mut moves) = (Vec::new(), Vec::new());
        for (at, release) in MOVES.iter().enumerate() {
            pins.extend(release.pins.split_whitespace().filter_map(|pin| pin.split_once("==")));
            let target = kept.join(format!("python{at}"));
            if !target.exists() {
                install(&pins, &folder.join("python"), &target)?;
            }
            let is_upgraded = at > 0 && MOVES[at - 1].system != release.system;
            let system = if is_upgraded { ", packages of Debian" } else { "" };
            moves.push(format!("{}{system}, the application", release.pins));
            parts.push((systems[release.system].clone(), target));
        }
        let about = format!(
            "Debian 12 (mmdebstrap's minbase), above it a layer of {PACKAGES}, a layer of pinned wheels of PyPI, and a layer \
             of 40 files of the application, of which three change with each release."
        );
        Ok(Self { about, moves, base, parts })
    }

    /// Two of bytes that mean nothing.
    pub(super) fn made_up(folder: &Path) -> Result<Self> {
        let (base, system) = (folder.join("base.tar"), folder.join("system.tar"));
        tar::Builder::new(File::create(&base)?).into_inner()?;
        tar::Builder::new(File::create(&system)?).into_inner()?;
        let mut parts = Vec::new();
        for release in 0..2_usize {
            let python = folder.join(format!("python{release}"));
            for name in 0..6_usize {
                let version = if name == 3 { release } else { 0 };
                std::fs::create_dir_all(python.join(format!("name{name}")))?;
                std::fs::write(python.join(format!("name{name}/code.py")), noise(name * 10 + version, 2 << 20))?;
            }
            parts.push((system.clone(), python));
        }
        let moves = vec!["all".to_owned(), "one of six distributions, the application".to_owned()];
        Ok(Self { about: "Made-up files.".to_owned(), moves, base, parts })
    }

    /// The releases as archives, with one time for all files or with a time of each build.
    pub(super) fn images(&self, folder: &Path, are_fixed: bool) -> Result<Vec<Release>> {
        let mut releases = Vec::new();
        let mut before: Option<[PathBuf; 3]> = None;
        for (at, (system, python)) in self.parts.iter().enumerate() {
            let time = if are_fixed { TIME } else { TIME + 86400 * at as u64 };
            let name = |part: &str| folder.join(format!("{part}{at}.tar"));
            let layers = [system.clone(), name("wheels"), name("application")];
            pack(python, "usr/local/lib/python3.11/dist-packages", time, &layers[1])?;
            code(at, time, &layers[2])?;
            let image = folder.join(format!("release{at}-{are_fixed}.tar"));
            let with_base: Vec<PathBuf> = [&self.base].into_iter().chain(&layers).cloned().collect();
            archive(&with_base, &image)?;
            let mut changed = 0;
            for (before, after) in before.iter().flatten().zip(&layers) {
                let part = folder.join("changed.tar");
                difference(before, after, &part)?;
                changed += packed(&part)?.metadata()?.len();
            }
            releases.push(Release { image, changed });
            before = Some(layers);
        }
        Ok(releases)
    }
}

fn bootstrap(to: &Path, suites: &[&str], packages: Option<&str>) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    let part = to.with_extension("part.tar");
    let mut command = Command::new("mmdebstrap");
    command.env("SOURCE_DATE_EPOCH", TIME.to_string()).args(["--quiet", "--variant=minbase"]);
    command.args(packages.map(|packages| format!("--include={packages}")));
    let status = command.arg("bookworm").arg(&part).args(suites).status();
    ensure!(status.context("mmdebstrap does not start: install Debian's mmdebstrap")?.success(), "mmdebstrap failed");
    std::fs::rename(part, to)?;
    Ok(())
}

fn each_piece(from: &mut impl Read, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        take(&piece[..length]);
    }
}

/// Installs distributions of these versions to a folder that is new.
fn install(pins: &BTreeMap<&str, &str>, part: &Path, to: &Path) -> Result<()> {
    let wanted = pins.iter().map(|(name, version)| format!("{name}=={version}"));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
    pip.args(["--root-user-action=ignore", "--python-version", "3.11", "--only-binary=:all:", "--target"]);
    let status = pip.arg(part).args(wanted).status().context("python3 does not start: install it with pip")?;
    ensure!(status.success(), "pip cannot install the requirements for {}", to.display());
    Ok(std::fs::rename(part, to)?)
}

/// The entries of an archive with a mark of all that they say.
fn marks(path: &Path) -> Result<BTreeMap<PathBuf, [u8; 32]>> {
    let mut archive = tar::Archive::new(BufReader::new(File::open(path)?));
    let mut marks = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut hasher = Sha256::new();
        hasher.update(entry.header().as_bytes());
        each_piece(&mut entry, |piece| hasher.update(piece))?;
        marks.insert(entry.path()?.into_owned(), hasher.finalize().into());
    }
    Ok(marks)
}

/// Writes what `whole` has and `base` has not, or not so.
fn difference(base: &Path, whole: &Path, to: &Path) -> Result<()> {
    let (below, above) = (marks(base)?, marks(whole)?);
    let mut archive = tar::Archive::new(BufReader::new(File::open(whole)?));
    let mut out = tar::Builder::new(File::create(to)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let link = entry.link_name()?.map(std::borrow::Cow::into_owned);
        // A hard link goes with its content.
        let is_linked = entry.header().entry_type().is_hard_link();
        let is_same = |path: &PathBuf| below.contains_key(path) && below.get(path) == above.get(path);
        let is_device =
            entry.header().entry_type().is_character_special() || entry.header().entry_type().is_block_special();
        if is_device || (is_same(&path) && !is_linked) || (is_linked && link.as_ref().is_some_and(is_same)) {
            continue;
        }
        let mut header = entry.header().clone();
        if let Some(link) = link {
            out.append_link(&mut header, &path, &link)?;
        } else {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            out.append_data(&mut header, &path, content.as_slice())?;
        }
    }
    out.into_inner()?.flush()?;
    Ok(())
}

/// A folder's files below a path, in order, all with one time.
fn pack(folder: &Path, below: &str, time: u64, to: &Path) -> Result<()> {
    let transform = format!("--transform=s,^\\.,{below},");
    let status = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"])
        .args([format!("--mtime=@{time}"), transform, "-cf".to_owned()])
        .arg(to)
        .arg("-C")
        .arg(folder)
        .arg(".")
        .status()?;
    ensure!(status.success(), "{} cannot be packed", folder.display());
    Ok(())
}

/// Bytes that do not compress to nothing, always the same for a seed.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let block = |at: usize| Sha256::digest(format!("{seed}-{at}").as_bytes());
    (0..length.div_ceil(32)).flat_map(block).take(length).collect()
}

/// The application of a release: three files of forty are new.
fn code(release: usize, time: u64, to: &Path) -> Result<()> {
    let mut out = tar::Builder::new(File::create(to)?);
    for file in 0..40_usize {
        let last = (0..=release).rev().find(|at| *at == 0 || (at * 3..at * 3 + 3).any(|one| one % 40 == file));
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(time);
        let content = noise(1000 + file * 100 + last.unwrap_or_default(), 20_000);
        header.set_size(content.len() as u64);
        out.append_data(&mut header, format!("app/module{:02}/file{file:02}.py", file / 4), content.as_slice())?;
    }
    out.into_inner()?.flush()?;
    Ok(())
}

/// A tar packed by gzip, beside it; packed before, where it is no older.
fn packed(tar: &Path) -> Result<PathBuf> {
    let packed = tar.with_extension("tar.gz");
    let is_new = |packed: &Path| anyhow::Ok(packed.metadata()?.modified()? > tar.metadata()?.modified()?);
    if !packed.exists() || !is_new(&packed)? {
        let status = Command::new("gzip").arg("-cn").arg(tar).stdout(File::create(&packed)?).status()?;
        ensure!(status.success(), "{} cannot be packed", tar.display());
    }
    Ok(packed)
}

/// An image as `docker save` writes it; its history shows where the base ends.
fn archive(layers: &[PathBuf], to: &Path) -> Result<()> {
    let mut out = tar::Builder::new(File::create(to)?);
    let (mut names, mut diff_ids) = (Vec::new(), Vec::new());
    for (at, layer) in layers.iter().enumerate() {
        let mut hasher = Sha256::new();
        each_piece(&mut File::open(layer)?, |piece| hasher.update(piece))?;
        let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        diff_ids.push(format!("sha256:{hex}"));
        names.push(format!("{at}/layer.tar"));
        // As registries hold them: so blobs that are copied are measured as those that are written.
        out.append_path_with_name(packed(layer)?, format!("{at}/layer.tar"))?;
    }
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": [
            { "created_by": "ADD rootfs.tar /" },
            { "created_by": "CMD [\"sh\"]", "empty_layer": true },
            { "created_by": "RUN apt-get install" },
            { "created_by": "RUN pip install -r requirements.txt" },
            { "created_by": "COPY . /app" },
        ],
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["app:latest"], "Layers": names }]);
    for (name, value) in [("config.json", config), ("manifest.json", manifest)] {
        let content = serde_json::to_vec(&value)?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        out.append_data(&mut header, name, content.as_slice())?;
    }
    out.into_inner()?.flush()?;
    Ok(())
}
