//! apk's database without some packages: their blocks in `installed`, their names in `world`, their triggers and scripts
//! (apk-tools 2.14, `src/database.c`).

use bstr::ByteSlice as _;
use hashbrown::{HashMap, HashSet};
use sha2::Digest as _;

use super::blocks::{pieces, without_lines};
use super::files::Listed;
use super::{EditError, Editor, Package, Rest, busybox, doubt, sums, within};
use crate::layer::Kind;
use crate::packages::Capability;
use crate::packages::database::shown;
use crate::tar::{BLOCK, Member, Reader};

/// Where files are protected that people change, unless a list says otherwise (apk-protected_paths(5)).
const PROTECTED: &[u8] = b"etc";

/// Folders with such lists.
const PROTECTIONS: [&str; 2] = ["etc/apk/protected_paths.d", "usr/lib/apk/protected_paths.d"];

/// What the database says of the files of packages that go.
#[derive(Default)]
struct Files {
    listed: Listed,
    /// Checksums, by paths.
    sums: HashMap<Vec<u8>, String>,
}

pub(super) fn without(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let place = editor.packages.place.as_slice();
    let mut files = installed(editor, &within(place, b"installed"))?;
    if editor.rest == Rest::Keep {
        keep_changed(editor, &mut files)?;
    }
    let folders = editor.remove_files(&files.listed)?;
    busybox::stand_in(editor)?;
    editor.remove_empty(folders);
    world(editor)?;
    triggers(editor, &within(place, b"triggers"))?;
    // Where it is packed (apk 3) it stays: apk takes no notice of scripts of packages that are not there.
    scripts(editor, &within(place, b"scripts.tar"))
}

/// `X:value` lines with a blank line behind each package.
fn installed(editor: &mut Editor<'_, '_>, path: &[u8]) -> Result<Files, EditError> {
    let mut files = Files::default();
    let mut found: HashMap<usize, usize> = HashMap::new();
    let Some(file) = editor.database.text(path)? else { return Err(doubt(path, "it is not there")) };
    let mut new = Vec::new();
    for piece in pieces(&file.content) {
        let is = |at: &&usize| is_of(&editor.packages.packages[**at], piece);
        let Some(&at) = editor.gone.iter().find(is) else {
            new.extend_from_slice(piece);
            continue;
        };
        *found.entry(at).or_default() += 1;
        learn(editor, piece, &mut files);
    }
    for at in editor.gone {
        if found.get(at) != Some(&1) {
            let package = editor.packages.packages[*at].name.clone();
            return Err(EditError::Entry { file: shown(path), package });
        }
    }
    editor.rewrite(file.path, &file.content, new);
    Ok(files)
}

fn is_of(package: &Package, block: &[u8]) -> bool {
    let value = |letter: &str| block.lines().find_map(|line| line.strip_prefix(letter.as_bytes()));
    value("P:") == Some(package.name.as_bytes()) && value("V:") == Some(package.version.as_bytes())
}

/// `F:` is a folder, `R:` a file in it, `Z:` the file's checksum.
fn learn(editor: &mut Editor<'_, '_>, block: &[u8], files: &mut Files) {
    let (mut folder, mut path) = (&b""[..], Vec::new());
    for line in block.lines() {
        match line {
            [b'F', b':', value @ ..] => {
                folder = value;
                files.listed.folders.insert(editor.database.canonical(value));
            }
            [b'R', b':', value @ ..] => {
                path = editor.database.canonical(&within(folder, value));
                files.listed.files.insert(path.clone());
            }
            [b'Z', b':', value @ ..] => {
                files.sums.insert(path.clone(), value.to_str_lossy().into_owned());
            }
            _ => {}
        }
    }
}

/// The folders in which changed files are protected, or not, with all below them; the deepest that a file is in counts.
fn protections(editor: &mut Editor<'_, '_>) -> Result<Vec<(Vec<u8>, bool)>, EditError> {
    let mut all = vec![(PROTECTED.to_vec(), true)];
    for folder in PROTECTIONS {
        for name in editor.database.names(folder.as_bytes()).into_iter().filter(|name| name.ends_with(b".list")) {
            let Some(file) = editor.database.text(&within(folder.as_bytes(), &name))? else { continue };
            for line in file.content.lines().map(<[u8]>::trim).filter(|line| !line.is_empty() && line[0] != b'#') {
                if line.find_byteset(b"*?[").is_some() {
                    return Err(doubt(&file.path, "it protects paths by patterns"));
                }
                let path = line.trim_start_with(|letter| "-+@!/".contains(letter));
                all.push((editor.database.canonical(path), !line.starts_with(b"-")));
            }
        }
    }
    Ok(all)
}

