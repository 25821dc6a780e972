//! `cargo xtask savings`: what each level of `jettison optimize` leaves of the images of some projects (`bench/projects`),
//! and which pass saved how much. The table is committed (`bench/savings.snap`), so that a change shows what it is worth.

mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Common;
use super::bases::Bases;
use super::projects::{self, Project};
use super::tool::{self, Subject, Tool};
use crate::bench::workspace_root;

/// The projects, some of each kind; those that need no network are told by [`PINNED`].
const PROJECTS: [&str; 12] = [
    "alpine-static-site",
    "alpine-unpacked-data",
    "busybox-words",
    "c-debian-apt",
    "deb-nginx-site",
    "example-busybox",
    "example-jekyll",
    "node-express",
    "py-flask-api",
    "py-native-build",
    "rb-apt-native",
    "rb-sinatra",
];
/// Projects of which all that goes in lies in the repository and the test data.
const PINNED: [&str; 4] = ["alpine-static-site", "alpine-unpacked-data", "busybox-words", "example-busybox"];
/// The project of the quick form.
const QUICK: &str = "alpine-static-site";
const LEVELS: [&str; 3] = ["-O1", "-O2", "-Os"];

/// An image at a level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Size {
    /// As it is given, or `-O0` for the image as it was built.
    level: String,
    /// Layers above the base.
    layers: usize,
    /// Bytes of these unpacked.
    unpacked: u64,
    /// Bytes of these as they are shipped: packed by gzip.
    stored: u64,
    /// Paths that a container sees.
    paths: u64,
    /// The passes that acted, in order, with the unpacked bytes that each saved; negative where it cost some.
    passes: Vec<(String, i64)>,
}

/// A project's images.
#[derive(Debug, Clone, Default)]
struct Row {
    name: String,
    base: String,
    /// Bytes of the base's layers unpacked.
    base_unpacked: u64,
    is_pinned: bool,
    sizes: Vec<Size>,
}

/// Runs `cargo xtask savings`.
///
/// # Errors
/// Base images cannot be made, jettison does not build, or a project's image cannot be built or optimized.
pub(crate) fn run(options: &Common) -> Result<()> {
    let root = workspace_root()?;
    let (work, tool) = options.start(&root)?;
    let mut bases = options.bases(&tool, &work, &root)?;
    let mut projects = projects::all(&root.join("bench/projects"))?;
    projects.retain(|project| PROJECTS.contains(&project.name.as_str()));
    ensure!(projects.len() == PROJECTS.len(), "the projects are not all there");
    let mut rows = Vec::new();
    for project in &options.chosen(projects, &[QUICK])? {
        let place = work.join("savings");
        tool::remove(&place);
        let row = measure(&tool, &mut bases, project, &place);
        tool::remove(&place);
        rows.push(row.with_context(|| project.name.clone())?);
        eprintln!("{}: measured", project.name);
    }
    let text = table::text(&rows);
    // The committed table comes from whole runs only; others stay in the work folder.
    let file = if options.is_whole() { root.join("bench/savings.snap") } else { work.join("savings.snap") };
    fs::write(&file, &text)?;
    print!("{text}");
    eprintln!("written: {}", file.display());
    Ok(())
}

/// Builds the image as its Dockerfile is written, and optimizes it at each level.
fn measure(tool: &Tool, bases: &mut Bases<'_>, project: &Project, place: &Path) -> Result<Row> {
    let cache = bases.ready(&project.bases())?;
    let context = place.join("context");
    fs::create_dir_all(place)?;
    project.lay(&context)?;
    let base = project.last_base();
    let base_unpacked = bases.unpacked(&base)?;
    let mut row = Row {
        name: project.name.clone(),
        base_unpacked,
        is_pinned: PINNED.contains(&project.name.as_str()),
        sizes: Vec::new(),
        base: base.clone(),
    };
    let built = place.join("0");
    let subject = Subject { cache: &cache, dockerfile: &context.join("Dockerfile"), context: &context };
    let more = ["-o".to_owned(), format!("type=oci,tar=false,compression=gzip,dest={}", built.display())];
    tool.build(subject, "-O0", &more)?;
    for level in LEVELS {
        let out = place.join(&level[1..]);
        let mut command = Command::new(&tool.program);
        command.args(["optimize", level, "--format=json", "--compression=gzip", "--cache-dir"]).arg(&cache);
        command.arg(format!("--base=local:{base}")).arg("-o").arg(format!("oci:{}", out.display()));
        let output = command.arg(format!("oci:{}", built.display())).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "optimize {level}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).context("the report is broken")?;
        ensure!(report.pointer("/proof/equal") == Some(&Value::Bool(true)), "optimize {level} proves nothing");
        if row.sizes.is_empty() {
            row.sizes.push(size("-O0", &report["before"], &built, base_unpacked)?);
        }
        let passes = report["passes"].as_array().context("no passes")?;
        let saved = |pass: &Value| Some((pass["pass"].as_str()?.to_owned(), pass["saved_unpacked"].as_i64()?));
        let passes = passes.iter().map(|pass| saved(pass).context("a pass without numbers")).collect::<Result<_>>()?;
        row.sizes.push(Size { passes, ..size(level, &report["after"], &out, base_unpacked)? });
    }
    Ok(row)
}

/// One side of a report, and what the image's own layers have in its layout.
fn size(level: &str, side: &Value, layout: &Path, base_unpacked: u64) -> Result<Size> {
    let number = |key: &str| side[key].as_u64().with_context(|| format!("no {key} in {side}"));
    let own = usize::try_from(number("layers")? - number("base_layers")?)?;
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let digest = index.pointer("/manifests/0/digest").and_then(Value::as_str).context("no manifest")?;
    let manifest = fs::read(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:")))?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let layers = manifest["layers"].as_array().context("a manifest has layers")?;
    let stored = layers.iter().rev().take(own).filter_map(|layer| layer["size"].as_u64()).sum();
    let unpacked = number("unpacked")?.checked_sub(base_unpacked).context("less than the base")?;
    Ok(Size { level: level.to_owned(), layers: own, unpacked, stored, paths: number("paths")?, passes: Vec::new() })
}
