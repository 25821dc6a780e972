//! Alternatives: links such as `/usr/bin/cc` that lead over `/etc/alternatives` to the best of what packages
//! offer (update-alternatives(1), of Debian and, in much the same form, of Fedora). What was offered by packages that are gone alone is gone with its links; where others
//! offer something, the links lead there.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use jettison_image::packages::Manager;

use super::databases::Compared;
use super::files::{Files, within_either};

/// The links of alternatives, as the database has them.
const LINKS: &[u8] = b"etc/alternatives";

/// What is known of the alternatives for a name.
#[derive(PartialEq, Eq)]
struct Group {
    mode: Vec<u8>,
    link: Vec<u8>,
    /// Further links that go along, by their names in the folder of links.
    slaves: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is offered, by its path.
    choices: BTreeMap<Vec<u8>, Choice>,
}

/// One of the alternatives.
#[derive(PartialEq, Eq)]
struct Choice {
    priority: Vec<u8>,
    /// Where the further links go, by their names.
    slaves: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What belongs to the removal.
#[derive(Default)]
pub(super) struct Found {
    /// Paths of packages that are gone.
    pub(super) own: Vec<Vec<u8>>,
    /// Files that are the same but for their alternatives.
    pub(super) same: Vec<Vec<u8>>,
    /// Links that lead to another alternative.
    pub(super) led: Vec<Vec<u8>>,
}

pub(super) fn compare(compared: &Compared<'_>, before: &mut Files<'_, '_>, after: &mut Files<'_, '_>) -> Found {
    let mut found = Found::default();
    let folder = match compared.old.manager {
        Manager::Dpkg => [compared.old.place.as_slice(), b"/alternatives"].concat(),
        Manager::Rpm => b"var/lib/alternatives".to_vec(),
        Manager::Apk | Manager::Pacman => return found,
    };
    for file in within_either(before, after, &folder) {
        let name = file[folder.len() + 1..].to_vec();
        let Some(old) = before.content(&file).and_then(|content| read(&content)) else { continue };
        let is_gone = |choice: &[u8]| compared.is_gone(&compared.canonical(choice));
        if !after.has(&file) {
            if old.choices.keys().all(|choice| is_gone(choice)) {
                let names = std::iter::once((&name, &old.link)).chain(&old.slaves);
                found.own.extend(names.flat_map(|(name, link)| [linked(name), compared.canonical(link)]));
                found.own.push(file);
            }
            continue;
        }
        let Some(new) = after.content(&file).and_then(|content| read(&content)) else { continue };
        if old == new || !is_without(&old, &new, &is_gone) {
            continue;
        }
        found.same.push(file);
        for (slave, link) in &old.slaves {
            let is_offered = |group: &Group| group.slaves.contains_key(slave);
            if !is_offered(&new) || !after.has(&linked(slave)) {
                found.own.extend([linked(slave), compared.canonical(link)]);
            }
        }
        // Where the link led to what stays, it leads there still.
        let target = before.target(&linked(&name)).unwrap_or_default();
        if is_gone(target) && after.target(&linked(&name)).is_some_and(|target| new.choices.contains_key(target)) {
            found.led.extend(std::iter::once(&name).chain(new.slaves.keys()).map(|name| linked(name)));
            found.same.extend(new_links(compared, &name, &new, before, after));
        }
    }
    found
}

/// Links that there were not, since what was chosen had no such slave: each leads to what the choice has for it.
fn new_links(
    compared: &Compared<'_>,
    name: &[u8],
    group: &Group,
    before: &Files<'_, '_>,
    after: &Files<'_, '_>,
) -> Vec<Vec<u8>> {
    let choice = after.target(&linked(name)).and_then(|target| group.choices.get(target));
    let mut links = Vec::new();
    for (slave, path) in choice.into_iter().flat_map(|choice| &choice.slaves) {
        let over = linked(slave);
        let own = group.slaves.get(slave).map(|link| compared.canonical(link)).unwrap_or_default();
        let leads_over = after.target(&own).is_some_and(|target| target.strip_prefix(b"/") == Some(over.as_slice()));
        if leads_over && after.target(&over) == Some(path) && !before.has(&over) {
            links.push(over);
            links.extend(Some(own).filter(|own| !before.has(own)));
        }
    }
    links
}

/// Whether the second is the first without choices that are gone.
fn is_without(old: &Group, new: &Group, is_gone: &dyn Fn(&[u8]) -> bool) -> bool {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (old.choices.keys().collect(), new.choices.keys().collect());
    let stays = |choice: &Vec<u8>| {
        let (Some(old), Some(new)) = (old.choices.get(choice), new.choices.get(choice)) else { return false };
        old.priority == new.priority && new.slaves.iter().all(|(name, path)| old.slaves.get(name) == Some(path))
    };
    let slaves_stay = new.slaves.iter().all(|(name, link)| old.slaves.get(name) == Some(link));
    // What somebody chose and is gone is chosen by priority again.
    (new.mode == old.mode || new.mode == b"auto")
        && new.link == old.link
        && slaves_stay
        && after.iter().all(|choice| stays(choice))
        && before.difference(&after).all(|choice| is_gone(choice))
}

fn linked(name: &[u8]) -> Vec<u8> {
    [LINKS, b"/", name].concat()
}

/// The mode, the link, pairs of slaves, an empty line; then for each choice its path, its priority, and a line a slave.
fn read(content: &[u8]) -> Option<Group> {
    let mut lines = content.lines().map(<[u8]>::to_vec);
    let (mode, link) = (lines.next()?, lines.next()?);
    let mut slaves = BTreeMap::new();
    // In the order of their names.
    loop {
        let name = lines.next()?;
        if name.is_empty() {
            break;
        }
        slaves.insert(name, lines.next()?);
    }
    let mut choices = BTreeMap::new();
    while let Some(path) = lines.next().filter(|path| !path.is_empty()) {
        let priority = lines.next()?;
        let slaves = slaves.keys().map(|name| Some((name.clone(), lines.next()?))).collect::<Option<_>>()?;
        choices.insert(path, Choice { priority, slaves });
    }
    Some(Group { mode, link, slaves, choices })
}
