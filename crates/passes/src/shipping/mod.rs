//! Plans a final stage of its own: it ships what an image was seen to use, copied from the stage that made all of it.
//!
//! What was seen is evidence and no proof: whoever asks for a plan builds it, compares the images, and runs the commands
//! again that the evidence is from.

mod ground;
mod layout;
mod needs;
mod settings;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jettison_image::{Config, Kind, Tree};
use jettison_ir::source::SourceOptions;
use jettison_syntax::dockerfile::Dockerfile;
use jettison_syntax::editor::Edited;

use crate::driver::Selection;
use crate::rewrite::keeps_comments;
use ground::Ground;
use layout::Layout;
use needs::{Needs, follow};

/// More copies than that are made fewer by taking whole folders: each is a layer.
const MANY: usize = 24;
/// No image has more layers than 127 (overlayfs in Docker), and those of the base and of the user's own want to be there.
const TOO_MANY: usize = 80;

/// What was seen to be used of an image: absolute paths, as programs named them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// What was read, executed or asked about, and what runs of the command need.
    pub touched: BTreeSet<Vec<u8>>,
    /// The files that an interpreter is told to run: what it will read of their folder no loader lists.
    pub scripts: BTreeSet<Vec<u8>>,
    /// Folders whose entries were listed.
    pub listed: BTreeSet<Vec<u8>>,
    /// What was made, changed or removed: its folder has to be there.
    pub written: BTreeSet<Vec<u8>>,
    /// Folders that are needed with all that they hold: volumes, which start with it, and those that the command names.
    pub kept: BTreeSet<Vec<u8>>,
    /// Whether it makes a difference which folders the root has.
    pub shows_root: bool,
}

/// An image, and the base that it was built on.
#[derive(Clone, Copy)]
pub struct Image<'i, 'a> {
    /// Its tree.
    pub tree: &'i Tree<'a>,
    /// The tree of its base; an empty one where it has none.
    pub base: &'i Tree<'a>,
    /// Its config.
    pub config: &'i Config,
    /// The config of its base; none where it has none.
    pub base_config: Option<&'i Config>,
}

/// What the stage starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foundation {
    /// The image that the stages before it start from: its layers are shared with other images.
    Base,
    /// Nothing.
    Scratch,
}

/// How such a stage is to be written.
#[derive(Clone, Copy)]
pub struct Wish<'w> {
    /// Names that no stage may have.
    pub taken: &'w [String],
    /// As the rest of the file is rewritten: a second run must find nothing to change.
    pub options: &'w SourceOptions,
    /// The passes that rewrite it.
    pub selection: &'w Selection,
}

/// A Dockerfile with such a stage.
#[derive(Debug)]
pub struct Planned {
    /// It.
    pub tree: Dockerfile,
    /// The text of the stage.
    pub stage: String,
    /// How it came out of the one without.
    pub edited: Edited,
}

/// Why no such stage is planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no last stage that could be named.
    #[error("the last stage cannot be given another name")]
    NoStage,
    /// It would ship what ships already.
    #[error("all that the last stage ships is used")]
    NothingLess,
    /// No instruction can name the path.
    #[error("{path:?} has a name that COPY would read as something else")]
    Name {
        /// The path.
        path: String,
    },
    /// COPY does not bring it.
    #[error("{path} is no file, folder or link")]
    Special {
        /// The path.
        path: String,
    },
    /// COPY brings files, not the names that they share.
    #[error("{path} is another name of a file that would be copied with another instruction")]
    HardLinks {
        /// The path.
        path: String,
    },
    /// No command of every base sets them.
    #[error("{path} has extended attributes that only a copy of its whole folder would bring")]
    Attributes {
        /// The path.
        path: String,
    },
    /// A link, a folder's mode or owner, or a removal takes a command.
    #[error("{what} takes a command, and what the stage starts from has no {program}")]
    NoProgram {
        /// What takes a command.
        what: String,
        /// The program that is not there.
        program: String,
    },
    /// The base would run them once more.
    #[error("the base image has ONBUILD instructions, which would run once more")]
    Triggers,
    /// Arguments end with their stage.
    #[error("an earlier stage sets something by its build arguments, which end with it")]
    Arguments,
    /// There is no instruction for them.
    #[error("the base image has settings that no instruction makes")]
    BaseSettings,
    /// Each is a layer.
    #[error("it would take {copies} COPY instructions")]
    TooMany {
        /// How many.
        copies: usize,
    },
    /// The result would not be a Dockerfile that builders take, or lose a comment.
    #[error("the result would not be a Dockerfile that holds all of this one")]
    Invalid,
}

