//! pacman's database: a folder for each package with `desc` and `files`, sections of `%NAME%` and lines (alpm's
//! `lib/libalpm/be_local.c`).

use bstr::ByteSlice as _;

use super::database::{Database, Text, text};
use super::{Capability, Manager, Package, Packages, PackagesError, Reason, Requirement};

const LOCAL: &[u8] = b"var/lib/pacman/local";

pub(super) fn read(database: &mut Database<'_, '_>) -> Result<Option<Packages>, PackagesError> {
    let (mut packages, mut place) = (Vec::new(), None);
    for name in database.names(LOCAL) {
        let folder = [LOCAL, b"/", name.as_slice()].concat();
        // Beside the folders there is a file with the database's version.
        let Some(desc) = database.text(&[folder.as_slice(), b"/desc"].concat())? else { continue };
        let files = database.text(&[folder.as_slice(), b"/files"].concat())?;
        packages.push(package(database, &desc, files.as_ref())?);
        place = place.or(Some(desc));
    }
    let Some(place) = place else { return Ok(None) };
    let mut all = Packages::new(Manager::Pacman, &place, packages, Vec::new());
    // The folder of the database, not that of its first package.
    let end = all.place.rfind_byte(b'/').unwrap_or_default();
    all.place.truncate(end);
    Ok(Some(all))
}

fn package(database: &mut Database<'_, '_>, desc: &Text, files: Option<&Text>) -> Result<Package, PackagesError> {
    let mut package = Package { reason: Reason::Asked, ..Package::named(String::new()) };
    let mut section = String::new();
    for (number, line) in desc.lines() {
        if let Some(name) = heading(line) {
            section = name;
        } else if section.is_empty() && !line.is_empty() {
            return Err(desc.error(number, "a line is in a section"));
        }
        // The time differs in every build, and the reason is a mark.
        if !["INSTALLDATE", "REASON"].contains(&section.as_str()) {
            package.record.extend_from_slice(line);
            package.record.push(b'\n');
        }
        if line.is_empty() || heading(line).is_some() {
            continue;
        }
        let word = text(line);
        let error = |problem| desc.error(number, problem);
        match section.as_str() {
            "NAME" => package.name = word,
            "VERSION" => package.version = word,
            "BASE" => package.source = word,
            "ARCH" => package.architecture = word,
            "SIZE" => package.size = word.parse().map_err(|_| error("a size is a number"))?,
            "REASON" => package.reason = if word == "0" { Reason::Asked } else { Reason::Needed },
            "DEPENDS" => package.depends.push(Requirement::of(Capability::parse(&word))),
            "PROVIDES" => package.provides.push(Capability::parse(&word)),
            _ => {}
        }
    }
    if package.name.is_empty() || package.version.is_empty() {
        return Err(desc.error(1, "a package has a name and a version"));
    }
    let mut section = String::new();
    for (_, line) in files.into_iter().flat_map(Text::lines).filter(|(_, line)| !line.is_empty()) {
        match heading(line) {
            Some(name) => section = name,
            None if section == "FILES" => package.files.push(database.canonical(line)),
            None if section == "BACKUP" => {
                let path = line.split_once_str(b"\t").map_or(line, |(path, _)| path);
                package.configuration.push(database.canonical(path));
            }
            None => {}
        }
    }
    Ok(package)
}

/// `%NAME%`.
fn heading(line: &[u8]) -> Option<String> {
    let name = line.strip_prefix(b"%")?.strip_suffix(b"%")?;
    (!name.is_empty() && name.iter().all(u8::is_ascii_uppercase)).then(|| text(name))
}
