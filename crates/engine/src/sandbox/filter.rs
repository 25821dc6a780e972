//! The system calls that a step may not make: what the default profile of container engines refuses.
//!
//! A step has no CAP_SYS_ADMIN, so the kernel refuses most of these anyway. The filter keeps a step from kernel code
//! that is reached without capabilities through namespaces of its own, and gives programs the errors that they meet
//! in other builders. Calls newer than the table fail with `ENOSYS`, so that libraries fall back to what they know.
//!
//! With one id the calls that change the user or group are the supervisor's to answer. Where nobody answers them, and for
//! programs of 32 bits, they do nothing and seem to succeed: a program that drops its rights so goes on as root of the
//! step. Owners and device nodes are not refused here; the supervisor records them.
//!
//! The filter is installed before the one that watches, and lets `seccomp` through for it. Where both have a say
//! the kernel prefers an error to a notification.

use std::io;
use std::mem::offset_of;

use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, seccomp_data,
    sock_filter,
};

use crate::ids::Ids;
use crate::kernel::namespace;
use crate::sandbox::Watch;

/// The last call that the tables were checked against: `file_setattr` of Linux 6.17. Since 5.0 all architectures give
/// new calls the same numbers.
const NEWEST: u32 = 469;
/// All `CLONE_NEW…` flags that `clone` takes.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// What a program may set its personality to: Linux, and 32-bit Linux, each with the old uname or without; and asking.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, u32::MAX];

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64 of linux/audit.h
#[cfg(target_arch = "x86_64")]
const COMPATIBLE: u32 = 0x4000_0003; // AUDIT_ARCH_I386
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64
#[cfg(target_arch = "aarch64")]
const COMPATIBLE: u32 = 0x4000_0028; // AUDIT_ARCH_ARM

/// Numbers from here on are the architecture's own calls (32-bit ARM sets its thread pointer so).
#[cfg(target_arch = "x86_64")]
const PRIVATE: u32 = u32::MAX;
#[cfg(target_arch = "aarch64")]
const PRIVATE: u32 = 0x000f_0000;

/// Calls that are refused whatever their arguments are.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    467, // open_tree_attr
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_open_by_handle_at,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_quotactl,
    443, // quotactl_fd
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_nfsservctl,
    libc::SYS_vhangup,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_fanotify_init,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_mbind,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    450, // set_mempolicy_home_node
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    212, // lookup_dcookie
    #[cfg(target_arch = "aarch64")]
    18, // lookup_dcookie
];

/// Calls that seem to succeed where there is one id and nobody answers them.
const PRETENDED: &[libc::c_long] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
];

/// The same calls of 32-bit programs, by the numbers of i386 (asm/unistd_32.h).
#[cfg(target_arch = "x86_64")]
const COMPATIBLE_REFUSED: &[libc::c_long] = &[
    21, 22, 25, 51, 52, 62, 74, 79, 86, 87, 88, 101, 103, 110, 111, 115, 121, 128, 129, 131, 135, 169, 217, 253, 264,
    274, 275, 276, 283, 286, 287, 288, 294, 310, 317, 336, 338, 342, 346, 349, 350, 357, 374, 404, 425, 426, 427, 428,
    429, 430, 431, 432, 433, 438, 440, 442, 443, 450, 467,
];
#[cfg(target_arch = "x86_64")]
const COMPATIBLE_PRETENDED: &[libc::c_long] =
    &[23, 46, 70, 71, 81, 138, 139, 164, 170, 203, 204, 206, 208, 210, 213, 214, 215, 216];

/// The same calls of 32-bit programs, by the numbers of ARM (asm/unistd-eabi.h).
#[cfg(target_arch = "aarch64")]
const COMPATIBLE_REFUSED: &[libc::c_long] = &[
    21, 51, 52, 62, 74, 79, 86, 87, 88, 103, 111, 115, 121, 128, 129, 131, 135, 169, 218, 249, 262, 309, 310, 311, 319,
    320, 321, 337, 344, 347, 364, 367, 371, 375, 378, 379, 386, 388, 400, 401, 404, 425, 426, 427, 428, 429, 430, 431,
    432, 433, 438, 440, 442, 443, 450, 467,
];
#[cfg(target_arch = "aarch64")]
const COMPATIBLE_PRETENDED: &[libc::c_long] =
    &[23, 46, 70, 71, 81, 138, 139, 164, 170, 203, 204, 206, 208, 210, 213, 214, 215, 216];

