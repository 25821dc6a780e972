//! The layer that a part would be read back as, without writing it: for the judge between passes.

use super::cut::Part;
use super::{Change, Changes};
use crate::layer::{Kind, Layer};
use crate::tar::{Member, MemberType};

impl Changes<'_, '_> {
    /// The entries of the layer that [`Changes::write`] makes. Offsets of content are all zero.
    #[must_use]
    pub fn layer(&self, part: &Part) -> Layer {
        let mut layer = Layer::default();
        for &change in &part.changes {
            let mut member = Member { path: self.path(change), ..Member::default() };
            let digest = self.fill(change, &mut member);
            // Paths of a tree are clean, so each is one that a layer may hold.
            let added = layer.add(&member, digest);
            debug_assert!(added.is_ok(), "{added:?}");
        }
        layer.size = self.size(part);
        layer
    }

    fn fill(&self, change: Change, member: &mut Member) -> crate::Digest {
        let node = match change {
            Change::Whiteout { gone, .. } => {
                let name = member.path.len() - self.lower.name(gone).len();
                member.path.splice(name..name, *b".wh.");
                return crate::Digest::of(b"");
            }
            Change::Link { node, first } => {
                member.link = self.upper.path(first);
                member.member_type = MemberType::HardLink;
                node
            }
            Change::Entry(node) | Change::Folder(node) => node,
        };
        let attributes = self.upper.attributes(node);
        member.mode = attributes.mode;
        (member.uid, member.gid) = (attributes.uid, attributes.gid);
        if !matches!(change, Change::Folder(_)) {
            member.mtime = attributes.mtime;
        }
        if member.member_type == MemberType::HardLink {
            return crate::Digest::default();
        }
        member.member_type = match attributes.kind {
            Kind::Directory => MemberType::Directory,
            Kind::Symlink => MemberType::Symlink,
            Kind::CharDevice => MemberType::CharDevice,
            Kind::BlockDevice => MemberType::BlockDevice,
            Kind::Fifo => MemberType::Fifo,
            Kind::File | Kind::HardLink | Kind::Whiteout | Kind::Opaque => MemberType::File,
        };
        member.link = attributes.link.to_vec();
        (member.size, member.device) = (attributes.size, attributes.device);
        member.xattrs = attributes.xattrs.to_vec();
        attributes.digest
    }
}
