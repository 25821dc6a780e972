//! What is opened so that a program runs: its script's interpreter, its loader, its libraries.
//!
//! The kernel opens interpreters and loaders itself, so no system call names them. The libraries are what the loader
//! would look for (ld.so(8)): `RPATH`, `RUNPATH`, the folders of `/etc/ld.so.conf`, the default ones.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, DynamicTag, PT_DYNAMIC, PT_INTERP, PT_LOAD};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, elf};
use rustix::fs::OFlags;

use crate::trace::clean::{clean, split};
use crate::trace::judge::Tree;

/// Scripts that run scripts, and libraries that need libraries: so deep at most (the kernel's BINPRM limit is 5).
const DEPTH: usize = 5;
/// What is read of a script or of a loader's configuration.
const LONGEST: u64 = 1 << 20;
/// Includes of `/etc/ld.so.conf` and its likes are followed so far.
const INCLUDES: usize = 8;
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

/// What an ELF file says about running it.
#[derive(Default)]
struct Needs {
    loader: Option<Vec<u8>>,
    libraries: Vec<Vec<u8>>,
    /// `RUNPATH`, or `RPATH` where there is none.
    folders: Vec<Vec<u8>>,
    is_foreign: bool,
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
        let Some(needs) = needs(file) else {
            return;
        };
        if needs.is_foreign {
            self.found
                .gaps
                .push(format!("{} is a 32-bit program: what it uses was not traced", String::from_utf8_lossy(path)));
        }
        if let Some(loader) = &needs.loader {
            self.found.executed.insert(clean(loader));
        }
        self.libraries(path, needs);
    }

    /// Follows a program's libraries and theirs.
    fn libraries(&mut self, program: &[u8], needs: Needs) {
        let mut waiting = vec![(program.to_vec(), needs)];
        while let Some((user, needs)) = waiting.pop() {
            let origin = split(&user).map_or_else(|| b"/".to_vec(), |(folder, _)| folder.to_vec());
            for name in &needs.libraries {
                let Some(path) = self.library(name, &needs.folders, &origin) else {
                    continue;
                };
                if !self.found.libraries.insert(path.clone()) {
                    continue;
                }
                if let Some(needs) = self.read(&path).and_then(self::needs) {
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
            let mut configured = Vec::new();
            self.configuration(b"/etc/ld.so.conf", &mut configured, INCLUDES);
            self.configured = Some(configured);
        }
        let own = folders.iter().map(|folder| with_origin(folder, origin));
        let configured = self.configured.iter().flatten().cloned();
        let defaults = DEFAULTS.iter().map(|folder| folder.as_bytes().to_vec());
        own.chain(configured).chain(defaults).find_map(|folder| {
            let path = clean(&[&folder, &b"/"[..], name].concat());
            is_there(&self.tree, &path).then_some(path)
        })
    }

    /// Reads `ld.so.conf`: a folder a line, `include` of files by pattern, of which only a star for a whole name or
    /// within the last one is in use.
    fn configuration(&self, path: &[u8], into: &mut Vec<Vec<u8>>, depth: usize) {
        let mut content = Vec::new();
        let file = self.read(path).filter(|_| depth > 0);
        if file.is_none_or(|file| file.take(LONGEST).read_to_end(&mut content).is_err()) {
            return;
        }
        for line in content.split(|&byte| byte == b'\n') {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
            if let Some(pattern) = line.strip_prefix(b"include ") {
                for file in self.matching(pattern.trim_ascii()) {
                    self.configuration(&file, into, depth - 1);
                }
            } else if line.starts_with(b"/") {
                into.push(line.to_vec());
            }
        }
    }

    /// The files of one folder whose names match a pattern with at most one star.
    fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        let absolute = if pattern.starts_with(b"/") { pattern.to_vec() } else { [b"/etc/", pattern].concat() };
        let Some((folder, name)) = split(&absolute) else {
            return Vec::new();
        };
        let Some(star) = name.iter().position(|&byte| byte == b'*') else {
            return vec![absolute];
        };
        let (start, end) = (&name[..star], &name[star + 1..]);
        let Ok(descriptor) = self.tree.open_file(folder, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = rustix::fs::Dir::new(descriptor) else {
            return Vec::new();
        };
        let mut files: Vec<Vec<u8>> = entries
            .flatten()
            .map(|entry| entry.file_name().to_bytes().to_vec())
            .filter(|name| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end))
            .filter(|name| !name.starts_with(b"."))
            .map(|name| [folder, b"/", &name].concat())
            .collect();
        files.sort_unstable();
        files
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
    let line = start[..count].strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let name = line.split(|byte| byte.is_ascii_whitespace()).next()?;
    name.starts_with(b"/").then(|| name.to_vec())
}

/// A folder of `RPATH` or `RUNPATH`.
fn with_origin(folder: &[u8], origin: &[u8]) -> Vec<u8> {
    for variable in [&b"$ORIGIN"[..], b"${ORIGIN}"] {
        if let Some(rest) = folder.strip_prefix(variable) {
            return [origin, rest].concat();
        }
    }
    folder.to_vec()
}

fn needs(file: File) -> Option<Needs> {
    let content = ReadCache::new(file);
    let start = (&content).read_bytes_at(0, 5).ok()?;
    if start[..4] != elf::ELFMAG {
        return None;
    }
    match start[4] {
        1 => needs_of(elf::FileHeader32::<Endianness>::parse(&content).ok()?, &content),
        2 => needs_of(elf::FileHeader64::<Endianness>::parse(&content).ok()?, &content),
        _ => None,
    }
}

fn needs_of<'a, H, R>(header: &'a H, content: R) -> Option<Needs>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let endian = header.endian().ok()?;
    let machine = header.e_machine(endian);
    let mut out = Needs { is_foreign: machine == elf::EM_386 || machine == elf::EM_ARM, ..Needs::default() };
    let segments = header.program_headers(endian, content).ok()?;
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            let name = segment.data(endian, content).ok()?;
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            out.loader = name.starts_with(b"/").then(|| name.to_vec());
        }
        if segment.p_type(endian) == PT_DYNAMIC
            && let Ok(Some(entries)) = segment.dynamic(endian, content)
        {
            dynamic::<H, R>(entries, endian, segments, content, &mut out);
        }
    }
    Some(out)
}

