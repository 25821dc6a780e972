//! Thin safe wrappers over system calls that no safe library has: the only unsafe code of the workspace.
#![allow(unsafe_code)] // See above; a test of the workspace keeps it to this folder.

pub(crate) mod fanotify;
pub(crate) mod namespace;
pub(crate) mod process;
pub(crate) mod seccomp;
