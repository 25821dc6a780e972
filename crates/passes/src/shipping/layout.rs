//! How the needed paths come into a stage: by which COPY, and what only a command can do there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jettison_image::tree::{Attributes, Inode, ROOT};
use jettison_image::{Kind, Node};

use super::Unfit;
use super::ground::{Ground, Standing};
use super::needs::Needs;

/// All that a stage does above its base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// What the base has and the image has not.
    pub(super) removed: Vec<String>,
    /// Folders to be made, parents first, and those of the base that have another mode or owner.
    pub(super) folders: Vec<Folder>,
    /// COPY follows links, so that only a folder brings the links in it.
    pub(super) links: Vec<Link>,
    /// The copies.
    pub(super) copies: Vec<Copy>,
}

/// A folder that COPY would not make as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: String,
    pub(super) is_new: bool,
    /// None where it is as folders are made.
    pub(super) mode: Option<u16>,
    /// None for root's.
    pub(super) owner: Option<(u32, u32)>,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) path: String,
    pub(super) target: String,
    /// Whether the base has another one there.
    pub(super) replaces: bool,
    /// None for root's.
    pub(super) owner: Option<(u32, u32)>,
}

/// A COPY: files into their folder, or a folder to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) sources: Vec<String>,
    /// With a slash at its end where files go into it.
    pub(super) destination: String,
    /// Of `--chown`.
    pub(super) owner: Option<(u32, u32)>,
}

impl Layout {
    /// The layout of what is needed.
    pub(super) fn of(ground: &Ground<'_, '_>, needs: &Needs) -> Result<Self, Unfit> {
        let sums = Sums::of(ground, needs);
        let mut laying =
            Laying { ground, sums, layout: Self::default(), made: BTreeMap::new(), groups: HashMap::new() };
        for path in &ground.gone {
            laying.layout.removed.push(text(path)?);
        }
        laying.folder_itself(ROOT)?;
        let mut waiting = vec![ROOT];
        while let Some(folder) = waiting.pop() {
            let partial = laying.entries(folder)?;
            waiting.extend(partial.into_iter().rev());
        }
        laying.bare_folders(needs)?;
        let Laying { mut layout, made, .. } = laying;
        layout.folders = made.into_values().collect();
        layout.copies.sort_by(|one, other| one.destination.cmp(&other.destination));
        Ok(layout)
    }

    /// Whether a command has to do what no COPY does.
    pub(super) fn needs_commands(&self) -> bool {
        !(self.removed.is_empty() && self.folders.is_empty() && self.links.is_empty())
    }

    /// The first of what takes a command, for people.
    pub(super) fn first_command(&self) -> String {
        let folder = || self.folders.first().map(|folder| format!("the folder {}", folder.path));
        let removed = || self.removed.first().map(|path| format!("the removal of {path}"));
        let link = self.links.first().map(|link| format!("the link {}", link.path));
        link.or_else(removed).or_else(folder).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty() && !self.needs_commands()
    }
}

/// What is known of a node and of all below it.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// Something below a folder, or the node itself, is to come into the stage.
    ships: bool,
    /// The same of what is below a folder alone.
    ships_below: bool,
    /// Something but folders stays away, or is there already.
    stays: bool,
    /// Whose all of it is.
    owner: Owners,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Owners {
    #[default]
    Nobody,
    One(u32, u32),
    Several,
}

impl Owners {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, other) => other,
            (own, Self::Nobody) => own,
            (own, other) if own == other => own,
            _ => Self::Several,
        }
    }
}

struct Sums(HashMap<Node, Sum>);

