//! The text form of cases that build Dockerfiles: settings, and sections that make a build context.
//!
//! A file holds cases. `=== NAME` starts one. Lines up to the first section set it: `KEY: VALUE`, and `# …`, which says
//! what the case is about. Sections follow: `--- Dockerfile`; for the build context `--- context PATH [MODE]` (a folder
//! when the path ends in `/`; `%20` stands for a space), `--- link PATH TARGET`, and `--- tar PATH` with a line
//! `MODE UID:GID NAME CONTENT` for every member; and those that a suite adds. In the Dockerfile `@repeat N LINE` stands
//! for N such lines, and `@pad N LINE` for one with N letters for its `@@`. A section's content runs to the next line
//! that starts with `---` and a known word, or with `===`. An empty line before the next head is for the reader.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A case as written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    /// File and line, for messages.
    pub(crate) place: String,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) dockerfile: String,
    pub(crate) context: Vec<Member>,
    /// Sections that a suite adds: the words of the first line, and the content.
    pub(crate) more: Vec<(Vec<String>, String)>,
}

/// A file of a build context.
#[derive(Debug)]
pub(crate) enum Member {
    File { path: String, mode: u32, content: String },
    Folder { path: String, mode: u32 },
    Link { path: String, target: String },
    Tar { path: String, content: String },
}

/// All cases of a folder, in the order of file names; `more` are the suite's own sections.
pub(crate) fn all(folder: &Path, more: &[&str]) -> Vec<Draft> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        cases.extend(parse(&name, &fs::read_to_string(&file).expect("a text"), more));
    }
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases have one name");
    }
    cases
}

fn parse(file: &str, text: &str, more: &[&str]) -> Vec<Draft> {
    let mut cases: Vec<Draft> = Vec::new();
    let mut section: Option<(Vec<String>, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let known = |word: &String| ["Dockerfile", "context", "link", "tar"].contains(&word.as_str());
        let is_head = words.first().is_some_and(|word| word == "---")
            && words.get(1).is_some_and(|word| known(word) || more.contains(&word.as_str()));
        if let Some(name) = line.strip_prefix("=== ") {
            close(&mut cases, section.take());
            cases.push(Draft { name: name.trim().to_owned(), place, ..Draft::default() });
        } else if is_head {
            close(&mut cases, section.replace((words[1..].to_vec(), String::new())));
        } else if let Some((_, content)) = &mut section {
            content.push_str(line);
            content.push('\n');
        } else if !line.is_empty() && !line.starts_with('#') {
            let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: stands before the first case: {line}"));
            let setting =
                line.split_once(": ").unwrap_or_else(|| panic!("{place}: neither setting nor comment: {line}"));
            case.settings.push((setting.0.to_owned(), setting.1.trim().to_owned()));
        }
    }
    close(&mut cases, section);
    for case in &cases {
        assert!(!case.dockerfile.is_empty(), "{}: {} has no Dockerfile", case.place, case.name);
    }
    cases
}

/// Takes a section into its case.
fn close(cases: &mut [Draft], section: Option<(Vec<String>, String)>) {
    if let (Some(case), Some((words, content))) = (cases.last_mut(), section) {
        let content = if content.ends_with("\n\n") { content[..content.len() - 1].to_owned() } else { content };
        case.section(words, content);
    }
}

impl Draft {
    fn section(&mut self, words: Vec<String>, content: String) {
        let word = |at: usize| {
            words.get(at).unwrap_or_else(|| panic!("{}: {words:?} is too short", self.place)).replace("%20", " ")
        };
        let mode = |default| words.get(2).map_or(default, |mode| u32::from_str_radix(mode, 8).expect("an octal mode"));
        match words[0].as_str() {
            "Dockerfile" => self.dockerfile = content.lines().map(spelt_out).collect(),
            "link" => self.context.push(Member::Link { path: word(1), target: word(2) }),
            "tar" => self.context.push(Member::Tar { path: word(1), content }),
            "context" if word(1).ends_with('/') => {
                self.context.push(Member::Folder { path: word(1), mode: mode(0o755) });
            }
            "context" => self.context.push(Member::File { path: word(1), mode: mode(0o644), content }),
            _ => self.more.push((words, content)),
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
                Member::Tar { path, content } => {
                    fs::write(folder.join(path), packed(content)).expect("writes");
                    set_mode(&folder.join(path), 0o644);
                }
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
