//! dpkg's database without some packages: `status` or `status.d`, the marks of apt, the interests in triggers. What a
//! removal leaves is what `dpkg --remove` and `dpkg --purge` were seen to leave (dpkg 1.21; `src/main/remove.c`).

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;

use super::blocks::{field, pieces, text, without_lines};
use super::files::Listed;
use super::{Change, EditError, Editor, Package, Rest, alternatives, debconf, diversions, doubt, info, units, within};
use crate::packages::database::shown;

/// The packages that go, as dpkg sees them.
pub(super) struct Going<'e> {
    /// The folder of the database, a path in the tree.
    pub(super) place: &'e [u8],
    /// The places of those whose configuration or last script stays (`config-files`).
    pub(super) leaving: BTreeSet<usize>,
    /// The files about packages.
    pub(super) files: info::Files,
}

/// A change to a part of the database, made when all is known to be understood.
type Rewritten = Vec<(Vec<u8>, Change)>;

pub(super) fn without(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let place = editor.packages.place.as_slice();
    let place_of_all = place.strip_suffix(b"/status.d").unwrap_or(place);
    let files = info::Files::of(editor, place_of_all);
    let mut going = Going { place: place_of_all, leaving: BTreeSet::new(), files };
    let databases = databases(editor, &mut going)?;
    let mut listed = Listed { files: info::files(editor, &going)?, ..Listed::default() };
    for at in &going.leaving {
        listed.kept.extend(editor.packages.packages[*at].configuration.iter().cloned());
    }
    diversions::undo(editor, &going)?;
    let mut folders = editor.remove_files(&listed)?;
    alternatives::without(editor, &within(going.place, b"alternatives"))?;
    if editor.rest == Rest::Purge {
        folders.extend(units::forget(editor, &going)?);
        debconf::forget(editor)?;
    }
    folders.extend(editor.remove_compiled());
    folders.extend(unlisted_folders(editor, place));
    editor.remove_empty(folders);
    info::without(editor, &going)?;
    triggers(editor, &going)?;
    marks(editor)?;
    editor.changes.extend(databases);
    Ok(())
}

/// `status` and the files of `status.d` without the packages, each of which must be there exactly once.
fn databases(editor: &mut Editor<'_, '_>, going: &mut Going<'_>) -> Result<Rewritten, EditError> {
    let mut found: BTreeMap<usize, usize> = editor.gone.iter().map(|at| (*at, 0)).collect();
    let mut rewritten = Rewritten::new();
    let status = within(going.place, b"status");
    if let Some(status) = editor.database.text(&status)? {
        let mut new = Vec::new();
        for piece in pieces(&status.content) {
            match installed(editor, piece, &status.path)? {
                None => new.extend_from_slice(piece),
                Some(at) => {
                    *found.entry(at).or_default() += 1;
                    if info::leaves_something(editor, going, at, piece) {
                        going.leaving.insert(at);
                        new.extend(left(piece));
                    }
                }
            }
        }
        if new != status.content {
            rewritten.push((status.path, Change::Content(new)));
        }
    }
    let folder = within(going.place, b"status.d");
    for name in editor.database.names(&folder).into_iter().filter(|name| !name.ends_with(b".md5sums")) {
        let Some(part) = editor.database.text(&within(&folder, &name))? else { continue };
        let pieces = pieces(&part.content);
        for piece in &pieces {
            let Some(at) = gone_at(editor, piece) else { continue };
            if pieces.len() > 1 {
                return Err(doubt(&part.path, "several packages share a list of files"));
            }
            *found.entry(at).or_default() += 1;
            let sums = [part.path.as_slice(), b".md5sums"].concat();
            if editor.tree.find(&sums).is_some() {
                rewritten.push((sums, Change::Gone));
            }
            rewritten.push((part.path.clone(), Change::Gone));
        }
    }
    match found.into_iter().find(|(_, times)| *times != 1) {
        None => Ok(rewritten),
        Some((at, _)) => {
            let package = editor.packages.packages[at].name.clone();
            Err(EditError::Entry { file: shown(&status), package })
        }
    }
}

/// The place of the package that a block is about, where it goes.
fn gone_at(editor: &Editor<'_, '_>, block: &[u8]) -> Option<usize> {
    let (name, architecture) = (text(block, "Package"), text(block, "Architecture"));
    let is_it = |package: &Package| package.name == name && package.architecture == architecture;
    editor.gone.iter().copied().find(|at| is_it(&editor.packages.packages[*at]))
}

