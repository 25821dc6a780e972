//! What a command sees mounted: its root, `/proc`, `/sys`, and what the step asks for.
//!
//! All mounts are made detached and then moved to a mount point that is known by descriptor, so that no link in the
//! root can lead a mount elsewhere. They follow what the container engines' default has (the runtime specification's
//! config-linux.md names the file systems; the masked and read-only paths are those of moby's `oci/defaults.go`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, fstat, memfd_create, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};

use super::error::Failure;
use super::points::{self, Kind};
use super::protocol::{Channel, Report};
use super::spec::{Mount, MountKind, Spec};
use super::{devices, network};
use crate::kernel::process::set_mount_attributes;

/// Files of `/proc` that show the machine rather than the container.
const MASKED: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
/// Those through which it could be changed.
const READ_ONLY: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Folders of `/sys` that show the machine.
const MASKED_OF_SYS: &[&str] = &["firmware", "devices/virtual/powercap"];

/// The attributes of mounts that hold nothing to be executed.
pub(super) const PLAIN: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A root that is being furnished, in a mount namespace of its own.
pub(super) struct World<'a> {
    pub(super) spec: &'a Spec,
    root: OwnedFd,
    device: u64,
    channel: &'a Channel,
}

impl<'a> World<'a> {
    /// Makes the namespace's mounts private, and the root a mount on which no device can be used.
    pub(super) fn new(spec: &'a Spec, channel: &'a Channel) -> Result<Self, Failure> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(Failure::of("make private the mounts below", "/"))?;
        let root = clone(CWD, &spec.root, MountAttrFlags::MOUNT_ATTR_NODEV)?;
        let path = &spec.root;
        let place =
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(Failure::of("open", path))?;
        attach(&root, &place).map_err(Failure::of("mount the root at", path))?;
        let device = fstat(&root).map_err(Failure::of("look at", path))?.st_dev;
        Ok(Self { spec, root, device, channel })
    }

    /// Mounts everything.
    pub(super) fn furnish(&self) -> Result<(), Failure> {
        // The files are bound out of a file system in memory that needs to be somewhere for as long.
        network::mount_files(self)?;
        self.mount_proc()?;
        self.mount_sys()?;
        devices::mount(self)?;
        self.spec.mounts.iter().try_for_each(|mount| self.mount(mount))
    }

    /// Makes it this process's root, and lets go of the one that it had.
    pub(super) fn enter(self) -> Result<(), Failure> {
        rustix::process::fchdir(&self.root).map_err(Failure::of("enter", &self.spec.root))?;
        rustix::process::pivot_root(".", ".").map_err(Failure::of("make the root", &self.spec.root))?;
        // The old root is mounted over the new one now.
        unmount(".", UnmountFlags::DETACH).map_err(Failure::of("unmount the root that was before", "/"))?;
        rustix::process::chdir("/").map_err(Failure::of("enter", "/"))
    }

    /// The mount point at a path, made where it is missing. What is made in the root itself the engine hears of; what
    /// is made in something that is mounted there belongs to that.
    pub(super) fn place(&self, path: &Path, kind: Kind) -> Result<OwnedFd, Failure> {
        let mut made = |point: points::Point| match point.device == self.device {
            true => self.channel.send(&Report::Made(point), &[]),
            false => Ok(()),
        };
        points::open_or_make(self.root.as_fd(), path, kind, &mut made)
            .map_err(Failure::of("make the mount point", path))
    }

    /// Mounts a tree at a path in the root.
    pub(super) fn put(&self, tree: &OwnedFd, path: &Path, kind: Kind) -> Result<(), Failure> {
        let place = self.place(path, kind)?;
        attach(tree, &place).map_err(Failure::of("mount at", path))
    }

    fn mount_proc(&self) -> Result<(), Failure> {
        let path = Path::new("/proc");
        let proc = make("proc", &[], PLAIN).map_err(Failure::of("make the file system for", path))?;
        self.put(&proc, path, Kind::Folder)?;
        MASKED.iter().try_for_each(|name| mask(proc.as_fd(), path, name))?;
        for name in READ_ONLY {
            let Some(place) = look(proc.as_fd(), path, name)? else { continue };
            let tree = clone(&proc, Path::new(name), MountAttrFlags::MOUNT_ATTR_RDONLY)?;
            attach(&tree, &place).map_err(Failure::of("make read-only", path.join(name)))?;
        }
        Ok(())
    }

    fn mount_sys(&self) -> Result<(), Failure> {
        let path = Path::new("/sys");
        let attributes = PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
        // Only who owns the network namespace may have one of his own; it would show that namespace.
        let sys = match make("sysfs", &[], attributes) {
            Ok(sys) => sys,
            Err(Errno::PERM) => clone(CWD, path, attributes)?,
            Err(error) => return Err(Failure::of("make the file system for", path)(error)),
        };
        self.put(&sys, path, Kind::Folder)?;
        MASKED_OF_SYS.iter().try_for_each(|name| mask(sys.as_fd(), path, name))
    }

    fn mount(&self, mount: &Mount) -> Result<(), Failure> {
        let target = points::path_of(&mount.target);
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
        if mount.read_only {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        let tree = match &mount.kind {
            MountKind::Bind(source) => clone(CWD, source, attributes)?,
            MountKind::Tmpfs { size, mode } => {
                let options = [("mode", format!("{mode:o}")), ("size", size.to_string())];
                make("tmpfs", &options, attributes | MountAttrFlags::MOUNT_ATTR_NOSUID)
                    .map_err(Failure::of("make the file system for", &target))?
            }
        };
        let kind = kind_of(tree.as_fd()).map_err(Failure::of("look at", &target))?;
        self.put(&tree, &target, kind)
    }
}

