//! From the files of a snapshot to its layer: what differs from the parents is listed in the order of the
//! tree, and what does not is taken out of the snapshot.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jettison_image::layer::{LayerError, NewEntry};
use jettison_image::tar::{Extent, Mtime};
use jettison_image::{Digest, Kind, Layer, LayerBuilder};
use rayon::prelude::{IntoParallelRefMutIterator as _, ParallelIterator as _};

use super::attributes::{Attributes, is_opaque, set_mtime};
use super::content;
use super::copy::Copied;
use super::lower::{Found, Lower, is_whiteout};
use super::normalize::make_whiteout;
use super::{SnapshotError, at};
use crate::ids::{Ids, NodeKind, Owners, node_of};

/// One entry of the layer to be.
struct Item {
    path: Vec<u8>,
    file: PathBuf,
    kind: Kind,
    attributes: Attributes,
    size: u64,
    link: Vec<u8>,
    device: (u32, u32),
    sparse: Option<Vec<Extent>>,
    digest: Digest,
    needs_digest: bool,
}

/// What a scan goes by.
pub(super) struct Scan<'a> {
    pub(super) ids: Ids,
    pub(super) owners: &'a Owners,
    /// Digests that are known already, by inode.
    pub(super) known: &'a HashMap<u64, Digest>,
    /// For a copied tree: files that the parents have and it does not are deleted, and untouched copies
    /// are told without a look at them.
    pub(super) copied: Option<&'a Copied>,
}

/// Lists the changes of `files` above `below` as a layer, and leaves in `files` nothing else.
pub(super) fn scan(files: &Path, below: &Lower, how: &Scan<'_>) -> Result<Layer, SnapshotError> {
    let mut walk = Walk { how, items: Vec::new(), names: HashMap::new() };
    let metadata = fs::symlink_metadata(files).map_err(at(files))?;
    let attributes = Attributes::read(files, &metadata, how.ids).map_err(at(files))?;
    walk.root(files, attributes, below)?;
    let mut items = walk.items;
    items.par_iter_mut().filter(|item| item.needs_digest).try_for_each_init(Vec::new, |piece, item| {
        item.digest = content::digest(&item.file, item.size, piece).map_err(at(&item.file))?;
        Ok::<(), SnapshotError>(())
    })?;
    layer_of(&items).map_err(SnapshotError::Layer)
}

fn layer_of(items: &[Item]) -> Result<Layer, LayerError> {
    let mut builder = LayerBuilder::default();
    for item in items {
        builder.push(&NewEntry {
            mode: item.attributes.mode,
            uid: item.attributes.uid,
            gid: item.attributes.gid,
            mtime: item.attributes.mtime,
            size: item.size,
            digest: item.digest,
            link: &item.link,
            device: item.device,
            xattrs: &item.attributes.xattrs,
            sparse: item.sparse.as_deref(),
            ..NewEntry::new(&item.path, item.kind)
        })?;
    }
    Ok(builder.finish())
}

/// Whether something was made or removed in a folder during the scan, which changed its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    Kept,
    Changed,
}

struct Walk<'a> {
    how: &'a Scan<'a>,
    items: Vec<Item>,
    /// The first name of files with more than one.
    names: HashMap<u64, Vec<u8>>,
}

