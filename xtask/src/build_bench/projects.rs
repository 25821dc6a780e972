//! The projects that are built: a Dockerfile and its context each.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The name under which every builder has the base image.
pub(super) const BASE: &str = "bench-alpine:1";

/// A Dockerfile, whose last line can be changed, with its context.
#[derive(Debug)]
pub(super) struct Project {
    /// As the results name it.
    pub(super) name: &'static str,
    /// What it is, for people.
    pub(super) what: String,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The Dockerfile without its last line.
    text: String,
}

impl Project {
    /// Writes the Dockerfile with a last step that says `text`.
    pub(super) fn set_last_line(&self, text: &str) -> Result<()> {
        let path = self.folder.join("Dockerfile");
        let content = format!("{}RUN echo {text} > /last\n", self.text);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Makes the projects below `work`; contexts that are there are kept.
pub(super) fn make(work: &Path, quick: bool, only: &[String]) -> Result<Vec<Project>> {
    let (files, more, context) =
        if quick { (1_000, 2, (200, 4_000_000)) } else { (200_000, 18, (50_000, 1_000_000_000)) };
    let size = if quick { "quick" } else { "full" };
    let folder = |name: &str| work.join(format!("projects-{size}")).join(name);
    let mut projects = vec![
        Project {
            name: "steps",
            what: "steps on Alpine: files, owners, links, removals".to_owned(),
            folder: folder("steps"),
            text: steps(quick),
        },
        Project {
            name: "tree",
            what: format!("{} steps over a tree of {files} files, which the first one makes", more + 2),
            folder: folder("tree"),
            text: tree(files, more),
        },
        Project {
            name: "context",
            what: format!("a context of {} MB in {} files, copied whole", context.1 / 1_000_000, context.0),
            folder: folder("context"),
            text: format!("FROM {BASE}\nWORKDIR /app\nCOPY data ./data\nRUN ls data | wc -l > count\n"),
        },
    ];
    if !only.is_empty() {
        projects.retain(|project| only.iter().any(|only| only == project.name));
        if projects.is_empty() {
            bail!("--only {}: there are steps, tree and context", only.join(" --only "));
        }
    }
    for project in &projects {
        fs::create_dir_all(&project.folder)?;
        if project.name == "context" {
            fill(&project.folder.join("data"), context.0, context.1)?;
        }
    }
    Ok(projects)
}

/// The project that makes the base image out of a root file system.
pub(super) fn base(work: &Path, rootfs: &Path) -> Result<PathBuf> {
    let folder = work.join("base");
    fs::create_dir_all(&folder)?;
    fs::copy(rootfs, folder.join("rootfs.tar.gz")).with_context(|| format!("cannot copy {}", rootfs.display()))?;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let text = format!("FROM scratch\nADD rootfs.tar.gz /\nENV PATH={path}\nCMD [\"/bin/sh\"]\n");
    fs::write(folder.join("Dockerfile"), text)?;
    Ok(folder)
}

/// With the last line nine steps; six where it is to be quick.
fn steps(quick: bool) -> String {
    let commands = [
        "adduser -D app",
        "mkdir -p /srv/app/bin /srv/app/log && cp -r /etc /srv/app/etc",
        "for i in $(seq 1 200); do echo $i > /srv/app/log/$i; done",
        "cp /bin/busybox /srv/app/bin/tool && ln -s tool /srv/app/bin/alias",
        "chown -R app:app /srv/app",
        "rm -rf /srv/app/log && mkdir /srv/app/log",
        "head -c 20000000 /dev/urandom > /srv/app/data",
        "gzip -1 < /srv/app/data > /srv/app/data.gz && rm /srv/app/data",
    ];
    let mut text = format!("FROM {BASE}\nENV MODE=production\nWORKDIR /srv\n");
    let count = if quick { commands.len() - 3 } else { commands.len() };
    for command in &commands[..count] {
        let _ = writeln!(text, "RUN {command}");
    }
    text
}

/// A step that makes the tree, and `more` that change it; the last line comes after them.
fn tree(files: usize, more: usize) -> String {
    const FOLDERS: usize = 200;
    let each = files / FOLDERS;
    let fill = "mkdir -p /tree/$d && cd /tree/$d && for f in $(seq 1 ";
    let make = format!("for d in $(seq 1 {FOLDERS}); do {fill}{each}); do echo $d $f > $f; done; done");
    let mut text = format!("FROM {BASE}\nRUN {make}\n");
    for step in 1..=more {
        let _ = writeln!(text, "RUN echo {step} > /tree/{step}/1 && rm /tree/{step}/2 && echo new > /tree/{step}/new");
    }
    text
}

/// Files of equal sizes in folders of a hundred, with contents that no two have in common.
fn fill(folder: &Path, files: usize, bytes: usize) -> Result<()> {
    let done = folder.with_extension("done");
    if done.exists() {
        return Ok(());
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::new();
    for number in 0..files {
        content.clear();
        while content.len() < bytes / files {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
        }
        let below = folder.join(format!("{:03}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&below)?;
        }
        let mut file = fs::File::create(below.join(format!("{number:06}.bin")))?;
        file.write_all(&content)?;
    }
    Ok(fs::write(done, "")?)
}
