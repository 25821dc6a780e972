//! Git repositories as sources of ADD and as build contexts, and the history of those that contexts lie in.

mod checkout;
mod history;
mod program;
mod reference;

pub use checkout::{CheckoutOptions, checkout};
pub use history::{Commit, HistoryError, contents, history};
pub use reference::GitReference;
pub(super) use reference::decode;
