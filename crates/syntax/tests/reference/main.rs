//! The tree against the reference parser: its own cases, and thousands of real files with what it makes of each.

mod cases;
mod corpus;
mod data;
mod seen;
