//! rpm's database without some packages, and what `rpm --erase` leaves of their files (rpm's `lib/transaction.c` and
//! `lib/fsm.c`).

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;
use sha2::{Digest as _, Sha224, Sha384, Sha512};

use super::super::database::Text;
use super::super::header::Header;
use super::super::rpm::{CONFIG, Format, GHOST, LEFT_OUT, NORMAL, tags};
use super::super::{berkeley, ndb, sqlite};
use super::files::Listed;
use super::sums::{md5, sha1};
use super::{Change, EditError, Editor, Rest, alternatives, doubt, within};
use crate::layer::Kind;

/// What `update-alternatives` of distributions with rpm writes into.
const ALTERNATIVES: &[u8] = b"var/lib/alternatives";

/// The part of a mode that says what a file is, and its values (stat(2)).
const TYPE: u64 = 0o170_000;
const FOLDER: u64 = 0o040_000;

/// How sums were made (`FILEDIGESTALGO`; the numbers are those of RFC 4880, section 9.4).
mod algorithms {
    pub(super) const MD5: u64 = 1;
    pub(super) const SHA1: u64 = 2;
    pub(super) const SHA256: u64 = 8;
    pub(super) const SHA384: u64 = 9;
    pub(super) const SHA512: u64 = 10;
    pub(super) const SHA224: u64 = 11;
}

pub(super) fn without(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    database(editor)?;
    let listed = listed(editor)?;
    let mut folders = editor.remove_files(&listed)?;
    alternatives::without(editor, ALTERNATIVES)?;
    folders.extend(editor.remove_compiled());
    editor.remove_empty(folders);
    Ok(())
}

fn database(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let (format, file) = file(editor)?;
    let damaged = |problem| doubt(&file.path, problem);
    let blobs = format.blobs(&file.content).map_err(damaged)?;
    if blobs.len() != editor.packages.packages.len() {
        return Err(damaged("it has other packages than were read"));
    }
    let gone: BTreeSet<u32> = editor.gone.iter().map(|at| blobs[*at].0).collect();
    let new = match format {
        Format::Sqlite => sqlite::without(&file.content, &gone).map_err(damaged)?,
        Format::Ndb => {
            // It would be out of date; rpm makes it anew where there is none.
            editor.remove(within(&editor.packages.place, b"Index.db"));
            ndb::without(&file.content, &gone).map_err(damaged)?
        }
        Format::Berkeley => {
            regions(editor);
            indexes(editor, &file.path, &gone)?;
            berkeley::without(&file.content, &gone).map_err(damaged)?
        }
    };
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}

/// Rewrites what lies beside the headers: for each tag that rpm looks packages up by a file of values and packages.
fn indexes(editor: &mut Editor<'_, '_>, headers: &[u8], gone: &BTreeSet<u32>) -> Result<(), EditError> {
    let place = editor.packages.place.clone();
    for name in editor.database.names(&place).into_iter().filter(|name| !is_region(name)) {
        let Some(file) = editor.database.text(&within(&place, &name))? else { continue };
        if file.path != headers && berkeley::is_one(&file.content) {
            let new = berkeley::index_without(&file.content, gone).map_err(|problem| doubt(&file.path, problem))?;
            editor.rewrite(file.path, &file.content, new);
        }
    }
    Ok(())
}

/// Takes away what Berkeley DB has in memory of files while they are open, `__db.001` and so on: it would go before what the
/// files say now. It is made anew where it is not there.
fn regions(editor: &mut Editor<'_, '_>) {
    let place = editor.packages.place.clone();
    for name in editor.database.names(&place).into_iter().filter(|name| is_region(name)) {
        editor.remove(within(&place, &name));
    }
}

