//! Databases that no longer list some files of packages that stay, or as left out: what managers would say of packages that
//! were installed without these files, so that nothing counts as missing.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;

use super::super::Manager;
use super::{EditError, Edited, Editor, doubt, pacman, rpm, within};

/// The databases without the files at some paths, which are those that packages have and that are gone.
pub(super) fn forget(mut editor: Editor<'_, '_>, paths: &BTreeSet<Vec<u8>>) -> Result<Edited, EditError> {
    let packages = editor.packages;
    let is_listed = |path: &Vec<u8>| packages.owners(path).iter().any(|at| !editor.gone.contains(at));
    let paths: BTreeSet<&Vec<u8>> = paths.iter().filter(|path| is_listed(path)).collect();
    if !paths.is_empty() {
        match packages.manager {
            Manager::Apk => installed(&mut editor, &paths)?,
            Manager::Dpkg => lists(&mut editor, &paths)?,
            Manager::Pacman => pacman::forget(&mut editor, &paths)?,
            Manager::Rpm => rpm::forget(&mut editor, &paths)?,
        }
    }
    Ok(Edited { changes: editor.changes })
}

/// dpkg's `info/NAME.list` has a path a line, `NAME.md5sums` a sum, two blanks and a path without its leading slash.
fn lists(editor: &mut Editor<'_, '_>, paths: &BTreeSet<&Vec<u8>>) -> Result<(), EditError> {
    let packages = editor.packages;
    let owners: BTreeSet<usize> = paths.iter().flat_map(|path| packages.owners(path)).copied().collect();
    for at in owners.into_iter().filter(|at| !editor.gone.contains(at)) {
        let package = &packages.packages[at];
        let full = format!("{}:{}", package.name, package.architecture);
        let mut is_found = false;
        for (name, what) in [&full, &package.name].into_iter().flat_map(|name| [(name, "list"), (name, "md5sums")]) {
            let path = within(&packages.place, format!("info/{name}.{what}").as_bytes());
            is_found |= without_lines(editor, &path, paths)?;
        }
        // Images that are made without dpkg have a file a package, and sums beside it.
        let sums = within(&packages.place, format!("{}.md5sums", package.name).as_bytes());
        is_found |= without_lines(editor, &sums, paths)?;
        if !is_found {
            return Err(doubt(&packages.place, "a package has no list of its files"));
        }
    }
    Ok(())
}

/// Whether there is such a list; it is rewritten where it has any of the paths.
fn without_lines(editor: &mut Editor<'_, '_>, path: &[u8], paths: &BTreeSet<&Vec<u8>>) -> Result<bool, EditError> {
    let Some(text) = editor.database.text(path)? else { return Ok(false) };
    let mut new = Vec::with_capacity(text.content.len());
    for line in text.content.lines_with_terminator() {
        let name = line.trim_end_with(|c| c == '\n');
        let name = name.split_once_str("  ").map_or(name, |(_, name)| name);
        if !paths.contains(&editor.database.canonical(name)) {
            new.extend_from_slice(line);
        }
    }
    editor.rewrite(text.path, &text.content, new);
    Ok(true)
}

/// apk's `installed` has `F:` and a folder, then `R:` and a name for each file in it; `M:`, `a:` and `Z:` say more of the last
/// one. A folder without files may stay in the list; one that is gone may not.
fn installed(editor: &mut Editor<'_, '_>, paths: &BTreeSet<&Vec<u8>>) -> Result<(), EditError> {
    let path = within(&editor.packages.place, b"installed");
    let Some(text) = editor.database.text(&path)? else { return Err(doubt(&path, "it is not there")) };
    let mut new = Vec::with_capacity(text.content.len());
    let mut folder: Vec<u8> = Vec::new();
    let (mut is_folder_gone, mut is_gone) = (false, false);
    for line in text.content.lines_with_terminator() {
        match line.trim_end_with(|c| c == '\n') {
            [b'F', b':', name @ ..] => {
                folder = name.to_vec();
                is_folder_gone = !name.is_empty() && paths.contains(&editor.database.canonical(name));
                is_gone = is_folder_gone;
            }
            [b'R', b':', name @ ..] => {
                is_gone = is_folder_gone || paths.contains(&editor.database.canonical(&within(&folder, name)));
            }
            [b'M' | b'a' | b'Z', b':', ..] => {}
            _ => is_gone = false,
        }
        if !is_gone {
            new.extend_from_slice(line);
        }
    }
    editor.rewrite(text.path, &text.content, new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::read;
    use super::super::{Change, forget};
    use crate::text::ImageText;
    use crate::{Kind, Layer, Limits, Tree};

    fn changed(image: &str, paths: &[&str]) -> Vec<(String, String)> {
        let text: ImageText = image.parse().unwrap();
        let tar = text.tars().unwrap().remove(0);
        let layer = Layer::read(&tar[..], Limits::default()).unwrap();
        let tree = Tree::of([&layer]).unwrap();
        let mut content = |node| {
            let (_, entry) = tree.entry(tree.origin(node)).filter(|(_, entry)| entry.kind == Kind::File)?;
            let start = usize::try_from(entry.data_offset).ok()?;
            Some(tar[start..][..usize::try_from(entry.size).ok()?].to_vec())
        };
        let packages = read(&tree, &mut content).unwrap().remove(0);
        let paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let edited = forget(&tree, &mut content, &packages, &Default::default(), &paths).unwrap();
        let text = |change: &Change| match change {
            Change::Content(content) => String::from_utf8(content.clone()).unwrap(),
            other => panic!("{other:?}"),
        };
        edited.changes.iter().map(|(path, change)| (String::from_utf8(path.clone()).unwrap(), text(change))).collect()
    }

    #[test]
    fn dpkg_no_longer_lists_files_that_are_gone() {
        let image = "layer 1\n  f 0644 0:0 \"Package: a\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n\\n\" /var/lib/dpkg/status\n  \
                     f 0644 0:0 \"/.\\n/usr\\n/usr/a\\n/usr/doc\\n/usr/doc/a\\n\" /var/lib/dpkg/info/a.list\n  \
                     f 0644 0:0 \"11  usr/a\\n22  usr/doc/a\\n\" /var/lib/dpkg/info/a.md5sums\n  f 0644 0:0 \"\" /usr/a\n  f 0644 0:0 \"\" /usr/doc/a\n";
        let changed = changed(image, &["usr/doc", "usr/doc/a", "usr/other"]);
        let expected =
            [("var/lib/dpkg/info/a.list", "/.\n/usr\n/usr/a\n"), ("var/lib/dpkg/info/a.md5sums", "11  usr/a\n")];
        assert_eq!(changed, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn apk_no_longer_lists_files_that_are_gone() {
        let image = "layer 1\n  f 0644 0:0 \"P:a\\nV:1\\nF:usr\\nM:0:0:0755\\nR:a\\na:0:0:0755\\nZ:Q1\\nR:b\\nF:usr/doc\\nM:0:0:0755\\nR:c\\nZ:Q1\\n\\nP:b\\nV:1\\nF:usr/doc\\nR:d\\n\\n\" /lib/apk/db/installed\n  \
                     f 0644 0:0 \"a\\n\" /etc/apk/world\n";
        let changed = changed(image, &["usr/a", "usr/doc/c"]);
        let expected = "P:a\nV:1\nF:usr\nM:0:0:0755\nR:b\nF:usr/doc\nM:0:0:0755\n\nP:b\nV:1\nF:usr/doc\nR:d\n\n";
        assert_eq!(changed, [("lib/apk/db/installed".to_owned(), expected.to_owned())]);
    }
}
