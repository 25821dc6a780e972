//! The filter: classic BPF that sends the calls of the table to the listener and lets everything else through.
//!
//! A filter cannot read memory, so it decides by numbers only. The kernel knows which calls it always allows
//! (since 5.11) and does not run it for them.

use std::mem::offset_of;

use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, seccomp_data, sock_filter};

use crate::sandbox::Watch;
use crate::supervisor::calls::{Call, When, all};
use crate::supervisor::pretend::calls::{CHANGING, If, Slot, all as answered};

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
fn body(when: When) -> Vec<sock_filter> {
    match when {
        When::NotHeld(flags) => vec![
            load_argument(flags),
            jump(BPF_JSET, (libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) as u32, 0, 3),
            load_argument(0),
            // As an unsigned number AT_FDCWD is above all descriptors.
            jump(BPF_JGE, 0x8000_0000, 1, 0),
            allow(),
            notify(),
        ],
        When::Always => vec![notify()],
    }
}

/// The same where calls are answered.
fn body_of_answered(when: If) -> Vec<sock_filter> {
    let (argument, test) = match when {
        If::Always => return vec![notify()],
        If::NotZero(argument) => (argument, jump(BPF_JEQ, 0, 1, 0)),
        If::Changes(argument) => (argument, jump(BPF_JSET, CHANGING, 0, 1)),
        If::First(value) => (0, jump(BPF_JEQ, value, 0, 1)),
    };
    vec![load_argument(argument), test, notify(), allow()]
}

/// Which calls are notified, the frequent ones first, with what decides it. One that is both traced and answered always
/// is.
fn notified(watch: Watch) -> Vec<(u32, Vec<sock_filter>)> {
    let number = |number: libc::c_int| number.cast_unsigned();
    let answered: Vec<&Slot> = if watch.owners() { answered().collect() } else { Vec::new() };
    let traced: Vec<&Call> = if watch.traces() { all().collect() } else { Vec::new() };
    let is_answered = |call: &Call| answered.iter().any(|slot| slot.number == call.number);
    let of_traced = traced.iter().map(|call| {
        let body = if is_answered(call) { vec![notify()] } else { body(call.when) };
        (number(call.number), body)
    });
    let is_traced = |slot: &Slot| traced.iter().any(|call| call.number == slot.number);
    let only_answered = answered.iter().filter(|slot| !is_traced(slot));
    of_traced.chain(only_answered.map(|slot| (number(slot.number), body_of_answered(slot.when)))).collect()
}

/// The filter for what is to be watched; nothing where that is nothing.
pub(super) fn assemble(watch: Watch) -> Option<Vec<sock_filter>> {
    let calls = notified(watch);
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
    for (number, body) in calls {
        // At most 6 instructions, so the distance fits.
        program.push(jump(BPF_JEQ, number, 0, body.len() as u8));
        program.extend(body);
    }
    program.push(allow());
    Some(program)
}
