// What a step may try that no shell can: system calls. Every success leaves a file /escaped-NAME.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(const char *prefix, const char *name) {
    char path[200];
    snprintf(path, sizeof path, "/%s%s", prefix, name);
    int file = open(path, O_CREAT | O_WRONLY, 0644);
    if (file >= 0) close(file);
}

#define MUST_FAIL(name, call) \
    do { errno = 0; if ((long)(call) >= 0) leave("escaped-", name); } while (0)

static void calls(pid_t outside, const char *folder) {
    char byte = 'x', path[4096];
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    MUST_FAIL("kill", kill(outside, 0));
    MUST_FAIL("ptrace", ptrace(PTRACE_ATTACH, outside, 0, 0));
    MUST_FAIL("vm-readv", syscall(SYS_process_vm_readv, outside, &here, 1, &there, 1, 0));
    MUST_FAIL("pidfd", syscall(SYS_pidfd_open, outside, 0));
    MUST_FAIL("tiocsti", ioctl(0, TIOCSTI, &byte));
    MUST_FAIL("tty", open("/dev/tty", O_RDWR));
    MUST_FAIL("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    MUST_FAIL("add-key", syscall(SYS_add_key, "user", "jettison-probe", "x", 1, -4));
    MUST_FAIL("request-key", syscall(SYS_request_key, "user", "jettison-probe", NULL, -4));
    MUST_FAIL("bpf", syscall(SYS_bpf, 0, NULL, 0) >= 0 || errno == EFAULT || errno == EINVAL || errno == E2BIG ? 0 : -1);
    MUST_FAIL("io-uring", syscall(SYS_io_uring_setup, 0, NULL) >= 0 || errno == EFAULT || errno == EINVAL ? 0 : -1);
    MUST_FAIL("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0 || errno == EFAULT ? 0 : -1);
    MUST_FAIL("userfaultfd", syscall(SYS_userfaultfd, 0));
    MUST_FAIL("handle", syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0) >= 0 || errno == EFAULT ? 0 : -1);
    MUST_FAIL("unshare-user", unshare(CLONE_NEWUSER));
    MUST_FAIL("unshare-mount", unshare(CLONE_NEWNS));
    pid_t child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child > 0) leave("escaped-", "clone-user");
    int own = open("/proc/self/ns/mnt", O_RDONLY);
    MUST_FAIL("setns", setns(own, 0));
    MUST_FAIL("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    MUST_FAIL("open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    MUST_FAIL("mount-setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &(unsigned long[4]){0}, 32));
    MUST_FAIL("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    MUST_FAIL("alg", socket(38, SOCK_SEQPACKET, 0));
    MUST_FAIL("no-aslr-unknown", syscall(SYS_personality, 0x0400000));
    // Where a folder leads out of a chroot there would be the host's files.
    if (chroot("/jail") == 0) {
        for (int up = 0; up < 100; up++) if (chdir("..") != 0) break;
        if (chroot(".") != 0) leave("escaped-", "no-second-chroot");
    }
    snprintf(path, sizeof path, "%s/secret", folder);
    MUST_FAIL("chroot", access(path, F_OK));
    MUST_FAIL("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
}

int main(int count, char **arguments) {
    if (count == 3) calls(atoi(arguments[1]), arguments[2]);
    return 0;
}
