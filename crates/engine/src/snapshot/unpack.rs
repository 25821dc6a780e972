//! Unpacking a base image: the merged tree of its layers, written once, each layer's tar read once.
//!
//! What is written, and where, is the [`Tree`]'s word: its names are clean and its folders are folders, so no
//! path that an archive states ever reaches the file system. Folders are opened below the target without
//! following any link all the same.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jettison_image::layer::NewEntry;
use jettison_image::tar::{Extent, Member, Reader};
use jettison_image::tree::{Inode, ROOT};
use jettison_image::{Kind, Layer, LayerBuilder, Node, Tree};
use rayon::prelude::{IndexedParallelIterator as _, IntoParallelRefMutIterator as _, ParallelIterator as _};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, linkat, mkdirat, mknodat, openat, openat2, symlinkat};

use super::attributes::Attributes;
use super::content::PIECE;
use super::{SnapshotError, at};
use crate::ids::{Ids, NodeKind, make_node};

/// A layer of a base image: its entries, and what opens its uncompressed tar.
pub struct BaseLayer<'a> {
    /// The entries, as read from that tar.
    pub layer: &'a Layer,
    /// Opens the tar at its start.
    pub open: &'a mut (dyn FnMut() -> io::Result<Box<dyn Read>> + Send),
}

