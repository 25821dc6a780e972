//! The filter: classic BPF that sends the calls of the table to the listener and lets everything else through.
//!
//! A filter cannot read memory, so it decides by numbers only. The kernel knows which calls it always allows
//! (since 5.11) and does not run it for them.

use std::mem::offset_of;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, seccomp_data,
    sock_filter,
};

use crate::sandbox::Watch;
use crate::supervisor::calls::{Call, When, all};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64 of linux/audit.h
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | code | BPF_K) as u16, jt, jf, k }
}

fn load(offset: usize) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset as u32)
}

/// Loads the lower half of an argument: both architectures are little-endian, and `int` arguments have no upper half.
fn load_argument(index: usize) -> sock_filter {
    load(offset_of!(seccomp_data, args) + 8 * index)
}

fn allow() -> sock_filter {
    statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW)
}

fn notify() -> sock_filter {
    statement(BPF_RET | BPF_K, libc::SECCOMP_RET_USER_NOTIF)
}

/// What follows when the number is this call's; it ends in a return.
fn body(call: &Call, watch: Watch) -> Vec<sock_filter> {
    match call.when {
        When::NotHeld(flags) => vec![
            load_argument(flags),
            jump(BPF_JSET, (libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) as u32, 0, 3),
            load_argument(0),
            // As an unsigned number AT_FDCWD is above all descriptors.
            jump(BPF_JGE, 0x8000_0000, 1, 0),
            allow(),
            notify(),
        ],
        When::Device(mode) if !watch.traces() => vec![
            load_argument(mode),
            statement(BPF_ALU | BPF_AND | BPF_K, libc::S_IFMT),
            jump(BPF_JEQ, libc::S_IFCHR, 2, 0),
            jump(BPF_JEQ, libc::S_IFBLK, 1, 0),
            allow(),
            notify(),
        ],
        When::Always | When::Device(_) => vec![notify()],
    }
}

/// The filter for what is to be watched; nothing where that is nothing.
pub(super) fn assemble(watch: Watch) -> Option<Vec<sock_filter>> {
    let calls: Vec<&Call> = all().filter(|call| watch.traces() || (watch.owners() && call.is_ownership())).collect();
    if calls.is_empty() {
        return None;
    }
    // Calls by the numbers of another architecture (32-bit programs) are let through: they mean other things.
    let mut program = vec![
        load(offset_of!(seccomp_data, arch)),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        allow(),
        load(offset_of!(seccomp_data, nr)),
    ];
    for call in calls {
        let body = body(call, watch);
        // At most 6 instructions, so the distance fits.
        program.push(jump(BPF_JEQ, call.number as u32, 0, body.len() as u8));
        program.extend(body);
    }
    program.push(allow());
    Some(program)
}