/// The same, where it is installed as well, and whole.
fn installed(editor: &Editor<'_, '_>, block: &[u8], file: &[u8]) -> Result<Option<usize>, EditError> {
    let waiting = text(block, "Triggers-Awaited");
    if waiting.split_whitespace().any(|name| editor.names_gone(name)) {
        return Err(doubt(file, "a package waits for one that is to go"));
    }
    let state = text(block, "Status");
    let words: Vec<&str> = state.split_whitespace().collect();
    let is_rest = matches!(words.last(), Some(&"config-files" | &"not-installed"));
    match gone_at(editor, block).filter(|_| !is_rest) {
        Some(at) if matches!(words.as_slice(), ["install" | "deinstall" | "purge", "ok", "installed"]) => Ok(Some(at)),
        Some(at) => Err(EditError::State { package: editor.packages.packages[at].name.clone(), state }),
        None => Ok(None),
    }
}

/// What is left of a block in the state `config-files`: all of it, with the version that the configuration is of.
fn left(block: &[u8]) -> Vec<u8> {
    let mut new = Vec::new();
    for line in block.lines_with_terminator() {
        let is = |name: &str| {
            let field = line.split_once_str(":").map(|(field, _)| field);
            field.is_some_and(|field| field.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is("Status") {
            new.extend_from_slice(b"Status: deinstall ok config-files\n");
        } else if !is("Config-Version") && !is("Essential") && !is("Protected") {
            new.extend_from_slice(line);
        }
        if is("Version") {
            let version = field(line, "Version").unwrap_or_default();
            new.extend_from_slice(&[b"Config-Version: ", version, b"\n"].concat());
        }
    }
    new
}

/// In `status.d` no list has folders: those count in which only files of such packages were, but for the upper ones.
fn unlisted_folders(editor: &Editor<'_, '_>, place: &[u8]) -> Vec<Vec<u8>> {
    let mut folders = BTreeSet::new();
    if place.ends_with(b"/status.d") {
        let paths =
            editor.changes.iter().filter(|(_, change)| **change == Change::Gone).map(|(path, _)| path.as_slice());
        for path in paths {
            let parents = std::iter::successors(Some(path), |path| Some(path.rsplit_once_str("/")?.0)).skip(1);
            folders.extend(parents.filter(|folder| folder.find_iter("/").count() > 1).map(<[u8]>::to_vec));
        }
    }
    folders.into_iter().collect()
}

/// Who waits for which trigger: `PATH PACKAGE/noawait` in `File`, a name a line in files that are named by their triggers.
fn triggers(editor: &mut Editor<'_, '_>, going: &Going<'_>) -> Result<(), EditError> {
    let folder = within(going.place, b"triggers");
    for name in editor.database.names(&folder) {
        if matches!(name.as_slice(), b"Lock" | b"Unincorp") {
            continue;
        }
        let Some(file) = editor.database.text(&within(&folder, &name))? else { continue };
        let is_gone = |line: &[u8]| {
            let word = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            let name = word.split(|&byte| byte == b'/').next().unwrap_or_default();
            editor.names_gone(&name.to_str_lossy())
        };
        let new = without_lines(&file.content, is_gone);
        if new.is_empty() && !file.content.is_empty() {
            editor.remove(file.path);
        } else {
            editor.rewrite(file.path, &file.content, new);
        }
    }
    Ok(())
}

/// apt's marks of what it installed because of others. What is for all architectures is marked under the machine's own.
fn marks(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let Some(file) = editor.database.text(b"var/lib/apt/extended_states")? else { return Ok(()) };
    let is_gone = |block: &&[u8]| {
        let (name, architecture) = (text(block, "Package"), text(block, "Architecture"));
        let is_it = |one: &Package| {
            let fits = ["", "all", &*one.architecture].contains(&&*architecture) || one.architecture == "all";
            one.name == name && fits
        };
        editor.gone_packages().any(is_it) && !editor.staying().any(is_it)
    };
    let new: Vec<&[u8]> = pieces(&file.content).into_iter().filter(|block| !is_gone(block)).collect();
    editor.rewrite(file.path, &file.content, new.concat());
    Ok(())
}
