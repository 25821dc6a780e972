//! What is measured of one project, and how.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bases::Bases;
use super::projects::Project;
use super::smoke;
use super::tool::{Subject, Tool, remove};

/// How a rewriting is asked for, and the level that its result is built at.
pub(super) struct Form {
    pub(super) wish: &'static str,
    build: &'static str,
}

pub(super) const FORMS: [Form; 4] = [
    Form { wish: "-O1", build: "-O1" },
    Form { wish: "-O2", build: "-O2" },
    Form { wish: "-Os", build: "-O2" },
    Form { wish: STAGE, build: "-O2" },
];
/// With a final stage that has what is used.
pub(super) const STAGE: &str = "-Os --multi-stage";
/// The form whose proof is timed.
const TIMED: &str = "-O2";

/// An image in numbers.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Size {
    /// Layers above the base.
    pub(super) layers: u64,
    /// Bytes of these as they are shipped: compressed by gzip.
    pub(super) packed: u64,
    /// Bytes of these unpacked.
    pub(super) unpacked: u64,
    /// Whether there is a base below them.
    pub(super) is_on_base: bool,
}

/// A rewriting.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Proven {
    /// How it was asked for.
    pub(super) wish: String,
    /// Its image, built at that level.
    pub(super) size: Size,
    /// The same built at -O0: what any other builder makes of that text.
    pub(super) plain: Size,
    /// Changes that were made.
    pub(super) changes: usize,
    /// Changes that were refuted, each with the evidence.
    pub(super) withdrawn: Vec<String>,
    /// Builds that the proof took.
    pub(super) builds: u64,
    /// How long that was, with a build of the original in the cache, in seconds.
    pub(super) seconds: f64,
    /// Paths that were compared.
    pub(super) paths: u64,
    /// Paths that do not count.
    pub(super) excused: usize,
    /// The first smoke command that says something else than in the original's image.
    pub(super) other: Option<String>,
}

/// A project's row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) name: String,
    /// The image that the last stage starts from.
    pub(super) base: String,
    /// Bytes of that, unpacked.
    pub(super) base_unpacked: u64,
    /// Smoke commands.
    pub(super) smoke: usize,
    /// Built as it is written: a layer an instruction.
    pub(super) plain: Size,
    /// Built as it is written, at the levels -O1 and -O2 of images.
    pub(super) built: [Size; 2],
    /// Seconds of the first build at -O0.
    pub(super) seconds: f64,
    pub(super) proven: Vec<Proven>,
    /// Seconds of a proof with no earlier build in the cache.
    pub(super) cold: f64,
    /// Why it was not measured to the end.
    pub(super) failure: Option<String>,
}

impl Measured {
    pub(super) fn failed(project: &Project, why: &str) -> Self {
        Self { name: project.name.clone(), failure: Some(why.to_owned()), ..Self::default() }
    }

    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// What went wrong, in one line.
    pub(super) fn wrong(&self) -> Option<String> {
        let other = self.proven.iter().find_map(|proven| {
            let command = proven.other.as_ref()?;
            Some(format!("at {} `{command}` says something else", proven.wish))
        });
        let why = self.failure.clone().or(other)?;
        Some(format!("{}: {}", self.name, why.replace('\n', " ")))
    }

    pub(super) fn at(&self, wish: &str) -> Option<&Proven> {
        self.proven.iter().find(|proven| proven.wish == wish)
    }
}

/// Everything that is measured of a project, in a folder of the work folder.
pub(super) fn measure(tool: &Tool, bases: &mut Bases<'_>, project: &Project, work: &Path) -> Result<Measured> {
    remove(work);
    let cache = bases.ready(&project.bases())?;
    let bench = Bench { tool, project, work, cache, context: work.join("context") };
    project.lay(&bench.context)?;
    let original = bench.context.join("Dockerfile");
    let base = project.last_base();
    let mut row = Measured {
        name: project.name.clone(),
        base_unpacked: if base == "scratch" { 0 } else { bases.unpacked(&base)? },
        base,
        smoke: project.smoke.len(),
        ..Measured::default()
    };
    let first = tool.build(bench.subject(&original), "-O0", &["-t".to_owned(), "plain:1".to_owned()])?;
    row.seconds = first.seconds;
    // At first the proof that is timed: what later ones find in the cache is more than a build.
    let mut forms = FORMS;
    forms.sort_by_key(|form| form.wish != TIMED);
    let proofs = forms.iter().map(|form| bench.prove(form.wish)).collect::<Result<Vec<_>>>()?;
    row.plain = bench.size(&original, "-O0", "plain:1")?;
    row.built = [bench.size(&original, "-O1", "built:1")?, bench.size(&original, "-O2", "built:1")?];
    let expected = bench.smoke("plain:1")?;
    for (Form { wish, build }, (mut proven, dockerfile)) in forms.iter().zip(proofs) {
        proven.plain = bench.size(&dockerfile, "-O0", "other:1").with_context(|| format!("proven at {wish}"))?;
        proven.size = bench.size(&dockerfile, build, "proven:1").with_context(|| format!("proven at {wish}"))?;
        let said = bench.smoke("proven:1").with_context(|| format!("proven at {wish}"))?;
        let differs = project.smoke.iter().zip(expected.iter().zip(&said)).find(|(_, (before, after))| before != after);
        proven.other = differs.map(|(command, (before, after))| format!("{command}: {before:?} → {after:?}"));
        row.proven.push(proven);
    }
    row.proven.sort_by_key(|proven| FORMS.iter().position(|form| form.wish == proven.wish));
    bases.ready(&project.bases())?;
    row.cold = tool.prove(bench.subject(&original), TIMED, &[])?.seconds;
    Ok(row)
}

