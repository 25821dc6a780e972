//! Real programs under the supervisor. A filter is a thread's and its children's: a thread of the test installs it and
//! starts the program, so nothing else in the test waits for answers.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;

use crate::ids::{NODE, OWNER, Owners};
use crate::kernel::fanotify::Executions;
use crate::sandbox::{User, Watch};
use crate::supervisor::{Supervisor, install};
use crate::trace::Trace;

fn watched(watch: Watch, root: &Path, mut command: Command) -> (Output, Trace, Owners) {
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            send.send(install(watch).unwrap().unwrap()).unwrap();
            command.output().unwrap()
        });
        let supervisor = Supervisor::start(receive.recv().unwrap(), root, watch, None, &User::default()).unwrap();
        let output = thread.join().unwrap();
        let (trace, owners) = supervisor.finish(&[]);
        (output, trace, owners)
    })
}

fn shell(folder: &Path, script: &str) -> (Output, Trace) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(folder).env("PATH", "/nowhere/bin:/usr/bin:/bin");
    let (output, trace, owners) = watched(Watch::Trace, Path::new("/"), command);
    assert_eq!(owners, Owners::default());
    assert_eq!(trace.gaps, Vec::<String>::new());
    (output, trace)
}

/// The paths below the folder, relative to it, in one line.
fn below(list: &[Vec<u8>], folder: &Path) -> String {
    let prefix = format!("{}/", folder.display());
    let names = list.iter().filter_map(|path| Some(String::from_utf8_lossy(path).strip_prefix(&prefix)?.to_owned()));
    names.collect::<Vec<_>>().join(" ")
}

fn has(list: &[Vec<u8>], path: &str) -> bool {
    list.iter().any(|known| known == path.as_bytes())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("sub/deep")).unwrap();
    fs::write(folder.path().join("a.txt"), "text\n").unwrap();
    fs::write(folder.path().join("sub/deep/b"), "").unwrap();
    folder
}

#[test]
fn children_of_a_shell_are_traced() {
    let folder = folder();
    let (output, trace) = shell(folder.path(), "cat a.txt ./sub//deep/../../none /etc/passwd | head -n 1");
    assert_eq!(output.stdout, b"text\n");
    assert_eq!(below(&trace.opened, folder.path()), "a.txt");
    assert_eq!(below(&trace.missed, folder.path()), "none");
    assert!(has(&trace.opened, "/etc/passwd"));
    assert!(has(&trace.opened, "/etc/ld.so.cache"), "opened by the loader");
    assert!(has(&trace.executed, "/usr/bin/cat") && has(&trace.executed, "/usr/bin/head"));
    assert!(trace.executed.iter().any(|path| path.starts_with(b"/lib64/ld-") || path.starts_with(b"/lib/ld-")));
    assert!(trace.missed.iter().any(|path| path.starts_with(b"/nowhere/bin/")), "a look-up in PATH that finds nothing");
    assert!(trace.opened.iter().all(|path| !path.starts_with(b"/dev/") && !path.starts_with(b"/proc/")));
}

#[test]
fn folders_are_listed_and_their_entries_asked_about() {
    let folder = folder();
    let (_, trace) = shell(folder.path(), "find sub -size +1 > /dev/null; cd sub && ls -l deep && test -e ../a.txt");
    assert_eq!(below(&trace.listed, folder.path()), "sub sub/deep");
    assert_eq!(below(&trace.opened, folder.path()), "");
    for path in ["sub", "sub/deep", "sub/deep/b", "a.txt"] {
        let path = format!("{}/{path}", folder.path().display());
        assert!(trace.reads(path.as_bytes()), "{path}: {trace:?}");
    }
    assert!(has(&trace.examined, &format!("{}/a.txt", folder.path().display())));
}

#[test]
fn changes_are_written() {
    let folder = folder();
    let script = "echo x > new; mv new newer; mkdir d; rmdir d; ln -s a.txt l; ln a.txt h; rm l; chmod 600 a.txt; \
                  cd sub/deep; touch b; mkfifo p; cp b c; truncate -s 9 t";
    let (output, trace) = shell(folder.path(), script);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        below(&trace.written, folder.path()),
        "a.txt d h l new newer sub/deep/b sub/deep/c sub/deep/p sub/deep/t"
    );
    assert_eq!(below(&trace.missed, folder.path()), "", "what the step made was not missed");
}