/// A new file system with these options, mounted nowhere yet.
pub(super) fn make(kind: &str, options: &[(&str, String)], attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, value.as_str())?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// What is mounted at and below a path (links are followed), once more, with more attributes, mounted nowhere yet.
pub(super) fn clone(folder: impl AsFd, path: &Path, attributes: MountAttrFlags) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(folder, path, flags).map_err(Failure::of("bind", path))?;
    set_mount_attributes(tree.as_fd(), u64::from(attributes.bits()), libc::AT_RECURSIVE)
        .map_err(Failure::of("restrict the mount of", path))?;
    Ok(tree)
}

/// Mounts a tree at a mount point.
pub(super) fn attach(tree: impl AsFd, place: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
}

/// Hides a file or folder, where there is one.
fn mask(folder: BorrowedFd<'_>, above: &Path, name: &str) -> Result<(), Failure> {
    let Some(place) = look(folder, above, name)? else { return Ok(()) };
    let path = above.join(name);
    let tree = match kind_of(place.as_fd()).map_err(Failure::of("look at", &path))? {
        Kind::Folder => make("tmpfs", &[], PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY)
            .map_err(Failure::of("make the file system for", &path))?,
        Kind::File => clone(CWD, Path::new("/dev/null"), MountAttrFlags::MOUNT_ATTR_NOEXEC)?,
    };
    attach(&tree, &place).map_err(Failure::of("hide", path))
}

fn look(folder: BorrowedFd<'_>, above: &Path, name: &str) -> Result<Option<OwnedFd>, Failure> {
    match openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(Failure::of("open", above.join(name))(error)),
    }
}

fn kind_of(descriptor: BorrowedFd<'_>) -> rustix::io::Result<Kind> {
    let is_folder = FileType::from_raw_mode(fstat(descriptor)?.st_mode) == FileType::Directory;
    Ok(if is_folder { Kind::Folder } else { Kind::File })
}

/// What is mounted at all beyond what the root holds.
pub(super) fn targets(spec: &Spec) -> Vec<Vec<u8>> {
    let always = ["/proc", "/sys", "/dev", network::RESOLV_CONF, network::HOSTS];
    let always = always.into_iter().map(|path| path.as_bytes().to_vec());
    always.chain(spec.mounts.iter().map(|mount| mount.target.clone())).collect()
}

/// A path of this program that nobody can change it through, whatever it is executed by: a container that executes
/// its first process's program (`#!/proc/self/exe`) would otherwise hold this file, and could change it or its mode.
///
/// The file is mounted once more, read-only. The kernel's own link to it will not do for that: it leads to a mount of
/// the namespace in which this process was started. Where the file is found no more, a sealed copy is made.
pub(super) fn own_program() -> io::Result<(OwnedFd, PathBuf)> {
    let own = Path::new("/proc/self/exe");
    let program = match read_only(&std::fs::read_link(own)?) {
        Ok(tree) if is_same(&tree, own)? => tree,
        Ok(_) | Err(_) => sealed_copy(own)?,
    };
    let path = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&program)));
    Ok((program, path))
}

fn read_only(path: &Path) -> io::Result<OwnedFd> {
    let tree = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    set_mount_attributes(tree.as_fd(), u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), 0)?;
    Ok(tree)
}

fn is_same(tree: &OwnedFd, own: &Path) -> io::Result<bool> {
    let (found, own) = (fstat(tree)?, rustix::fs::stat(own)?);
    Ok((found.st_dev, found.st_ino) == (own.st_dev, own.st_ino))
}

fn sealed_copy(own: &Path) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = std::fs::File::from(memfd_create("program", flags)?);
    io::copy(&mut std::fs::File::open(own)?, &mut copy)?;
    fcntl_add_seals(&copy, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    // What is open for writing cannot be executed.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A string for the kernel; what holds a NUL cannot be one.
pub(super) fn c_string(bytes: &[u8], what: &str) -> Result<CString, Failure> {
    let shown = || PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
    CString::new(bytes).map_err(|_| Failure::of(what, shown())(Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_copy_runs_and_cannot_be_written() {
        let copy = sealed_copy(Path::new("/proc/self/exe")).unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
        let written = std::fs::File::options().write(true).open(&path).and_then(|mut file| {
            use std::io::Write as _;
            file.write_all(b"x")
        });
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let output = std::process::Command::new(&path).arg("--list").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
