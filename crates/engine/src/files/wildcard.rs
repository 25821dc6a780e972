//! Sources with wildcards: Go's `filepath.Match` over the paths of a source, as BuildKit goes about it.

use std::path::{Path, PathBuf};

use jettison_syntax::ignore::matches_pattern;

use super::FilesError;
use super::resolve::{self, Last, shown};
use super::walk::View;

/// Whether a path, or a part of one, has wildcards.
pub(super) fn has_wildcards(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '?' | '[' => return true,
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    false
}

/// Splits a clean absolute path before its first part with wildcards.
pub(super) fn split(path: &str) -> (&str, &str) {
    let mut start = 0;
    for part in path.split_inclusive('/') {
        if has_wildcards(part.trim_end_matches('/')) {
            return path.split_at(start);
        }
        start += part.len();
    }
    (path, "")
}

/// The paths that match, sorted; what lies in a folder that matches is not looked at. The part without wildcards
/// may lead through links, the rest does not. A folder without wildcards that is not there is an error.
pub(super) fn matches(view: &View<'_>, source: &str) -> Result<Vec<PathBuf>, FilesError> {
    let (base, pattern) = split(source);
    let base_path = resolve::follow(view.root, Path::new(base), Last::Follow)?;
    match view.look(&base_path)? {
        Some(stat) if stat.is_folder() => {}
        _ => {
            return Err(FilesError::NotFound {
                path: shown(Path::new(base.trim_end_matches('/'))),
                hint: String::new(),
            });
        }
    }
    let bad = |_| FilesError::Pattern { pattern: source.to_owned() };
    // Malformed patterns are found even where there is nothing to match.
    matches_pattern(pattern, "").map_err(bad)?;
    // Classes may match slashes in Go, so that the number of parts says nothing of what they match.
    let deepest = if pattern.contains('[') { usize::MAX } else { pattern.split('/').count() };
    let mut found = Vec::new();
    let mut waiting = vec![(PathBuf::new(), 1)];
    while let Some((folder, depth)) = waiting.pop() {
        for entry in view.list(&base_path.join(&folder))? {
            let path = folder.join(entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if matches_pattern(pattern, &path.to_string_lossy()).map_err(bad)? {
                let whole = base_path.join(&path);
                if view.look(&whole)?.is_some() {
                    found.push(whole);
                }
            } else if is_folder && depth < deepest {
                waiting.push((path, depth + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{has_wildcards, split};

    #[test]
    fn paths_are_split_before_wildcards() {
        for (path, base, pattern) in [
            ("/a/b*/c", "/a/", "b*/c"),
            ("/a/b", "/a/b", ""),
            ("/*", "/", "*"),
            ("/a\\*b/c?", "/a\\*b/", "c?"),
            ("/arr[[]0].txt", "/", "arr[[]0].txt"),
        ] {
            assert_eq!(split(path), (base, pattern), "{path}");
        }
        assert!(!has_wildcards("a\\*") && has_wildcards("a\\\\*"));
    }
}
