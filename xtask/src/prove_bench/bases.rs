//! The base images: Debian from its mirror, Alpine and busybox from the test data, and upon Debian those of
//! `bench/bases`, which have under the names of official images what people expect of these.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tool::{Subject, Tool, remove};

/// What the official images of Debian set for apt and dpkg: no translations, packed lists, no kept packages, no waiting for
/// the disk; and of documentation only the copyright files, as in the slim ones.
const DEBIAN: [&str; 12] = [
    "--aptopt=Acquire::Languages \"none\"",
    "--aptopt=Acquire::GzipIndexes \"true\"",
    "--aptopt=Dir::Cache::pkgcache \"\"",
    "--aptopt=Dir::Cache::srcpkgcache \"\"",
    "--aptopt=DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb || true\"; }",
    "--aptopt=Apt::AutoRemove::SuggestsImportant \"false\"",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
];
/// Registries are asked from within builds, and are checked by the certificates that this machine knows.
const CERTIFICATES: [&str; 3] = [
    "--customize-hook=mkdir -p \"$1/etc/ssl/certs\" \"$1/usr/local/share\"",
    "--customize-hook=copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs",
    "--customize-hook=copy-in /usr/local/share/ca-certificates /usr/local/share",
];
const MIRROR: &str = "deb http://deb.debian.org/debian bookworm main";
const LISTS: &str = "/var/lib/apt/lists";
const PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What builds leave in a cache, by folders.
const LEFT: [&str; 6] = ["images/blobs/sha256", "locks", "released", "snapshots", "steps", "values"];

/// What is in a cache that has base images and nothing else.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Clean {
    /// The names in each folder.
    names: BTreeMap<String, BTreeSet<String>>,
    /// The list of the local images.
    index: String,
    /// The base images that are there unpacked.
    unpacked: BTreeSet<String>,
}

/// The base images, each made when it is first needed, in the cache that all projects are built with. Between projects
/// that is brought back to what it was: unpacking a base of tens of thousands of files takes longer than most of them.
pub(super) struct Bases<'b> {
    tool: &'b Tool,
    /// Where the base images' Dockerfiles are.
    texts: PathBuf,
    work: PathBuf,
    images: Option<PathBuf>,
    /// How many bytes the layers have, unpacked.
    sizes: BTreeMap<String, u64>,
}

impl<'b> Bases<'b> {
    pub(super) fn new(tool: &'b Tool, work: &Path, texts: &Path, images: Option<PathBuf>) -> Result<Self> {
        let work = work.join("bases");
        fs::create_dir_all(&work)?;
        let bases = Self { tool, texts: texts.to_owned(), work, images, sizes: BTreeMap::new() };
        // An earlier run may have been interrupted.
        bases.clean()?;
        Ok(bases)
    }

    /// The cache, with these base images in it, unpacked, and nothing that any project left.
    pub(super) fn ready(&mut self, bases: &[String]) -> Result<PathBuf> {
        let mut known = self.clean()?;
        let context = self.work.join("warm");
        fs::create_dir_all(&context)?;
        let (cache, dockerfile) = (self.cache(), context.join("Dockerfile"));
        for base in bases.iter().filter(|base| !known.unpacked.contains(*base)).collect::<Vec<_>>() {
            self.make(base).with_context(|| format!("the base image {base}"))?;
            fs::write(&dockerfile, format!("FROM {base}\nRUN [\"true\"]\n"))?;
            let subject = Subject { cache: &cache, dockerfile: &dockerfile, context: &context };
            self.tool.build(subject, "-O0", &["-t".to_owned(), "warm:1".to_owned()])?;
            known.unpacked.insert(base.clone());
            known.names = LEFT
                .iter()
                .map(|folder| Ok(((*folder).to_owned(), names(&cache.join(folder))?)))
                .collect::<Result<_>>()?;
            known.index = fs::read_to_string(cache.join("images/index.json"))?;
            fs::write(self.work.join("clean.json"), serde_json::to_vec(&known)?)?;
        }
        Ok(cache)
    }

    /// Takes out of the cache what projects left, and tells what stays.
    fn clean(&self) -> Result<Clean> {
        let Ok(kept) = fs::read(self.work.join("clean.json")) else { return Ok(Clean::default()) };
        let (kept, cache): (Clean, PathBuf) = (serde_json::from_slice(&kept)?, self.cache());
        for (folder, kept) in &kept.names {
            for name in names(&cache.join(folder))?.difference(kept) {
                let path = cache.join(folder).join(name);
                if path.is_dir() { remove(&path) } else { fs::remove_file(path)? }
            }
        }
        fs::write(cache.join("images/index.json"), &kept.index)?;
        Ok(kept)
    }