/// The numbers of the calls whose arguments decide.
struct Numbers {
    clone: libc::c_long,
    personality: libc::c_long,
    ioctl: libc::c_long,
    socket: libc::c_long,
}

const NATIVE_NUMBERS: Numbers = Numbers {
    clone: libc::SYS_clone,
    personality: libc::SYS_personality,
    ioctl: libc::SYS_ioctl,
    socket: libc::SYS_socket,
};
#[cfg(target_arch = "x86_64")]
const COMPATIBLE_NUMBERS: Numbers = Numbers { clone: 120, personality: 136, ioctl: 54, socket: 359 };
#[cfg(target_arch = "aarch64")]
const COMPATIBLE_NUMBERS: Numbers = Numbers { clone: 120, personality: 136, ioctl: 54, socket: 281 };

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | code | BPF_K) as u16, jt, jf, k }
}

fn load(offset: usize) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset as u32)
}

/// The lower half of an argument: the kernel looks at no more of those that are looked at here.
fn load_argument(index: usize) -> sock_filter {
    load(offset_of!(seccomp_data, args) + 8 * index)
}

fn answer(action: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, action)
}

fn fail(errno: libc::c_int) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno as u32)
}

fn allow() -> sock_filter {
    answer(libc::SECCOMP_RET_ALLOW)
}

/// Adds what is done where the number is this one; `body` ends in a return.
fn on(program: &mut Vec<sock_filter>, number: libc::c_long, body: &[sock_filter]) {
    // No body has more than ten instructions.
    program.push(jump(BPF_JEQ, number as u32, 0, body.len() as u8));
    program.extend_from_slice(body);
}

/// Answers where the argument is one of these values with `listed`, else with `other`.
fn by_value(argument: usize, values: &[u32], listed: sock_filter, other: sock_filter) -> Vec<sock_filter> {
    let mut body = vec![load_argument(argument)];
    for (index, value) in values.iter().enumerate() {
        // Over the comparisons that are left and the other answer.
        body.push(jump(BPF_JEQ, *value, (values.len() - index) as u8, 0));
    }
    body.extend([other, listed]);
    body
}

/// The part for one architecture; the number is loaded here.
fn section(refused: &[libc::c_long], pretended: &[libc::c_long], numbers: &Numbers) -> Vec<sock_filter> {
    let mut program = vec![
        load(offset_of!(seccomp_data, nr)),
        // The x32 calls have bit 30 and are above, too.
        jump(BPF_JGT, NEWEST, 0, 2),
        jump(BPF_JGE, PRIVATE, 1, 0),
        fail(libc::ENOSYS),
    ];
    for number in refused {
        on(&mut program, *number, &[fail(libc::EPERM)]);
    }
    for number in pretended {
        on(&mut program, *number, &[fail(0)]);
    }
    // Its flags are in memory, where no filter sees them; libraries then use `clone`.
    on(&mut program, libc::SYS_clone3, &[fail(libc::ENOSYS)]);
    let clone = [load_argument(0), jump(BPF_JSET, NEW_NAMESPACES, 0, 1), fail(libc::EPERM), allow()];
    on(&mut program, numbers.clone, &clone);
    on(&mut program, numbers.personality, &by_value(0, &PERSONALITIES, allow(), fail(libc::EPERM)));
    // Typing for others into a terminal.
    let typing = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
    on(&mut program, numbers.ioctl, &by_value(1, &typing, fail(libc::EPERM), allow()));
    // Other virtual machines, which are outside any network namespace; and the kernel's cryptography.
    let families = [libc::AF_VSOCK as u32, libc::AF_ALG as u32];
    on(&mut program, numbers.socket, &by_value(0, &families, fail(libc::EPERM), allow()));
    program.push(allow());
    program
}

