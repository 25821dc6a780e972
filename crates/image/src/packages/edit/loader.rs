//! The loader's cache `/etc/ld.so.cache` without libraries that are gone, as `ldconfig` writes it (glibc's
//! `sysdeps/generic/dl-cache.h`, `elf/cache.c` and `elf/stringtable.c`).

mod format;
mod texts;

use hashbrown::HashSet;

use super::{Change, EditError, Editor, doubt};
use format::Cache;

const CACHE: &[u8] = b"etc/ld.so.cache";

/// Links followed from a library's name (path_resolution(7)).
const MOST_LINKS: usize = 40;

pub(super) fn without(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let Some(file) = editor.database.text(CACHE)? else { return Ok(()) };
    if !editor.stays(&file.path) {
        return Ok(());
    }
    let not_read = || doubt(&file.path, "it is not what ldconfig writes");
    let Some(mut cache) = Cache::read(&file.content) else {
        return if names_gone(editor, &file.content) { Err(not_read()) } else { Ok(()) };
    };
    cache.retain(|path| !leads_to_gone(editor, path));
    let new = cache.write().ok_or_else(not_read)?;
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}

/// Whether a library is there no longer: itself, or what its links lead to.
fn leads_to_gone(editor: &mut Editor<'_, '_>, path: &[u8]) -> bool {
    let mut at = editor.database.canonical(path);
    for _ in 0..MOST_LINKS {
        if editor.changes.get(&at) == Some(&Change::Gone) {
            return true;
        }
        let Some(target) = editor.target(&at) else { return false };
        let folder = at.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |end| &at[..end]);
        let next = if target.starts_with(b"/") { target.to_vec() } else { [folder, b"/", target].concat() };
        at = editor.database.canonical(&next);
    }
    false
}

/// Whether a cache that is not understood has a text that ends in the name of something that is gone.
fn names_gone(editor: &Editor<'_, '_>, content: &[u8]) -> bool {
    fn name(path: &[u8]) -> &[u8] {
        path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
    let gone = editor.changes.iter().filter(|(_, change)| **change == Change::Gone);
    let gone: HashSet<&[u8]> = gone.map(|(path, _)| name(path)).collect();
    content.split(|&byte| byte == 0).any(|text| text.contains(&b'/') && gone.contains(name(text)))
}
