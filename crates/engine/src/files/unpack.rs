//! Unpacks tars into folders: as ADD does into an image, and of contexts. The archives are not trusted: no
//! member is written outside of the folder, whatever links the archive or the folder holds.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jettison_image::tar::{Extent, Member, MemberType, Reader};
use jettison_image::{Digest, Hasher};
use rustix::fs::{CWD, FileType, Mode};

use super::FilesError;
use super::identity::{self, Giver, LinkOwners, NodeKind};
use super::resolve::{self, Last, below};
use crate::build::Cancel;

/// What is done with device nodes and pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Devices {
    /// They are made.
    Made,
    /// They are an error.
    Refused,
}

/// An archive that is to be unpacked.
pub(super) struct Unpacking<'a> {
    /// Into this folder.
    pub(super) root: &'a Path,
    /// Whose all files will be; else whose the archive says.
    pub(super) owner: Option<(u32, u32)>,
    /// Gives files their owners; without, they stay the process's.
    pub(super) giver: Option<Giver>,
    pub(super) devices: Devices,
    /// The archive, for messages.
    pub(super) name: &'a str,
    pub(super) cancel: &'a Cancel,
}

/// What is known of the files that were unpacked.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    pub(super) digests: HashMap<u64, Digest>,
    pub(super) link_owners: LinkOwners,
    /// Folders, below the root, with the modes and times they get in the end, when nothing more is written to them.
    folders: BTreeMap<PathBuf, (u32, (i64, i64))>,
}

/// The latest time that Go's archives keep: 2262, the last of signed nanoseconds.
const MOST_SECONDS: i64 = i64::MAX / 1_000_000_000;

