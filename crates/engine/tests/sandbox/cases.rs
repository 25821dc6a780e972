//! What a command sees, may do, and leaves.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use jettison_engine::ids::Ids;
use jettison_engine::sandbox::{Mount, MountKind, Network, SandboxError, Status, User, Watch};
use libtest_mimic::Failed;

use crate::root::{Root, same};

type Outcome = Result<(), Failed>;
type Case = (&'static str, fn(Ids) -> Outcome);

pub(crate) const ALL: &[Case] = &[
    ("exit_codes", exit_codes),
    ("signals", signals),
    ("outputs", outputs),
    ("environment", environment),
    ("working_directory", working_directory),
    ("users", users),
    ("no_network", no_network),
    ("names", names),
    ("nothing_is_left", nothing_is_left),
    ("used_mount_points_stay", used_mount_points_stay),
    ("binds", binds),
    ("links_do_not_lead_out", links_do_not_lead_out),
    ("timeout", timeout),
    ("cancel", cancel),
    ("background_processes_end", background_processes_end),
    ("device_nodes", device_nodes),
    ("devices", devices),
    ("the_host_is_not_seen", the_host_is_not_seen),
    ("kernel_settings_are_read_only", kernel_settings_are_read_only),
    ("mounting_is_refused", mounting_is_refused),
    ("capabilities", capabilities),
    ("commands_that_cannot_run", commands_that_cannot_run),
    ("traces", traces),
    ("this_program_cannot_be_changed", this_program_cannot_be_changed),
    ("a_runner_that_is_killed", a_runner_that_is_killed),
    ("overlays_are_left_clean", overlays_are_left_clean),
];

fn exit_codes(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    for code in [0, 1, 42, 255] {
        let done = root.shell(&format!("exit {code}"))?;
        same(&done.ended.status, &Status::Exited(code))?;
    }
    Ok(())
}

fn signals(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    // The first process of a namespace hears no signal that it does not handle, as in other engines.
    root.prints("kill -TERM $$; echo lives", "lives\n")?;
    let done = root.shell("sh -c 'kill -SEGV $$'; exit $?")?;
    same(&done.ended.status, &Status::Exited(128 + 11))?;
    // What another process does to the first one is reported as it is.
    let seconds = crate::long_time(1);
    let line = format!("exec sleep {seconds}");
    let killer = std::thread::spawn(move || crate::kill_sleeper(&seconds));
    let done = root.shell(&line)?;
    killer.join().map_err(|_| "the other thread failed")??;
    same(&done.ended.status, &Status::Signalled(9))?;
    // Nothing is ignored that the engine ignores: a broken pipe ends the writer.
    root.prints("{ yes; echo $? >&2; } 2>/tmp/status | head -n 1; cat /tmp/status", "y\n141\n")
}

fn outputs(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let done = root.shell("echo a; echo b >&2; echo c; echo d >&2; echo e > /dev/stdout; cat")?;
    same(&(done.output.as_str(), done.errors.as_str()), &("a\nc\ne\n", "b\nd\n"))?;
    // More than a pipe holds, to the last byte.
    let done = root.shell("head -c 1000000 /dev/zero")?;
    same(&done.output.len(), &1_000_000)
}

fn environment(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.spec.env = vec![b"A=1 2".to_vec(), b"PATH=/nowhere:/bin".to_vec(), b"EMPTY=".to_vec()];
    let done = root.run(&["env"])?;
    same(&done.output.as_str(), &"A=1 2\nPATH=/nowhere:/bin\nEMPTY=\n")
}

fn working_directory(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.spec.workdir = b"/tmp".to_vec();
    root.prints("pwd; umask; hostname", "/tmp\n0022\nstep\n")?;
    root.spec.workdir = b"/nowhere".to_vec();
    match root.run(&["true"]) {
        Err(SandboxError::Prepare { path, .. }) => same(&path.to_string_lossy().as_ref(), &"/nowhere"),
        other => Err(format!("{other:?}").into()),
    }
}

fn users(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.spec.user = User { uid: 1000, gid: 1001, groups: vec![1001, 7], home: b"/".to_vec() };
    root.prints("id -u; id -g; id -G", "1000\n1001\n1001 7\n")?;
    if ids == Ids::Many {
        // With one id the capabilities stay; that the user may not use them is said in the kernel's stead.
        root.prints("grep -h CapEff /proc/self/status", "CapEff:\t0000000000000000\n")?;
    }
    root.prints("echo x > /dev/stdout", "x\n")?;
    root.fails("touch /bin/own")
}

fn no_network(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.prints("ls /sys/class/net; ip addr show lo | grep -c 127.0.0.1/8", "lo\n1\n")?;
    root.spec.network = Network::Host;
    let host = fs::read_link("/proc/self/ns/net")?;
    root.prints("readlink /proc/self/ns/net", &format!("{}\n", host.display()))
}

fn names(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.spec.extra_hosts = vec![("db".to_owned(), "10.0.0.7".to_owned())];
    let hosts = "127.0.0.1\tlocalhost step\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\n";
    root.prints("cat /etc/hosts", hosts)?;
    let own = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if !own.contains("127.0.0.53") {
        root.prints("cat /etc/resolv.conf", &own)?;
    }
    root.fails("echo x >> /etc/hosts")
}

fn nothing_is_left(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let secret = tempfile::NamedTempFile::new()?;
    let bind = MountKind::Bind(secret.path().to_owned());
    root.spec.mounts = vec![
        Mount { target: b"/run/secrets/key".to_vec(), kind: bind, read_only: true },
        Mount { target: b"/tmp/a/b".to_vec(), kind: MountKind::Tmpfs { size: 0, mode: 0o755 }, read_only: false },
    ];
    let before = root.listing()?;
    root.prints("echo x > /tmp/a/b/file; cat /run/secrets/key; ls /tmp/a/b", "file\n")?;
    same(&root.listing()?, &before)
}

fn used_mount_points_stay(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let kind = || MountKind::Tmpfs { size: 0, mode: 0o755 };
    root.spec.mounts = vec![Mount { target: b"/opt/cache".to_vec(), kind: kind(), read_only: false }];
    let before = fs::metadata(root.path().join("etc"))?.modified()?;
    root.prints("echo x > /opt/own; echo y > /etc/own", "")?;
    same(&fs::read_to_string(root.path().join("opt/own"))?.as_str(), &"x\n")?;
    same(&root.path().join("opt/cache").exists(), &false)?;
    same(&root.path().join("etc/hosts").exists(), &false)?;
    let changed = fs::metadata(root.path().join("etc"))?.modified()? != before;
    same(&changed, &true)
}

fn binds(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("file"), "from the host\n")?;
    let bind = |target: &str, read_only| Mount {
        target: target.as_bytes().to_vec(),
        kind: MountKind::Bind(folder.path().to_owned()),
        read_only,
    };
    root.spec.mounts = vec![bind("/in", true), bind("/out", false)];
    root.prints("cat /in/file; echo new > /out/new", "from the host\n")?;
    same(&fs::read_to_string(folder.path().join("new"))?.as_str(), &"new\n")?;
    root.fails("echo x > /in/x")?;
    root.spec.mounts = vec![Mount {
        target: b"/t".to_vec(),
        kind: MountKind::Tmpfs { size: 1 << 16, mode: 0o1777 },
        read_only: false,
    }];
    root.prints("stat -c %a /t", "1777\n")?;
    root.fails("head -c 1000000 /dev/zero > /t/large")
}