struct Bench<'b> {
    tool: &'b Tool,
    project: &'b Project,
    work: &'b Path,
    cache: PathBuf,
    context: PathBuf,
}

impl Bench<'_> {
    fn subject<'s>(&'s self, dockerfile: &'s Path) -> Subject<'s> {
        Subject { cache: &self.cache, dockerfile, context: &self.context }
    }

    /// Proves a form; beside the numbers stands the file.
    fn prove(&self, wish: &str) -> Result<(Proven, PathBuf)> {
        let original = self.context.join("Dockerfile");
        let (level, more) = wish.split_once(' ').map_or((wish, None), |(level, more)| (level, Some(more.to_owned())));
        // What the image's own work needs says what is for building only.
        let smoke = self.project.smoke.iter().filter(|_| level == "-Os");
        let smoke = smoke.flat_map(|command| ["--smoke".to_owned(), command.clone()]);
        let more: Vec<String> = more.into_iter().chain(smoke).collect();
        let answer = self.tool.prove(self.subject(&original), level, &more)?;
        let report = &answer.report;
        let dockerfile = self.work.join(format!("Dockerfile{}", wish.replace(' ', "")));
        fs::write(&dockerfile, report["text"].as_str().context("a report has the text")?)?;
        let ignore = report["dockerignore"]["text"].as_str();
        if let Some(ignore) = ignore {
            fs::write(dockerfile.with_added_extension("dockerignore"), ignore)?;
        }
        let list = |pointer: &str| report.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        let mut excused: Vec<String> =
            list("/proof/weighed/excused").iter().map(|one| one["path"].to_string()).collect();
        excused.dedup();
        let refuted = |one: &Value| {
            let evidence: String = one["evidence"].to_string().chars().take(300).collect();
            format!("{}: {}: {evidence}", one["pass"].as_str().unwrap_or_default(), one["message"])
        };
        let proven = Proven {
            wish: wish.to_owned(),
            changes: list("/changes").iter().filter(|change| change["applied"] == true).count(),
            withdrawn: list("/proof/withdrawn").iter().map(refuted).collect(),
            builds: number("/proof/builds"),
            seconds: answer.seconds,
            paths: number("/proof/weighed/paths"),
            excused: excused.len(),
            ..Proven::default()
        };
        Ok((proven, dockerfile))
    }

    /// Builds into the local images and into a folder as it would be pushed, and counts.
    fn size(&self, dockerfile: &Path, level: &str, tag: &str) -> Result<Size> {
        let layout = self.work.join("layout");
        remove(&layout);
        let more = ["-t".to_owned(), tag.to_owned(), "-o".to_owned(), format!("local:{tag}"), "-o".to_owned()];
        let folder = [format!("type=oci,tar=false,dest={}", layout.display())];
        let report = self.tool.build(self.subject(dockerfile), level, &[&more[..], &folder].concat())?.report;
        let image = &report["outputs"][1]["image"];
        let number = |key: &str| image[key].as_u64().with_context(|| format!("no {key} in {report}"));
        let layers = number("own_layers")?;
        let read = |digest: &Value| -> Result<Value> {
            let hex = digest.as_str().unwrap_or_default().trim_start_matches("sha256:").to_owned();
            Ok(serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(hex))?)?)
        };
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
        let manifest = read(&index["manifests"][0]["digest"])?;
        let all = manifest["layers"].as_array().context("a manifest has layers")?;
        let own = all.iter().rev().take(usize::try_from(layers)?);
        let packed = own.filter_map(|layer| layer["size"].as_u64()).sum();
        ensure!(layers == 0 || packed > 0, "layers without bytes: {manifest}");
        Ok(Size { layers, packed, unpacked: number("own_unpacked")?, is_on_base: number("base_layers")? > 0 })
    }

    fn smoke(&self, image: &str) -> Result<Vec<String>> {
        smoke::run(self.tool, &self.cache, image, &self.project.smoke, self.work)
    }
}