impl Unpacking<'_> {
    /// Unpacks a plain tar.
    pub(super) fn run(&self, input: impl Read) -> Result<Unpacked, FilesError> {
        let mut reader = Reader::new(BufReader::with_capacity(128 * 1024, input));
        let mut unpacked = Unpacked::default();
        let mut member = Member::default();
        loop {
            if self.cancel.is_cancelled() {
                return Err(FilesError::Cancelled);
            }
            match reader.next(&mut member) {
                Ok(true) => self.member(&mut reader, &member, &mut unpacked)?,
                Ok(false) => break,
                Err(error) => return Err(self.malformed(error)),
            }
        }
        for (path, (mode, (seconds, nanoseconds))) in std::mem::take(&mut unpacked.folders).into_iter().rev() {
            self.finish_folder(&path, mode, seconds, nanoseconds)?;
        }
        Ok(unpacked)
    }

    /// Gives a folder its mode and time, if it still is one: a later member may have put a link in its place or
    /// that of a folder above it, which would lead anywhere.
    fn finish_folder(&self, path: &Path, mode: u32, seconds: i64, nanoseconds: i64) -> Result<(), FilesError> {
        let at = below(self.root, path);
        let is_in_place = resolve::follow(self.root, path, Last::Follow)? == path;
        if !is_in_place || !at.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        fs::set_permissions(&at, fs::Permissions::from_mode(mode))
            .and_then(|()| identity::set_time(&at, seconds, nanoseconds))
            .map_err(FilesError::io("finish the folder", &at))
    }

    fn malformed(&self, error: jettison_image::tar::TarError) -> FilesError {
        FilesError::Archive { archive: self.name.to_owned(), source: Box::new(error) }
    }

    fn problem(&self, member: &Member, problem: &'static str) -> FilesError {
        let member = String::from_utf8_lossy(&member.path).into_owned();
        FilesError::Member { archive: self.name.to_owned(), member, problem }
    }

    fn member(
        &self,
        reader: &mut Reader<impl io::BufRead>,
        member: &Member,
        unpacked: &mut Unpacked,
    ) -> Result<(), FilesError> {
        let leads_out = || self.problem(member, "leads out of the folder");
        let name = clean(&member.path).ok_or_else(leads_out)?;
        if name.as_os_str().is_empty() {
            return Ok(());
        }
        let is_folder = member.member_type == MemberType::Directory;
        let last = if is_folder { Last::Follow } else { Last::Keep };
        let path = resolve::follow(self.root, &name, last)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        self.make_parents(member, &path)?;
        let at = below(self.root, &path);
        make_room(&at, is_folder).map_err(FilesError::io("replace", &at))?;
        match member.member_type {
            MemberType::File => {
                let digest = self.file(reader, member, &at)?;
                self.finish(member, &at)?;
                if let Some(digest) = digest {
                    let metadata = fs::symlink_metadata(&at).map_err(FilesError::io("look at", &at))?;
                    unpacked.digests.insert(metadata.ino(), digest);
                }
                Ok(())
            }
            MemberType::Directory => self.folder(member, path, &at, unpacked),
            MemberType::Symlink => self.link(member, &at, unpacked),
            MemberType::HardLink => {
                let target = clean(&member.link).ok_or_else(leads_out)?;
                let target = resolve::follow(self.root, &target, Last::Keep)?;
                let from = below(self.root, &target);
                match fs::symlink_metadata(&from) {
                    Ok(metadata) if metadata.is_dir() => return Err(self.problem(member, "is a hard link to a folder")),
                    Ok(_) => {}
                    Err(_) => return Err(self.problem(member, "is a hard link to what is not there")),
                }
                fs::hard_link(&from, &at).map_err(FilesError::io("link", &at))?;
                let is_link = fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_symlink());
                if is_link { Ok(()) } else { self.finish(member, &at) }
            }
            MemberType::CharDevice | MemberType::BlockDevice | MemberType::Fifo => self.device(member, &at),
        }
    }

    fn device(&self, member: &Member, at: &Path) -> Result<(), FilesError> {
        let Some(giver) = self.giver.filter(|_| self.devices == Devices::Made) else {
            return Err(self.problem(member, "is a device or a pipe, which a build context cannot hold"));
        };
        let (major, minor) = member.device;
        let made = match member.member_type {
            MemberType::Fifo => {
                rustix::fs::mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o600), 0).map_err(io::Error::from)
            }
            MemberType::BlockDevice => {
                identity::make_node(at, (NodeKind::Block, major, minor), member.mode.into(), giver.ids)
            }
            _ => identity::make_node(at, (NodeKind::Char, major, minor), member.mode.into(), giver.ids),
        };
        made.map_err(FilesError::io("make the device", at))?;
        self.finish(member, at)
    }

    /// Folders that the archive does not name: 0755, 0:0.
    fn make_parents(&self, member: &Member, path: &Path) -> Result<(), FilesError> {
        let mut reached = self.root.to_owned();
        for part in path.parent().unwrap_or(Path::new("")) {
            reached.push(part);
            match fs::create_dir(&reached) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if fs::symlink_metadata(&reached).is_ok_and(|metadata| metadata.is_dir()) {
                        continue;
                    }
                    return Err(self.problem(member, "lies below something that is no folder"));
                }
                Err(error) => return Err(FilesError::io("make the folder", &reached)(error)),
            }
            fs::set_permissions(&reached, fs::Permissions::from_mode(0o755))
                .and_then(|()| self.giver.map_or(Ok(()), |giver| giver.file(&reached, (0, 0))))
                .map_err(FilesError::io("make the folder", &reached))?;
        }
        Ok(())
    }

    fn folder(&self, member: &Member, path: PathBuf, at: &Path, unpacked: &mut Unpacked) -> Result<(), FilesError> {
        match fs::create_dir(at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(FilesError::io("make the folder", at)(error));
            }
            _ => {}
        }
        fs::set_permissions(at, fs::Permissions::from_mode(0o700)).map_err(FilesError::io("make the folder", at))?;
        self.give(member, at)?;
        self.set_xattrs(member, at);
        // Of a folder that is named twice the last mode and, as in BuildKit, the first time counts.
        let (mode, time) = (member.mode.into(), time(member));
        unpacked.folders.entry(path).and_modify(|folder| folder.0 = mode).or_insert((mode, time));
        Ok(())
    }

    fn link(&self, member: &Member, at: &Path, unpacked: &mut Unpacked) -> Result<(), FilesError> {
        std::os::unix::fs::symlink(OsStr::from_bytes(&member.link), at).map_err(FilesError::io("make the link", at))?;
        if let Some(giver) = self.giver {
            let recorded = giver.link(at, self.owner(member)).map_err(FilesError::io("give the link", at))?;
            unpacked.link_owners.extend(recorded);
        }
        let (seconds, nanoseconds) = time(member);
        identity::set_time(at, seconds, nanoseconds).map_err(FilesError::io("finish the link", at))
    }

    /// Writes a file; gives its digest, but for one with holes.
    fn file(
        &self,
        reader: &mut Reader<impl io::BufRead>,
        member: &Member,
        at: &Path,
    ) -> Result<Option<Digest>, FilesError> {
        let io_error = |error| FilesError::io("write", at)(error);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(at).map_err(io_error)?;
        let mut hasher = Hasher::default();
        let mut runs = member.sparse.as_deref().map(Runs::new);
        let mut written = Ok(());
        let read = reader.data(|piece| {
            if written.is_ok() {
                written = match &mut runs {
                    None => {
                        hasher.update(piece);
                        file.write_all(piece)
                    }
                    Some(runs) => runs.write(&mut file, piece),
                };
            }
        });
        read.map_err(|error| self.malformed(error))?;
        written.map_err(io_error)?;
        if runs.is_some() {
            file.set_len(member.size).map_err(io_error)?;
            return Ok(None);
        }
        Ok(Some(hasher.finish()))
    }

    fn owner(&self, member: &Member) -> (u32, u32) {
        self.owner.unwrap_or((member.uid, member.gid))
    }

    fn give(&self, member: &Member, at: &Path) -> Result<(), FilesError> {
        self.giver.map_or(Ok(()), |giver| giver.file(at, self.owner(member))).map_err(FilesError::io("give", at))
    }

    fn set_xattrs(&self, member: &Member, at: &Path) {
        let copied = member.xattrs.iter().filter(|(name, _)| identity::is_copied(name));
        let xattrs = copied
            .filter_map(|(name, value)| Some((std::ffi::CString::new(name.clone()).ok()?, value.clone())))
            .collect();
        identity::set_xattrs(at, &xattrs);
    }

    fn finish(&self, member: &Member, at: &Path) -> Result<(), FilesError> {
        self.give(member, at)?;
        fs::set_permissions(at, fs::Permissions::from_mode(member.mode.into()))
            .map_err(FilesError::io("finish", at))?;
        self.set_xattrs(member, at);
        let (seconds, nanoseconds) = time(member);
        identity::set_time(at, seconds, nanoseconds).map_err(FilesError::io("finish", at))
    }
}

