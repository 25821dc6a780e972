//! What others read: images built by Docker, buildah and by hand, optimized here, and read by skopeo, umoci,
//! buildah and Docker. Their view of the result must be their view of the input.
//!
//! Needs root, Debian's docker.io, buildah, skopeo, umoci and busybox-static, and the images in
//! `$JETTISON_SHARED`. What is missing fails the suite.

mod bases;
mod cases;
mod engines;
mod images;
mod reference;
mod rewrites;
mod tools;
mod trees;
