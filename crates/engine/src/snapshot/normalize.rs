//! What fuse-overlayfs leaves in its upper folder, in the form of the kernel's overlayfs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, lremovexattr, lsetxattr, mknodat};
use rustix::io::Errno;

use super::attributes::{OPAQUE, mtime, set_mtime};

/// The attributes by which it marks opaque folders, whichever it may set.
const OPAQUE_MARKS: [&str; 2] = ["user.fuseoverlayfs.opaque", "trusted.overlay.opaque"];
/// The file by which it does that where it may set none.
const OPAQUE_FILE: &[u8] = b".wh..wh..opq";
/// The prefix of its whiteouts where it may make no device.
const WHITEOUT: &[u8] = b".wh.";

/// Makes a whiteout, in place of whatever the path holds.
pub(super) fn make_whiteout(path: &Path) -> io::Result<()> {
    super::remove_tree(path)?;
    // The one device node that every user may make (Linux 5.8).
    Ok(mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0)?)
}

pub(super) fn set_opaque(folder: &Path) -> io::Result<()> {
    Ok(lsetxattr(folder, OPAQUE, b"y", XattrFlags::empty())?)
}

/// Rewrites whiteouts and marks of opaque folders below `folder`, times of folders kept.
pub(super) fn normalize(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    let mut changed = false;
    for mark in OPAQUE_MARKS {
        let mut value = [0_u8; 4];
        match lgetxattr(folder, mark, &mut value[..]) {
            Ok(length) if &value[..length] == b"y" => {
                set_opaque(folder)?;
                lremovexattr(folder, mark)?;
            }
            Ok(_) | Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let names: Vec<OsString> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>()?;
    for name in names {
        let path = folder.join(&name);
        if name.as_bytes() == OPAQUE_FILE {
            fs::remove_file(&path)?;
            set_opaque(folder)?;
            changed = true;
        } else if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            fs::remove_file(&path)?;
            let hidden = folder.join(OsStr::from_bytes(hidden));
            if !hidden.is_symlink() && !hidden.exists() {
                make_whiteout(&hidden)?;
            }
            changed = true;
        } else if fs::symlink_metadata(&path)?.is_dir() {
            normalize(&path)?;
        }
    }
    if changed { set_mtime(folder, mtime(&metadata)) } else { Ok(()) }
}
