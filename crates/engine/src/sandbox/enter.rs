//! Becoming root in namespaces of one's own: what everything else in the engine relies on.
//!
//! Root only needs a mount namespace. Anybody else needs a user namespace, and only a process outside it may map more
//! than one id into it. So this process forks: the child goes on as the engine, the parent maps and waits for it. A
//! mapping that fails half-way cannot be taken back; the next way is tried with a new child.
//!
//! Signals: a terminal sends Ctrl-C to the whole process group, so the child has it already, and the parent passes on
//! only what other processes sent. When the parent is killed the child gets SIGTERM, so that it can clean up.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal as Named, WaitOptions, WaitStatus, getegid, geteuid, getpid, getppid};
use rustix::process::{kill_process, waitpid};
use thiserror::Error;

use crate::ids::Ids;
use crate::kernel::namespace::{self, Blocked, Forked};

/// As many ids as images use: 0 to 65535.
const ENOUGH: u64 = 65_536;
const FORWARDED: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
const AWAITED: [libc::c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD];

/// What came of [`enter`].
#[derive(Debug)]
pub enum Entered {
    /// This process is root in namespaces of its own and goes on.
    Inside(Host),
    /// A child did everything, and ended with this.
    Finished(ExitCode),
}

/// What the surroundings allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Which ids can be given to files.
    pub ids: Ids,
    /// Why there is one id only, where somebody could change that.
    pub note: Option<String>,
}

/// Why the namespaces could not be made.
#[derive(Debug, Error)]
pub enum EnterError {
    /// No user namespace.
    #[error("cannot make a user namespace; {hint}")]
    Users {
        /// What can be done about it.
        hint: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The user namespace is there but nobody can be mapped into it.
    #[error("cannot map this user into a user namespace; {hint}")]
    Map {
        /// What can be done about it.
        hint: String,
        /// What the kernel or the program said.
        source: io::Error,
    },
    /// No mount namespace.
    #[error("cannot make a mount namespace; {hint}")]
    Mounts {
        /// What can be done about it.
        hint: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that always works did not.
    #[error("cannot {action}")]
    Process {
        /// What was to be done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn failed<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> EnterError {
    move |error| EnterError::Process { action, source: error.into() }
}

/// How ids are mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mapping {
    /// Each id that this process sees is itself: for root in a container, who may map but not mount.
    Same { users: Vec<Range>, groups: Vec<Range> },
    /// 0 is this user; 1 and so on are the subordinate ids.
    Subordinate { users: Vec<Range>, groups: Vec<Range> },
    /// 0 is this user, and there is nobody else.
    One,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    count: u64,
}

/// The user and the group that this process was before it became root of a user namespace.
static OUTSIDE: OnceLock<(u32, u32)> = OnceLock::new();

/// Who this process is to the machine, where it is root in a user namespace of its own only.
pub(crate) fn outside() -> Option<(u32, u32)> {
    OUTSIDE.get().copied()
}

/// Makes the namespaces. The process must have one thread only, and nothing that a copy of it could do twice.
///
/// # Errors
/// Where the kernel or its settings forbid it; the message says which setting does.
pub fn enter() -> Result<Entered, EnterError> {
    let users = own_map("uid_map")?;
    let groups = own_map("gid_map")?;
    let mut note = None;
    let mut ways = Vec::new();
    if geteuid().is_root() {
        match namespace::unshare_mounts() {
            Ok(()) => {
                keep_mounts_private()?;
                let ids = if enough(&users) && enough(&groups) { Ids::Many } else { Ids::One };
                return Ok(Entered::Inside(Host { ids, note }));
            }
            // Root without CAP_SYS_ADMIN, as in most containers: a user namespace may be allowed all the same.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            Err(error) => return Err(EnterError::Mounts { hint: hint(), source: error }),
        }
        if enough(&users) && enough(&groups) {
            ways.push(Mapping::Same { users, groups });
        }
    } else {
        match subordinate() {
            Ok(mapping) => ways.push(mapping),
            Err(why) => note = Some(why),
        }
    }
    for way in ways {
        match attempt(&way, note.clone()) {
            Err(EnterError::Map { source, .. }) => note = Some(format!("ids could not be mapped: {source}")),
            result => return result,
        }
    }
    attempt(&Mapping::One, note)
}

fn keep_mounts_private() -> Result<(), EnterError> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(|error| EnterError::Mounts { hint: hint(), source: error.into() })
}

/// Forks once, with this mapping. Returns in both processes.
fn attempt(mapping: &Mapping, note: Option<String>) -> Result<Entered, EnterError> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"));
    let (from_child, to_parent) = pipe()?;
    let (from_parent, to_child) = pipe()?;
    let parent = getpid();
    // Blocked before the fork, so that none is lost between it and the wait.
    let blocked = namespace::block_signals(&AWAITED).map_err(failed("block signals"))?;
    match namespace::fork() {
        Ok(Forked::Child) => {
            drop((from_child, to_child));
            blocked.restore().map_err(failed("unblock signals"))?;
            if !geteuid().is_root() {
                let _ = OUTSIDE.set((geteuid().as_raw(), getegid().as_raw()));
            }
            continue_inside(File::from(to_parent), File::from(from_parent), parent)?;
            let ids = if *mapping == Mapping::One { Ids::One } else { Ids::Many };
            Ok(Entered::Inside(Host { ids, note }))
        }
        Ok(Forked::Parent(child)) => {
            drop((to_parent, from_parent));
            let result = attend(child, mapping, File::from(from_child), File::from(to_child));
            restored(blocked, result)
        }
        Err(source) => restored(blocked, Err(EnterError::Process { action: "fork", source })),
    }
}