fn links_do_not_lead_out(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let outside = tempfile::tempdir()?;
    let up = format!("../../../../../..{}", outside.path().display());
    std::os::unix::fs::symlink(format!("{up}/made"), root.path().join("etc/hosts"))?;
    std::os::unix::fs::symlink(outside.path(), root.path().join("lib"))?;
    root.spec.mounts = vec![Mount {
        target: b"/lib/target".to_vec(),
        kind: MountKind::Tmpfs { size: 0, mode: 0o755 },
        read_only: false,
    }];
    root.prints("head -n 1 /etc/hosts", "127.0.0.1\tlocalhost step\n")?;
    same(&fs::read_dir(outside.path())?.count(), &0)
}

fn timeout(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.limits.timeout = Some(Duration::from_millis(300));
    let start = Instant::now();
    let done = root.shell("echo started; sleep 1000")?;
    same(&(done.ended.status, done.output.as_str()), &(Status::TimedOut, "started\n"))?;
    same(&(start.elapsed() < Duration::from_secs(20)), &true)
}

fn cancel(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let cancel = root.limits.cancel.clone();
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
    });
    let done = root.shell("sleep 1000 & sleep 1000")?;
    other.join().map_err(|_| "the other thread failed")?;
    same(&done.ended.status, &Status::Cancelled)?;
    // One that is stopped before it starts.
    same(&root.shell("sleep 1000")?.ended.status, &Status::Cancelled)
}

