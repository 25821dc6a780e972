//! What is opened so that a program runs: its script's interpreter, its loader, its libraries.
//!
//! The kernel opens interpreters and loaders itself, so no system call names them. The libraries are what the loader
//! would look for (ld.so(8)): `RPATH`, `RUNPATH`, the folders of `/etc/ld.so.conf`, the default ones.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use jettison_image::elf::{Loading, Script, configured_folders, with_origin};
use object::elf::{EM_386, EM_ARM};
use object::read::ReadCache;
use rustix::fs::OFlags;

use crate::trace::clean::{clean, split};
use crate::trace::judge::Tree;

/// Scripts that run scripts, and libraries that need libraries: so deep at most (the kernel's BINPRM limit is 5).
const DEPTH: usize = 5;
/// What is read of a loader's configuration.
const LONGEST: u64 = 1 << 20;
/// Where loaders look last: Debian's folders by architecture, then those of all.
#[cfg(target_arch = "x86_64")]
const DEFAULTS: [&str; 7] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
];
/// Where loaders look last: Debian's folders by architecture, then those of all.
#[cfg(not(target_arch = "x86_64"))]
const DEFAULTS: [&str; 7] = [
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
];

/// What programs need to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Script interpreters and loaders, as the files name them: what the kernel opens.
    pub executed: BTreeSet<Vec<u8>>,
    /// Libraries, by the path at which the loader finds them.
    pub libraries: BTreeSet<Vec<u8>>,
    /// What could not be found out: one sentence each.
    pub gaps: Vec<String>,
}

/// What is opened so that these programs run, found in the root without leaving it. What is not there or is no program
/// adds nothing.
pub fn closure(root: &Path, executed: &[Vec<u8>]) -> io::Result<Closure> {
    let mut search =
        Search { tree: Tree::open(root)?, found: Closure::default(), seen: BTreeSet::new(), configured: None };
    for program in executed {
        search.program(program, DEPTH);
    }
    Ok(search.found)
}

struct Search {
    tree: Tree,
    found: Closure,
    /// Programs and libraries that were looked at.
    seen: BTreeSet<Vec<u8>>,
    /// The folders of `/etc/ld.so.conf`, once known.
    configured: Option<Vec<Vec<u8>>>,
}

impl Search {
    fn program(&mut self, path: &[u8], depth: usize) {
        if depth == 0 || !self.seen.insert(path.to_vec()) {
            return;
        }
        let Some(file) = self.read(path) else {
            return;
        };
        if let Some(interpreter) = interpreter(&file) {
            self.found.executed.insert(clean(&interpreter));
            self.program(&clean(&interpreter), depth - 1);
            return;
        }
        let Some(needs) = loading(file) else {
            return;
        };
        if needs.machine == EM_386.0 || needs.machine == EM_ARM.0 {
            self.found
                .gaps
                .push(format!("{} is a 32-bit program: what it uses was not traced", String::from_utf8_lossy(path)));
        }
        if let Some(loader) = needs.interpreter.as_ref().filter(|loader| loader.starts_with(b"/")) {
            self.found.executed.insert(clean(loader));
        }
        self.libraries(path, needs);
    }

    /// Follows a program's libraries and theirs.
    fn libraries(&mut self, program: &[u8], needs: Loading) {
        let mut waiting = vec![(program.to_vec(), needs)];
        while let Some((user, needs)) = waiting.pop() {
            let origin = split(&user).map_or_else(|| b"/".to_vec(), |(folder, _)| folder.to_vec());
            let folders = if needs.runpath.is_empty() { &needs.rpath } else { &needs.runpath };
            for name in &needs.needed {
                let Some(path) = self.library(name, folders, &origin) else {
                    continue;
                };
                if !self.found.libraries.insert(path.clone()) {
                    continue;
                }
                if let Some(needs) = self.read(&path).and_then(loading) {
                    waiting.push((path, needs));
                }
            }
        }
    }

