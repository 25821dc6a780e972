//! Git repositories as sources of ADD and as build contexts.

mod checkout;
mod reference;

pub use checkout::{CheckoutOptions, checkout};
pub use reference::GitReference;
pub(super) use reference::decode;
