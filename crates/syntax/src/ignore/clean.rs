//! Paths in their shortest form, as Go's `filepath.Clean` makes them, and what the reader does to a pattern before it is
//! matched.

/// Go's `filepath.Clean` with slashes: no empty parts, no `.`, `..` resolved where it can be; `.` where nothing is left.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// A line's pattern, trimmed, after the reader of the file and the constructor of the matcher have cleaned it: the `!`
/// stays in front, one leading slash goes.
pub(super) fn read(written: &str) -> String {
    let (mark, rest) = match written.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", written),
    };
    let mut cleaned = if rest.is_empty() { String::new() } else { clean(rest) };
    if cleaned.len() > 1 && cleaned.starts_with('/') {
        cleaned.remove(0);
    }
    // The matcher's constructor trims and cleans once more, now with the mark in front: `!/` becomes `!`.
    clean(format!("{mark}{cleaned}").trim())
}