/// Reads the dynamic section: the names in it are offsets into a table, which is given by its address.
fn dynamic<'a, H, R>(entries: &[H::Dyn], endian: Endianness, segments: &[H::ProgramHeader], content: R, out: &mut Needs)
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    // Addresses are where the segments are loaded; the file has them elsewhere.
    let offset = |address: u64| {
        segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD).find_map(|segment| {
            let (start, size): (u64, u64) = (segment.p_vaddr(endian).into(), segment.p_filesz(endian).into());
            let inside = address.checked_sub(start).filter(|inside| *inside < size)?;
            Into::<u64>::into(segment.p_offset(endian)).checked_add(inside)
        })
    };
    let value = |tag: DynamicTag| -> Option<u64> {
        entries.iter().find(|entry| entry.d_tag(endian) == tag).map(|entry| entry.d_val(endian).into())
    };
    let (Some(start), Some(size)) = (value(DT_STRTAB).and_then(offset), value(DT_STRSZ)) else {
        return;
    };
    let strings = content.read_bytes_at(start, size).unwrap_or_default();
    let text = |at: u64| {
        let rest = strings.get(usize::try_from(at).ok()?..)?;
        rest.split(|&byte| byte == 0).next().map(<[u8]>::to_vec)
    };
    for entry in entries.iter().filter(|entry| entry.d_tag(endian) == DT_NEEDED) {
        out.libraries.extend(text(entry.d_val(endian).into()));
    }
    let folders = value(DT_RUNPATH).or_else(|| value(DT_RPATH)).and_then(text).unwrap_or_default();
    let folders = folders.split(|&byte| byte == b':').filter(|folder| !folder.is_empty());
    out.folders = folders.map(<[u8]>::to_vec).collect();
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
    fn origin_is_the_folder_of_the_user() {
        assert_eq!(with_origin(b"$ORIGIN/../lib", b"/opt/bin"), b"/opt/bin/../lib");
        assert_eq!(with_origin(b"${ORIGIN}", b"/opt/bin"), b"/opt/bin");
        assert_eq!(with_origin(b"/lib", b"/opt/bin"), b"/lib");
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
