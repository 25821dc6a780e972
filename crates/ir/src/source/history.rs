//! What changed in the build context over the last commits of its repository.

/// The last commits that touch the build context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// For each commit, the newest first, the paths that it changed: relative to the context, with slashes.
    pub commits: Vec<Vec<String>>,
}
