//! The lossless tree of a Dockerfile.
