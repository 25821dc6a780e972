//! The real image: files of this very machine in four layers, so that names, sizes and content are as people have them.
//!
//! It differs from machine to machine (and after an upgrade of one), so only ratios of it may be compared.

use std::collections::HashMap;
use std::fs::{File, Metadata as FileMetadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::archive::{Layer, LayerWriter, Metadata};
use super::content::Content;

/// Where the layers' files come from (a `*` at the end stands for any ending), and each one's share of the bytes in
/// percent. What is missing on a machine is left out.
const LAYERS: [(&str, &[&str], u64); 3] = [
    ("ADD rootfs.tar /", &["/usr/lib/python3*", "/usr/share/perl*", "/usr/share/zoneinfo", "/usr/share/doc"], 30),
    ("apt-get install --yes libraries", &["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"], 30),
    ("apt-get install --yes tools", &["/usr/bin"], 35),
];

/// A regular file that was shipped.
struct Shipped {
    source: PathBuf,
    metadata: Metadata,
    size: u64,
}

/// One layer being filled from the host, up to a number of bytes.
struct Filling {
    writer: LayerWriter,
    left: u64,
    /// The first name of files with several.
    names: HashMap<(u64, u64), PathBuf>,
    shipped: Vec<Shipped>,
}

/// Writes the layers, lowest first, into `folder`; together they hold about `bytes`.
pub(crate) fn layers(bytes: u64, folder: &Path) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    let mut shipped = Vec::new();
    for (number, (created_by, sources, percent)) in LAYERS.iter().enumerate() {
        let writer = LayerWriter::create(folder.join(format!("layer-{number}.tar")), (*created_by).to_owned())?;
        let mut filling = Filling { writer, left: bytes * percent / 100, names: HashMap::new(), shipped: Vec::new() };
        for source in sources.iter().flat_map(|source| matching(source)) {
            filling.add(&source)?;
        }
        layers.push(filling.writer.finish()?);
        shipped.append(&mut filling.shipped);
    }
    ensure!(shipped.len() >= 100, "this machine has too few files below /usr for the image `host`");
    layers.push(changes(folder, &shipped)?);
    Ok(layers)
}

impl Filling {
    /// Adds `path` and what is below it in the order of names, as far as the bytes last. What cannot be read is skipped.
    fn add(&mut self, path: &Path) -> Result<()> {
        let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
        let inside = path.strip_prefix("/")?;
        let entry = entry_metadata(&metadata);
        if metadata.is_dir() {
            self.writer.folder(inside, entry)?;
            let Ok(children) = std::fs::read_dir(path) else { return Ok(()) };
            let mut children: Vec<_> = children.filter_map(Result::ok).map(|child| child.path()).collect();
            children.sort();
            return children.iter().try_for_each(|child| self.add(child));
        }
        if metadata.is_symlink() {
            return self.writer.symlink(inside, entry, &std::fs::read_link(path)?);
        }
        if !metadata.is_file() || metadata.len() > self.left {
            return Ok(());
        }
        self.add_file(path, inside, &metadata)
    }

    fn add_file(&mut self, path: &Path, inside: &Path, metadata: &FileMetadata) -> Result<()> {
        let entry = entry_metadata(metadata);
        let inode = (metadata.dev(), metadata.ino());
        if let Some(first) = self.names.get(&inode) {
            return self.writer.hard_link(inside, entry, first);
        }
        let Ok(file) = File::open(path) else { return Ok(()) };
        self.left -= metadata.len();
        self.writer.file(inside, entry, metadata.len(), file)?;
        if metadata.nlink() > 1 {
            self.names.insert(inode, inside.to_owned());
        } else {
            self.shipped.push(Shipped { source: path.to_owned(), metadata: entry, size: metadata.len() });
        }
        Ok(())
    }
}

/// The last layer: every 25th file gets other permissions, every 40th other content, and every 20th is deleted.
fn changes(folder: &Path, shipped: &[Shipped]) -> Result<Layer> {
    let mut writer = LayerWriter::create(folder.join("layer-changes.tar"), "make configure clean".to_owned())?;
    for (number, file) in shipped.iter().enumerate() {
        let inside = file.source.strip_prefix("/")?;
        if number % 25 == 0 {
            let metadata = Metadata { mode: file.metadata.mode ^ 0o010, ..file.metadata };
            writer.file(inside, metadata, file.size, File::open(&file.source)?)?;
        } else if number % 40 == 1 {
            writer.file(inside, file.metadata, file.size, Content::new(number as u64, file.size))?;
        } else if number % 20 == 2 {
            writer.whiteout(inside)?;
        }
    }
    writer.finish()
}

fn entry_metadata(metadata: &FileMetadata) -> Metadata {
    let owner = (u64::from(metadata.uid()), u64::from(metadata.gid()));
    Metadata { mode: metadata.mode() & 0o7777, owner, mtime: u64::try_from(metadata.mtime()).unwrap_or(0) }
}

/// The paths that a row of [`LAYERS`] names, sorted.
fn matching(source: &str) -> Vec<PathBuf> {
    let Some(prefix) = source.strip_suffix('*') else { return vec![PathBuf::from(source)] };
    let folder = Path::new(prefix).parent().unwrap_or(Path::new("/"));
    let Ok(children) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = children.filter_map(Result::ok).map(|child| child.path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().starts_with(prefix)).collect();
    paths.sort();
    paths
}
