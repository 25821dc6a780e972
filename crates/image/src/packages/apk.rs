//! apk's database: `installed` with a block of `X:value` lines for each package, and `world` with what was asked for
//! (apk-tools, `doc/apk-v2.5.scd` and `apk-world.5`; `src/database.c` reads the same).

use std::collections::BTreeSet;

use bstr::ByteSlice as _;

use super::database::{Database, Text, text};
use super::{Capability, Manager, Package, Packages, PackagesError, Reason, Requirement};

/// Where the database is: the second one from Alpine 3.22 on, where `/lib` is no folder any more.
const INSTALLED: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

pub(super) fn read(database: &mut Database<'_, '_>) -> Result<Option<Packages>, PackagesError> {
    let Some(installed) = database.first(&INSTALLED)? else { return Ok(None) };
    let world = database.text(b"etc/apk/world")?;
    let world: BTreeSet<String> = world.iter().flat_map(names).collect();
    let mut packages = Vec::new();
    let mut block: Vec<(usize, &[u8])> = Vec::new();
    for (number, line) in installed.lines().chain([(0, &b""[..])]) {
        if !line.is_empty() {
            block.push((number, line));
        } else if !block.is_empty() {
            packages.push(package(database, &installed, &block, &world)?);
            block.clear();
        }
    }
    Ok(Some(Packages::new(Manager::Apk, &installed, packages, Vec::new())))
}

/// The names in `world`, without what is said of their versions.
fn names(world: &Text) -> Vec<String> {
    let words = world.content.fields().map(text);
    words.filter(|word| !word.starts_with('!')).map(|word| Capability::parse(&word).name).collect()
}

fn package(
    database: &mut Database<'_, '_>,
    installed: &Text,
    block: &[(usize, &[u8])],
    world: &BTreeSet<String>,
) -> Result<Package, PackagesError> {
    let mut package = Package::named(String::new());
    let mut folder: &[u8] = b"";
    for &(number, line) in block {
        let [letter, b':', value @ ..] = line else {
            return Err(installed.error(number, "a line is a letter, a colon and a value"));
        };
        match letter {
            b'P' => package.name = text(value),
            b'V' => package.version = text(value),
            b'o' => package.source = text(value),
            b'A' => package.architecture = text(value),
            b'I' => {
                let size = value.to_str().ok().and_then(|size| size.parse().ok());
                package.size = size.ok_or_else(|| installed.error(number, "a size is a number"))?;
            }
            b'D' => package.depends = requirements(value),
            b'i' => package.supplements = requirements(value),
            b'p' => package.provides = value.fields().map(|word| Capability::parse(&text(word))).collect(),
            b'F' => {
                folder = value;
                // The root is everybody's.
                if !value.is_empty() {
                    package.files.push(database.canonical(value));
                }
            }
            b'R' => package.files.push(database.canonical(&[folder, b"/", value].concat())),
            _ => {}
        }
    }
    if package.name.is_empty() || package.version.is_empty() {
        return Err(installed.error(block[0].0, "a package has a name and a version"));
    }
    let is_asked = world.contains(&package.name) || package.provides.iter().any(|own| world.contains(&own.name));
    package.reason = if is_asked { Reason::Asked } else { Reason::Needed };
    package.record = block.iter().map(|(_, line)| *line).collect::<Vec<_>>().join(&b'\n');
    Ok(package)
}

/// Words, each a package that must be there; those with `!` must not.
fn requirements(value: &[u8]) -> Vec<Requirement> {
    let words = value.fields().map(text).filter(|word| !word.starts_with('!'));
    words.map(|word| Requirement::of(Capability::parse(&word))).collect()
}
