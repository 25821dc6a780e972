//! What an image's paths are beside those of its base: the same, others, or new; and what of the base is gone.

use std::collections::HashMap;
use std::iter::Peekable;

use jettison_image::tree::{Attributes, ROOT};
use jettison_image::{Kind, Node, Tree};

/// What a path of the image is beside the base's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The base has it as it is, but for its time: every build makes times anew.
    Same,
    /// The base has something of the same type there, with another content, mode or owner.
    Changed,
    /// The base has nothing there, or something of another type.
    New,
}

/// An image's tree beside its base's.
pub(super) struct Ground<'t, 'a> {
    pub(super) tree: &'t Tree<'a>,
    standings: HashMap<Node, Standing>,
    /// The base's paths that the image has not, or has as something of another type; not what lies below them.
    pub(super) gone: Vec<Vec<u8>>,
}

impl<'t, 'a> Ground<'t, 'a> {
    /// Compares. The trees may be of the same layers; then most entries are known to be the same without a look.
    pub(super) fn of(tree: &'t Tree<'a>, base: &Tree<'_>) -> Self {
        let mut ground = Self { tree, standings: HashMap::new(), gone: Vec::new() };
        let mut waiting = vec![(ROOT, Some(ROOT))];
        while let Some((node, below)) = waiting.pop() {
            let mut olds = below.map(|below| base.children(below)).unwrap_or_default().into_iter().peekable();
            for child in tree.children(node) {
                let name = tree.name(child);
                while let Some(old) = next_before(&mut olds, |old| base.name(old) < name) {
                    ground.gone.push(base.path(old));
                }
                let old = next_before(&mut olds, |old| base.name(old) == name);
                if let Some(old) = old.filter(|old| base.kind(*old) != tree.kind(child)) {
                    ground.gone.push(base.path(old));
                }
                waiting.push((child, old.filter(|old| base.kind(*old) == tree.kind(child))));
            }
            ground.gone.extend(olds.map(|old| base.path(old)));
            let standing = match below {
                None => Standing::New,
                Some(below) if is_same(base.attributes(below), tree.attributes(node)) => Standing::Same,
                Some(_) => Standing::Changed,
            };
            ground.standings.insert(node, standing);
        }
        ground.gone.sort_unstable();
        ground
    }

    pub(super) fn standing(&self, node: Node) -> Standing {
        self.standings.get(&node).copied().unwrap_or(Standing::New)
    }

    pub(super) fn is_folder(&self, node: Node) -> bool {
        self.tree.kind(node) == Kind::Directory
    }

    /// A node and all that lies below it.
    pub(super) fn below(&self, node: Node) -> Vec<Node> {
        let (mut all, mut waiting) = (Vec::new(), vec![node]);
        while let Some(node) = waiting.pop() {
            all.push(node);
            waiting.extend(self.tree.children(node));
        }
        all
    }

    /// Whether a folder is as COPY makes one: 0755, root's, without extended attributes.
    pub(super) fn is_plain(&self, folder: Node) -> bool {
        let Attributes { mode, uid, gid, xattrs, .. } = self.tree.attributes(folder);
        (mode, uid, gid) == (0o755, 0, 0) && xattrs.is_empty()
    }
}

fn next_before(nodes: &mut Peekable<std::vec::IntoIter<Node>>, test: impl Fn(Node) -> bool) -> Option<Node> {
    nodes.next_if(|node| test(*node))
}

/// Whether two nodes are the same but for their times.
fn is_same(one: Attributes<'_>, other: Attributes<'_>) -> bool {
    one.kind == other.kind
        && (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid)
        && (one.size, one.digest, one.link) == (other.size, other.digest, other.link)
        && (one.device, one.xattrs) == (other.device, other.xattrs)
}