/// What a stage for an image can start from, the smallest first.
#[must_use]
pub fn foundations(image: &Image<'_, '_>, used: &Used) -> Vec<Foundation> {
    let ground = Ground::of(image.tree, image.base);
    let uses_base = Needs::of(&ground, used).uses_base;
    if image.base_config.is_none() {
        return vec![Foundation::Scratch];
    }
    if uses_base { vec![Foundation::Base] } else { vec![Foundation::Scratch, Foundation::Base] }
}

/// Plans a stage behind the last one of the Dockerfile that the image was built from.
///
/// # Errors
/// Where there is no such stage, with the reason.
pub fn plan(
    tree: &Dockerfile,
    image: &Image<'_, '_>,
    used: &Used,
    foundation: Foundation,
    wish: &Wish<'_>,
) -> Result<Planned, Unfit> {
    let nothing = Tree::empty([]);
    let ground = match foundation {
        Foundation::Base => Ground::of(image.tree, image.base),
        Foundation::Scratch => Ground::of(image.tree, &nothing),
    };
    if foundation == Foundation::Base && image.base_config.is_some_and(has_triggers) {
        return Err(Unfit::Triggers);
    }
    let mut needs = Needs::of(&ground, used);
    let mut layout = Layout::of(&ground, &needs)?;
    if layout.copies.len() > MANY {
        needs.coarsen(&ground);
        layout = Layout::of(&ground, &needs)?;
    }
    if layout.copies.len() > TOO_MANY {
        return Err(Unfit::TooMany { copies: layout.copies.len() });
    }
    // What only the settings are of would be an image of nothing.
    if layout.is_empty() && foundation == Foundation::Scratch {
        return Err(Unfit::NothingLess);
    }
    find_programs(&layout, image, foundation)?;
    let (stage, edited) = stage::write(tree, image, &layout, foundation, wish)?;
    let after = Dockerfile::parse(edited.text.clone());
    if !after.is_valid() || !keeps_comments(tree, &after) {
        return Err(Unfit::Invalid);
    }
    Ok(Planned { tree: after, stage, edited })
}

fn has_triggers(config: &Config) -> bool {
    let triggers = config.get("config").and_then(|config| config.get("OnBuild"));
    triggers.and_then(|triggers| triggers.as_array()).is_some_and(|triggers| !triggers.is_empty())
}

/// Commands need a shell and the programs that they are, in what the stage starts from.
fn find_programs(layout: &Layout, image: &Image<'_, '_>, foundation: Foundation) -> Result<(), Unfit> {
    if !layout.needs_commands() {
        return Ok(());
    }
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let is_there = |path: &str| {
        foundation == Foundation::Base
            && follow(image.base, path.as_bytes()).1.is_some_and(|node| image.base.kind(node) == Kind::File)
    };
    let missing = |program: &String| !folders.iter().any(|folder| is_there(&format!("{folder}/{program}")));
    let program = if is_there("/bin/sh") {
        stage::programs(layout).into_iter().find(missing)
    } else {
        Some("/bin/sh".to_owned())
    };
    match program {
        Some(program) => Err(Unfit::NoProgram { what: layout.first_command(), program }),
        None => Ok(()),
    }
}