    /// Bytes of a base image's layers, unpacked.
    pub(super) fn unpacked(&mut self, base: &str) -> Result<u64> {
        if let Some(known) = self.sizes.get(base) {
            return Ok(*known);
        }
        let mut command = Command::new(&self.tool.program);
        command.args(["weigh", "--format=json", "--cache-dir"]).arg(self.cache()).arg(format!("local:{base}"));
        let output = command.output()?;
        ensure!(output.status.success(), "weigh {base}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let layers = report["layers"].as_array().context("a weight has layers")?;
        let sum = layers.iter().filter_map(|layer| layer["unpacked"].as_u64()).sum();
        self.sizes.insert(base.to_owned(), sum);
        Ok(sum)
    }

    fn cache(&self) -> PathBuf {
        self.work.join("cache")
    }

    fn folder(&self, base: &str) -> PathBuf {
        self.work.join(base.replace([':', '/'], "-"))
    }

    /// Makes a base image unless it is there, and those below it; the text is what it was made of.
    fn make(&self, base: &str) -> Result<String> {
        let folder = self.folder(base);
        let mut made = String::new();
        let text = match base {
            // The official images have nothing in the folder of lists, in which mmdebstrap has apt leave a lock at its end.
            "debian:bookworm-slim" => {
                format!("FROM scratch\nADD root.tar /\n{PATH}\nRUN rm -rf {LISTS}/*\nCMD [\"bash\"]\n")
            }
            "alpine:3.20" => format!("FROM scratch\nADD root.tar.gz /\n{PATH}\nCMD [\"/bin/sh\"]\n"),
            "busybox:1.37" => "FROM image\n".to_owned(),
            _ => {
                let path = self.texts.join(base.replace(':', "-")).join("Dockerfile");
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let below = text.lines().find_map(|line| line.strip_prefix("FROM "));
                made = self.make(below.context("no FROM")?)?;
                text
            }
        };
        let dockerfile = folder.join("Dockerfile");
        if base == "debian:bookworm-slim" {
            made = format!("{}\n{}\n", MIRROR, DEBIAN.join("\n"));
        }
        made += &text;
        // Made anew where that has changed since.
        if fs::read_to_string(folder.join("made")).is_ok_and(|before| before == made) {
            return Ok(made);
        }
        fs::create_dir_all(&folder)?;
        fs::write(&dockerfile, &text)?;
        let mut more = vec!["-t".to_owned(), base.to_owned()];
        match base {
            "debian:bookworm-slim" => debootstrap(&folder.join("root.tar"))?,
            "alpine:3.20" => {
                let rootfs = newest(&self.images()?, "alpine-minirootfs-3.20")?;
                fs::copy(&rootfs, folder.join("root.tar.gz"))?;
            }
            "busybox:1.37" => {
                let archive = newest(&self.images()?, "busybox-musl.oci")?;
                more.extend(["--build-context".to_owned(), format!("image=oci-archive:{}", archive.display())]);
            }
            _ => {}
        }
        eprintln!("making the base image {base}");
        let cache = self.cache();
        self.tool.build(Subject { cache: &cache, dockerfile: &dockerfile, context: &folder }, "-O1", &more)?;
        fs::write(folder.join("made"), &made)?;
        Ok(made)
    }

    fn images(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.images {
            return Ok(folder.clone());
        }
        let shared = std::env::var_os("JETTISON_SHARED");
        let shared = shared.context("where are Alpine and busybox? give --images DIR, or JETTISON_SHARED")?;
        Ok(Path::new(&shared).join("images"))
    }
}

fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let listed = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    listed.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn newest(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let listed = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = listed.filter_map(Result::ok).map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().starts_with(prefix);
    paths.filter(named).max().with_context(|| format!("no {prefix}* in {}", folder.display()))
}

/// The smallest Debian that apt works in.
fn debootstrap(target: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase"]).args(DEBIAN).args(CERTIFICATES).arg("bookworm").arg(target);
    let output = command.arg(MIRROR).stdin(Stdio::null()).output();
    let output = output.context("cannot start mmdebstrap: install Debian's mmdebstrap")?;
    ensure!(output.status.success(), "mmdebstrap: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
