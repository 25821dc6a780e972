//! `jettison build` but for the engine: what is asked, how it is shown, and what is written.

pub(crate) mod cancel;
pub(crate) mod context;
pub(crate) mod embedded;
pub(crate) mod engines;
pub(crate) mod export;
pub(crate) mod failure;
pub(crate) mod local;
pub(crate) mod outputs;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod proof;
mod pushing;
pub(crate) mod released;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod results;
pub(crate) mod run;
pub(crate) mod values;
pub(crate) mod write;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use cancel::interrupt;
