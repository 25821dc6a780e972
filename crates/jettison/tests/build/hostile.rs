//! Dockerfiles that try to read or write the host: the cases of `attacks/*.txt`.
//!
//! In them `@outside@` is a folder of the host with the file `secret`, whose content is `@secret@`; `@pid@` is a process
//! of the host, `@major@` and `@minor@` its disk. `probe` and `loader` in a context are made of the files in C here. Whatever a case does, the folder must
//! stay as it is, the process alive, the secret unknown to what is built and printed, and the built tree without a path
//! that begins with `escaped`. A Dockerfile that speaks of `/finished` must have made it. Settings:
//!
//! - `build: ARGUMENTS` more arguments for the build;
//! - `fails: TEXT` the build must fail, and say that; `may-fail: true`, it may.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::format::{self, Draft, Member};
use crate::suite::{Suite, Way};
use crate::tree;

const SECRET: &str = "what-only-the-host-knows-5d1c";
/// Longer than any build of these should take, unless it hangs.
const LIMIT: &str = "60s";
/// How many attacks are made at a time.
const WORKERS: usize = 3;

/// The part of the host that is attacked.
struct Host {
    folder: TempDir,
    process: Child,
    disk: (String, String),
    before: Vec<String>,
}

impl Host {
    fn new(way: &Way) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        // Whoever builds may write here: only the container keeps his commands from it.
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("a mode");
        for (name, content) in [("secret", SECRET), ("other", "x"), ("passwd", "outsider:x:7:7::/:/bin/sh\n")] {
            fs::write(path.join(name), content).expect("writes");
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o666)).expect("a mode");
        }
        let mut sleeper = Command::new("sleep");
        sleeper.arg("3600").env("OUTSIDE", SECRET).stdin(Stdio::null());
        if let Some(owner) = way.owner {
            sleeper.uid(owner).gid(owner);
        }
        let process = sleeper.spawn().expect("sleep runs");
        let before = listing(path);
        Self { folder, process, disk: disk(), before }
    }

    fn filled(&self, text: &str, context: &Path) -> String {
        text.replace("@outside@", &self.folder.path().display().to_string())
            .replace("@context@", &context.display().to_string())
            .replace("@secret@", SECRET)
            .replace("@pid@", &self.process.id().to_string())
            .replace("@major@", &self.disk.0)
            .replace("@minor@", &self.disk.1)
    }

    /// What of it was changed.
    fn harm(&mut self) -> Option<String> {
        let now = listing(self.folder.path());
        if now != self.before {
            return Some(format!("the host's folder was changed: {now:#?}"));
        }
        let ended = self.process.try_wait().expect("a child");
        ended.map(|status| format!("the host's process ended: {status}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Names, modes and contents.
fn listing(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let mode = path.symlink_metadata().expect("a file").permissions().mode();
            format!("{} {mode:o} {:?}", path.display(), fs::read_to_string(&path).ok())
        })
        .collect();
    found.sort();
    found
}

/// The numbers of a disk of this machine.
fn disk() -> (String, String) {
    let mut disks: Vec<PathBuf> =
        fs::read_dir("/sys/class/block").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    disks.sort();
    let has_data = |path: &PathBuf| fs::read_to_string(path.join("size")).is_ok_and(|size| size.trim() != "0");
    let text =
        disks.iter().rev().filter(|path| has_data(path)).find_map(|path| fs::read_to_string(path.join("dev")).ok());
    let text = text.unwrap_or_else(|| "254:0".to_owned());
    let (major, minor) = text.trim().split_once(':').expect("MAJOR:MINOR");
    (major.to_owned(), minor.to_owned())
}

/// Programs in C, linked so that they need nothing else: names and the compiler's arguments.
const PROGRAMS: [(&str, &[&str]); 2] =
    [("probe", &[]), ("loader", &["-nostdlib", "-ffreestanding", "-fno-stack-protector"])];

fn compile(folder: &Path) {
    for (name, arguments) in PROGRAMS {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/build/{name}.c"));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-w", "-static", "-o"]).arg(folder.join(name)).args(arguments).arg(source);
        let output = compiler.output().expect("cc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Tars that no tar program would make.
fn write_tars(context: &Path, host: &Host) {
    let outside = host.folder.path().display().to_string();
    let upwards = format!("../../../../../../..{outside}/made");
    let through = |name: &str| format!("{name}/made-through");
    let link = tar::EntryType::Symlink;
    let file = tar::EntryType::Regular;
    let tars: [(&str, Vec<Entry>); 5] = [
        (
            "upwards.tar",
            vec![(file, upwards.clone(), String::new(), "x"), (file, format!("{outside}/made"), String::new(), "x")],
        ),
        (
            "through.tar",
            vec![
                (link, "l".to_owned(), outside.clone(), ""),
                (file, through("l"), String::new(), "x"),
                (file, "l/secret".to_owned(), String::new(), "y"),
            ],
        ),
        (
            "hard.tar",
            vec![
                (tar::EntryType::Link, "h".to_owned(), format!("{outside}/secret"), ""),
                (tar::EntryType::Link, "i".to_owned(), format!("../../../../../../..{outside}/secret"), ""),
            ],
        ),
        ("disk.tar", vec![(tar::EntryType::Block, "disk".to_owned(), String::new(), "")]),
        (
            "attributes.tar",
            vec![
                (tar::EntryType::Directory, "x/".to_owned(), String::new(), ""),
                (tar::EntryType::Directory, "x/redirected/".to_owned(), String::new(), "redirect=/etc"),
                (file, "x/metacopy".to_owned(), String::new(), "metacopy="),
            ],
        ),
    ];
    for (name, entries) in tars {
        let mut builder = tar::Builder::new(File::create(context.join(name)).expect("a file"));
        for entry in entries {
            append(&mut builder, entry, &host.disk);
        }
        builder.finish().expect("writes");
    }
}

/// Kind, name, target and content, or an attribute of overlayfs.
type Entry = (tar::EntryType, String, String, &'static str);

fn append(builder: &mut tar::Builder<File>, (kind, name, target, content): Entry, disk: &(String, String)) {
    let mut data = content;
    if let Some((key, value)) = content.split_once('=') {
        let keys = ["user", "trusted"].map(|space| format!("SCHILY.xattr.{space}.overlay.{key}"));
        let records = keys.iter().map(|key| (key.as_str(), value.as_bytes()));
        builder.append_pax_extensions(records).expect("writes");
        data = "";
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o666 });
    header.set_size(data.len() as u64);
    if kind == tar::EntryType::Block {
        header.set_device_major(disk.0.parse().expect("a number")).expect("fits");
        header.set_device_minor(disk.1.parse().expect("a number")).expect("fits");
    }
    // The builder itself would refuse such names.
    let bytes = header.as_ustar_mut().expect("a ustar header");
    bytes.name[..name.len()].copy_from_slice(name.as_bytes());
    bytes.linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    builder.append(&header, data.as_bytes()).expect("writes");
}

/// The case with all placeholders filled in; its settings are taken out.
fn filled(draft: &mut Draft, host: &Host, context: &Path) -> Vec<(String, String)> {
    let fill = |text: &mut String| *text = host.filled(text, context);
    fill(&mut draft.dockerfile);
    for member in &mut draft.context {
        match member {
            Member::File { content, .. } | Member::Tar { content, .. } => fill(content),
            Member::Link { target, .. } => fill(target),
            Member::Folder { .. } => {}
        }
    }
    let mut settings: Vec<_> = draft.settings.drain(..).collect();
    settings.iter_mut().for_each(|(_, value)| fill(value));
    settings
}

fn check(suite: &Suite, host: &Mutex<Host>, programs: &Path, mut draft: Draft, number: usize) -> Result<(), String> {
    let context = suite.path(&format!("attack-{number}"));
    let settings = filled(&mut draft, &host.lock().expect("no worker panicked"), &context);
    let setting = |key: &str| settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    draft.write(&context);
    for (name, _) in PROGRAMS {
        fs::copy(programs.join(name), context.join(name)).expect("copies");
    }
    write_tars(&context, &host.lock().expect("no worker panicked"));
    suite.give(&context);
    let tar = suite.path(&format!("attack-{number}.tar"));
    let mut arguments = vec!["-O0", "--timeout", LIMIT];
    arguments.extend(setting("build").unwrap_or_default().split_whitespace());
    let start = Instant::now();
    let output = suite.build(&context, &tar, &arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if let Some(harm) = host.lock().expect("no worker panicked").harm() {
        return Err(format!("{harm}\n{said}"));
    }
    if said.contains(SECRET) {
        return Err(format!("it printed the secret:\n{said}"));
    }
    if start.elapsed() > Duration::from_secs(50) {
        return Err(format!("it hung:\n{said}"));
    }
    match (setting("fails"), output.status.success()) {
        (Some(_), true) => return Err("it was built, and should have failed".to_owned()),
        (Some(text), false) if !said.contains(text) => return Err(format!("it does not say {text:?}:\n{said}")),
        (None, false) if setting("may-fail").is_none() => return Err(format!("{}:\n{said}", output.status)),
        _ => {}
    }
    let is_built = output.status.success();
    if !is_built {
        return Ok(());
    }
    let mut bytes = Vec::new();
    File::open(&tar).and_then(|mut file| file.read_to_end(&mut bytes)).expect("the tar");
    if bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        return Err("the image has the secret".to_owned());
    }
    let tree = tree::read(&tar);
    let escaped: Vec<&String> = tree.keys().filter(|path| path.contains("escaped")).collect();
    if !escaped.is_empty() {
        return Err(format!("attempts succeeded: {escaped:?}\n{said}"));
    }
    let should_finish = draft.dockerfile.contains("/finished")
        || draft
            .context
            .iter()
            .any(|member| matches!(member, Member::File { content, .. } if content.contains("/finished")));
    if should_finish && !tree.contains_key("finished") {
        return Err(format!("it did not come to its end:\n{said}"));
    }
    Ok(())
}

/// Makes all attacks this way.
pub(crate) fn all_attacks(way: Way) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let only = std::env::var("JETTISON_BUILDS_ONLY").unwrap_or_default();
    let host = Mutex::new(Host::new(&way));
    let suite = Suite::new(way);
    let programs = tempfile::tempdir().expect("a folder");
    compile(programs.path());
    let mut attacks: Vec<(usize, Draft)> = format::all(&folder, &[]).into_iter().enumerate().collect();
    attacks.retain(|(_, draft)| draft.name.contains(&only));
    let (left, wrong) = (Mutex::new(attacks), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some((number, draft)) = left.lock().expect("no worker panicked").pop() else { break };
            let head = format!("######## {} ({})", draft.name, draft.place);
            if let Err(message) = check(&suite, &host, programs.path(), draft, number) {
                wrong.lock().expect("no worker panicked").push(format!("{head}\n{message}"));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().expect("no worker panicked");
    assert!(wrong.is_empty(), "{} attacks went wrong:\n{}", wrong.len(), wrong.join("\n"));
}
