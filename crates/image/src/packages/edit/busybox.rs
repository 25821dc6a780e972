//! Alpine's busybox makes links for all that it can do and that nothing else does. A tool in its own right that goes is
//! followed by one of these, since busybox has a trigger on the folders of programs.

use bstr::ByteSlice as _;
use hashbrown::HashSet;

use super::{Change, EditError, Editor, doubt, within};
use crate::layer::Kind;

/// Lists of all that each of its programs can do, from Alpine 3.17 on.
const LISTS: &[u8] = b"etc/busybox-paths.d";

/// The folders that its trigger looks at.
const PROGRAMS: [&[u8]; 4] = [b"bin/", b"sbin/", b"usr/bin/", b"usr/sbin/"];

const PROGRAM: &[u8] = b"bin/busybox";

pub(super) fn stand_in(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let program = editor.database.canonical(PROGRAM);
    if editor.kind(&program) != Some(Kind::File) || !editor.stays(&program) {
        return Ok(());
    }
    let is_program = |path: &&Vec<u8>| PROGRAMS.iter().any(|folder| path.starts_with(folder));
    let gone = editor.changes.iter().filter(|(_, change)| **change == Change::Gone).map(|(path, _)| path);
    let programs: Vec<Vec<u8>> = gone.filter(is_program).cloned().collect();
    let names = editor.database.names(LISTS);
    if !names.is_empty() {
        return names.iter().try_for_each(|name| stand_in_for(editor, name, &programs));
    }
    // Without a list the names of what it can do are in the program itself, but not the folders.
    if programs.is_empty() {
        return Ok(());
    }
    let content = editor.database.text(&program)?.map(|file| file.content).unwrap_or_default();
    for path in &programs {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if content.contains_str([b"\0", name, b"\0"].concat()) {
            return Err(doubt(path, "it is not known whether busybox stands in for it"));
        }
    }
    Ok(())
}

/// Makes the links of the program of a list.
fn stand_in_for(editor: &mut Editor<'_, '_>, name: &[u8], programs: &[Vec<u8>]) -> Result<(), EditError> {
    let Some(list) = editor.database.text(&within(LISTS, name))? else { return Ok(()) };
    let program = editor.database.canonical(&within(b"bin", name));
    if !editor.stays(&program) || !editor.stays(&list.path) {
        return Ok(());
    }
    let paths: HashSet<Vec<u8>> = list.content.lines().map(|line| editor.database.canonical(line)).collect();
    let target = [b"/bin/", name].concat();
    for path in programs.iter().filter(|path| paths.contains(*path)) {
        // How its links are written is seen from one that is there.
        if !paths.iter().any(|other| editor.target(other) == Some(target.as_slice())) {
            return Err(doubt(path, "busybox has no link that shows how it makes them"));
        }
        editor.changes.insert(path.clone(), Change::Target(target.clone()));
    }
    Ok(())
}