#[test]
fn a_descriptor_that_comes_to_mean_another_folder_is_not_mixed_up() {
    let folder = folder();
    fs::create_dir(folder.path().join("other")).unwrap();
    // Python has the calls at hand that a shell lacks: the same number for two folders, without an open in between.
    let script = "python3 -c '
import os
one = os.open(\"sub\", os.O_RDONLY | os.O_DIRECTORY)
two = os.open(\"other\", os.O_RDONLY | os.O_DIRECTORY)
def look(name):
    try: os.stat(name, dir_fd=one)
    except FileNotFoundError: pass
look(\"x\")
os.dup2(two, one)
look(\"y\")
os.fchdir(two)
os.path.exists(\"z\")
os.chdir(\"..\")
os.rename(\"other\", \"moved\")
look(\"w\")
'";
    let (output, trace) = shell(folder.path(), script);
    assert!(output.status.success(), "{output:?}");
    assert!(below(&trace.missed, folder.path()).contains("sub/x"));
    // `other` was moved away, so nobody can say any more that these were missing from it.
    let examined = below(&trace.examined, folder.path());
    assert!(examined.contains("other/y other/z"), "{examined}");
    assert!(below(&trace.missed, folder.path()).contains("moved/w") || examined.contains("moved/w"), "{trace:?}");
}

#[test]
fn scripts_bring_their_interpreters() {
    let folder = folder();
    let (inner, outer) = (folder.path().join("inner"), folder.path().join("outer"));
    fs::write(&inner, "#!/bin/sh -e\nexec cat a.txt\n").unwrap();
    fs::write(&outer, format!("#! {}\n", inner.display())).unwrap();
    for script in [&inner, &outer] {
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (output, trace) = shell(folder.path(), "./outer");
    assert_eq!(output.stdout, b"text\n");
    assert_eq!(below(&trace.executed, folder.path()), "inner outer");
    assert!(has(&trace.executed, "/bin/sh"));
}

#[test]
fn paths_that_cross_pages_and_long_ones_are_read_whole() {
    let folder = folder();
    let mut deep = folder.path().to_owned();
    while deep.as_os_str().len() < 3000 {
        deep.push("n".repeat(200));
    }
    fs::create_dir_all(&deep).unwrap();
    // Environment strings lie one after the other on the stack: some of so many cross a page.
    let script =
        "for length in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do LONG=\"$1/$length\" sh -c 'test -e \"$LONG\"'; done";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).arg(&deep);
    let (_, trace, _) = watched(Watch::Trace, Path::new("/"), command);
    assert_eq!(trace.gaps, Vec::<String>::new());
    for length in 1..=16 {
        assert!(has(&trace.missed, &format!("{}/{length}", deep.display())), "{length}");
    }
}

/// Runs an ignored test of this file as uid 0 of a user namespace with one id and a mount namespace.
fn as_one_id(test: &str) {
    inside(&["--user", "--map-root-user", "--mount"], test);
}

fn inside(namespaces: &[&str], test: &str) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(namespaces)
        .arg(program)
        .args(["--exact", &format!("supervisor::tests::{test}"), "--ignored", "--nocapture"])
        .output()
        .expect("unshare (util-linux) is installed");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn owners_are_recorded() {
    as_one_id("inside_owners_are_recorded");
}

/// An overlay with this machine's programs in it: what is written to it ends in `upper`.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lower/etc", "lower/usr", "lower/proc", "lower/dev", "lower/tree/sub", "upper", "work", "merged"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let lower = folder.path().join("lower");
        for name in ["bin", "lib", "lib64", "sbin"] {
            symlink(format!("usr/{name}"), lower.join(name)).unwrap();
        }
        symlink("nowhere", lower.join("link")).unwrap();
        symlink("/tree/file", lower.join("absolute")).unwrap();
        fs::write(lower.join("tree/file"), "x").unwrap();
        fs::write(lower.join("tree/sub/other"), "x").unwrap();
        fs::write(lower.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        fs::write(lower.join("etc/group"), "root:x:0:\n").unwrap();
        fs::write(lower.join("etc/shadow"), "root:*:::::::\n").unwrap();
        let root = Self { folder };
        let at = |name: &str| root.path(name).display().to_string();
        let options = format!("userxattr,lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
        run("mount", &["-t", "overlay", "-o", &options, "overlay", &at("merged")]);
        run("mount", &["--rbind", "/usr", &at("merged/usr")]);
        run("mount", &["--rbind", "/proc", &at("merged/proc")]);
        run("mount", &["--rbind", "/dev", &at("merged/dev")]);
        root
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a script in it; gives the standard output, and the owners.
    fn shell(&self, script: &str) -> (String, Owners) {
        let mut command = Command::new("chroot");
        command.arg(self.path("merged")).args(["/bin/sh", "-c", script]).env("PATH", "/usr/sbin:/usr/bin");
        let (output, _, owners) = watched(Watch::Owners, &self.path("merged"), command);
        (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), owners)
    }

    fn attribute(&self, name: &str, attribute: &str) -> String {
        let mut room = [0; 64];
        match rustix::fs::lgetxattr(self.path("upper").join(name), attribute, &mut room) {
            Ok(size) => String::from_utf8_lossy(&room[..size]).into_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn owner(&self, name: &str) -> String {
        self.attribute(name, OWNER)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        run("umount", &["--lazy", &self.path("merged").display().to_string()]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

#[test]
#[ignore = "started by owners_are_recorded in a user namespace"]
fn inside_owners_are_recorded() {
    let root = Root::mount();
    let (text, owners) = root.shell(
        "mkdir /home && useradd -m -U -u 1000 joe && chown -R 1000:1001 /tree && chown :9 /tree/sub && chown -h 5:6 /link &&
         cd /tree/sub && touch /tree/one /tree/two && chown 3 ../one && chown 0:0 /tree/sub/other && chown 7:8 /absolute &&
         mkdir -m 2755 /shared && chown 4 /shared && cp /bin/true /set && chmod 6755 /set && chown 2 /set &&
         mkfifo /fifo && chown 11:12 /fifo && cp -a /tree /copy && chown 1:1 /dev/stdout /proc/self/fd/1",
    );
    assert_eq!(text, "");
    assert_eq!(root.owner("home/joe"), "1000:1000");
    assert_eq!(root.owner("tree"), "1000:1001");
    assert_eq!(root.owner("tree/sub"), "1000:9", "the other half stays");
    assert_eq!(root.owner("tree/one"), "3:0");
    assert_eq!(root.owner("tree/file"), "7:8", "an absolute link leads to the container's file");
    assert!(root.owner("tree/sub/other").contains("No data"), "0:0 is what no attribute says");
    assert_eq!(root.path("upper/set").metadata().unwrap().mode() & 0o7777, 0o755, "a chown clears the set-id bits");
    assert_eq!(root.path("upper/shared").metadata().unwrap().mode() & 0o7777, 0o2755, "but not a folder's");
    let of = |name: &str| {
        let path = root.path("upper").join(name);
        crate::ids::owner_of(&path, &path.symlink_metadata().unwrap(), crate::ids::Ids::One)
    };
    assert_eq!(of("link"), (5, 6));
    assert_eq!(fs::read_link(root.path("upper/link")).unwrap(), Path::new("nowhere"));
    assert_eq!(of("fifo"), (11, 12));
    assert_eq!(owners, Owners::default(), "all could be recorded at the files");
    assert!(!root.path("upper/nowhere").exists());
}

#[test]
fn owners_are_traced_too() {
    as_one_id("inside_owners_are_traced_too");
}

#[test]
#[ignore = "started by owners_are_traced_too in a user namespace"]
fn inside_owners_are_traced_too() {
    let folder = folder();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cd sub && chown 5:6 deep/b ../a.txt && mknod n c 1 3"]).current_dir(folder.path());
    let (output, trace, _) = watched(Watch::TraceAndOwners, Path::new("/"), command);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(below(&trace.written, folder.path()), "a.txt sub/deep/b sub/n");
    let mut room = [0; 64];
    let size = rustix::fs::lgetxattr(folder.path().join("sub/deep/b"), OWNER, &mut room).unwrap();
    assert_eq!(&room[..size], b"5:6");
}

#[test]
fn devices_are_recorded() {
    as_one_id("inside_devices_are_recorded");
}

#[test]
#[ignore = "started by devices_are_recorded in a user namespace"]
fn inside_devices_are_recorded() {
    let root = Root::mount();
    let (text, _) = root.shell(
        "umask 027; mknod /null c 1 3 && mknod -m 660 /tree/disk b 259 65537 && mkfifo /pipe; mknod /null c 1 3; \
         mknod /nowhere/null c 1 3; mknod /white c 0 0; mv /null /moved",
    );
    assert_eq!(text.matches("File exists").count(), 1, "{text}");
    assert_eq!(text.matches("No such file").count(), 1, "{text}");
    assert_eq!(text.matches("not permitted").count(), 1, "{text}");
    assert_eq!(root.attribute("moved", NODE), "c:1:3");
    assert_eq!(root.attribute("tree/disk", NODE), "b:259:65537");
    assert_eq!(root.path("upper/moved").metadata().unwrap().mode() & 0o7777, 0o640);
    assert_eq!(root.path("upper/moved").metadata().unwrap().len(), 0);
    assert!(root.path("upper/pipe").metadata().unwrap().file_type().is_fifo());
}

#[test]
fn errors_are_the_kernels() {
    as_one_id("inside_errors_are_the_kernels");
}

#[test]
#[ignore = "started by errors_are_the_kernels in a user namespace"]
fn inside_errors_are_the_kernels() {
    let root = Root::mount();
    let outside = root.path("outside");
    fs::write(&outside, "x").unwrap();
    run("mount", &["-o", "remount,bind,ro", &root.path("merged/usr").display().to_string()]);
    symlink("../../../../../../../../outside", root.path("merged/climb")).unwrap();
    symlink(&outside, root.path("merged/direct")).unwrap();
    symlink("circle", root.path("merged/circle")).unwrap();
    let (text, owners) = root.shell(
        "for name in /none /tree/file/x /circle /climb /direct /proc/1/root/none; do chown 5 $name; done 2>&1 | sed 's/.*: //'; \
         chown 5 /usr/bin/true 2>&1 | sed 's/.*: //'; cd /tree; chown 5 ../../../../../../outside 2>&1 | sed 's/.*: //'",
    );
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "No such file or directory",
            "Not a directory",
            "Too many levels of symbolic links",
            "No such file or directory",
            "No such file or directory",
            "Permission denied",
            "Read-only file system",
            "No such file or directory"
        ]
    );
    let mut room = [0; 64];
    assert!(rustix::fs::lgetxattr(&outside, OWNER, &mut room).is_err(), "nothing outside is touched");
    assert_eq!(owners, Owners::default());
}

#[test]
fn root_hears_of_executions() {
    if rustix::process::geteuid().is_root() {
        inside(&["--mount"], "inside_root_hears_of_executions");
    } else {
        // Everybody else is refused, which is no failure: the closure does without.
        let error = Executions::of(Path::new("/")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
}

#[test]
#[ignore = "started by root_hears_of_executions in a mount namespace"]
fn inside_root_hears_of_executions() {
    let root = Root::mount();
    let merged = root.path("merged");
    fs::copy("/bin/true", merged.join("copied")).unwrap();
    assert!(crate::supervisor::is_overlay(&merged));
    assert!(!crate::supervisor::is_overlay(&root.path("upper")), "a folder of the host's own file system");
    let executions = Executions::of(&merged).unwrap();
    run("/bin/true", &[]);
    assert!(executions.read().unwrap().files.is_empty(), "what the host executes is no business of ours");
    run("chroot", &[&merged.display().to_string(), "/copied"]);
    let heard = executions.read().unwrap();
    let inodes: Vec<u64> = heard.files.iter().map(|file| rustix::fs::fstat(file).unwrap().st_ino).collect();
    assert!(inodes.contains(&merged.join("copied").metadata().unwrap().ino()), "{heard:?}");
    assert!(!heard.overflow);
}