fn restored<T>(blocked: Blocked, result: Result<T, EnterError>) -> Result<T, EnterError> {
    // After an error as well: the next child would begin with them blocked.
    let unblocked = blocked.restore().map_err(failed("unblock signals"));
    result.and_then(|value| unblocked.map(|()| value))
}

/// The child's part.
fn continue_inside(mut to_parent: File, mut from_parent: File, parent: Pid) -> Result<(), EnterError> {
    let made = namespace::unshare_users();
    let errno = made.as_ref().err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EPERM));
    to_parent.write_all(&errno.to_ne_bytes()).map_err(failed("tell the parent process"))?;
    made.map_err(|source| EnterError::Users { hint: hint(), source })?;
    from_parent.read_exact(&mut [0]).map_err(failed("hear of the parent process"))?;
    namespace::become_root().map_err(failed("become root in the user namespace"))?;
    // After that: the kernel forgets this when a process changes its user.
    namespace::signal_when_parent_ends(libc::SIGTERM).map_err(failed("watch the parent process"))?;
    if getppid() != Some(parent) {
        return Err(EnterError::Process {
            action: "go on without the parent process",
            source: io::Error::other("it ended"),
        });
    }
    namespace::unshare_mounts().map_err(|source| EnterError::Mounts { hint: hint(), source })?;
    keep_mounts_private()
}

/// The parent's part.
fn attend(child: libc::pid_t, mapping: &Mapping, mut from: File, mut to: File) -> Result<Entered, EnterError> {
    let pid = Pid::from_raw(child)
        .ok_or_else(|| EnterError::Process { action: "name the child process", source: io::ErrorKind::Other.into() })?;
    // The pipes stay open until the child is killed: it would take their end for an error and tell of it.
    match introduce(pid, mapping, &mut from, &mut to) {
        Ok(()) => wait(pid),
        Err(error) => {
            // Whatever it waits for will not come. It may be gone by itself, which is as well.
            let _ = kill_process(pid, Named::KILL);
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
            Err(error)
        }
    }
}