impl Sums {
    fn of(ground: &Ground<'_, '_>, needs: &Needs) -> Self {
        let mut sums: HashMap<Node, Sum> = HashMap::new();
        let nodes: Vec<Node> = ground.tree.walk().collect();
        // What is below a folder comes behind it in a walk.
        for node in nodes.into_iter().rev() {
            let counts = match ground.standing(node) {
                Standing::Same => false,
                Standing::Changed => true,
                Standing::New => needs.has(node),
            };
            let below = sums.get(&node).copied().unwrap_or_default();
            let Attributes { uid, gid, .. } = ground.tree.attributes(node);
            let sum = Sum {
                ships: counts || below.ships,
                ships_below: below.ships,
                stays: below.stays || (!ground.is_folder(node) && !counts),
                owner: below.owner.and(Owners::One(uid, gid)),
            };
            sums.insert(node, sum);
            if let Some(parent) = ground.tree.parent(node) {
                let above = sums.entry(parent).or_default();
                above.ships |= sum.ships;
                above.stays |= sum.stays;
                above.owner = above.owner.and(sum.owner);
            }
        }
        Self(sums)
    }

    fn get(&self, node: Node) -> Sum {
        self.0.get(&node).copied().unwrap_or_default()
    }
}

struct Laying<'l, 't, 'a> {
    ground: &'l Ground<'t, 'a>,
    sums: Sums,
    layout: Layout,
    made: BTreeMap<String, Folder>,
    /// By which copy each file with several names comes.
    groups: HashMap<Inode, usize>,
}