fn background_processes_end(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let start = Instant::now();
    root.prints("sleep 1000 & echo done", "done\n")?;
    same(&(start.elapsed() < Duration::from_secs(20)), &true)
}

fn device_nodes(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    if !crate::is_real_root()? {
        // With one id the node is recorded; with subordinate ones the kernel refuses.
        return if ids == Ids::One { root.prints("mknod /c c 1 3", "") } else { root.fails("mknod /c c 1 3") };
    }
    root.prints("mknod /c c 1 3 && stat -c '%F %t:%T' /c", "character special file 1:3\n")?;
    for folder in ["/", "/tmp/", "/dev/", "/dev/shm/"] {
        root.fails(&format!("mknod {folder}d c 1 5 && head -c 1 {folder}d"))?;
    }
    same(&fs::metadata(root.path().join("c"))?.rdev(), &rustix_device(1, 3))
}

fn rustix_device(major: u32, minor: u32) -> u64 {
    u64::from(major) << 8 | u64::from(minor)
}

fn devices(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.prints(
        "ls /dev",
        "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n",
    )?;
    root.prints("echo x > /dev/null; head -c 3 /dev/zero; echo y > /dev/shm/y; cat /dev/shm/y", "\0\0\0y\n")?;
    root.fails("echo x > /dev/full")?;
    root.fails("head -c 2000000 /dev/zero > /dev/shm/large")
}

fn the_host_is_not_seen(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.prints("ls /", "bin\ndev\netc\nproc\nsys\ntmp\n")?;
    root.prints(
        "echo $$; ls -d /proc/[0-9]* | head -n 1; ls /..; readlink /proc/1/root",
        "1\n/proc/1\nbin\ndev\netc\nproc\nsys\ntmp\n/\n",
    )?;
    root.prints("ls /sys/firmware; cat /proc/keys /proc/interrupts", "")?;
    // Nothing but the three standard descriptors was left open.
    root.prints("ls /proc/1/fd; true", "0\n1\n2\n")
}

fn kernel_settings_are_read_only(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.fails("echo x > /proc/sys/kernel/domainname")?;
    root.fails("echo h > /proc/sysrq-trigger")?;
    root.fails("echo x > /sys/kernel/uevent_helper")
}

fn mounting_is_refused(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    root.fails("mount -t tmpfs none /tmp")?;
    root.fails("mount --bind /bin /tmp")?;
    root.fails("mount -o remount,rw /proc/sys")?;
    root.fails("unshare -m true")
}

fn capabilities(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let all = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n";
    root.prints("grep ^Cap /proc/self/status", all)?;
    root.prints("grep ^NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n")
}

fn commands_that_cannot_run(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    fs::write(root.path().join("bin/text"), "no program")?;
    fs::write(root.path().join("bin/script"), "#!/nowhere\n")?;
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(root.path().join("bin/script"), fs::Permissions::from_mode(0o755))?;
    for missing in ["missing", "/bin/missing", ""] {
        match root.run(&[missing]) {
            Err(SandboxError::NotFound { command }) if command == missing || missing.is_empty() => {}
            other => return Err(format!("{missing}: {other:?}").into()),
        }
    }
    for (command, errno) in [("text", 13), ("script", 2), ("/etc", 13)] {
        match root.run(&[command]) {
            Err(SandboxError::NotExecutable { source, .. }) if source.raw_os_error() == Some(errno) => {}
            other => return Err(format!("{command}: {other:?}").into()),
        }
    }
    same(&root.path().join("etc/hosts").exists(), &false)
}