    fn library(&mut self, name: &[u8], folders: &[Vec<u8>], origin: &[u8]) -> Option<Vec<u8>> {
        let is_there = |tree: &Tree, path: &[u8]| tree.open_file(path, OFlags::PATH).is_ok();
        if name.contains(&b'/') {
            let path = clean(name);
            return is_there(&self.tree, &path).then_some(path);
        }
        if self.configured.is_none() {
            let folders = configured_folders(b"/etc/ld.so.conf", &mut |path| self.content(path), &mut |folder| {
                self.names(folder)
            });
            self.configured = Some(folders);
        }
        let own = folders.iter().map(|folder| with_origin(folder, origin));
        let configured = self.configured.iter().flatten().cloned();
        let defaults = DEFAULTS.iter().map(|folder| folder.as_bytes().to_vec());
        own.chain(configured).chain(defaults).find_map(|folder| {
            let path = clean(&[&folder, &b"/"[..], name].concat());
            is_there(&self.tree, &path).then_some(path)
        })
    }

    /// The content of a loader's configuration; none where there is none, or one that no loader would have.
    fn content(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        self.read(path)?.take(LONGEST).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// The names in a folder, sorted.
    fn names(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let Ok(descriptor) = self.tree.open_file(folder, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = rustix::fs::Dir::new(descriptor) else {
            return Vec::new();
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_bytes().to_vec());
        let mut names: Vec<Vec<u8>> = names.filter(|name| name != b"." && name != b"..").collect();
        names.sort_unstable();
        names
    }

    /// A regular file; nothing where there is none.
    fn read(&self, path: &[u8]) -> Option<File> {
        // Without waiting: a fifo would never open.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.tree.open_file(path, flags).ok()?);
        file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
    }
}

/// The program that a script's first line names; the kernel looks at the first 256 bytes (BINPRM_BUF_SIZE).
fn interpreter(file: &File) -> Option<Vec<u8>> {
    let mut start = [0; 256];
    let count = file.read_at(&mut start, 0).ok()?;
    Script::read(&start[..count]).map(|script| script.interpreter).filter(|name| name.starts_with(b"/"))
}

/// What a loader reads of a file, and no more of it.
fn loading(file: File) -> Option<Loading> {
    Loading::read(&ReadCache::new(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(set: &BTreeSet<Vec<u8>>) -> Vec<String> {
        set.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn a_program_brings_its_loader_and_libraries() {
        let found = closure(Path::new("/"), &[b"/bin/sh".to_vec()]).unwrap();
        let loaders = names(&found.executed);
        assert!(loaders.len() == 1 && loaders[0].contains("/ld-"), "{found:?}");
        let libraries = names(&found.libraries);
        assert!(libraries.iter().any(|path| path.contains("/libc.")), "{found:?}");
        assert_eq!(found.gaps, Vec::<String>::new());
    }

    #[test]
    fn libraries_are_found_within_the_root_and_as_the_loader_would() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["bin", "opt/lib", "etc/ld.so.conf.d", "elsewhere"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy("/bin/sh", root.join("elsewhere/program")).unwrap();
        // An absolute link: followed outside of the root it would lead nowhere.
        symlink("/elsewhere/program", root.join("bin/program")).unwrap();
        fs::write(root.join("bin/script"), "#!  /bin/program -x\n").unwrap();
        fs::write(root.join("bin/escape"), "#!/../../etc/passwd\n").unwrap();
        fs::write(root.join("opt/lib/libc.so.6"), "no library, but of that name").unwrap();
        fs::write(root.join("etc/ld.so.conf"), "# a comment\ninclude ld.so.conf.d/*.conf\n").unwrap();
        fs::write(root.join("etc/ld.so.conf.d/opt.conf"), "/opt/lib # ours\n").unwrap();
        fs::write(root.join("etc/ld.so.conf.d/other"), "/elsewhere\n").unwrap();
        let found = closure(root, &[b"/bin/script".to_vec(), b"/bin/escape".to_vec(), b"/none".to_vec()]).unwrap();
        let executed = names(&found.executed);
        assert!(executed.contains(&"/bin/program".to_owned()), "{executed:?}");
        assert!(executed.contains(&"/etc/passwd".to_owned()), "as the kernel reads it: {executed:?}");
        assert!(executed.iter().any(|path| path.contains("/ld-")), "{executed:?}");
        assert_eq!(names(&found.libraries), ["/opt/lib/libc.so.6"]);
    }

    #[test]
    fn broken_files_need_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let content = fs::read("/bin/sh").unwrap();
        for length in [0, 3, 4, 5, 40, 64, 200, 1000, content.len() / 2] {
            fs::write(folder.path().join("x"), &content[..length]).unwrap();
            let found = closure(folder.path(), &[b"/x".to_vec()]).unwrap();
            assert_eq!(names(&found.libraries), Vec::<String>::new());
        }
    }
}
