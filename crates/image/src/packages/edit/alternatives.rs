//! Alternatives: links such as `/usr/bin/cc` that lead over `/etc/alternatives` to the best of what packages offer. A file
//! for each says what is offered (update-alternatives(1), "FILES"; what a removal does was seen from dpkg's 1.21).

use std::collections::BTreeMap;

use bstr::ByteSlice as _;

use super::{Change, EditError, Editor, doubt, within};
use crate::layer::Kind;

/// Where the links of alternatives lead first.
const LINKS: &[u8] = b"etc/alternatives";

/// What is offered under a name.
struct Group {
    name: Vec<u8>,
    mode: Vec<u8>,
    link: Vec<u8>,
    /// Links that go along, by their names, in the order of the names.
    slaves: BTreeMap<Vec<u8>, Vec<u8>>,
    choices: Vec<Choice>,
    /// Whether an empty line ends the file: dpkg's program writes one, that of Fedora does not.
    is_closed: bool,
}

/// One of the alternatives.
struct Choice {
    path: Vec<u8>,
    priority: i64,
    /// Where the further links lead, by their names; empty where they lead nowhere.
    slaves: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Drops what packages that go offered. `folder` is that of the files.
pub(super) fn without(editor: &mut Editor<'_, '_>, folder: &[u8]) -> Result<(), EditError> {
    for name in editor.database.names(folder) {
        let Some(file) = editor.database.text(&within(folder, &name))? else { continue };
        let Some(mut group) = Group::read(&name, &file.content) else {
            // What is not understood is nothing to be changed where it has nothing to do with what goes.
            let lines = file.content.lines().filter(|line| line.starts_with(b"/"));
            let paths: Vec<Vec<u8>> = lines.map(|line| editor.database.canonical(line)).collect();
            if paths.iter().any(|path| editor.is_theirs(path)) {
                return Err(doubt(&file.path, "it is not what update-alternatives writes"));
            }
            continue;
        };
        let goes = |editor: &mut Editor<'_, '_>, choice: &Choice| {
            let path = editor.database.canonical(&choice.path);
            editor.is_theirs(&path) && !editor.stays(&path)
        };
        let mut stay = Vec::new();
        let mut lost = Vec::new();
        for choice in std::mem::take(&mut group.choices) {
            if goes(editor, &choice) { lost.push(choice) } else { stay.push(choice) }
        }
        group.choices = stay;
        if lost.is_empty() {
            continue;
        }
        // What is not written as it was read is not understood.
        group.drop(editor, &lost, &file.path)?;
        if group.choices.is_empty() {
            editor.remove(file.path);
        } else {
            editor.rewrite(file.path, &file.content, group.write());
        }
    }
    Ok(())
}

impl Group {
    /// The mode, the link, pairs of slaves, an empty line; for each choice its path, its priority and a line a slave; an
    /// empty line.
    fn read(name: &[u8], content: &[u8]) -> Option<Self> {
        let mut lines = content.split(|&byte| byte == b'\n');
        let (mode, link) = (lines.next()?.to_vec(), lines.next()?.to_vec());
        let mut slaves = BTreeMap::new();
        while let Some(slave) = lines.next().filter(|slave| !slave.is_empty()) {
            slaves.insert(slave.to_vec(), lines.next()?.to_vec());
        }
        let mut group = Self { name: name.to_vec(), mode, link, slaves, choices: Vec::new(), is_closed: false };
        while let Some(path) = lines.next().filter(|path| !path.is_empty()) {
            let priority = lines.next()?.to_str().ok()?.parse().ok()?;
            let slaves = group.slaves.keys().map(|slave| Some((slave.clone(), lines.next()?.to_vec())));
            let slaves = slaves.collect::<Option<_>>()?;
            group.choices.push(Choice { path: path.to_vec(), priority, slaves });
        }
        group.is_closed = lines.next().is_some();
        let is_mode = matches!(group.mode.as_slice(), b"auto" | b"manual");
        (is_mode && group.write() == content).then_some(group)
    }

