//! Who the command is: its capabilities, groups and user.

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::error::Failure;
use super::spec::Spec;
use crate::ids::Ids;

/// What root keeps: the default of container engines (moby's `oci/caps/defaults.go`).
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Becomes the user, with no more power than that.
pub(super) fn assume(spec: &Spec) -> Result<(), Failure> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if KEPT.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The first number that this kernel does not know.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(Failure::of("give up capabilities as", "/")(error)),
        }
    }
    clear_ambient_capability_set().map_err(Failure::of("give up ambient capabilities as", "/"))?;
    // With one id everybody is 0, and what a user or group would have is recorded instead.
    if spec.ids == Ids::Many {
        let user = &spec.user;
        let shown = format!("{}:{}", user.uid, user.gid);
        let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups).map_err(Failure::of("take the groups of", &shown))?;
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_res_gid(gid, gid, gid).map_err(Failure::of("become the group of", &shown))?;
        set_thread_res_uid(uid, uid, uid).map_err(Failure::of("become the user", &shown))?;
    }
    // The kernel took everything from one who is not root any more.
    let own = capabilities(None).map_err(Failure::of("read the capabilities of", "/"))?;
    let kept = own.permitted.intersection(KEPT);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(Failure::of("give up capabilities as", "/"))
}