impl Walk<'_> {
    /// The root gets an entry where its mode, owner or attributes changed. Its time alone is no change:
    /// engines have no entry for it, and it moves with every file that is put there.
    fn root(&mut self, files: &Path, mut attributes: Attributes, below: &Lower) -> Result<(), SnapshotError> {
        let before = match below.top() {
            Some(top) => {
                let metadata = fs::symlink_metadata(top).map_err(at(top))?;
                Attributes::read(top, &metadata, self.how.ids).map_err(at(top))?
            }
            None => root_of_nothing(),
        };
        let timed = Attributes { mtime: before.mtime, ..attributes.clone() };
        if timed == before {
            attributes = before;
        } else {
            self.items.push(Item::new(Vec::new(), files.to_owned(), Kind::Directory, attributes.clone()));
        }
        self.children(files, b"", below)?;
        set_mtime(files, attributes.mtime).map_err(at(files))
    }

    fn children(&mut self, folder: &Path, image: &[u8], below: &Lower) -> Result<Folder, SnapshotError> {
        let read = || -> io::Result<Vec<OsString>> {
            let mut names: Vec<OsString> =
                fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>()?;
            if self.how.copied.is_some() {
                names.extend(below.names()?);
            }
            names.sort();
            names.dedup();
            Ok(names)
        };
        let mut state = Folder::Kept;
        for name in read().map_err(at(folder))? {
            if self.child(folder, image, &name, below)? == Folder::Changed {
                state = Folder::Changed;
            }
        }
        Ok(state)
    }

    fn child(&mut self, folder: &Path, image: &[u8], name: &OsStr, below: &Lower) -> Result<Folder, SnapshotError> {
        let file = folder.join(name);
        let path = [image, name.as_bytes()].join(&b"/"[..usize::from(!image.is_empty())]);
        let found = below.find(name).map_err(at(&file))?;
        let metadata = match fs::symlink_metadata(&file) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(at(&file)(error)),
        };
        // No tar can hold a socket: it is as if it were not there.
        let metadata = metadata.filter(|metadata| !metadata.file_type().is_socket());
        match metadata {
            Some(metadata) if metadata.is_dir() => self.folder(file, path, &metadata, found),
            Some(metadata) if !is_whiteout(&metadata) => self.file(file, path, &metadata, &found),
            gone => self.gone(file, path, gone.is_some(), &found),
        }
    }

    /// What the parents have and the snapshot does not.
    fn gone(
        &mut self,
        file: PathBuf,
        path: Vec<u8>,
        has_whiteout: bool,
        found: &Found,
    ) -> Result<Folder, SnapshotError> {
        if matches!(found, Found::Nothing) {
            super::remove_tree(&file).map_err(at(&file))?;
            return Ok(Folder::Changed);
        }
        if !has_whiteout {
            make_whiteout(&file).map_err(at(&file))?;
        }
        self.items.push(Item::new(path, file, Kind::Whiteout, no_attributes()));
        Ok(if has_whiteout { Folder::Kept } else { Folder::Changed })
    }

    fn folder(
        &mut self,
        file: PathBuf,
        path: Vec<u8>,
        metadata: &Metadata,
        found: Found,
    ) -> Result<Folder, SnapshotError> {
        let attributes = Attributes::read(&file, metadata, self.how.ids).map_err(at(&file))?;
        let is_opaque = is_opaque(&file).map_err(at(&file))?;
        let (below, hides) = match found {
            Found::Folder(_) if is_opaque => (Lower::default(), true),
            Found::Folder(below) => (below, false),
            Found::Nothing | Found::Other(..) => (Lower::default(), false),
        };
        let mut is_unchanged = false;
        if let Some(top) = below.top() {
            let metadata = fs::symlink_metadata(top).map_err(at(top))?;
            is_unchanged = Attributes::read(top, &metadata, self.how.ids).map_err(at(top))? == attributes;
        }
        let mtime = attributes.mtime;
        // A folder on the way to a change is listed too: some readers of layers give one that is not to root.
        self.items.push(Item::new(path.clone(), file.clone(), Kind::Directory, attributes));
        if hides {
            self.items.push(Item::new(path.clone(), file.clone(), Kind::Opaque, no_attributes()));
        }
        let before = self.items.len();
        let state = self.children(&file, &path, &below)?;
        if is_unchanged && self.items.len() == before {
            self.items.truncate(before - 1);
            fs::remove_dir(&file).map_err(at(&file))?;
            return Ok(Folder::Changed);
        }
        if state == Folder::Changed {
            set_mtime(&file, mtime).map_err(at(&file))?;
        }
        Ok(Folder::Kept)
    }

    fn file(
        &mut self,
        file: PathBuf,
        path: Vec<u8>,
        metadata: &Metadata,
        found: &Found,
    ) -> Result<Folder, SnapshotError> {
        if let Found::Other(_, source) = found
            && self.how.copied.is_some_and(|copied| copied.is_untouched(metadata, source))
        {
            return take_out(&file);
        }
        let mut attributes = Attributes::read(&file, metadata, self.how.ids).map_err(at(&file))?;
        let recorded = self.how.owners.by_inode.get(&metadata.ino()).copied();
        let recorded = recorded.filter(|_| self.how.ids == Ids::One && metadata.is_symlink());
        if let Found::Other(lower, source) = found
            && recorded.is_none()
            && self.is_copy(&file, metadata, &attributes, lower, source).map_err(at(&file))?
        {
            return take_out(&file);
        }
        if let Some((uid, gid)) = recorded {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        let item = self.item(file.clone(), path, metadata, attributes).map_err(at(&file))?;
        self.items.push(item);
        Ok(Folder::Kept)
    }

    /// Whether a file that was copied up says the same as the parents' one. A file with further names is
    /// none: its being one with them is what changed.
    fn is_copy(
        &self,
        file: &Path,
        metadata: &Metadata,
        attributes: &Attributes,
        lower: &Path,
        source: &Metadata,
    ) -> io::Result<bool> {
        let is_alike = metadata.nlink() == 1
            && metadata.file_type() == source.file_type()
            && metadata.size() == source.size()
            && super::attributes::mtime(source) == attributes.mtime
            && node_of(file, metadata) == node_of(lower, source)
            && Attributes::read(lower, source, self.how.ids)? == *attributes;
        if !is_alike {
            return Ok(false);
        }
        if metadata.is_symlink() {
            return Ok(fs::read_link(file)? == fs::read_link(lower)?);
        }
        // Whoever sets times back may have changed the content all the same.
        Ok(!metadata.is_file() || content::equal(file, lower, metadata.size())?)
    }

    fn item(&mut self, file: PathBuf, path: Vec<u8>, metadata: &Metadata, attributes: Attributes) -> io::Result<Item> {
        let node = node_of(&file, metadata);
        let kind = match (metadata.file_type(), node) {
            (_, Some((NodeKind::Char, ..))) => Kind::CharDevice,
            (_, Some((NodeKind::Block, ..))) => Kind::BlockDevice,
            (kind, None) if kind.is_symlink() => Kind::Symlink,
            (kind, None) if kind.is_fifo() => Kind::Fifo,
            (_, None) => Kind::File,
        };
        let mut item = Item::new(path, file, kind, attributes);
        if metadata.nlink() > 1 {
            if let Some(first) = self.names.get(&metadata.ino()) {
                item.kind = Kind::HardLink;
                item.link.clone_from(first);
                return Ok(item);
            }
            self.names.insert(metadata.ino(), item.path.clone());
        }
        match kind {
            Kind::Symlink => item.link = fs::read_link(&item.file)?.into_os_string().into_vec(),
            Kind::CharDevice | Kind::BlockDevice => {
                item.device = node.map(|(_, major, minor)| (major, minor)).unwrap_or_default();
            }
            Kind::File => {
                item.size = metadata.size();
                item.sparse = content::sparse_runs(&item.file, metadata)?;
                match self.how.known.get(&metadata.ino()) {
                    Some(digest) => item.digest = *digest,
                    None => item.needs_digest = true,
                }
            }
            _ => {}
        }
        Ok(item)
    }
}

/// Takes a file that the parents show anyway out of the snapshot.
fn take_out(file: &Path) -> Result<Folder, SnapshotError> {
    fs::remove_file(file).map_err(at(file))?;
    Ok(Folder::Changed)
}

impl Item {
    fn new(path: Vec<u8>, file: PathBuf, kind: Kind, attributes: Attributes) -> Self {
        Self {
            path,
            file,
            kind,
            attributes,
            size: 0,
            link: Vec::new(),
            device: (0, 0),
            sparse: None,
            digest: Digest::default(),
            needs_digest: false,
        }
    }
}

fn no_attributes() -> Attributes {
    Attributes { mode: 0, uid: 0, gid: 0, mtime: Mtime::default(), xattrs: Vec::new() }
}

/// The root of an image without layers, as `jettison_image::Tree` has it.
pub(super) fn root_of_nothing() -> Attributes {
    Attributes { mode: 0o755, ..no_attributes() }
}