fn traces(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    fs::write(root.path().join("etc/read"), "x\n")?;
    root.watch = if ids == Ids::One { Watch::TraceAndOwners } else { Watch::Trace };
    let done = root.shell("cat /etc/read; echo y > /tmp/written")?;
    same(&(done.ended.status, done.output.as_str()), &(Status::Exited(0), "x\n"))
        .map_err(|_| Failed::from(format!("{done:?}")))?;
    let trace = done.ended.trace.ok_or("there is no trace")?;
    let shown = format!("{trace:?}");
    same(&trace.gaps, &Vec::new())?;
    let holds = |paths: &[Vec<u8>], path: &str| paths.iter().any(|found| found == path.as_bytes());
    let found =
        (holds(&trace.opened, "/etc/read"), holds(&trace.written, "/tmp/written"), holds(&trace.executed, "/bin/sh"));
    same(&found, &(true, true, true)).map_err(|_| Failed::from(shown))
}

fn a_runner_that_is_killed(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let seconds = crate::long_time(2);
    let killer = std::thread::spawn({
        let seconds = seconds.clone();
        move || crate::kill_parent_of_sleeper(&seconds)
    });
    let ended = root.run(&["sleep", &seconds]);
    killer.join().map_err(|_| "the other thread failed")??;
    match ended {
        Err(SandboxError::RunnerEnded { .. }) => {}
        other => return Err(format!("{other:?}").into()),
    }
    same(&crate::sleepers(&seconds), &Vec::new())?;
    same(&root.path().join("proc").exists(), &false)
}

fn overlays_are_left_clean(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let (work, merged) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (upper, inner) = (work.path().join("upper"), work.path().join("work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&inner)?;
    let options = format!(
        "userxattr,lowerdir={},upperdir={},workdir={}",
        root.path().display(),
        upper.display(),
        inner.display()
    );
    let options = std::ffi::CString::new(options)?;
    rustix::mount::mount("overlay", merged.path(), "overlay", rustix::mount::MountFlags::empty(), options.as_c_str())?;
    root.spec.root = merged.path().to_owned();
    root.spec.mounts =
        vec![Mount { target: b"/tmp/a/b".to_vec(), kind: MountKind::Tmpfs { size: 0, mode: 0o755 }, read_only: false }];
    let before = fs::metadata(root.path().join("etc"))?.modified()?;
    root.watch = if ids == Ids::One { Watch::TraceAndOwners } else { Watch::Trace };
    let done = root.shell("echo x > /own");
    // Nobody uses it any more.
    rustix::mount::unmount(merged.path(), rustix::mount::UnmountFlags::empty())?;
    let trace = done?.ended.trace.ok_or("there is no trace")?;
    same(&(trace.written, trace.gaps), &(vec![b"/own".to_vec()], Vec::new()))?;
    let mut left: Vec<_> = fs::read_dir(&upper)?.flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    same(&left, &["etc", "own", "tmp"].map(Into::into).to_vec())?;
    same(&(fs::read_dir(upper.join("etc"))?.count(), fs::read_dir(upper.join("tmp"))?.count()), &(0, 0))?;
    same(&fs::metadata(upper.join("etc"))?.modified()?, &before)
}

fn this_program_cannot_be_changed(ids: Ids) -> Outcome {
    let mut root = Root::new(ids)?;
    let seconds = crate::long_time(4);
    let watcher = std::thread::spawn({
        let seconds = seconds.clone();
        move || -> Outcome {
            // The runner's file, which is this program's, is on a mount that cannot be written to.
            let runner = crate::parent_of_sleeper(&seconds)?;
            let file = fs::File::open(format!("/proc/{}/exe", runner.as_raw_nonzero()))?;
            let flags = rustix::fs::fstatvfs(&file)?.f_flag;
            crate::kill_sleeper(&seconds)?;
            same(&flags.contains(rustix::fs::StatVfsMountFlags::RDONLY), &true)
        }
    });
    let done = root.shell(&format!("exec sleep {seconds}"))?;
    watcher.join().map_err(|_| "the other thread failed")??;
    same(&done.ended.status, &Status::Signalled(9))
}
