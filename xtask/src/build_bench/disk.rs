//! A file system of its own for each builder and round, in a sparse file.
//!
//! On a shared ext4 the builders are no strangers to each other: for minutes it gives nobody the inodes of files that
//! were removed, and whoever makes many files next searches long for others. buildah removes a whole tree after a step,
//! and the builder behind it would pay for that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// More than any builder needs; a sparse file takes what is written to it.
const BYTES: u64 = 24 << 30;
/// Some trees have 200,000 files, and some builders keep several of them.
const INODES: &str = "3000000";

/// A mounted file system that is gone when this is dropped.
pub(super) struct Disk {
    folder: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// Makes it and mounts it at a folder.
    pub(super) fn at(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let image = folder.with_extension("ext4");
        let file = File::create(&image).with_context(|| format!("cannot create {}", image.display()))?;
        file.set_len(BYTES)?;
        let disk = Self { folder: folder.to_owned(), image };
        // All of it is made now: nothing is left to a thread of the kernel that works while builds are timed.
        let made = ["-q", "-F", "-N", INODES, "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        run(Command::new("mkfs.ext4").args(made).arg(&disk.image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&disk.image).arg(folder))?;
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmount = |how: &[&str]| {
            let unmounted = Command::new("umount").args(how).arg(&self.folder).stderr(Stdio::null()).status();
            unmounted.is_ok_and(|status| status.success())
        };
        // What is still held open is let go when whoever holds it ends.
        let _ = unmount(&[]) || unmount(&["--lazy"]);
        let _ = fs::remove_file(&self.image);
        let _ = fs::remove_dir(&self.folder);
    }
}

fn run(command: &mut Command) -> Result<()> {
    let ended = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{command:?} failed: {}", said.trim());
    Ok(())
}
