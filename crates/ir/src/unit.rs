//! An image as passes see it: its layers, the trees they make, where its base ends, and what its files say.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use hashbrown::HashMap;
use jettison_image::changes::{Before, Grouping};
use jettison_image::elf::{Environment, Linkage, Program};
use jettison_image::layer::LayerError;
use jettison_image::packages::{self, Packages, PackagesError};
use jettison_image::tree::{Origin, TreeError};
use jettison_image::{Base, Config, Digest, Entry, Kind, Layer, Node, Tree, history};

use crate::options::ImageOptions;
use crate::secret::ShippedSecret;

/// Reads contents out of an image's layers. Images of several platforms are looked at by a thread each.
pub trait ReadContent: Sync {
    /// Bytes of the unpacked tar of the layer with this number, counted from 0. None where they cannot be had.
    fn read(&self, layer: usize, offset: u64, length: u64) -> Option<Vec<u8>>;
}

/// One image for one platform.
pub struct ImageUnit<'a> {
    /// Where the base ends. Its layers are kept as they are.
    pub base: Base,
    /// The instruction behind each layer; empty where the history does not say.
    pub instructions: Vec<String>,
    /// The settings.
    pub config: Config,
    /// The tree of the base's layers.
    pub lower: Tree<'a>,
    /// The tree of all layers.
    pub upper: Tree<'a>,
    /// At most so many own layers are wanted.
    pub own_layers: usize,
    /// Where own layers are to be made for pulling.
    pub pulling: Option<Pulling>,
    /// What else was asked for.
    pub options: ImageOptions,
    /// The secrets that its layers ship, as far as somebody looked for them.
    pub secrets: Vec<ShippedSecret>,
    /// The contents of files, where they can be read.
    contents: Option<&'a dyn ReadContent>,
    packages: OnceCell<Result<Vec<Packages>, PackagesError>>,
    owned: OnceCell<HashMap<Vec<u8>, Owner>>,
    programs: OnceCell<HashMap<Digest, Program>>,
    linkage: OnceCell<Linkage>,
}

/// How own layers are made for pulling.
#[derive(Clone, Debug, Default)]
pub struct Pulling {
    /// Where things were in the image before this one.
    pub before: Option<Before>,
    /// The packages that have paths, where somebody else has asked the databases.
    pub owners: Option<Vec<(Vec<u8>, String)>>,
}

/// A package: the place of its database among those of the image, and its own there.
pub type Owner = (usize, usize);

/// Why layers do not make a tree.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// A layer cannot be applied to those below it.
    #[error(transparent)]
    Tree(TreeError),
    /// Edits cannot be a layer.
    #[error("the edits make no layer: {0}")]
    Edits(LayerError),
}

impl<'a> ImageUnit<'a> {
    /// The unit of an image with these layers.
    ///
    /// # Errors
    /// Where a layer cannot be applied to those below it.
    pub fn new<I>(config: &Config, layers: I, base: Base, own_layers: usize) -> Result<Self, UnitError>
    where
        I: IntoIterator<Item = &'a Layer>,
    {
        let mut lower = Tree::empty(layers);
        let count = lower.layers().len();
        lower.apply_until(base.layers).map_err(UnitError::Tree)?;
        let mut upper = lower.clone();
        upper.apply_until(count).map_err(UnitError::Tree)?;
        Ok(Self {
            base,
            instructions: history::instructions(config, count),
            config: config.clone(),
            lower,
            upper,
            own_layers,
            pulling: None,
            options: ImageOptions::default(),
            secrets: Vec::new(),
            contents: None,
            packages: OnceCell::new(),
            owned: OnceCell::new(),
            programs: OnceCell::new(),
            linkage: OnceCell::new(),
        })
    }

    /// The same with contents that can be read, and with options.
    #[must_use]
    pub fn with(self, contents: Option<&'a dyn ReadContent>, options: ImageOptions) -> Self {
        Self { contents, options, ..self }
    }

    /// The same with the secrets that were found in its layers.
    #[must_use]
    pub fn with_secrets(self, secrets: Vec<ShippedSecret>) -> Self {
        Self { secrets, ..self }
    }

    /// The same with own layers made for pulling, where `pulling` is something.
    #[must_use]
    pub fn with_pulling(self, pulling: Option<Pulling>) -> Self {
        Self { pulling, ..self }
    }

    /// What decides which path goes into which layer, where these are made for pulling. Packages that are `gone` own
    /// nothing. Where a database cannot be read, paths are told by their names.
    #[must_use]
    pub fn grouping(&self, gone: &BTreeSet<Owner>) -> Option<Grouping> {
        let pulling = self.pulling.as_ref()?;
        let grouping = match (self.packages(), &pulling.owners) {
            (Ok(databases), None) => Grouping::new(owners(databases, gone)),
            (Err(_), None) => Grouping::new(packages::listed(&self.upper, &mut |node| self.content(node))),
            (_, Some(owners)) => Grouping::new(owners.iter().cloned()),
        };
        Some(grouping.with_before(pulling.before.clone()))
    }

    /// The layers above the base.
    #[must_use]
    pub fn own(&self) -> &[&'a Layer] {
        &self.upper.layers()[self.base.layers..]
    }

    /// Whether a path's content is shipped by an own layer, so that it need not be.
    #[must_use]
    pub fn is_own(&self, node: Node) -> bool {
        self.upper.origin(node).layer >= self.base.layers
    }

