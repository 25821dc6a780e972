//! `/etc/ld.so.conf` and what it includes.

use bstr::ByteSlice as _;

/// Includes are followed so far.
const INCLUDES: usize = 8;

/// The folders that a loader's configuration names, in order (ldconfig(8)): a folder a line, `#` begins a comment,
/// `include` takes files by a pattern with at most one star, in its last name, which is all that is in use. `content` gives
/// a file's content, `names` the names in a folder, sorted.
pub fn configured_folders(
    path: &[u8],
    content: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    names: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let mut folders = Vec::new();
    read(path, content, names, &mut folders, INCLUDES);
    folders
}

fn read(
    path: &[u8],
    content: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    names: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>,
    folders: &mut Vec<Vec<u8>>,
    depth: usize,
) {
    let Some(text) = content(path).filter(|_| depth > 0) else { return };
    for line in text.lines() {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if let Some(patterns) =
            line.strip_prefix(b"include").filter(|rest| rest.starts_with_str(" ") || rest.starts_with_str("\t"))
        {
            for pattern in patterns.split(|byte| byte.is_ascii_whitespace()).filter(|pattern| !pattern.is_empty()) {
                for file in matching(path, pattern, names) {
                    read(&file, content, names, folders, depth - 1);
                }
            }
        } else if line.starts_with(b"/") {
            // `folder=type` was the form of old libraries.
            let folder = line.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
            folders.push(folder.to_vec());
        }
    }
}

/// The files that a pattern names, from the folder of the file that has it.
fn matching(from: &[u8], pattern: &[u8], names: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let folder_of = |path: &[u8]| path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or_default()].to_vec();
    let absolute =
        if pattern.starts_with(b"/") { pattern.to_vec() } else { [folder_of(from).as_slice(), b"/", pattern].concat() };
    let folder = folder_of(&absolute);
    let name = &absolute[folder.len() + 1..];
    let Some(star) = name.iter().position(|&byte| byte == b'*') else { return vec![absolute] };
    let (start, end) = (&name[..star], &name[star + 1..]);
    let is_one = |name: &Vec<u8>| {
        let is_long = name.len() >= start.len() + end.len();
        is_long && name.starts_with(start) && name.ends_with(end) && (!name.starts_with(b".") || !start.is_empty())
    };
    let found = names(&folder).into_iter().filter(is_one);
    found.map(|name| [folder.as_slice(), b"/", &name].concat()).collect()
}