/// Writes the merged tree of `layers`, the lowest first, into the new folder `to`, and gives it as one layer.
///
/// # Errors
/// Where the layers do not fit on each other, cannot be read, or a file cannot be written.
pub fn unpack(layers: &mut [BaseLayer<'_>], to: &Path, ids: Ids) -> Result<Layer, SnapshotError> {
    let values: Vec<&Layer> = layers.iter().map(|layer| layer.layer).collect();
    let tree = Tree::of(values.iter().copied())?;
    fs::create_dir(to).map_err(at(to))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(to, flags, Mode::empty()).map_err(io::Error::from).map_err(at(to))?;
    let target = Target { tree: &tree, root, to, ids, names: tree.hard_links().into_iter().collect() };
    let nodes: Vec<Node> = tree.walk().collect();
    let wanted = target.skeleton(&nodes, layers.len())?;
    let results = layers.par_iter_mut().zip(wanted).enumerate();
    results.try_for_each(|(index, (layer, wanted))| target.contents(index, layer, &wanted))?;
    target.further_names(&nodes)?;
    // Folders last, the deepest first: nothing is put into them any more.
    for &node in nodes.iter().rev().filter(|&&node| tree.kind(node) == Kind::Directory) {
        let path = target.path(node);
        target.attributes(node).apply(&path, ids).map_err(at(&path))?;
    }
    target.layer(&nodes)
}

struct Target<'t, 'a> {
    tree: &'t Tree<'a>,
    root: OwnedFd,
    to: &'t Path,
    ids: Ids,
    /// The names of files that have more than one.
    names: HashMap<Inode, Vec<Node>>,
}

/// The folder that was opened last: entries of a folder stand together.
#[derive(Default)]
struct LastFolder(Option<(Node, OwnedFd)>);

impl Target<'_, '_> {
    fn path(&self, node: Node) -> PathBuf {
        self.to.join(OsStr::from_bytes(&self.tree.path(node)))
    }

    fn attributes(&self, node: Node) -> Attributes {
        let seen = self.tree.attributes(node);
        let xattrs = seen.xattrs.to_vec();
        Attributes { mode: seen.mode, uid: seen.uid, gid: seen.gid, mtime: seen.mtime, xattrs }
    }

    /// Whether a node is a further name of what another node has written.
    fn is_further_name(&self, node: Node) -> bool {
        self.names.get(&self.tree.inode(node)).is_some_and(|names| names[0] != node)
    }

    /// Opens the folder that holds `node`.
    fn folder<'f>(&self, node: Node, last: &'f mut LastFolder) -> io::Result<&'f OwnedFd> {
        let parent = self.tree.parent(node).unwrap_or(ROOT);
        if last.0.as_ref().is_none_or(|(known, _)| *known != parent) {
            let path = self.tree.path(parent);
            let path = if path.is_empty() { b".".to_vec() } else { path };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            last.0 = Some((parent, openat2(&self.root, OsStr::from_bytes(&path), flags, Mode::empty(), within)?));
        }
        last.0.as_ref().map(|(_, folder)| folder).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A path to `node` through its opened folder, for calls that take paths only.
    fn through(&self, folder: &OwnedFd, node: Node) -> PathBuf {
        Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(OsStr::from_bytes(self.tree.name(node)))
    }

    /// Makes all that needs no content; gives for each layer the entries whose content is needed, by their
    /// offsets.
    fn skeleton(&self, nodes: &[Node], layers: usize) -> Result<Vec<HashMap<u64, Node>>, SnapshotError> {
        let mut wanted = vec![HashMap::new(); layers];
        let mut last = LastFolder::default();
        for &node in nodes.iter().filter(|&&node| node != ROOT && !self.is_further_name(node)) {
            if self.tree.kind(node) == Kind::File {
                let origin = self.tree.origin(node);
                if let Some((_, entry)) = self.tree.entry(origin) {
                    wanted[origin.layer].insert(entry.data_offset, node);
                }
                continue;
            }
            self.make(node, &mut last).map_err(at(&self.path(node)))?;
        }
        Ok(wanted)
    }

    /// Makes a folder (open to us alone for now), a symbolic link, a device or a pipe.
    fn make(&self, node: Node, last: &mut LastFolder) -> io::Result<()> {
        let seen = self.tree.attributes(node);
        let name = OsStr::from_bytes(self.tree.name(node));
        let folder = self.folder(node, last)?;
        let path = self.through(folder, node);
        let device = |kind| make_node(&path, kind, seen.device.0, seen.device.1, 0o600, self.ids);
        match seen.kind {
            Kind::Directory => return Ok(mkdirat(folder, name, Mode::RWXU)?),
            Kind::Symlink => symlinkat(OsStr::from_bytes(seen.link), folder, name)?,
            Kind::Fifo => mknodat(folder, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?,
            // On disk this would be a whiteout, which no container sees either.
            Kind::CharDevice if seen.device == (0, 0) => return Ok(()),
            Kind::CharDevice => device(NodeKind::Char)?,
            Kind::BlockDevice => device(NodeKind::Block)?,
            // A tree's nodes are none of the others.
            Kind::File | Kind::HardLink | Kind::Whiteout | Kind::Opaque => return Ok(()),
        }
        self.attributes(node).apply(&path, self.ids)
    }

    /// Writes the files of one layer, until the last that is wanted.
    fn contents(
        &self,
        index: usize,
        layer: &mut BaseLayer<'_>,
        wanted: &HashMap<u64, Node>,
    ) -> Result<(), SnapshotError> {
        let mut left = wanted.len();
        if left == 0 {
            return Ok(());
        }
        let number = index + 1;
        let open = (layer.open)().map_err(|source| SnapshotError::Open { layer: number, source })?;
        let mut reader = Reader::new(BufReader::with_capacity(PIECE, open));
        let mut member = Member::default();
        let mut last = LastFolder::default();
        let tar = |source| SnapshotError::Tar { layer: number, source };
        while left > 0 {
            if !reader.next(&mut member).map_err(tar)? {
                return Err(SnapshotError::Changed { layer: number });
            }
            let Some(&node) = wanted.get(&member.data_offset) else { continue };
            if member.size != self.tree.attributes(node).size {
                return Err(SnapshotError::Changed { layer: number });
            }
            let path = self.path(node);
            let file = self.create(node, &mut last).map_err(at(&path))?;
            let mut writing = Writing { file: &file, runs: member.sparse.as_deref(), run: 0, done: 0, failed: None };
            reader.data(|piece| writing.write(piece)).map_err(tar)?;
            writing.end(member.size).map_err(at(&path))?;
            let folder = self.folder(node, &mut last).map_err(at(&path))?;
            let through = self.through(folder, node);
            self.attributes(node).apply(&through, self.ids).map_err(at(&path))?;
            left -= 1;
        }
        Ok(())
    }

    fn create(&self, node: Node, last: &mut LastFolder) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = OsStr::from_bytes(self.tree.name(node));
        Ok(File::from(openat(self.folder(node, last)?, name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    fn further_names(&self, nodes: &[Node]) -> Result<(), SnapshotError> {
        let (mut last, mut last_first) = (LastFolder::default(), LastFolder::default());
        for &node in nodes.iter().filter(|&&node| self.is_further_name(node)) {
            let Some(&first) = self.names.get(&self.tree.inode(node)).and_then(|names| names.first()) else { continue };
            let seen = self.tree.attributes(node);
            if seen.kind == Kind::CharDevice && seen.device == (0, 0) {
                continue;
            }
            let mut link = || -> io::Result<()> {
                let from = self.folder(first, &mut last_first)?;
                let to = self.folder(node, &mut last)?;
                let (old, new) = (OsStr::from_bytes(self.tree.name(first)), OsStr::from_bytes(self.tree.name(node)));
                Ok(linkat(from, old, to, new, AtFlags::empty())?)
            };
            link().map_err(at(&self.path(node)))?;
        }
        Ok(())
    }

    /// The merged tree as a layer.
    fn layer(&self, nodes: &[Node]) -> Result<Layer, SnapshotError> {
        let mut builder = LayerBuilder::default();
        for &node in nodes {
            let path = self.tree.path(node);
            let seen = self.tree.attributes(node);
            let is_default = node == ROOT && self.tree.origin(ROOT).entry.is_none();
            if is_default {
                continue;
            }
            let mut entry = NewEntry {
                mode: seen.mode,
                uid: seen.uid,
                gid: seen.gid,
                mtime: seen.mtime,
                size: seen.size,
                digest: seen.digest,
                link: seen.link,
                device: seen.device,
                xattrs: seen.xattrs,
                ..NewEntry::new(&path, seen.kind)
            };
            let first = self.names.get(&self.tree.inode(node)).and_then(|names| names.first());
            let target = first.filter(|&&first| first != node).map(|&first| self.tree.path(first));
            if let Some(target) = &target {
                (entry.kind, entry.link, entry.xattrs) = (Kind::HardLink, target, &[]);
            } else if let Some((layer, shipped)) = self.tree.entry(self.tree.origin(node)) {
                entry.sparse = layer.sparse(shipped);
            }
            builder.push(&entry).map_err(SnapshotError::Layer)?;
        }
        Ok(builder.finish())
    }
}

/// A file that is being written, its stored bytes put where its runs say.
struct Writing<'a> {
    file: &'a File,
    runs: Option<&'a [Extent]>,
    run: usize,
    /// Within the run, or the file that is no sparse one.
    done: u64,
    failed: Option<io::Error>,
}

impl Writing<'_> {
    fn write(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && self.failed.is_none() {
            let (mut offset, mut room) = (0, u64::MAX);
            if let Some(runs) = self.runs {
                // The reader made sure that the runs cover the stored bytes.
                let Some(run) = runs.get(self.run) else { return };
                (offset, room) = (run.offset, run.length - self.done);
                if room == 0 {
                    (self.run, self.done) = (self.run + 1, 0);
                    continue;
                }
            }
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
            self.failed = self.file.write_all_at(&piece[..take], offset + self.done).err();
            self.done += take as u64;
            piece = &piece[take..];
        }
    }

    fn end(self, size: u64) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None if self.runs.is_some() => self.file.set_len(size),
            None => Ok(()),
        }
    }
}
