//! rpm's database, which holds a header for each package: a table of SQLite (`rpmdb.sqlite`), SUSE's ndb (`Packages.db`),
//! or, in older images, a hash of Berkeley DB (`Packages`).

use std::collections::BTreeMap;

use super::database::{Database, Text};
use super::header::Header;
use super::{Capability, Manager, Package, Packages, PackagesError, Requirement, berkeley, ndb, sqlite};

/// Where the database is: the second one in systems whose `/usr` can be replaced as a whole.
const PLACES: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];

/// How a database is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Sqlite,
    Ndb,
    Berkeley,
}

impl Format {
    /// What rpm has today before what it had: systems that were upgraded may have left the old file.
    pub(super) const ALL: [Self; 3] = [Self::Sqlite, Self::Ndb, Self::Berkeley];

    /// The name of its file.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Sqlite => "rpmdb.sqlite",
            Self::Ndb => "Packages.db",
            Self::Berkeley => "Packages",
        }
    }

    /// The database with other headers for some packages, each as long as the one before it.
    pub(super) fn replaced(self, bytes: &[u8], headers: &BTreeMap<u32, Vec<u8>>) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Sqlite => sqlite::replaced(bytes, headers),
            Self::Ndb => ndb::replaced(bytes, headers),
            Self::Berkeley => berkeley::replaced(bytes, headers),
        }
    }

    /// The numbers of the packages and their headers.
    pub(super) fn blobs(self, bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, &'static str> {
        match self {
            Self::Sqlite => sqlite::blobs(bytes, "Packages"),
            Self::Ndb => ndb::blobs(bytes),
            Self::Berkeley => berkeley::blobs(bytes),
        }
    }
}

/// Tags of headers (rpm's `include/rpm/rpmtag.h`).
pub(super) mod tags {
    pub(in super::super) const NAME: u32 = 1000;
    pub(in super::super) const VERSION: u32 = 1001;
    pub(in super::super) const RELEASE: u32 = 1002;
    pub(in super::super) const EPOCH: u32 = 1003;
    pub(in super::super) const INSTALLED_AT: u32 = 1008;
    pub(in super::super) const SIZE: u32 = 1009;
    pub(in super::super) const GROUP: u32 = 1016;
    pub(in super::super) const ARCHITECTURE: u32 = 1022;
    pub(in super::super) const FILE_STATES: u32 = 1029;
    pub(in super::super) const FILE_MODES: u32 = 1030;
    pub(in super::super) const FILE_DIGESTS: u32 = 1035;
    pub(in super::super) const FILE_LINKS: u32 = 1036;
    pub(in super::super) const FILE_FLAGS: u32 = 1037;
    pub(in super::super) const SOURCE: u32 = 1044;
    pub(in super::super) const PROVIDES: (u32, u32) = (1047, 1113);
    pub(in super::super) const REQUIRES: (u32, u32) = (1049, 1050);
    pub(in super::super) const FOLDER_OF: u32 = 1116;
    pub(in super::super) const BASE_NAMES: u32 = 1117;
    pub(in super::super) const FOLDERS: u32 = 1118;
    pub(in super::super) const TRANSACTION: u32 = 1128;
    pub(in super::super) const LONG_SIZE: u32 = 5009;
    pub(in super::super) const DIGEST_ALGORITHM: u32 = 5011;
    pub(in super::super) const RECOMMENDS: (u32, u32) = (5046, 5047);
    pub(in super::super) const SUPPLEMENTS: (u32, u32) = (5052, 5053);
}

/// States of files: there as the package brought them, and left out (`RPMFILE_STATE_NORMAL`, `RPMFILE_STATE_NOTINSTALLED`).
/// Other ones are another package's.
pub(super) const NORMAL: u8 = 0;
pub(super) const LEFT_OUT: u8 = 2;

/// `RPMFILE_CONFIG` and `RPMFILE_GHOST` of rpm's `rpmfiles.h`.
pub(super) const CONFIG: u64 = 1;
pub(super) const GHOST: u64 = 1 << 6;

