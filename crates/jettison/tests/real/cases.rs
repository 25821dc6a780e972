//! The cases of the rewrite suite, read from `rewrites/*.txt`.
//!
//! A file holds cases. `=== NAME` starts one; lines up to the first section set it:
//!
//! - `# …` says what the case is about;
//! - `expect: merged` the result has fewer RUNs, `changed` any other text, `unchanged` the same text, `any` (the
//!   default) whatever is the same image, `fails` the original does not build and the result must not build either;
//! - `says: TEXT` what the failing build of the original prints, so that it fails for the reason meant;
//! - `level: -O1` the level, where it is not -O2; `skip: a,b` passes to skip; `for: development` the other form;
//! - `build: ARGUMENTS` more arguments for `docker build`;
//! - `noise: PATH REASON` a path that may differ; `gone: PATH` one below which files may be missing afterwards;
//! - `lines: crlf` and `start: bom` how the Dockerfile is encoded.
//!
//! Sections follow: `--- Dockerfile`, and for the build context `--- context PATH [MODE]` (a folder when the path ends
//! in `/`; `%20` stands for a space), `--- link PATH TARGET`, and `--- tar PATH` with a line `MODE UID:GID NAME CONTENT` for every member.
//! In the Dockerfile `@repeat N LINE` stands for N such lines, and `@pad N LINE` for one with N letters for its `@@`.
//! A section's content runs to the next line that starts with `---` and a known word, or with `===`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Merged,
    Changed,
    Unchanged,
    Any,
    Fails,
}

/// One Dockerfile with its context.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// File and line, for messages.
    pub(crate) place: String,
    pub(crate) expect: Expect,
    pub(crate) says: Option<String>,
    /// Arguments for `jettison rewrite`.
    pub(crate) rewrite: Vec<String>,
    /// Arguments for `docker build`.
    pub(crate) build: Vec<String>,
    pub(crate) noise: Vec<String>,
    pub(crate) gone: Vec<String>,
    pub(crate) dockerfile: String,
    context: Vec<Member>,
}

#[derive(Debug)]
enum Member {
    File { path: String, mode: u32, content: String },
    Folder { path: String, mode: u32 },
    Link { path: String, target: String },
    Tar { path: String, content: String },
}

/// All cases of a folder, in the order of file names.
pub(crate) fn all(folder: &Path) -> Vec<Case> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        cases.extend(parse(&name, &fs::read_to_string(&file).expect("a text")));
    }
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases have one name");
    }
    cases
}

fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        if let Some(name) = line.strip_prefix("=== ") {
            drafts.push(Draft { name: name.trim().to_owned(), place, ..Draft::default() });
        } else if let Some(draft) = drafts.last_mut() {
            draft.line(line, &place);
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{place}: stands before the first case: {line}");
        }
    }
    drafts.into_iter().map(Draft::finish).collect()
}

/// A case whose lines are still coming.
#[derive(Default)]
struct Draft {
    name: String,
    place: String,
    settings: Vec<(String, String)>,
    /// The words of a section's first line, and its content.
    sections: Vec<(Vec<String>, String)>,
}

impl Draft {
    fn line(&mut self, line: &str, place: &str) {
        let head: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let is_section = matches!(head.first().map(String::as_str), Some("---"))
            && matches!(head.get(1).map(String::as_str), Some("Dockerfile" | "context" | "link" | "tar"));
        if is_section {
            self.sections.push((head[1..].to_vec(), String::new()));
        } else if let Some((_, content)) = self.sections.last_mut() {
            content.push_str(line);
            content.push('\n');
        } else if !line.is_empty() && !line.starts_with('#') {
            let (key, value) =
                line.split_once(": ").unwrap_or_else(|| panic!("{place}: neither setting nor comment: {line}"));
            self.settings.push((key.to_owned(), value.trim().to_owned()));
        }
    }

    fn finish(self) -> Case {
        let mut case = Case {
            name: self.name,
            place: self.place,
            expect: Expect::Any,
            says: None,
            rewrite: Vec::new(),
            build: Vec::new(),
            noise: Vec::new(),
            gone: Vec::new(),
            dockerfile: String::new(),
            context: Vec::new(),
        };
        for (words, content) in self.sections {
            // An empty line before the next head is for the reader.
            let content = if content.ends_with("\n\n") { content[..content.len() - 1].to_owned() } else { content };
            case.section(&words, content);
        }
        let (mut level, mut crlf, mut bom) = ("-O2".to_owned(), false, false);
        for (key, value) in self.settings {
            match key.as_str() {
                "level" => level = value,
                "lines" => crlf = value == "crlf",
                "start" => bom = value == "bom",
                _ => case.set(&key, value),
            }
        }
        case.rewrite.insert(0, level);
        if crlf {
            case.dockerfile = case.dockerfile.replace('\n', "\r\n");
        }
        if bom {
            case.dockerfile.insert(0, '\u{feff}');
        }
        assert!(!case.dockerfile.is_empty(), "{}: {} has no Dockerfile", case.place, case.name);
        let is_told = (case.expect == Expect::Fails) == case.says.is_some();
        assert!(is_told, "{}: `expect: fails` and `says:` belong together", case.place);
        case
    }
}

