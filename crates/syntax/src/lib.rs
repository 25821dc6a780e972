//! Dockerfiles, the shell inside them and `.dockerignore`: text to a lossless tree and back, typed views of
//! what the text means, and an editor that keeps the file's own style.

pub mod dockerfile;
pub mod editor;
pub mod expand;
pub mod ignore;
pub mod packages;
pub mod path;
pub mod shell;
mod span;
pub mod view;

pub use span::Span;