pub(super) fn read(database: &mut Database<'_, '_>) -> Result<Option<Packages>, PackagesError> {
    for format in Format::ALL {
        for place in PLACES {
            let path = format!("{place}/{}", format.file());
            let Some(file) = database.text(path.as_bytes())? else { continue };
            let log = if format == Format::Sqlite { database.text(format!("{path}-wal").as_bytes())? } else { None };
            if let Some(log) = log.filter(|log| !log.content.is_empty()) {
                return Err(PackagesError::Unsupported { file: log.file, format: "an unfinished log of SQLite" });
            }
            let blobs = format.blobs(&file.content).map_err(|problem| file.damaged(problem))?;
            let mut packages = Vec::new();
            for (_, blob) in blobs {
                packages.push(package(database, &file, blob)?);
            }
            return Ok(Some(Packages::new(Manager::Rpm, &file, packages, Vec::new())));
        }
    }
    Ok(None)
}

fn package(database: &mut Database<'_, '_>, file: &Text, blob: Vec<u8>) -> Result<Package, PackagesError> {
    let mut header = Header::new(blob).map_err(|problem| file.damaged(problem))?;
    let first = |tag| header.texts(tag).into_iter().next();
    let name = first(tags::NAME).ok_or_else(|| file.damaged("a package has no name"))?;
    let epoch = header.numbers(tags::EPOCH).first().map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let (version, release) = (first(tags::VERSION).unwrap_or_default(), first(tags::RELEASE).unwrap_or_default());
    let size = header.numbers(tags::LONG_SIZE).first().or(header.numbers(tags::SIZE).first()).copied();
    let mut package = Package {
        version: format!("{epoch}{version}-{release}"),
        source: first(tags::SOURCE).map(|file| source(&file).to_owned()).unwrap_or_default(),
        architecture: first(tags::ARCHITECTURE).unwrap_or_default(),
        depends: requirements(&header, tags::REQUIRES),
        recommends: requirements(&header, tags::RECOMMENDS),
        supplements: requirements(&header, tags::SUPPLEMENTS),
        provides: capabilities(&header, tags::PROVIDES).collect(),
        section: first(tags::GROUP).unwrap_or_default(),
        size: size.unwrap_or_default(),
        ..Package::named(name)
    };
    let (folders, names) = (header.bytes(tags::FOLDERS), header.bytes(tags::BASE_NAMES));
    let (places, flags) = (header.numbers(tags::FOLDER_OF), header.numbers(tags::FILE_FLAGS));
    let states = header.numbers(tags::FILE_STATES);
    for (at, name) in names.iter().enumerate() {
        let place = places.get(at).and_then(|place| folders.get(usize::try_from(*place).ok()?));
        let folder = place.ok_or_else(|| file.damaged("a file has no folder"))?;
        let path = database.canonical(&[folder.as_slice(), b"/", name].concat());
        let flags = flags.get(at).copied().unwrap_or_default();
        if flags & CONFIG != 0 && flags & GHOST == 0 {
            package.configuration.push(path.clone());
        }
        if states.get(at) == Some(&u64::from(LEFT_OUT)) {
            package.left_out.push(path.clone());
        }
        package.files.push(path);
    }
    header.change(tags::FILE_STATES, LEFT_OUT, NORMAL, |_| true);
    // The time and the number of the transaction differ in every build.
    header.blank(tags::INSTALLED_AT);
    header.blank(tags::TRANSACTION);
    package.record = header.into_bytes();
    Ok(package)
}

/// Of `name-version-release.src.rpm`, the name.
fn source(file: &str) -> &str {
    file.rsplitn(3, '-').nth(2).unwrap_or_default()
}

fn capabilities(header: &Header, (names, versions): (u32, u32)) -> impl Iterator<Item = Capability> {
    let versions = header.texts(versions);
    header.texts(names).into_iter().enumerate().map(move |(at, name)| {
        let version = versions.get(at).filter(|version| !version.is_empty()).cloned();
        Capability { name, version }
    })
}

/// Of a requirement with conditions, `(a if b)`, each name counts as needed: that keeps more than rpm would.
fn requirements(header: &Header, tags: (u32, u32)) -> Vec<Requirement> {
    let mut all = Vec::new();
    for capability in capabilities(header, tags) {
        if !capability.name.starts_with('(') {
            all.push(Requirement::of(capability));
            continue;
        }
        let words = capability.name.split(|letter: char| letter.is_whitespace() || "()".contains(letter));
        let is_name = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/');
        let is_operator = |word: &str| ["and", "or", "if", "else", "unless", "with", "without"].contains(&word);
        for word in words.filter(is_name).filter(|word| !is_operator(word)) {
            all.push(Requirement::of(Capability { name: word.to_owned(), version: None }));
        }
    }
    all
}
