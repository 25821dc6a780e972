//! The network that a command sees: its loopback device, and the files that name servers and hosts.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::error::Failure;
use super::mounts::{PLAIN, World, clone, make};
use super::points::Kind;
use super::spec::Spec;
use crate::kernel::process::loopback_up;

pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
pub(super) const HOSTS: &str = "/etc/hosts";
/// What systemd's resolver writes for those who do not want to ask its stub (systemd-resolved(8)).
const WITHOUT_STUB: &str = "/run/systemd/resolve/resolv.conf";
/// The stub's address.
const STUB: &str = "127.0.0.53";

/// Switches the loopback device of a new network namespace on.
pub(super) fn start_loopback() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    loopback_up(socket)
}

/// Mounts both files, which the command can read.
pub(super) fn mount_files(world: &World<'_>) -> Result<(), Failure> {
    let anywhere = Path::new("/dev");
    let folder = make("tmpfs", &[("mode", "0755".to_owned())], PLAIN)
        .map_err(Failure::of("make the file system for", "/etc"))?;
    world.put(&folder, anywhere, Kind::Folder)?;
    let files = [(RESOLV_CONF, "resolv.conf", resolv_conf()), (HOSTS, "hosts", hosts(world.spec).into_bytes())];
    for (path, name, contents) in files {
        let path = Path::new(path);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&folder, name, flags, Mode::from_raw_mode(0o644)).map_err(Failure::of("make", path))?;
        File::from(file).write_all(&contents).map_err(Failure::of("write", path))?;
        let tree = clone(folder.as_fd(), Path::new(name), PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
        world.put(&tree, path, Kind::File)?;
    }
    // The folder itself is seen nowhere: bound files live on without it.
    rustix::process::fchdir(&folder).map_err(Failure::of("enter", anywhere))?;
    unmount(".", UnmountFlags::DETACH).map_err(Failure::of("unmount", anywhere))
}

/// The machine's name servers; an empty file where it names none.
fn resolv_conf() -> Vec<u8> {
    let found = fs::read(RESOLV_CONF).unwrap_or_default();
    let text = String::from_utf8_lossy(&found);
    let mut servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).peekable();
    if servers.peek().is_some() && servers.all(|server| server == STUB) {
        return fs::read(PathBuf::from(WITHOUT_STUB)).unwrap_or(found);
    }
    found
}

fn hosts(spec: &Spec) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {}\n", spec.hostname);
    text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in &spec.extra_hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}