fn introduce(pid: Pid, mapping: &Mapping, from: &mut File, to: &mut File) -> Result<(), EnterError> {
    let mut errno = [0; 4];
    from.read_exact(&mut errno).map_err(failed("hear of the child process"))?;
    match i32::from_ne_bytes(errno) {
        0 => {}
        errno => {
            return Err(EnterError::Users { hint: hint(), source: io::Error::from_raw_os_error(errno) });
        }
    }
    map(pid, mapping).map_err(|source| EnterError::Map { hint: hint(), source })?;
    to.write_all(&[1]).map_err(failed("tell the child process"))
}

fn map(pid: Pid, mapping: &Mapping) -> io::Result<()> {
    let number = pid.as_raw_nonzero();
    let write = |name: &str, text: String| fs::write(format!("/proc/{number}/{name}"), text);
    match mapping {
        Mapping::One => {
            // Without this the kernel lets nobody unprivileged map a group.
            write("setgroups", "deny".to_owned())?;
            write("uid_map", format!("0 {} 1", geteuid().as_raw()))?;
            write("gid_map", format!("0 {} 1", getegid().as_raw()))
        }
        Mapping::Same { users, groups } => {
            let lines = |ranges: &[Range]| {
                ranges.iter().map(|range| format!("{0} {0} {1}\n", range.start, range.count)).collect::<String>()
            };
            write("uid_map", lines(users))?;
            write("gid_map", lines(groups))
        }
        Mapping::Subordinate { users, groups } => {
            map_by("newuidmap", pid, geteuid().as_raw(), users)?;
            map_by("newgidmap", pid, getegid().as_raw(), groups)
        }
    }
}

fn map_by(program: &'static str, pid: Pid, own: u32, ranges: &[Range]) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg(pid.as_raw_nonzero().to_string()).args(["0", &own.to_string(), "1"]);
    let mut inside = 1;
    for range in ranges {
        command.args([inside, range.start, range.count].map(|number| number.to_string()));
        inside += range.count;
    }
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{program}: {error}"));
    let output = command.stdin(Stdio::null()).output().map_err(named)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} failed ({}): {}", output.status, said.trim())))
}

/// Waits for the child to end, and passes signals on meanwhile.
fn wait(pid: Pid) -> Result<Entered, EnterError> {
    loop {
        let ended = waitpid(Some(pid), WaitOptions::NOHANG).map_err(failed("wait for the child process"))?;
        if let Some((_, status)) = ended {
            return Ok(Entered::Finished(ExitCode::from(code(status))));
        }
        let signal = namespace::next_signal(&AWAITED).map_err(failed("wait for signals"))?;
        if FORWARDED.contains(&signal.number)
            && !signal.from_kernel
            && let Some(named) = Named::from_named_raw(signal.number)
        {
            // It may have ended just now, which the next round sees.
            let _ = kill_process(pid, named);
        }
    }
}

/// As shells give it: 128 and the signal for what a signal ended.
fn code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn own_map(name: &'static str) -> Result<Vec<Range>, EnterError> {
    let text = fs::read_to_string(format!("/proc/self/{name}")).map_err(failed("read the map of ids in /proc/self"))?;
    Ok(parse_map(&text))
}

/// The ids inside, of lines `INSIDE OUTSIDE COUNT`.
fn parse_map(text: &str) -> Vec<Range> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let start = numbers.next()?.ok()?;
        Some(Range { start, count: numbers.nth(1)?.ok()? })
    };
    text.lines().filter_map(range).collect()
}

fn enough(ranges: &[Range]) -> bool {
    ranges.iter().map(|range| range.count).fold(0, u64::saturating_add) >= ENOUGH
}

