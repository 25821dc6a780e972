//! Real files of this machine: a few tools with the libraries they need, and some thousand small files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object::read::elf::{Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};

/// Small files beyond which no more are looked for, and their bytes.
const MOST_FILES: usize = 3000;
const MOST_BYTES: u64 = 60 << 20;

/// What the demo's image is made of.
pub(super) struct HostFiles {
    /// Tools, their libraries and the loader: the base image.
    pub(super) tools: Vec<PathBuf>,
    /// Small files: the application.
    pub(super) small: Vec<PathBuf>,
}

impl HostFiles {
    pub(super) fn count(&self) -> usize {
        self.tools.len() + self.small.len()
    }
}

pub(super) fn files() -> io::Result<HostFiles> {
    let names = ["sh", "bash", "ls", "cat", "cp", "mv", "rm", "mkdir", "chmod", "sed", "grep", "tar", "gzip", "find"];
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let tool = |name: &&str| folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    let mut tools: BTreeSet<PathBuf> = names.iter().filter_map(tool).collect();
    // What RUN starts.
    tools.insert(PathBuf::from("/bin/sh"));
    let mut waiting: Vec<PathBuf> = tools.iter().cloned().collect();
    while let Some(path) = waiting.pop() {
        for library in needed(&path).unwrap_or_default() {
            if tools.insert(library.clone()) {
                waiting.push(library);
            }
        }
    }
    let mut small = Vec::new();
    let mut bytes = 0;
    for folder in
        ["/usr/share/perl5", "/usr/lib/python3", "/usr/share/zoneinfo", "/usr/include", "/usr/share", "/usr/lib"]
    {
        collect(Path::new(folder), &mut small, &mut bytes);
    }
    small.sort();
    small.dedup();
    if small.is_empty() {
        return Err(io::Error::other("there are no readable files below /usr"));
    }
    Ok(HostFiles { tools: tools.into_iter().collect(), small })
}

/// The regular files below a folder, as long as there is room for more.
fn collect(folder: &Path, files: &mut Vec<PathBuf>, bytes: &mut u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(metadata) = entry.metadata() else { continue };
        if files.len() >= MOST_FILES || *bytes >= MOST_BYTES {
            return;
        }
        if metadata.is_dir() {
            collect(&entry.path(), files, bytes);
        } else if metadata.is_file() && metadata.len() < 1 << 20 && fs::File::open(entry.path()).is_ok() {
            *bytes += metadata.len();
            files.push(entry.path());
        }
    }
}

/// The loader and the libraries that an ELF file names, where this machine has them.
fn needed(path: &Path) -> Option<Vec<PathBuf>> {
    let data = fs::read(path).ok()?;
    let file = ElfFile64::<Endianness>::parse(&*data).ok()?;
    let endian = file.endian();
    let mut found = Vec::new();
    for segment in file.elf_header().program_headers(endian, &*data).ok()? {
        if let Ok(Some(loader)) = segment.interpreter(endian, &*data) {
            found.push(PathBuf::from(String::from_utf8_lossy(loader).into_owned()));
        }
    }
    let sections = file.elf_section_table();
    let (dynamic, strings) = sections.dynamic(endian, &*data).ok()??;
    let strings = sections.strings(endian, &*data, strings).ok()?;
    for entry in dynamic.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED) {
        let name = String::from_utf8_lossy(entry.string(endian, strings).ok()?).into_owned();
        found.extend(library(&name));
    }
    Some(found)
}

fn library(name: &str) -> Option<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = [
        "/lib".to_owned(),
        "/usr/lib".to_owned(),
        format!("/lib/{triplet}"),
        format!("/usr/lib/{triplet}"),
        "/lib64".to_owned(),
        "/usr/lib64".to_owned(),
    ];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}