/// A member's name without slashes at its start; `None` for one that leads up and out.
fn clean(name: &[u8]) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if !path.pop() => return None,
            b".." => {}
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Some(path)
}

/// Removes what is in a member's place, but for a folder in a folder's.
fn make_room(at: &Path, is_folder: bool) -> io::Result<()> {
    match fs::symlink_metadata(at) {
        Ok(metadata) if metadata.is_dir() && is_folder => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(at),
        Ok(_) => fs::remove_file(at),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A member's time; those that Go cannot hold are 1970.
fn time(member: &Member) -> (i64, i64) {
    let mtime = member.mtime;
    if (0..MOST_SECONDS).contains(&mtime.seconds) { (mtime.seconds, mtime.nanos.into()) } else { (0, 0) }
}

/// Writes the stored runs of a sparse file to their places.
struct Runs<'a> {
    extents: std::slice::Iter<'a, Extent>,
    offset: u64,
    left: u64,
}

impl<'a> Runs<'a> {
    fn new(extents: &'a [Extent]) -> Self {
        Self { extents: extents.iter(), offset: 0, left: 0 }
    }

    fn write(&mut self, file: &mut File, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            while self.left == 0 {
                let Some(extent) = self.extents.next() else { return Ok(()) };
                (self.offset, self.left) = (extent.offset, extent.length);
            }
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
            file.seek(SeekFrom::Start(self.offset))?;
            file.write_all(&piece[..length])?;
            self.offset += length as u64;
            self.left -= length as u64;
            piece = &piece[length..];
        }
        Ok(())
    }
}