fn assemble(ids: Ids, watch: Watch) -> Vec<sock_filter> {
    let pretended = |numbers: &'static [libc::c_long], is: bool| if is { numbers } else { &[] };
    let native = section(REFUSED, pretended(PRETENDED, ids == Ids::One && !watch.owners()), &NATIVE_NUMBERS);
    let compatible = section(COMPATIBLE_REFUSED, pretended(COMPATIBLE_PRETENDED, ids == Ids::One), &COMPATIBLE_NUMBERS);
    let mut program = vec![
        load(offset_of!(seccomp_data, arch)),
        jump(BPF_JEQ, NATIVE, 2, 0),
        jump(BPF_JEQ, COMPATIBLE, 2, 0),
        // The kernel has no third architecture on this one.
        fail(libc::ENOSYS),
        statement(BPF_JMP | BPF_JA, compatible.len() as u32),
    ];
    program.extend(compatible);
    program.extend(native);
    program
}

/// Installs the profile in this thread, for it and all that come of it. It needs CAP_SYS_ADMIN in the user namespace,
/// or no_new_privs.
pub(super) fn install_profile(ids: Ids, watch: Watch) -> io::Result<()> {
    namespace::load_plain(&assemble(ids, watch))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const PRETEND: u32 = libc::SECCOMP_RET_ERRNO;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    /// What the kernel would do: an interpreter of the instructions that are used.
    fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut words = vec![number, architecture, 0, 0];
        words.extend(arguments.iter().flat_map(|argument| [*argument as u32, (argument >> 32) as u32]));
        let (mut at, mut value) = (0, 0);
        loop {
            let instruction = program[at];
            at += 1;
            let k = instruction.k;
            let code = u32::from(instruction.code);
            if code == BPF_LD | BPF_W | BPF_ABS {
                value = words[k as usize / 4];
            } else if code == BPF_RET | BPF_K {
                return k;
            } else if code == BPF_JMP | BPF_JA {
                at += k as usize;
            } else {
                let holds = match code & 0xf0 {
                    BPF_JEQ => value == k,
                    BPF_JGT => value > k,
                    BPF_JGE => value >= k,
                    BPF_JSET => value & k != 0,
                    other => panic!("instruction {other:#x}"),
                };
                at += usize::from(if holds { instruction.jt } else { instruction.jf });
            }
        }
    }

    fn native(ids: Ids, number: libc::c_long, arguments: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        run(&assemble(ids, Watch::Nothing), NATIVE, number as u32, all)
    }

    #[test]
    fn calls_are_refused_as_container_engines_do() {
        for number in REFUSED {
            assert_eq!(native(Ids::Many, *number, &[]), EPERM, "{number}");
        }
        assert_eq!(native(Ids::Many, libc::SYS_clone3, &[]), ENOSYS);
    }

    #[test]
    fn ordinary_calls_are_allowed() {
        let calls = [
            libc::SYS_read,
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_seccomp,
            libc::SYS_chroot,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_mknodat,
            libc::SYS_fchownat,
            libc::SYS_setsid,
            libc::SYS_adjtimex,
            libc::SYS_name_to_handle_at,
            libc::SYS_close_range,
            libc::SYS_prctl,
        ];
        for number in calls {
            assert_eq!(native(Ids::Many, number, &[]), ALLOW, "{number}");
            assert_eq!(native(Ids::One, number, &[]), ALLOW, "{number}");
        }
    }

    #[test]
    fn arguments_decide() {
        let cases: &[(libc::c_long, &[u64], u32)] = &[
            (libc::SYS_clone, &[libc::SIGCHLD as u64], ALLOW),
            (libc::SYS_clone, &[(libc::CLONE_VM | libc::CLONE_VFORK) as u64], ALLOW),
            (libc::SYS_clone, &[libc::CLONE_NEWUSER as u64], EPERM),
            (libc::SYS_clone, &[libc::CLONE_NEWNS as u64 | libc::SIGCHLD as u64], EPERM),
            (libc::SYS_clone, &[libc::CLONE_NEWNET as u64], EPERM),
            (libc::SYS_clone, &[libc::CLONE_NEWCGROUP as u64], EPERM),
            (libc::SYS_personality, &[0], ALLOW),
            (libc::SYS_personality, &[0x8], ALLOW),
            (libc::SYS_personality, &[0x2_0008], ALLOW),
            (libc::SYS_personality, &[0xffff_ffff], ALLOW),
            (libc::SYS_personality, &[0x4_0000], EPERM),
            (libc::SYS_ioctl, &[0, libc::TIOCSTI], EPERM),
            (libc::SYS_ioctl, &[0, libc::TIOCLINUX], EPERM),
            // The kernel looks at the lower half only.
            (libc::SYS_ioctl, &[0, 1 << 32 | libc::TIOCSTI], EPERM),
            (libc::SYS_ioctl, &[libc::TIOCSTI, libc::TCGETS], ALLOW),
            (libc::SYS_socket, &[libc::AF_INET as u64], ALLOW),
            (libc::SYS_socket, &[libc::AF_UNIX as u64], ALLOW),
            (libc::SYS_socket, &[libc::AF_VSOCK as u64], EPERM),
            (libc::SYS_socket, &[libc::AF_ALG as u64], EPERM),
        ];
        for (number, arguments, expected) in cases {
            assert_eq!(native(Ids::Many, *number, arguments), *expected, "{number} {arguments:?}");
        }
    }

    #[test]
    fn users_change_in_earnest_unless_there_is_one() {
        for number in PRETENDED {
            assert_eq!(native(Ids::Many, *number, &[1000]), ALLOW, "{number}");
            assert_eq!(native(Ids::One, *number, &[1000]), PRETEND, "{number}");
            let answered = run(&assemble(Ids::One, Watch::Owners), NATIVE, *number as u32, [1000; 6]);
            assert_eq!(answered, ALLOW, "{number}");
        }
    }

    #[test]
    fn unknown_calls_do_not_exist() {
        for number in [470, 1000, 0x4000_0000, 0x4000_0000 | libc::SYS_mount, 0xffff_fffe] {
            assert_eq!(native(Ids::Many, number, &[]), ENOSYS, "{number}");
        }
        assert_eq!(native(Ids::Many, libc::c_long::from(NEWEST), &[]), ALLOW);
        assert_eq!(run(&assemble(Ids::Many, Watch::Nothing), 0x1234, 0, [0; 6]), ENOSYS);
    }

    #[test]
    fn programs_of_32_bits_are_held_to_the_same() {
        let of = |ids, number: libc::c_long, first| {
            run(&assemble(ids, Watch::Nothing), COMPATIBLE, number as u32, [first, 0, 0, 0, 0, 0])
        };
        for number in COMPATIBLE_REFUSED {
            assert_eq!(of(Ids::Many, *number, 0), EPERM, "{number}");
        }
        for number in COMPATIBLE_PRETENDED {
            assert_eq!(of(Ids::Many, *number, 0), ALLOW, "{number}");
            assert_eq!(of(Ids::One, *number, 0), PRETEND, "{number}");
        }
        assert_eq!(of(Ids::Many, 3, 0), ALLOW, "read");
        assert_eq!(of(Ids::Many, 120, libc::CLONE_NEWUSER as u64), EPERM, "clone");
        assert_eq!(of(Ids::Many, 120, libc::SIGCHLD as u64), ALLOW, "clone");
        assert_eq!(of(Ids::Many, 435, 0), ENOSYS, "clone3");
    }

    #[test]
    fn the_kernel_takes_the_program() {
        for ids in [Ids::Many, Ids::One] {
            let program = assemble(ids, Watch::Nothing);
            assert!(program.len() < 4096, "{}", program.len());
            // On a thread of its own, which ends with the filter.
            let outcome = std::thread::spawn(move || {
                rustix::thread::set_no_new_privs(true).unwrap();
                install_profile(ids, Watch::Nothing).unwrap();
                let mounted = rustix::mount::mount_change("/", rustix::mount::MountPropagationFlags::PRIVATE);
                (mounted, std::fs::metadata("/").is_ok())
            });
            assert_eq!(outcome.join().unwrap(), (Err(rustix::io::Errno::PERM), true));
        }
    }
}