fn is_region(name: &[u8]) -> bool {
    let number = name.strip_prefix(b"__db.");
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// The file that has the headers.
fn file(editor: &mut Editor<'_, '_>) -> Result<(Format, Text), EditError> {
    let place = editor.packages.place.clone();
    for format in Format::ALL {
        let Some(file) = editor.database.text(&within(&place, format.file().as_bytes()))? else { continue };
        if format == Format::Sqlite {
            let log = editor.database.text(&within(&place, b"rpmdb.sqlite-wal"))?;
            if log.is_some_and(|log| !log.content.is_empty()) {
                return Err(doubt(&file.path, "it has an unfinished log"));
            }
        }
        return Ok((format, file));
    }
    Err(doubt(&place, "rpm's database is not there"))
}

/// Headers have a state for each file: what is gone counts as left out, as it does where rpm was told to leave
/// documentation out (`--excludedocs`), and nothing misses it. The states are no part of what is signed.
pub(super) fn forget(editor: &mut Editor<'_, '_>, paths: &BTreeSet<&Vec<u8>>) -> Result<(), EditError> {
    let (format, file) = file(editor)?;
    let damaged = |problem| doubt(&file.path, problem);
    let blobs = format.blobs(&file.content).map_err(damaged)?;
    if blobs.len() != editor.staying().count() {
        return Err(damaged("it has other packages than were read"));
    }
    let mut headers = BTreeMap::new();
    for (package, (number, blob)) in editor.staying().zip(blobs) {
        let is_meant = |at: usize| package.files.get(at).is_some_and(|path| paths.contains(path));
        let expected = (0..package.files.len()).filter(|at| is_meant(*at)).count();
        if expected == 0 {
            continue;
        }
        let mut header = Header::new(blob).map_err(damaged)?;
        let states = header.numbers(tags::FILE_STATES);
        let is_there = |at: usize| states.get(at) == Some(&u64::from(NORMAL));
        let there = (0..package.files.len()).filter(|at| is_meant(*at) && is_there(*at)).count();
        if states.len() != package.files.len() || header.change(tags::FILE_STATES, NORMAL, LEFT_OUT, is_meant) != there
        {
            return Err(damaged("a package has no states of its files"));
        }
        headers.insert(number, header.into_bytes());
    }
    let new = format.replaced(&file.content, &headers).map_err(damaged)?;
    if format == Format::Berkeley && !headers.is_empty() {
        regions(editor);
    }
    editor.rewrite(file.path, &file.content, new);
    Ok(())
}

/// What the headers say of the files of packages that go. Changed configuration is named otherwise where it stays.
fn listed(editor: &mut Editor<'_, '_>) -> Result<Listed, EditError> {
    let mut listed = Listed::default();
    for package in editor.gone_packages() {
        let header = Header::new(package.record.clone()).map_err(|problem| doubt(&editor.packages.place, problem))?;
        let (states, flags) = (header.numbers(tags::FILE_STATES), header.numbers(tags::FILE_FLAGS));
        let modes = header.numbers(tags::FILE_MODES);
        let sums = Sums::new(&header);
        let left_out: HashSet<&Vec<u8>> = package.left_out.iter().collect();
        for (at, path) in package.files.iter().enumerate() {
            let is_folder = modes.get(at).is_some_and(|mode| mode & TYPE == FOLDER);
            let set = if is_folder { &mut listed.folders } else { &mut listed.files };
            set.insert(path.clone());
            let is_normal = states.get(at).is_none_or(|state| *state == u64::from(NORMAL));
            if !is_normal || left_out.contains(path) {
                listed.kept.insert(path.clone());
                continue;
            }
            let flags = flags.get(at).copied().unwrap_or_default();
            if flags & CONFIG == 0 || editor.rest == Rest::Purge || editor.is_held(path) || listed.kept.contains(path) {
                continue;
            }
            if !sums.is_changed(at, editor, path)? {
                continue;
            }
            // What the package did not bring is not named otherwise.
            if flags & GHOST != 0 {
                listed.kept.insert(path.clone());
                continue;
            }
            let saved = [path.as_slice(), b".rpmsave"].concat();
            if editor.kind(&saved) == Some(Kind::Directory) {
                return Err(doubt(&saved, "a folder is where changed configuration would be"));
            }
            editor.remove(path.clone());
            editor.changes.insert(saved, Change::Moved(path.clone()));
        }
    }
    Ok(listed)
}

/// What a header says of contents.
struct Sums {
    algorithm: u64,
    digests: Vec<Vec<u8>>,
    links: Vec<Vec<u8>>,
}

impl Sums {
    fn new(header: &Header) -> Self {
        let algorithm = header.numbers(tags::DIGEST_ALGORITHM).first().copied();
        Self {
            algorithm: algorithm.unwrap_or(algorithms::MD5),
            digests: header.bytes(tags::FILE_DIGESTS),
            links: header.bytes(tags::FILE_LINKS),
        }
    }

    /// Whether a file is there and not as the package brought it.
    fn is_changed(&self, at: usize, editor: &mut Editor<'_, '_>, path: &[u8]) -> Result<bool, EditError> {
        let Some(node) = editor.tree.find(path) else { return Ok(false) };
        let attributes = editor.tree.attributes(node);
        let expected = match attributes.kind {
            Kind::Symlink => return Ok(self.links.get(at).map(Vec::as_slice) != Some(attributes.link)),
            Kind::File => self.digests.get(at).filter(|digest| !digest.is_empty()),
            // Folders go when they are empty; nothing else is configuration.
            _ => return Ok(false),
        };
        let Some(expected) = expected else { return Ok(true) };
        let digest = match self.algorithm {
            algorithms::SHA256 => attributes.digest.hex(),
            other => {
                let Some(file) = editor.database.text(path)? else { return Ok(true) };
                match other {
                    algorithms::MD5 => hex(&md5(&file.content)),
                    algorithms::SHA1 => hex(&sha1(&file.content)),
                    algorithms::SHA224 => hex(&Sha224::digest(&file.content)),
                    algorithms::SHA384 => hex(&Sha384::digest(&file.content)),
                    algorithms::SHA512 => hex(&Sha512::digest(&file.content)),
                    _ => return Err(doubt(path, "its sum is of a kind that is not known")),
                }
            }
        };
        Ok(!expected.eq_ignore_ascii_case(digest.as_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
