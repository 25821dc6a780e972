//! Applying layers as the specification words it: whiteouts first, then one entry after the other, on a
//! plain map from paths to files. Written for plainness, and apart from the crate's own tree.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use jettison_image::text::{Attributes, EntryText, LayerText, What};

/// What names refer to: names of one file hold the same pointer.
struct File {
    what: What,
    attributes: Attributes,
}

/// All files by their paths; every folder of a path is one of them.
#[derive(Clone)]
pub(crate) struct Files(BTreeMap<String, Rc<File>>);

impl Default for Files {
    fn default() -> Self {
        Self([(String::new(), implicit())].into())
    }
}

/// A folder that nobody listed.
fn implicit() -> Rc<File> {
    Rc::new(File { what: What::Directory, attributes: Attributes { mode: 0o755, ..Attributes::default() } })
}

fn text(path: &[u8]) -> String {
    String::from_utf8(path.to_vec()).expect("random names are ASCII")
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Files {
    /// Applies a layer, or names the entry that cannot be applied.
    pub(crate) fn apply(&mut self, layer: &LayerText) -> Result<(), usize> {
        for entry in &layer.entries {
            match entry.what {
                What::Whiteout => self.white_out(layer, &text(&entry.path)),
                What::Opaque => {
                    if let Some(folder) = self.lower_folder(layer, &text(&entry.path)) {
                        self.remove_below(&folder);
                    }
                }
                _ => {}
            }
        }
        let mut waiting = Vec::new();
        for (number, entry) in layer.entries.iter().enumerate() {
            let done = match &entry.what {
                What::Whiteout | What::Opaque => true,
                What::HardLink(target) => self.link(entry, &text(target)).map_err(|()| number)?,
                _ => self.put(entry).map_err(|()| number).map(|()| true)?,
            };
            if !done {
                waiting.push(number);
            }
        }
        let later = |number: usize| {
            layer.entries[number + 1..].iter().filter(|e| !matches!(e.what, What::Whiteout | What::Opaque))
        };
        waiting.retain(|&number| later(number).all(|entry| entry.path != layer.entries[number].path));
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for &number in &waiting {
                let entry = &layer.entries[number];
                let What::HardLink(target) = &entry.what else { unreachable!("only links wait") };
                if !self.link(entry, &text(target)).map_err(|()| number)? {
                    still.push(number);
                }
            }
            if still.len() == waiting.len() {
                return Err(still[0]);
            }
            waiting = still;
        }
        Ok(())
    }

    fn white_out(&mut self, layer: &LayerText, path: &str) {
        let (folder, name) = split(path);
        if let Some(folder) = self.lower_folder(layer, folder) {
            self.remove(&join(&folder, name));
        }
    }

    fn put(&mut self, entry: &EntryText) -> Result<(), ()> {
        let file = Rc::new(File { what: entry.what.clone(), attributes: entry.attributes.clone() });
        let path = self.place(&text(&entry.path), &entry.what)?;
        self.replace(path, file);
        Ok(())
    }

    /// Whether the link was made; it is not while its target is missing.
    fn link(&mut self, entry: &EntryText, target: &str) -> Result<bool, ()> {
        if entry.path.is_empty() {
            return Err(());
        }
        let (folder, name) = split(target);
        let Some(folder) = self.walk(folder, Missing::Fails) else { return Ok(false) };
        let Some(file) = self.0.get(&join(&folder, name)).filter(|_| !name.is_empty()).cloned() else {
            return Ok(false);
        };
        if file.what == What::Directory {
            return Err(());
        }
        let path = self.place(&text(&entry.path), &entry.what)?;
        self.replace(path, file);
        Ok(true)
    }

    /// Where a path leads, its folders made.
    fn place(&mut self, path: &str, what: &What) -> Result<String, ()> {
        if path.is_empty() {
            return if *what == What::Directory { Ok(String::new()) } else { Err(()) };
        }
        let (folder, name) = split(path);
        let folder = self.walk(folder, Missing::IsMade).ok_or(())?;
        Ok(join(&folder, name))
    }

    fn replace(&mut self, path: String, file: Rc<File>) {
        let both_folders =
            file.what == What::Directory && self.0.get(&path).is_some_and(|old| old.what == What::Directory);
        if !both_folders {
            self.remove(&path);
        }
        self.0.insert(path, file);
    }

    fn remove(&mut self, path: &str) {
        self.remove_below(path);
        self.0.remove(path);
    }

    fn remove_below(&mut self, folder: &str) {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.0.retain(|path, _| path.is_empty() || path == folder || !path.starts_with(&prefix));
    }

    /// The folder that a whiteout means: none where the layer has a folder of its own in a link's place.
    fn lower_folder(&mut self, layer: &LayerText, path: &str) -> Option<String> {
        let mut at = String::new();
        let mut written = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            written = join(&written, name);
            let is_link = matches!(self.0.get(&join(&at, name))?.what, What::Symlink(_));
            let own = |entry: &EntryText| entry.what == What::Directory && entry.path == written.as_bytes();
            if is_link && layer.entries.iter().any(own) {
                return None;
            }
            at = self.walk(&join(&at, name), Missing::Fails)?;
        }
        Some(at)
    }

    /// The folder at a path, links followed, within the root.
    fn walk(&mut self, path: &str, missing: Missing) -> Option<String> {
        let mut at = String::new();
        let mut links = 0;
        // Names that are left, and whether a link brought them.
        let mut left: VecDeque<(String, bool)> = path.split('/').map(|name| (name.to_owned(), false)).collect();
        while let Some((name, linked)) = left.pop_front() {
            if name.is_empty() || name == "." {
                continue;
            }
            if name == ".." {
                at = split(&at).0.to_owned();
                continue;
            }
            let next = join(&at, &name);
            match self.0.get(&next).map(|file| file.what.clone()) {
                Some(What::Directory) => at = next,
                Some(What::Symlink(target)) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    let target = text(&target);
                    if target.starts_with('/') {
                        at = String::new();
                    }
                    for name in target.split('/').rev() {
                        left.push_front((name.to_owned(), true));
                    }
                }
                Some(_) if linked || missing == Missing::Fails => return None,
                None if missing == Missing::Fails || name.starts_with(".wh.") => return None,
                // Missing, or something else that is used as a folder.
                _ => {
                    self.0.insert(next.clone(), implicit());
                    at = next;
                }
            }
        }
        Some(at)
    }

    /// All files in the order of the tree, as entries of the text form.
    pub(crate) fn listing(&self) -> String {
        let mut paths: Vec<&String> = self.0.keys().collect();
        paths.sort_by_key(|path| path.split('/').collect::<Vec<_>>());
        let mut first: BTreeMap<*const File, &str> = BTreeMap::new();
        let mut entries = Vec::new();
        for path in paths {
            let file = &self.0[path];
            if path.is_empty() && file.attributes == implicit().attributes {
                continue;
            }
            let other = *first.entry(Rc::as_ptr(file)).or_insert(path);
            let (mut what, mut attributes) = (file.what.clone(), file.attributes.clone());
            if let What::File(content) = &mut what {
                *content = jettison_image::text::Content::Known { size: content.size(), digest: content.digest() };
            }
            if other != path {
                (what, attributes) = (What::HardLink(other.into()), Attributes::default());
            }
            entries.push(EntryText { path: path.as_bytes().to_vec(), what, attributes });
        }
        LayerText { history: None, entries }.to_string()
    }
}

/// What a walk does where a path does not exist.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    IsMade,
    Fails,
}
