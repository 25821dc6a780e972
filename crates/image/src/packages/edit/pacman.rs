//! pacman's database without some packages: a folder for each (alpm's `lib/libalpm/remove.c`).

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use hashbrown::HashMap;

use super::files::Listed;
use super::{Change, EditError, Editor, Package, Rest, doubt, sums, within};
use crate::layer::Kind;
use crate::packages::database::shown;
use crate::packages::mtree;

/// What pacman puts behind the name of configuration that somebody changed.
const SAVED: &[u8] = b".pacsave";

pub(super) fn without(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let (mut listed, mut folders) = (Listed::default(), Vec::new());
    let mut own = Vec::new();
    for package in editor.gone_packages() {
        let folder = within(&editor.packages.place, format!("{}-{}", package.name, package.version).as_bytes());
        if editor.kind(&folder) != Some(Kind::Directory) || editor.kind(&within(&folder, b"desc")) != Some(Kind::File) {
            return Err(EditError::Entry { file: shown(&editor.packages.place), package: package.name.clone() });
        }
        let sums = learn(editor, &within(&folder, b"files"), &mut listed)?;
        if editor.rest == Rest::Keep {
            save_changed(editor, package, &sums)?;
        }
        own.push(folder);
    }
    folders.extend(editor.remove_files(&listed)?);
    for folder in own {
        for path in editor.within(&folder) {
            if editor.kind(&path) == Some(Kind::Directory) {
                return Err(doubt(&path, "the database has a folder in a package"));
            }
            editor.remove(path);
        }
        folders.push(folder);
    }
    editor.remove_empty(folders);
    Ok(())
}

/// A package's `files` has a path a line, and its `mtree` a line a path with its attributes, which `pacman -Qkk` compares
/// with what is there (mtree(5) of libarchive).
pub(super) fn forget(editor: &mut Editor<'_, '_>, paths: &BTreeSet<&Vec<u8>>) -> Result<(), EditError> {
    for package in editor.staying().filter(|package| package.files.iter().any(|path| paths.contains(path))) {
        let folder = within(&editor.packages.place, format!("{}-{}", package.name, package.version).as_bytes());
        let path = within(&folder, b"files");
        let Some(file) = editor.database.text(&path)? else { return Err(doubt(&path, "it is not there")) };
        let new = without_lines(&file.content, |line| {
            let path = line.split_once_str("\t").map_or(line, |(path, _)| path);
            paths.contains(&editor.database.canonical(path))
        });
        editor.rewrite(path, &file.content, new);
        let path = within(&folder, b"mtree");
        let Some(file) = editor.database.text(&path)? else { continue };
        let old = mtree::unpacked(&file.content).ok_or_else(|| doubt(&path, "it is no gzip"))?;
        let new = without_lines(&old, |line| {
            mtree::path(line).is_some_and(|path| paths.contains(&editor.database.canonical(&path)))
        });
        if new != old {
            let new = mtree::packed(&new).ok_or_else(|| doubt(&path, "it cannot be packed"))?;
            editor.rewrite(path, &file.content, new);
        }
    }
    Ok(())
}

fn without_lines(content: &[u8], mut is_gone: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let lines = content.lines_with_terminator();
    lines.filter(|line| !is_gone(line.trim_end_with(|c| c == '\n'))).flatten().copied().collect()
}

/// Folders end in slashes; configuration has the MD5 that it was installed with, which is returned by paths.
fn learn(
    editor: &mut Editor<'_, '_>,
    path: &[u8],
    listed: &mut Listed,
) -> Result<HashMap<Vec<u8>, Vec<u8>>, EditError> {
    let mut sums = HashMap::new();
    let Some(file) = editor.database.text(path)? else { return Ok(sums) };
    let mut section: &[u8] = b"";
    for line in file.content.lines().filter(|line| !line.is_empty()) {
        if line.starts_with(b"%") {
            section = line;
        } else if section == b"%BACKUP%" {
            let (path, sum) = line.split_once_str("\t").unwrap_or((line, b""));
            sums.insert(editor.database.canonical(path), sum.to_vec());
        } else if section == b"%FILES%" {
            let path = editor.database.canonical(line);
            if line.ends_with(b"/") {
                listed.folders.insert(path)
            } else {
                listed.files.insert(path)
            };
        }
    }
    Ok(sums)
}

/// Configuration that somebody changed is put aside under another name.
fn save_changed(
    editor: &mut Editor<'_, '_>,
    package: &Package,
    sums: &HashMap<Vec<u8>, Vec<u8>>,
) -> Result<(), EditError> {
    for path in &package.configuration {
        if editor.kind(path) != Some(Kind::File) || editor.is_held(path) || !package.files.contains(path) {
            continue;
        }
        let content = editor.database.text(path)?.map(|file| file.content).unwrap_or_default();
        let sum = sums::hexadecimal(&sums::md5(&content));
        if sums.get(path).is_some_and(|own| *own == sum.as_bytes()) {
            continue;
        }
        let saved = [path, SAVED].concat();
        // Those that were put aside earlier would move on.
        if editor.tree.find(&saved).is_some() {
            return Err(doubt(&saved, "there is one already"));
        }
        editor.changes.insert(saved, Change::Moved(path.clone()));
        editor.changes.insert(path.clone(), Change::Gone);
    }
    Ok(())
}
