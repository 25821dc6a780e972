//! debconf's answers and the texts of its questions, without those that only packages asked that are purged
//! (debconf-devel(7), `db_purge`).

use bstr::ByteSlice as _;
use hashbrown::HashSet;

use super::blocks::{field, pieces, text};
use super::{EditError, Editor};

/// The answers, those that are passwords apart.
const ANSWERS: [&str; 2] = ["var/cache/debconf/config.dat", "var/cache/debconf/passwords.dat"];

const TEXTS: &str = "var/cache/debconf/templates.dat";

pub(super) fn forget(editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
    let mut questions = HashSet::new();
    for path in ANSWERS {
        let Some(file) = editor.database.text(path.as_bytes())? else { continue };
        let is_gone = |owner: &str| editor.names_gone(owner);
        let new = disowned(&file.content, &is_gone, &mut questions);
        editor.rewrite(file.path, &file.content, new);
    }
    if let Some(file) = editor.database.text(TEXTS.as_bytes())? {
        let new = disowned(&file.content, &|owner| questions.contains(owner), &mut HashSet::new());
        editor.rewrite(file.path, &file.content, new);
    }
    Ok(())
}

/// The blocks without owners that are gone. A block without any owner goes, and its name is learned.
fn disowned(content: &[u8], is_gone: &dyn Fn(&str) -> bool, without: &mut HashSet<String>) -> Vec<u8> {
    let mut new = Vec::new();
    for block in pieces(content) {
        let owners = field(block, "Owners").unwrap_or_default().to_str_lossy().into_owned();
        let owners: Vec<&str> = owners.split(',').map(str::trim).filter(|owner| !owner.is_empty()).collect();
        let stay: Vec<&str> = owners.iter().copied().filter(|owner| !is_gone(owner)).collect();
        if stay.len() == owners.len() {
            new.extend_from_slice(block);
        } else if stay.is_empty() {
            without.insert(text(block, "Name"));
        } else {
            let line = format!("Owners: {}\n", stay.join(", "));
            let lines = block.lines_with_terminator();
            new.extend(lines.flat_map(|own| if own.starts_with(b"Owners:") { line.as_bytes() } else { own }));
        }
    }
    new
}
