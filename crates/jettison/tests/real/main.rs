//! What others read: images built by Docker, buildah and by hand, optimized here, and read by skopeo, umoci,
//! buildah and Docker. Their view of the result must be their view of the input.
//!
//! Needs root, Debian's docker.io, docker-registry, apache2-utils, buildah, podman, skopeo, umoci, zstd, fuse-overlayfs, uidmap, mmdebstrap, rpm, db5.3-util and busybox-static, and the images in
//! `$JETTISON_SHARED`. What is missing fails the suite.

mod bases;
mod berkeley;
#[path = "../build/build_cases.rs"]
mod build_cases;
mod builders;
mod builds;
mod cases;
#[path = "../build/compare.rs"]
mod compare;
mod corpus;
#[path = "../build/each.rs"]
mod each;
mod edited_databases;
mod engines;
mod erased;
mod final_stage;
#[path = "../format/mod.rs"]
mod format;
#[path = "../build/hostile.rs"]
mod hostile;
mod images;
mod jekyll;
mod judged;
mod loads;
mod managers;
mod packages;
mod packings;
#[path = "../build/prepared.rs"]
mod prepared;
mod proofs;
mod pushes;
mod python;
mod reference;
mod registries;
mod removals;
mod rewrites;
mod running;
mod saved;
mod scanner;
mod slimmed;
mod stripped;
#[path = "../build/suite.rs"]
mod suite;
mod tools;
#[path = "../build/tree.rs"]
mod tree;
mod trees;
mod walked;
#[path = "../build/ways.rs"]
mod ways;
mod ways_in_full;