/// This user's subordinate ids, or why there are too few.
fn subordinate() -> Result<Mapping, String> {
    let uid = geteuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&passwd, uid);
    let of = |path: &str| {
        let text =
            fs::read_to_string(path).map_err(|error| format!("one user id only: cannot read {path}: {error}"))?;
        let ranges = parse_ranges(&text, name, uid);
        // The user's own id becomes 0 and is not in the ranges.
        let total = ranges.iter().map(|range| range.count).fold(1, u64::saturating_add);
        if total >= ENOUGH {
            return Ok(ranges);
        }
        let who = name.map_or_else(|| uid.to_string(), str::to_owned);
        Err(format!("one user id only: {path} gives {who} fewer than {} ids", ENOUGH - 1))
    };
    Ok(Mapping::Subordinate { users: of("/etc/subuid")?, groups: of("/etc/subgid")? })
}

fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0])
    })
}

/// The ranges of lines `NAME-OR-UID:START:COUNT`.
fn parse_ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let uid = uid.to_string();
    let range = |line: &str| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [who, start, count] = fields.as_slice() else { return None };
        let range = Range { start: start.parse().ok()?, count: count.parse().ok()? };
        ((Some(*who) == name || *who == uid) && range.count > 0).then_some(range)
    };
    text.lines().filter_map(range).collect()
}

/// What can be done where namespaces are forbidden, by the settings of this machine.
fn hint() -> String {
    hint_by(|name| fs::read_to_string(format!("/proc/sys/{name}")).ok())
}

fn hint_by(setting: impl Fn(&str) -> Option<String>) -> String {
    let is = |name: &str, value: &str| setting(name).is_some_and(|text| text.trim() == value);
    let set = |name: &str, value: &str| {
        format!("this machine forbids it: an administrator can run `sysctl -w {name}={value}`")
    };
    if is("user/max_user_namespaces", "0") {
        set("user.max_user_namespaces", "15000")
    } else if is("kernel/unprivileged_userns_clone", "0") {
        set("kernel.unprivileged_userns_clone", "1")
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        set("kernel.apparmor_restrict_unprivileged_userns", "0")
    } else {
        "in a container, start that with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` \
         or `--privileged`"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: &str = "# who:start:count\nann:100000:65536\nbob:200000:65536\n1001:300000:10\nann:400000:5\n\
                          ann:x:5\nann:1\nann:500000:0\n";

    fn range(start: u64, count: u64) -> Range {
        Range { start, count }
    }

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let both = [range(100_000, 65_536), range(300_000, 10), range(400_000, 5)];
        assert_eq!(parse_ranges(RANGES, Some("ann"), 1001), both);
        assert_eq!(parse_ranges(RANGES, None, 1001), [range(300_000, 10)]);
        assert_eq!(parse_ranges(RANGES, Some("eve"), 7), []);
    }

    #[test]
    fn names_come_from_the_passwd_file() {
        let passwd = "root:x:0:0::/:\nshort:x\nann:x:1001:1001::/:\n";
        assert_eq!(name_of(passwd, 1001), Some("ann"));
        assert_eq!(name_of(passwd, 5), None);
    }

    #[test]
    fn maps_are_read_and_counted() {
        let one = parse_map("         0       1000          1\n");
        assert_eq!(one, [range(0, 1)]);
        assert!(!enough(&one));
        let many = parse_map("0 1000 1\n1 100000 65536\n");
        assert_eq!(many, [range(0, 1), range(1, 65_536)]);
        assert!(enough(&many));
        assert!(enough(&parse_map("0 0 4294967295\n")));
        assert!(!enough(&parse_map("")));
    }

    #[test]
    fn hints_name_the_setting_that_forbids_it() {
        let with = |name: &'static str, value: &'static str| {
            hint_by(move |asked| (asked == name).then(|| format!("{value}\n")))
        };
        assert!(with("user/max_user_namespaces", "0").contains("user.max_user_namespaces=15000"));
        assert!(with("kernel/unprivileged_userns_clone", "0").contains("kernel.unprivileged_userns_clone=1"));
        let apparmor = with("kernel/apparmor_restrict_unprivileged_userns", "1");
        assert!(apparmor.contains("kernel.apparmor_restrict_unprivileged_userns=0"));
        assert!(with("user/max_user_namespaces", "15000").contains("seccomp=unconfined"));
    }
}
