//! What others read: images built by Docker, buildah and by hand, optimized here, and read by skopeo, umoci,
//! buildah and Docker. Their view of the result must be their view of the input.
//!
//! Needs root, Debian's docker.io, docker-registry, apache2-utils, buildah, skopeo, umoci, fuse-overlayfs, uidmap and busybox-static, and the images in
//! `$JETTISON_SHARED`. What is missing fails the suite.

mod bases;
mod cases;
mod engines;
#[path = "../format/mod.rs"]
mod format;
mod images;
mod reference;
mod registries;
mod rewrites;
mod tools;
mod trees;
