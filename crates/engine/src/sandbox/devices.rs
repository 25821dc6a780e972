//! `/dev`: the devices that any machine has, a terminal file system, and shared memory.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::MountAttrFlags;

use super::error::Failure;
use super::mounts::{PLAIN, World, attach, clone, make};
use super::points::Kind;

const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];
/// The group of terminals, `tty` in nearly all distributions.
const TERMINALS: u32 = 5;
/// Docker's `/dev/shm` where nothing is asked: 64 MiB.
const SHARED_MEMORY: u64 = 64 << 20;

pub(super) fn mount(world: &World<'_>) -> Result<(), Failure> {
    let path = Path::new("/dev");
    let options = [("mode", "0755".to_owned()), ("size", "65536k".to_owned())];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let folder = make("tmpfs", &options, attributes).map_err(Failure::of("make the file system for", path))?;
    world.put(&folder, path, Kind::Folder)?;
    for name in DEVICES {
        let host = path.join(name);
        // The machine's own node: a new one could not be used in a user namespace.
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let device = clone(CWD, &host, attributes)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let place = openat(&folder, *name, flags, Mode::from_raw_mode(0o666)).map_err(Failure::of("make", &host))?;
        attach(&device, &place).map_err(Failure::of("mount at", &host))?;
    }
    for (name, target) in LINKS {
        symlinkat(*target, &folder, *name).map_err(Failure::of("make", path.join(name)))?;
    }
    mount_file_systems(world, folder.as_fd())
}

fn mount_file_systems(world: &World<'_>, folder: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut terminals = vec![("ptmxmode", "0666".to_owned()), ("mode", "0620".to_owned())];
    if is_mapped(TERMINALS) {
        terminals.push(("gid", TERMINALS.to_string()));
    }
    let size = if world.spec.shm_size == 0 { SHARED_MEMORY } else { world.spec.shm_size };
    let shared = [("mode", "1777".to_owned()), ("size", size.to_string())];
    // Terminals are devices.
    let of_terminals = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    put(folder, "pts", "devpts", &terminals, of_terminals)?;
    put(folder, "shm", "tmpfs", &shared, PLAIN)?;
    put(folder, "mqueue", "mqueue", &[], PLAIN)
}

fn put(
    folder: BorrowedFd<'_>,
    name: &str,
    kind: &str,
    options: &[(&str, String)],
    attributes: MountAttrFlags,
) -> Result<(), Failure> {
    let path = Path::new("/dev").join(name);
    let place = |()| -> rustix::io::Result<OwnedFd> {
        mkdirat(folder, name, Mode::from_raw_mode(0o755))?;
        openat(folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    };
    let place = place(()).map_err(Failure::of("make", &path))?;
    let tree = make(kind, options, attributes).map_err(Failure::of("make the file system for", &path))?;
    attach(&tree, &place).map_err(Failure::of("mount at", &path))
}

/// Whether this user namespace has the group.
fn is_mapped(group: u32) -> bool {
    let map = fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        let (first, count) = (numbers.next().unwrap_or(0), numbers.nth(1).unwrap_or(0));
        (first..first + count).contains(&u64::from(group))
    })
}