/// What somebody changed where it is protected stays.
fn keep_changed(editor: &mut Editor<'_, '_>, files: &mut Files) -> Result<(), EditError> {
    let protections = protections(editor)?;
    let is_protected = |path: &&Vec<u8>| {
        let is_in = |folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"));
        let around = protections.iter().filter(|(folder, _)| is_in(folder));
        around.max_by_key(|(folder, _)| folder.len()).is_some_and(|(_, protects)| *protects)
    };
    let paths: HashSet<&Vec<u8>> = editor.gone_packages().flat_map(|one| &one.files).filter(is_protected).collect();
    for path in paths {
        let content = match editor.kind(path) {
            Some(Kind::File) => editor.database.text(path)?.map(|file| file.content),
            Some(Kind::Symlink) => editor.target(path).map(<[u8]>::to_vec),
            _ => continue,
        };
        let is_same = match (files.sums.get(path).and_then(|sum| sum.split_at_checked(2)), content) {
            (Some(("Q1", sum)), Some(content)) => sums::base64(&sums::sha1(&content)) == sum,
            (Some(("Q2", sum)), Some(content)) => sums::base64(&sha2::Sha256::digest(&content)) == sum,
            _ => false,
        };
        if !is_same {
            files.listed.kept.insert(path.clone());
        }
    }
    Ok(())
}

/// What was asked for: names of packages or of what they provide, with what is said of their versions.
fn world(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let Some(file) = editor.database.text(b"etc/apk/world")? else { return Ok(()) };
    let is_gone = |word: &&[u8]| {
        let named = editor.packages.named(&Capability::parse(&word.to_str_lossy()).name);
        !word.starts_with(b"!") && !named.is_empty() && named.iter().all(|at| editor.gone.contains(at))
    };
    let mut new = Vec::new();
    for line in file.content.lines_with_terminator() {
        let words: Vec<&[u8]> = line.fields().collect();
        let stay: Vec<&[u8]> = words.iter().copied().filter(|word| !is_gone(word)).collect();
        if stay.len() == words.len() {
            new.extend_from_slice(line);
        } else if !stay.is_empty() {
            new.extend([stay.join(&b' '), b"\n".to_vec()].concat());
        }
    }
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}

/// What apk knows a package by in its further files.
fn checksum(package: &Package) -> &[u8] {
    package.record.lines().find_map(|line| line.strip_prefix(b"C:")).unwrap_or_default()
}

/// A line has the checksum of a package and the folders that it looks at.
fn triggers(editor: &mut Editor<'_, '_>, path: &[u8]) -> Result<(), EditError> {
    let Some(file) = editor.database.text(path)? else { return Ok(()) };
    let is_gone = |line: &[u8]| {
        let sum = line.fields().next().unwrap_or_default();
        !sum.is_empty() && editor.gone_packages().any(|package| checksum(package) == sum)
    };
    let new = without_lines(&file.content, is_gone);
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}

/// Members are named by package, version, checksum and script: `NAME-VERSION.CHECKSUM.post-install`.
fn scripts(editor: &mut Editor<'_, '_>, path: &[u8]) -> Result<(), EditError> {
    let Some(file) = editor.database.text(path)? else { return Ok(()) };
    let not_read = || doubt(&file.path, "it is no tar");
    let names = editor.gone_packages().map(|package| {
        let start = format!("{}-{}.", package.name, package.version);
        [start.as_bytes(), checksum(package), b"."].concat()
    });
    let names: Vec<Vec<u8>> = names.collect();
    let (mut reader, mut member) = (Reader::new(file.content.as_slice()), Member::default());
    let (mut new, mut at) = (Vec::new(), 0);
    while reader.next(&mut member).map_err(|_| not_read())? {
        let size = member.stored.next_multiple_of(BLOCK as u64);
        let end = usize::try_from(member.data_offset.saturating_add(size)).map_err(|_| not_read())?;
        let start = usize::try_from(member.header_offset).map_err(|_| not_read())?;
        // A global header stands before a member and is for all behind it.
        new.extend_from_slice(file.content.get(at..start).ok_or_else(not_read)?);
        if !names.iter().any(|name| member.path.starts_with(name)) {
            new.extend_from_slice(file.content.get(start..end).ok_or_else(not_read)?);
        }
        at = end;
    }
    new.extend_from_slice(file.content.get(at..).ok_or_else(not_read)?);
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}