    fn write(&self) -> Vec<u8> {
        let mut lines: Vec<&[u8]> = vec![&self.mode, &self.link];
        lines.extend(self.slaves.iter().flat_map(|(name, link)| [name.as_slice(), link]));
        lines.push(b"");
        let priorities: Vec<String> = self.choices.iter().map(|choice| choice.priority.to_string()).collect();
        for (choice, priority) in self.choices.iter().zip(&priorities) {
            lines.extend([choice.path.as_slice(), priority.as_bytes()]);
            lines.extend(self.slaves.keys().map(|name| choice.slaves.get(name).map_or(&b""[..], Vec::as_slice)));
        }
        lines.push(b"");
        if self.is_closed {
            lines.push(b"");
        }
        lines.join(&b'\n')
    }

    /// The choices are gone already: the links follow, and what none of the others has a slave for.
    fn drop(&mut self, editor: &mut Editor<'_, '_>, lost: &[Choice], file: &[u8]) -> Result<(), EditError> {
        let lead = within(LINKS, &self.name);
        let current = editor.target(&lead).map(<[u8]>::to_vec);
        let is_at = |choices: &[Choice], path: &Vec<u8>| choices.iter().any(|choice| choice.path == *path);
        match &current {
            Some(current) if is_at(lost, current) => {
                self.mode = b"auto".to_vec();
                self.lead_to_best(editor)?;
            }
            Some(current) if is_at(&self.choices, current) => {}
            _ if self.choices.is_empty() => self.lead_to_best(editor)?,
            // Somebody made the link lead elsewhere; what update-alternatives makes of that depends on its version.
            _ => return Err(doubt(file, "its link leads to none of the alternatives")),
        }
        let is_offered = |name: &Vec<u8>| {
            self.choices.iter().any(|choice| choice.slaves.get(name).is_some_and(|path| !path.is_empty()))
        };
        let unused: Vec<Vec<u8>> = self.slaves.keys().filter(|name| !is_offered(name)).cloned().collect();
        for name in unused {
            if let Some(link) = self.slaves.remove(&name) {
                unlink(editor, &name, &link);
            }
        }
        Ok(())
    }

    /// The links lead to what has the highest priority, the first where several have; with no choice left they go.
    fn lead_to_best(&self, editor: &mut Editor<'_, '_>) -> Result<(), EditError> {
        let best = self.choices.iter().rev().max_by_key(|choice| choice.priority);
        match best {
            Some(best) => link(editor, &self.name, &self.link, &best.path)?,
            None => unlink(editor, &self.name, &self.link),
        }
        for (name, own) in &self.slaves {
            let path = best.and_then(|best| best.slaves.get(name)).filter(|path| !path.is_empty());
            let is_there = |path: &&Vec<u8>| {
                let path = editor.database.canonical(path);
                editor.stays(&path)
            };
            match path.filter(is_there) {
                Some(path) => link(editor, name, own, path)?,
                None => unlink(editor, name, own),
            }
        }
        Ok(())
    }
}

/// The link of a name and what it leads over.
fn link(editor: &mut Editor<'_, '_>, name: &[u8], link: &[u8], path: &[u8]) -> Result<(), EditError> {
    lead(editor, within(LINKS, name), path)?;
    let own = editor.database.canonical(link);
    let over = [b"/", LINKS, b"/", name].concat();
    match editor.kind(&own) {
        // A file in place of the link is somebody's, and stays.
        Some(kind) if kind != Kind::Symlink && editor.stays(&own) => Ok(()),
        _ => lead(editor, own, &over),
    }
}

fn lead(editor: &mut Editor<'_, '_>, path: Vec<u8>, target: &[u8]) -> Result<(), EditError> {
    let folder = path.rsplit_once_str("/").map_or(&b""[..], |(folder, _)| folder);
    if editor.kind(folder) != Some(Kind::Directory) {
        return Err(doubt(&path, "an alternative's link has no folder"));
    }
    if editor.target(&path) != Some(target) || !editor.stays(&path) {
        editor.changes.insert(path, Change::Target(target.to_vec()));
    }
    Ok(())
}

/// The same, gone where they are links of alternatives.
fn unlink(editor: &mut Editor<'_, '_>, name: &[u8], link: &[u8]) {
    let over = within(LINKS, name);
    let own = editor.database.canonical(link);
    if editor.target(&own).is_some_and(|target| target.strip_prefix(b"/") == Some(over.as_slice())) {
        editor.remove(own);
    }
    if editor.target(&over).is_some() {
        editor.remove(over);
    }
}