impl Laying<'_, '_, '_> {
    fn path(&self, node: Node) -> Result<String, Unfit> {
        text(&self.ground.tree.path(node))
    }

    /// Lays out what a folder holds; gives the folders in it that come in parts.
    fn entries(&mut self, folder: Node) -> Result<Vec<Node>, Unfit> {
        let (mut partial, mut files) = (Vec::new(), Vec::new());
        for child in self.ground.tree.children(folder) {
            let sum = self.sums.get(child);
            match self.ground.tree.kind(child) {
                _ if !sum.ships => {}
                Kind::Directory if self.is_whole(child) => self.whole(child)?,
                Kind::Directory => {
                    self.folder_itself(child)?;
                    partial.push(child);
                }
                Kind::Symlink => self.link(child)?,
                Kind::File | Kind::HardLink => files.push(child),
                _ => return Err(Unfit::Special { path: self.path(child)? }),
            }
        }
        let mut sources = Vec::with_capacity(files.len());
        for file in files {
            sources.push(self.path(file)?);
            // Each source of a COPY is a file of its own.
            self.groups_of(file, usize::MAX - self.groups.len())?;
        }
        if !sources.is_empty() {
            let folder = self.path(folder)?;
            let destination = if folder == "/" { folder } else { format!("{folder}/") };
            self.layout.copies.push(Copy { sources, destination, owner: None });
        }
        Ok(partial)
    }

    /// Whether all of a folder ships, and nothing with it that does not.
    fn is_whole(&self, folder: Node) -> bool {
        let sum = self.sums.get(folder);
        !sum.stays && (sum.ships_below || self.ground.standing(folder) == Standing::New)
    }

    fn whole(&mut self, folder: Node) -> Result<(), Unfit> {
        let path = self.path(folder)?;
        let Attributes { mode, xattrs, .. } = self.ground.tree.attributes(folder);
        let is_new = self.ground.standing(folder) == Standing::New;
        let owner = match self.sums.get(folder).owner {
            // COPY --chown gives the folder itself to the owner as well, and those that it makes above it.
            Owners::One(uid, gid) if is_new && (uid, gid) != (0, 0) && mode == 0o755 && xattrs.is_empty() => {
                self.folders_above(folder)?;
                Some((uid, gid))
            }
            _ => None,
        };
        if owner.is_none() {
            self.folder_itself(folder)?;
        }
        let copy = self.layout.copies.len();
        for node in self.ground.below(folder) {
            self.groups_of(node, copy)?;
        }
        self.layout.copies.push(Copy { sources: vec![path.clone()], destination: path, owner });
        Ok(())
    }

    /// Takes note of how a file with several names comes: names that come by different copies are different files.
    fn groups_of(&mut self, node: Node, copy: usize) -> Result<(), Unfit> {
        let inode = self.ground.tree.inode(node);
        if self.ground.is_folder(node) || self.ground.tree.links(inode) < 2 {
            return Ok(());
        }
        if *self.groups.entry(inode).or_insert(copy) != copy {
            return Err(Unfit::HardLinks { path: self.path(node)? });
        }
        Ok(())
    }

    /// Has a folder made that COPY would make otherwise, or changed that the base has otherwise.
    fn folder_itself(&mut self, folder: Node) -> Result<(), Unfit> {
        match self.ground.standing(folder) {
            Standing::Same => Ok(()),
            Standing::New if self.ground.is_plain(folder) => Ok(()),
            Standing::New | Standing::Changed => self.make(folder),
        }
    }

    /// Has the new folders above a node made before.
    fn folders_above(&mut self, node: Node) -> Result<(), Unfit> {
        let Some(folder) = self.ground.tree.parent(node) else { return Ok(()) };
        if self.ground.standing(folder) == Standing::New { self.make(folder) } else { Ok(()) }
    }

    fn make(&mut self, folder: Node) -> Result<(), Unfit> {
        let path = self.path(folder)?;
        let Attributes { mode, uid, gid, xattrs, .. } = self.ground.tree.attributes(folder);
        if !xattrs.is_empty() {
            return Err(Unfit::Attributes { path });
        }
        let is_new = self.ground.standing(folder) == Standing::New;
        let made = Folder {
            path: path.clone(),
            is_new,
            mode: (!is_new || mode != 0o755).then_some(mode),
            owner: (!is_new || (uid, gid) != (0, 0)).then_some((uid, gid)),
        };
        self.made.insert(path, made);
        Ok(())
    }

    fn link(&mut self, node: Node) -> Result<(), Unfit> {
        let Attributes { link, uid, gid, xattrs, .. } = self.ground.tree.attributes(node);
        let path = self.path(node)?;
        if !xattrs.is_empty() {
            return Err(Unfit::Attributes { path });
        }
        self.groups_of(node, usize::MAX - self.groups.len())?;
        self.folders_above(node)?;
        let owner = ((uid, gid) != (0, 0)).then_some((uid, gid));
        let replaces = self.ground.standing(node) == Standing::Changed;
        self.layout.links.push(Link { path, target: text_as_it_is(link)?, replaces, owner });
        Ok(())
    }

    /// Has the folders made that are only needed to be there.
    fn bare_folders(&mut self, needs: &Needs) -> Result<(), Unfit> {
        let copied: BTreeSet<String> =
            self.layout.copies.iter().map(|copy| copy.destination.trim_end_matches('/').to_owned()).collect();
        let nodes: Vec<Node> = self.ground.tree.walk().filter(|node| self.ground.is_folder(*node)).collect();
        for folder in nodes {
            if self.ground.standing(folder) != Standing::New || !needs.has(folder) {
                continue;
            }
            let path = self.path(folder)?;
            let is_within = |copy: &Copy| copy.sources[0] == copy.destination && is_below(&path, &copy.destination);
            let leads_to = copied.range(format!("{path}/")..).next().is_some_and(|copy| is_below(copy, &path));
            if copied.contains(&path) || leads_to || self.layout.copies.iter().any(is_within) {
                continue;
            }
            self.make(folder)?;
        }
        Ok(())
    }
}

/// Whether a path is a folder's or below it.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path as an instruction can name it.
fn text(path: &[u8]) -> Result<String, Unfit> {
    text_as_it_is(&[b"/", path].concat())
}

fn text_as_it_is(path: &[u8]) -> Result<String, Unfit> {
    let means_something = |letter: char| letter.is_control() || "*?[]\\$`\"'".contains(letter);
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(means_something) => Ok(text.to_owned()),
        _ => Err(Unfit::Name { path: String::from_utf8_lossy(path).into_owned() }),
    }
}
