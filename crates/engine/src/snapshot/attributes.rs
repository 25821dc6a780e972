//! What files have beside their content: modes, owners, times and extended attributes, on disk and as an
//! image should have them.

use std::ffi::OsStr;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use jettison_image::layer::Xattrs;
use jettison_image::tar::Mtime;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, XattrFlags, utimensat};
use rustix::io::Errno;

use crate::ids::{Ids, LINK_OWNER, give, owner_of};

/// The attribute that makes a folder hide what lower layers hold below it.
pub(super) const OPAQUE: &str = "user.overlay.opaque";
/// Holds, behind this prefix, an attribute that the kernel does not let this process set, such as one of
/// `trusted.` in a user namespace.
const KEPT: &[u8] = b"user.jettison.xattr.";
/// Bookkeeping of overlay drivers, of the host's security, and our own: no part of an image.
const FOREIGN: [&[u8]; 5] =
    [b"user.overlay.", b"trusted.overlay.", b"user.fuseoverlayfs.", b"user.jettison.", b"security.selinux"];
/// Capabilities of a file (`linux/capability.h`): the magic number of the second revision, and of the third,
/// which names the root user of the namespace that set it after the rest.
const CAPABILITY_2: u8 = 2;
const CAPABILITY_3: u8 = 3;
/// The length of the second revision's value.
const CAPABILITY_2_LENGTH: usize = 20;

/// What an image says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Mtime,
    pub(super) xattrs: Xattrs,
}

impl Attributes {
    /// Those of the file at `path`, links not followed.
    pub(super) fn read(path: &Path, metadata: &Metadata, ids: Ids) -> io::Result<Self> {
        let (uid, gid) = owner_of(path, metadata, ids);
        let mode = u16::try_from(metadata.mode() & 0o7777).unwrap_or_default();
        let is_record = |name: &[u8]| ids == Ids::One && name == LINK_OWNER.as_bytes() && holds_owner(metadata);
        let all = raw_xattrs(path)?.into_iter().filter(|(name, _)| !is_record(name));
        let mut xattrs: Xattrs = all.filter_map(of_image).collect();
        xattrs.sort();
        Ok(Self { mode, uid, gid, mtime: mtime(metadata), xattrs })
    }

    /// Gives the file at `path` all of these. Times come last, and those of folders change once more with
    /// everything that is put into them.
    pub(super) fn apply(&self, path: &Path, ids: Ids) -> io::Result<()> {
        give(path, self.uid, self.gid, ids)?;
        let metadata = fs::symlink_metadata(path)?;
        let is_symlink = metadata.is_symlink();
        if !is_symlink {
            fs::set_permissions(path, Permissions::from_mode(u32::from(self.mode)))?;
        }
        for (name, value) in &self.xattrs {
            if ids == Ids::One && name == LINK_OWNER.as_bytes() && holds_owner(&metadata) {
                continue; // It would become an owner; the layer still has it.
            }
            if !FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
                set_xattr(path, name, value, is_symlink)?;
            }
        }
        set_mtime(path, self.mtime)
    }
}

/// Whether the capabilities of a file are none, but may be the record of its owner.
fn holds_owner(metadata: &Metadata) -> bool {
    !metadata.is_file() && !metadata.is_dir()
}

/// An attribute as the image has it; `None` for what is no part of an image.
fn of_image((name, mut value): (Vec<u8>, Vec<u8>)) -> Option<(Vec<u8>, Vec<u8>)> {
    if let Some(kept) = name.strip_prefix(KEPT) {
        return Some((kept.to_vec(), value));
    }
    if FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
        return None;
    }
    if name == b"security.capability" && value.len() > CAPABILITY_2_LENGTH && value[3] == CAPABILITY_3 {
        value.truncate(CAPABILITY_2_LENGTH);
        value[3] = CAPABILITY_2;
    }
    Some((name, value))
}

fn set_xattr(path: &Path, name: &[u8], value: &[u8], is_symlink: bool) -> io::Result<()> {
    match rustix::fs::lsetxattr(path, OsStr::from_bytes(name), value, XattrFlags::empty()) {
        Ok(()) => Ok(()),
        // Nothing on disk can hold it there; the layer still does.
        Err(Errno::PERM | Errno::NOTSUP) if is_symlink => Ok(()),
        Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) if !name.starts_with(b"user.") => {
            let kept = [KEPT, name].concat();
            Ok(rustix::fs::lsetxattr(path, OsStr::from_bytes(&kept), value, XattrFlags::empty())?)
        }
        Err(error) => Err(error.into()),
    }
}

/// All extended attributes that the file at `path` has on disk.
pub(super) fn raw_xattrs(path: &Path) -> io::Result<Xattrs> {
    // Most files have none: one call with a buffer that fits nearly all lists.
    let mut short = [0_u8; 256];
    let names = match rustix::fs::llistxattr(path, &mut short[..]) {
        Ok(length) => short[..length].to_vec(),
        Err(Errno::RANGE) => {
            // Linux limits the list to this (xattr(7)).
            let mut long = vec![0_u8; 65_536];
            let length = rustix::fs::llistxattr(path, &mut long[..])?;
            long.truncate(length);
            long
        }
        Err(Errno::NOTSUP) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut xattrs = Xattrs::new();
    for name in names.split(|&c| c == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 65_536];
        match rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                value.shrink_to_fit();
                xattrs.push((name.to_vec(), value));
            }
            // Some file systems list what this process may not read.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(xattrs)
}

/// Gives `to` what `from` has on disk, our own records included and those of overlay drivers not.
pub(super) fn copy_raw(from: &Path, metadata: &Metadata, to: &Path, ids: Ids) -> io::Result<()> {
    if ids == Ids::Many {
        std::os::unix::fs::lchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    let is_symlink = metadata.is_symlink();
    if !is_symlink {
        fs::set_permissions(to, Permissions::from_mode(metadata.mode() & 0o7777))?;
    }
    let overlay: [&[u8]; 4] = [b"user.overlay.", b"trusted.overlay.", b"user.fuseoverlayfs.", b"security.selinux"];
    for (name, value) in raw_xattrs(from)? {
        if !overlay.iter().any(|foreign| name.starts_with(foreign)) {
            set_xattr(to, &name, &value, is_symlink)?;
        }
    }
    set_mtime(to, mtime(metadata))
}

/// Whether the folder at `path` hides what lies below it in lower layers.
pub(super) fn is_opaque(path: &Path) -> io::Result<bool> {
    let mut value = [0_u8; 4];
    match rustix::fs::lgetxattr(path, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn mtime(metadata: &Metadata) -> Mtime {
    Mtime { seconds: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or_default() }
}

/// Sets the time of last modification, links not followed.
pub(super) fn set_mtime(path: &Path, mtime: Mtime) -> io::Result<()> {
    let last_modification = Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanos) };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access, last_modification };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_lose_the_namespace_that_set_them() {
        let mut third = vec![7; 24];
        third[3] = CAPABILITY_3;
        let (_, value) = of_image((b"security.capability".to_vec(), third.clone())).expect("a part of images");
        assert_eq!((value.len(), value[3], &value[4..]), (20, CAPABILITY_2, &third[4..20]));
        assert_eq!(of_image((b"user.overlay.origin".to_vec(), vec![])), None);
        let kept = of_image((b"user.jettison.xattr.trusted.x".to_vec(), vec![1]));
        assert_eq!(kept, Some((b"trusted.x".to_vec(), vec![1])));
    }
}
