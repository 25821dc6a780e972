//! What passes on images share: rules of what is waste, what the image names itself, and which homes and settings it has.

pub(crate) mod calls;
pub(crate) mod digests;
pub(crate) mod histories;
pub(crate) mod languages;
pub(crate) mod mentions;
pub(crate) mod named;
pub(crate) mod places;
pub(crate) mod python;
pub(crate) mod records;
pub(crate) mod removal;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod test_folders;
pub(crate) mod test_use;
pub(crate) mod trees;
pub(crate) mod waste;