impl Case {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "expect" => {
                self.expect = match value.as_str() {
                    "merged" => Expect::Merged,
                    "changed" => Expect::Changed,
                    "unchanged" => Expect::Unchanged,
                    "any" => Expect::Any,
                    "fails" => Expect::Fails,
                    _ => panic!("{}: there is no expectation {value:?}", self.place),
                }
            }
            "says" => self.says = Some(value),
            "skip" => self.rewrite.extend(["--skip".to_owned(), value]),
            "for" => self.rewrite.extend(["--for".to_owned(), value]),
            "build" => self.build = value.split_whitespace().map(str::to_owned).collect(),
            "noise" => {
                let (path, _reason) =
                    value.split_once(' ').unwrap_or_else(|| panic!("{}: noise has a reason", self.place));
                self.noise.push(path.to_owned());
            }
            "gone" => self.gone.push(value),
            _ => panic!("{}: there is no setting {key:?}", self.place),
        }
    }

    fn section(&mut self, words: &[String], content: String) {
        let word = |at: usize| {
            words.get(at).unwrap_or_else(|| panic!("{}: {words:?} is too short", self.place)).replace("%20", " ")
        };
        let mode = |default| words.get(2).map_or(default, |mode| u32::from_str_radix(mode, 8).expect("an octal mode"));
        match words[0].as_str() {
            "Dockerfile" => self.dockerfile = content.lines().map(spelt_out).collect(),
            "link" => self.context.push(Member::Link { path: word(1), target: word(2) }),
            "tar" => self.context.push(Member::Tar { path: word(1), content }),
            _ if word(1).ends_with('/') => self.context.push(Member::Folder { path: word(1), mode: mode(0o755) }),
            _ => self.context.push(Member::File { path: word(1), mode: mode(0o644), content }),
        }
    }

    /// Writes the context with the Dockerfile in it.
    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("Dockerfile"), &self.dockerfile).expect("writes");
        let set_mode =
            |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
        set_mode(&folder.join("Dockerfile"), 0o644);
        for member in &self.context {
            let (Member::File { path, .. }
            | Member::Folder { path, .. }
            | Member::Link { path, .. }
            | Member::Tar { path, .. }) = member;
            let parent = Path::new(path.trim_end_matches('/')).parent().expect("a relative path");
            fs::create_dir_all(folder.join(parent)).expect("a folder");
            for above in parent.ancestors().filter(|above| !above.as_os_str().is_empty()) {
                // Only folders that no member states: what the checkout's umask says must not reach the image.
                let stated = |m: &Member| matches!(m, Member::Folder { path, .. } if Path::new(path) == above);
                if !self.context.iter().any(stated) {
                    set_mode(&folder.join(above), 0o755);
                }
            }
            match member {
                Member::File { path, mode, content } => {
                    fs::write(folder.join(path), content).expect("writes");
                    set_mode(&folder.join(path), *mode);
                }
                Member::Folder { path, mode } => {
                    fs::create_dir_all(folder.join(path)).expect("a folder");
                    set_mode(&folder.join(path), *mode);
                }
                Member::Link { path, target } => symlink(target, folder.join(path)).expect("a link"),
                Member::Tar { path, content } => fs::write(folder.join(path), packed(content)).expect("writes"),
            }
        }
    }
}

/// A line of a Dockerfile, with what keeps long ones short here.
fn spelt_out(line: &str) -> String {
    let numbered = |prefix: &str| {
        let (number, rest) = line.strip_prefix(prefix)?.split_once(' ').expect("a number and a line");
        Some((number.parse::<usize>().expect("a number"), rest))
    };
    if let Some((count, rest)) = numbered("@repeat ") {
        format!("{rest}\n").repeat(count)
    } else if let Some((count, rest)) = numbered("@pad ") {
        format!("{}\n", rest.replace("@@", &"x".repeat(count)))
    } else {
        format!("{line}\n")
    }
}

/// The tar that a section describes.
fn packed(content: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for line in content.lines().filter(|line| !line.is_empty()) {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().expect("MODE UID:GID NAME CONTENT");
        let (mode, owner, name) = (word(), word(), word());
        let (uid, gid) = owner.split_once(':').expect("UID:GID");
        let data = words.next().unwrap_or_default();
        let mut header = tar::Header::new_ustar();
        header.set_mode(u32::from_str_radix(mode, 8).expect("an octal mode"));
        header.set_uid(uid.parse().expect("a number"));
        header.set_gid(gid.parse().expect("a number"));
        header.set_mtime(1_000_000_000);
        header.set_entry_type(if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, data.as_bytes()).expect("memory");
    }
    tar.into_inner().expect("memory")
}
