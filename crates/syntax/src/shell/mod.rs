//! The shell inside instructions.
