//! Snapshots with real mounts: what each kind keeps, what the layers say, and what a base image becomes.
//!
//! These run as root, with every kind; as an ordinary user in a namespace of its own, they run once more.

mod base;
mod changes;
mod kinds;
mod ordinary;
mod seen;