    /// The bytes that a layer holds of a file: of a sparse one those of its runs, which may be far fewer than its size.
    #[must_use]
    pub fn held(&self, node: Node) -> u64 {
        let entry = self.upper.entry(self.upper.origin(node));
        let runs = entry.and_then(|(layer, entry)| layer.sparse(entry));
        runs.map_or(self.upper.attributes(node).size, |runs| runs.iter().map(|run| run.length).sum())
    }

    /// A file's content; none where it cannot be had or has holes.
    #[must_use]
    pub fn content(&self, node: Node) -> Option<Vec<u8>> {
        if self.upper.kind(node) != Kind::File {
            return None;
        }
        let origin = self.upper.origin(node);
        let (layer, entry) = self.upper.entry(origin)?;
        layer.sparse(entry).is_none().then(|| self.read(origin.layer, entry))?
    }

    /// The first bytes of a file, `length` or all that it has; none where they cannot be had or have holes.
    #[must_use]
    pub fn start(&self, node: Node, length: u64) -> Option<Vec<u8>> {
        let origin = self.upper.origin(node);
        let (layer, entry) = self.upper.entry(origin).filter(|_| self.upper.kind(node) == Kind::File)?;
        let length = length.min(entry.size);
        // Dumps are sparse, and builders may store them so. What is stored starts with the first run.
        let is_stored = layer
            .sparse(entry)
            .is_none_or(|runs| runs.first().is_some_and(|run| run.offset == 0 && run.length >= length));
        is_stored.then(|| self.read_at(origin.layer, entry.data_offset, length))?
    }

    /// The content of a copy that a layer ships, whether a container sees it or not; none where it cannot be had.
    #[must_use]
    pub fn shipped(&self, origin: Origin) -> Option<Vec<u8>> {
        let (layer, entry) = self.upper.entry(origin)?;
        layer.sparse(entry).is_none().then(|| self.read(origin.layer, entry))?
    }

    /// The stored bytes of an entry of a layer.
    pub(crate) fn read(&self, layer: usize, entry: &Entry) -> Option<Vec<u8>> {
        self.read_at(layer, entry.data_offset, entry.size)
    }

    pub(crate) fn read_at(&self, layer: usize, offset: u64, length: u64) -> Option<Vec<u8>> {
        self.contents?.read(layer, offset, length).filter(|content| content.len() as u64 == length)
    }

    /// The content of the file at a path, links followed; none where there is none that can be read.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<Vec<u8>> {
        self.content(packages::follow(&self.upper, path.as_bytes())?)
    }

    /// The databases of the image's package managers.
    ///
    /// # Errors
    /// Where there is one that cannot be read whole.
    pub fn packages(&self) -> Result<&[Packages], &PackagesError> {
        self.packages.get_or_init(|| packages::read(&self.upper, &mut |node| self.content(node))).as_deref()
    }

    /// The first package that has a path; none where no package has it or no database can be read.
    #[must_use]
    pub fn owner(&self, node: Node) -> Option<Owner> {
        let owned = self.owned.get_or_init(|| {
            let mut owned = HashMap::new();
            for (database, packages) in self.packages().unwrap_or_default().iter().enumerate() {
                for (at, package) in packages.packages.iter().enumerate() {
                    for path in &package.files {
                        owned.entry(path.clone()).or_insert((database, at));
                    }
                }
            }
            owned
        });
        owned.get(&self.upper.path(node)).copied()
    }

    /// What the image's programs, libraries and scripts are, by the digests of their contents.
    pub fn programs(&self) -> &HashMap<Digest, Program> {
        self.programs.get_or_init(|| {
            let mut programs = HashMap::new();
            for node in self.upper.walk().filter(|node| self.upper.kind(*node) == Kind::File) {
                let attributes = self.upper.attributes(node);
                if !may_be_program(self.upper.name(node), attributes.mode) || programs.contains_key(&attributes.digest)
                {
                    continue;
                }
                let program = self.content(node).and_then(|content| Program::of(&content));
                programs.extend(program.map(|program| (attributes.digest, program)));
            }
            programs
        })
    }

    /// Which files need which to run.
    pub fn linkage(&self) -> &Linkage {
        self.linkage.get_or_init(|| {
            let environment = Environment::of(&self.config);
            Linkage::of(&self.upper, self.programs(), &environment, &mut |node| self.content(node))
        })
    }

    /// A variable of the environment that the image sets.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        let settings = self.config.settings();
        let all = settings.get("config")?.get("Env")?.as_array()?;
        all.iter()
            .rev()
            .filter_map(|one| one.as_str()?.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }

    /// The image's path as people write it.
    #[must_use]
    pub fn shown(&self, node: Node) -> String {
        format!("/{}", self.upper.path(node).escape_bytes())
    }
}

/// Who has a path: what its package was built from ([`jettison_image::packages::Package::family`]), for packages that are
/// not `gone`.
pub fn owners<'p>(
    databases: &'p [Packages],
    gone: &'p BTreeSet<Owner>,
) -> impl Iterator<Item = (Vec<u8>, String)> + use<'p> {
    let packages = databases.iter().enumerate().flat_map(|(database, packages)| {
        packages.packages.iter().enumerate().map(move |(at, package)| ((database, at), package))
    });
    let staying = packages.filter(|(owner, _)| !gone.contains(owner)).map(|(_, package)| package);
    staying.flat_map(|package| package.files.iter().map(|path| (path.clone(), package.family().to_owned())))
}

/// Whether a file may be run or loaded: somebody may execute it, or it is named like a library, a module or an object.
fn may_be_program(name: &[u8], mode: u16) -> bool {
    let ends = [&b".so"[..], b".node", b".ko", b".o", b".a", b".dylib"];
    mode & 0o111 != 0 || ends.iter().any(|end| name.ends_with(end)) || name.contains_str(".so.")
}
