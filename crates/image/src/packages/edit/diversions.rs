//! Diversions (dpkg-divert(1)): files of other packages that a package had moved out of its way. A package takes its own
//! back in its scripts, and the files return to their places.

use bstr::ByteSlice as _;

use super::dpkg::Going;
use super::{Change, EditError, Editor, Package, doubt, info, within};
use crate::layer::Kind;

pub(super) fn undo(editor: &mut Editor<'_, '_>, going: &Going<'_>) -> Result<(), EditError> {
    let Some(file) = editor.database.text(&within(going.place, b"diversions"))? else { return Ok(()) };
    let lines: Vec<&[u8]> = file.content.lines().collect();
    let mut new = Vec::new();
    for three in lines.chunks(3) {
        let [from, to, by] = three else { return Err(doubt(&file.path, "a diversion has three lines")) };
        let is_by = |package: &&Package| package.name.as_bytes() == *by;
        let Some(package) = editor.gone_packages().find(is_by).filter(|_| !editor.staying().any(|one| is_by(&one)))
        else {
            new.extend(three.iter().flat_map(|line| [*line, b"\n"]).flatten().copied());
            continue;
        };
        let scripts =
            [info::content(editor, going, package, "prerm")?, info::content(editor, going, package, "postrm")?];
        let undoes =
            |script: &Vec<u8>| ["dpkg-divert", "--remove", "--rename"].iter().all(|word| script.contains_str(word));
        if !scripts.iter().any(undoes) {
            return Err(doubt(&file.path, "a package does not take its diversion back"));
        }
        let (from, to) = (editor.database.canonical(from), editor.database.canonical(to));
        put_back(editor, from, to)?;
    }
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}

/// What was moved away returns, where the place is free then.
fn put_back(editor: &mut Editor<'_, '_>, from: Vec<u8>, to: Vec<u8>) -> Result<(), EditError> {
    // What a package that goes as well had moved away goes.
    if editor.tree.find(&to).is_none() || editor.is_theirs(&to) {
        return Ok(());
    }
    let is_folder = |path: &[u8]| editor.kind(path) == Some(Kind::Directory);
    if is_folder(&from) || is_folder(&to) {
        return Err(doubt(&to, "a folder was diverted"));
    }
    if editor.tree.find(&from).is_some() && !editor.is_theirs(&from) {
        return Err(doubt(&from, "the place of a diverted file is taken"));
    }
    editor.changes.insert(from, Change::Moved(to.clone()));
    editor.changes.insert(to, Change::Gone);
    Ok(())
}
