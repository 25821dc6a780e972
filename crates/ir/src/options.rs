//! What a user asks of an optimization beside its level.

use jettison_image::Tree;

use crate::pattern::Pattern;

/// Wishes about an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// Paths that stay, whatever a pass says.
    pub keep: Vec<Pattern>,
    /// Languages whose texts stay: `de`, `pt_BR`; all of them where `all` is named.
    pub keep_locales: Vec<String>,
    /// Packages that are to go, with what only they need.
    pub purge: Vec<String>,
    /// Groups of packages that are to go: apk's virtual packages.
    pub virtuals: Vec<String>,
    /// Whether the configuration of packages that go goes as well.
    pub purge_configuration: bool,
    /// Whether compiled Python goes where its source is there.
    pub drop_compiled_python: bool,
    /// Whether files that are secrets go.
    pub remove_secrets: bool,
}

impl ImageOptions {
    /// The pattern that keeps a path, itself or by a folder above it; `path` is without its leading slash.
    #[must_use]
    pub fn keeps(&self, path: &[u8]) -> Option<&Pattern> {
        self.keep.iter().find(|pattern| pattern.matches(path))
    }

    /// The patterns of what is to be kept that match no path of any of these trees: they may be mistyped.
    #[must_use]
    pub fn idle<'o>(&'o self, trees: &[&Tree<'_>]) -> Vec<&'o Pattern> {
        let mut idle: Vec<&Pattern> = self.keep.iter().collect();
        for tree in trees {
            for node in tree.walk() {
                if idle.is_empty() {
                    return idle;
                }
                let path = tree.path(node);
                idle.retain(|pattern| !pattern.matches(&path));
            }
        }
        idle
    }
}
