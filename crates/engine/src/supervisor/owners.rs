//! Owners that cannot be given where only one id is mapped: they are recorded instead, and the program is told that all
//! went well.
//!
//! What can really be done is done: a `chown` to 0:0, so that the kernel checks what it checks, copies the file up,
//! and clears the set-id bits. Then the owner that was asked for is recorded at the file.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::ids::Owners;
use crate::kernel::seccomp::Answer;
use crate::supervisor::pretend::{Identity, marks};
use crate::supervisor::world::{Named, World};

/// What a changed half is where it is not to be changed.
const KEEP: u32 = u32::MAX;

/// Records `chown` by somebody. `still_waits` tells whether the process still waits for the answer.
pub(super) fn change(
    named: Named<'_>,
    wanted: (u32, u32),
    who: &Identity,
    still_waits: impl FnOnce() -> bool,
    owners: &mut Owners,
) -> Answer {
    let world = World::open(named);
    if !still_waits() {
        return Answer::Done; // Nobody hears it.
    }
    let result = world.and_then(|world| match world.file() {
        Err(Errno::NOENT | Errno::LOOP) if named.follow && world.is_of_the_system() => Ok(()),
        Err(error) => Err(error),
        Ok(file) => change_file(&world, &file, wanted, who, owners),
    });
    match result {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(error.raw_os_error()),
    }
}

fn change_file(
    world: &World<'_>,
    file: &OwnedFd,
    (uid, gid): (u32, u32),
    who: &Identity,
    owners: &mut Owners,
) -> Result<(), Errno> {
    let found = rustix::fs::fstat(file)?;
    let old = marks::owner(file, &found, owners);
    let owner = combined(old, uid, gid);
    if !may_give(who, old, owner) {
        return Err(Errno::PERM);
    }
    let real = |id: u32| (id != KEEP).then_some(0);
    let (real_uid, real_gid) = (real(uid).map(Uid::from_raw), real(gid).map(Gid::from_raw));
    // It takes capabilities away, and with them a record that is one.
    rustix::fs::chownat(file, "", real_uid, real_gid, AtFlags::EMPTY_PATH)?;
    // A file of a file system without records is none of the layer's.
    if marks::give(file, &found, owner)? || is_simple(&found) || !world.is_in_the_layer(file.as_fd()) {
        owners.by_inode.remove(&found.st_ino);
        return Ok(());
    }
    let known = owners.by_inode.get(&found.st_ino).copied();
    if owner == known.unwrap_or_default() {
        return Ok(());
    }
    let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
    let inode = if known.is_none() && is_link { renew_link(world, file, &found)? } else { found.st_ino };
    owners.by_inode.insert(inode, owner);
    Ok(())
}

/// Root gives anything to anybody; others give their own files to groups that they are in.
fn may_give(who: &Identity, old: (u32, u32), new: (u32, u32)) -> bool {
    let is_own = who.files_user() == old.0;
    who.rules_files() || is_own && new.0 == old.0 && (new.1 == old.1 || who.is_in(new.1))
}

fn combined(old: (u32, u32), uid: u32, gid: u32) -> (u32, u32) {
    (if uid == KEEP { old.0 } else { uid }, if gid == KEEP { old.1 } else { gid })
}

fn is_simple(found: &Stat) -> bool {
    matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Directory)
}

/// Replaces a symbolic link by its like, and gives the new one's inode number. A link that overlayfs copied up goes on
/// showing its number in the lower layer; a new one shows the upper folder's.
fn renew_link(world: &World<'_>, file: &OwnedFd, found: &Stat) -> Result<u64, Errno> {
    let Ok((folder, name)) = world.parent() else {
        return Ok(found.st_ino); // By descriptor (O_PATH): its name is unknown.
    };
    let is_it = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|there| there.st_ino == found.st_ino && there.st_dev == found.st_dev);
    if !is_it || found.st_nlink > 1 {
        return Ok(found.st_ino);
    }
    let target = rustix::fs::readlinkat(file, "", Vec::new())?;
    let times = |folder: &OwnedFd, name: &[u8], of: &Stat| {
        let stamp = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
        let times = Timestamps {
            last_access: stamp(of.st_atime, of.st_atime_nsec),
            last_modification: stamp(of.st_mtime, of.st_mtime_nsec),
        };
        rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW | AtFlags::empty())
    };
    let above = rustix::fs::fstat(&folder)?;
    let other = format!(".jettison-link-{}", found.st_ino).into_bytes();
    rustix::fs::symlinkat(target.as_c_str(), &folder, other.as_slice())?;
    let result = times(&folder, &other, found)
        .and_then(|()| rustix::fs::renameat(&folder, other.as_slice(), &folder, name))
        .and_then(|()| rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW));
    if result.is_err() {
        rustix::fs::unlinkat(&folder, other.as_slice(), AtFlags::empty()).ok();
    }
    times(&folder, b".", &above).ok();
    Ok(result?.st_ino)
}
