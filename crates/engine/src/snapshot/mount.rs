//! Mounting snapshots above each other: overlayfs of the kernel, fuse-overlayfs, and binds.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_bind, mount_remount, move_mount, unmount,
};

/// A mount that ends with this value.
#[derive(Debug)]
pub(super) struct Mounted(Option<PathBuf>);

/// The folders that changes go to.
#[derive(Clone, Copy)]
pub(super) struct Upper<'a> {
    pub(super) files: &'a Path,
    /// Overlayfs's own, on the same file system.
    pub(super) work: &'a Path,
}

impl Mounted {
    /// Unmounts, and says where that failed; what is still in use is detached then.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.unmount()
    }

    fn unmount(&mut self) -> io::Result<()> {
        let Some(at) = self.0.take() else { return Ok(()) };
        match unmount(&at, UnmountFlags::NOFOLLOW) {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = unmount(&at, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH);
                Err(error.into())
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

/// A folder by a short name: options of mounts are limited, 256 bytes each with the new calls and one page
/// together with the old one. Symbolic links of `/proc` are resolved when the mount is made.
struct Short(OwnedFd);

impl Short {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    fn name(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// Mounts overlayfs at `at`: `lowers` from the lowest up, read-only without an upper folder.
///
/// `userxattr` everywhere, so that root and others leave the same files; `volatile` because a snapshot is
/// only used once it was adopted; no feature that would leave upper files without their content or place.
pub(super) fn overlay(lowers: &[PathBuf], upper: Option<Upper<'_>>, at: &Path) -> io::Result<Mounted> {
    if let Some(upper) = upper {
        // What a killed build left there would refuse the mount.
        super::remove_tree(upper.work)?;
        fs::create_dir(upper.work)?;
    }
    match overlay_by_parts(lowers, upper, at) {
        // Kernels before 6.5 do not know `lowerdir+`, and those before 5.2 not the calls at all.
        Err(Errno::INVAL | Errno::NOSYS) => overlay_by_text(lowers, upper, at)?,
        other => other?,
    }
    Ok(Mounted(Some(at.to_owned())))
}

fn overlay_by_parts(lowers: &[PathBuf], upper: Option<Upper<'_>>, at: &Path) -> Result<(), Errno> {
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&overlay, "source", "jettison")?;
    fsconfig_set_flag(&overlay, "userxattr")?;
    for (option, value) in OPTIONS {
        fsconfig_set_string(&overlay, option, value)?;
    }
    for lower in lowers.iter().rev() {
        let lower = Short::open(lower).map_err(errno)?;
        fsconfig_set_string(&overlay, "lowerdir+", lower.name())?;
    }
    let mut attributes = MountAttrFlags::empty();
    match upper {
        Some(upper) => {
            let (files, work) = (Short::open(upper.files).map_err(errno)?, Short::open(upper.work).map_err(errno)?);
            fsconfig_set_string(&overlay, "upperdir", files.name())?;
            fsconfig_set_string(&overlay, "workdir", work.name())?;
            fsconfig_set_flag(&overlay, "volatile")?;
        }
        None => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
    }
    fsconfig_create(&overlay)?;
    let mounted = fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(&mounted, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// `userxattr` goes with no other way of turning redirects off than this one.
const OPTIONS: [(&str, &str); 4] =
    [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"), ("xino", "off")];

fn overlay_by_text(lowers: &[PathBuf], upper: Option<Upper<'_>>, at: &Path) -> io::Result<()> {
    let opened: Vec<Short> = lowers.iter().rev().map(|lower| Short::open(lower)).collect::<io::Result<_>>()?;
    let names: Vec<String> = opened.iter().map(Short::name).collect();
    let mut options = format!("userxattr,lowerdir={}", names.join(":"));
    for (option, value) in OPTIONS {
        options.push_str(&format!(",{option}={value}"));
    }
    let mut flags = MountFlags::RDONLY;
    let mut held = Vec::new();
    if let Some(upper) = upper {
        let (files, work) = (Short::open(upper.files)?, Short::open(upper.work)?);
        options.push_str(&format!(",upperdir={},workdir={}", files.name(), work.name()));
        held = vec![files, work];
        flags = MountFlags::empty();
    }
    let with = |options: String| {
        let options = std::ffi::CString::new(options)?;
        Ok::<(), io::Error>(mount("jettison", at, "overlay", flags, options.as_c_str())?)
    };
    // Kernels before 5.10 do not know `volatile`: without it only speed is lost.
    let result = match upper {
        Some(_) => with(format!("{options},volatile")).or_else(|_| with(options)),
        None => with(options),
    };
    drop(held);
    result
}

/// Mounts fuse-overlayfs at `at`. `links` is a folder for short names of the lower folders.
pub(super) fn fuse(lowers: &[PathBuf], upper: Option<Upper<'_>>, links: &Path, at: &Path) -> io::Result<Mounted> {
    super::remove_tree(links)?;
    fs::create_dir(links)?;
    let mut names = Vec::new();
    for (number, lower) in lowers.iter().rev().enumerate() {
        std::os::unix::fs::symlink(fs::canonicalize(lower)?, links.join(number.to_string()))?;
        names.push(number.to_string());
    }
    let mut options = format!("lowerdir={}", names.join(":"));
    if let Some(upper) = upper {
        super::remove_tree(upper.work)?;
        fs::create_dir(upper.work)?;
        for (name, path) in [("upperdir", upper.files), ("workdir", upper.work)] {
            std::os::unix::fs::symlink(fs::canonicalize(path)?, links.join(name))?;
            options.push_str(&format!(",{name}={name}"));
        }
    } else {
        options.push_str(",ro");
    }
    let at = fs::canonicalize(at)?;
    let mut command = Command::new("fuse-overlayfs");
    command.current_dir(links).arg("-o").arg(options).arg(&at).stdin(Stdio::null()).stdout(Stdio::null());
    // It goes to the background once it has mounted; its messages would keep a pipe open, so they go to a file.
    let messages = links.join("messages");
    let status = command.stderr(fs::File::create(&messages)?).status()?;
    if !status.success() {
        let said = fs::read_to_string(&messages).unwrap_or_default();
        return Err(io::Error::other(format!("fuse-overlayfs: {}", said.trim())));
    }
    Ok(Mounted(Some(at)))
}

/// Shows `folder` at `at`, read-only.
pub(super) fn bind(folder: &Path, at: &Path) -> io::Result<Mounted> {
    mount_bind(folder, at)?;
    let mounted = Mounted(Some(at.to_owned()));
    // A user namespace must keep what its parent locked.
    let now = rustix::fs::statvfs(at)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (is, keep) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if now.contains(is) {
            flags |= keep;
        }
    }
    mount_remount(at, flags, c"")?;
    Ok(mounted)
}
