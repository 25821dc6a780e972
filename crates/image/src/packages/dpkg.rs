//! dpkg's database: `status` (or `status.d` of images that are made without dpkg), `info/*.list` with the files,
//! `diversions`, and apt's marks in `extended_states` (deb-control(5), dpkg-query(1), dpkg-divert(1), apt-mark(8)).

use bstr::ByteSlice as _;
use hashbrown::HashMap;

use super::database::{Database, Text, text};
use super::{Capability, Manager, Package, Packages, PackagesError, Reason, Requirement};

/// A block of a file, and the line on which it starts.
struct Stanza<'t> {
    line: usize,
    fields: Vec<(&'t [u8], Vec<u8>)>,
    record: Vec<u8>,
}

const STATUS: &[u8] = b"var/lib/dpkg/status";

pub(super) fn read(database: &mut Database<'_, '_>) -> Result<Option<Packages>, PackagesError> {
    let status = database.text(STATUS)?;
    let parts: Vec<Vec<u8>> =
        database.names(b"var/lib/dpkg/status.d").into_iter().filter(|name| !name.ends_with(b".md5sums")).collect();
    if status.is_none() && parts.is_empty() {
        return Ok(None);
    }
    let is_automatic = marks(database)?;
    let diversions = diversions(database)?;
    let (mut packages, mut removed) = (Vec::new(), Vec::new());
    if let Some(status) = &status {
        for stanza in stanzas(status)? {
            let (mut package, state) = package(status, &stanza)?;
            if package.version.is_empty() || state.ends_with("not-installed") {
                continue;
            }
            package.files = files(database, &package, &diversions)?;
            finish(database, &mut package, &stanza, &is_automatic);
            let is_left = state.ends_with("config-files");
            if is_left { removed.push(package) } else { packages.push(package) }
        }
    }
    let mut place = status;
    for name in parts {
        let path = [b"var/lib/dpkg/status.d/", name.as_slice()].concat();
        let Some(part) = database.text(&path)? else { continue };
        for stanza in stanzas(&part)? {
            let (mut package, _) = package(&part, &stanza)?;
            if let Some(sums) = database.text(&[path.as_slice(), b".md5sums"].concat())? {
                for (number, line) in sums.lines() {
                    let (_, file) = line.split_once_str(b"  ").ok_or_else(|| sums.error(number, "a sum has a file"))?;
                    package.files.push(database.canonical(file));
                }
            }
            finish(database, &mut package, &stanza, &is_automatic);
            packages.push(package);
        }
        place = place.or(Some(part));
    }
    Ok(place.map(|place| Packages::new(Manager::Dpkg, &place, packages, removed)))
}

/// The sources of packages whose names are others, as far as the main file can be read.
pub(super) fn sources(database: &mut Database<'_, '_>) -> HashMap<String, String> {
    let Ok(Some(status)) = database.text(STATUS) else { return HashMap::new() };
    let stanzas = stanzas(&status).unwrap_or_default();
    let named = stanzas.iter().map(|stanza| (stanza.text("Package"), stanza.source()));
    named.filter(|(_, source)| !source.is_empty()).collect()
}

/// Blocks of `Name: value`, values going on in lines that start with a blank.
fn stanzas(file: &Text) -> Result<Vec<Stanza<'_>>, PackagesError> {
    let mut all = Vec::new();
    let mut stanza = Stanza { line: 1, fields: Vec::new(), record: Vec::new() };
    for (number, line) in file.lines().chain([(0, &b""[..])]) {
        if line.trim().is_empty() {
            if !stanza.fields.is_empty() {
                all.push(std::mem::replace(&mut stanza, Stanza { line: 1, fields: Vec::new(), record: Vec::new() }));
            }
            continue;
        }
        if stanza.fields.is_empty() {
            stanza.line = number;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            let (_, value) = stanza.fields.last_mut().ok_or_else(|| file.error(number, "a value has a field"))?;
            value.push(b'\n');
            value.extend_from_slice(line);
        } else {
            let (name, value) = line.split_once_str(b":").ok_or_else(|| file.error(number, "a field has a colon"))?;
            stanza.fields.push((name, value.trim().to_vec()));
        }
        stanza.record.extend_from_slice(line);
        stanza.record.push(b'\n');
    }
    Ok(all)
}

impl Stanza<'_> {
    fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    fn text(&self, name: &str) -> String {
        self.field(name).map(text).unwrap_or_default()
    }

    /// `name (version)`, without the version.
    pub(super) fn source(&self) -> String {
        self.text("Source").split_whitespace().next().unwrap_or_default().to_owned()
    }

    fn requirements(&self, name: &str) -> Vec<Requirement> {
        let alternatives = |one: &str| {
            let alternatives: Vec<Capability> = one.split('|').filter_map(capability).collect();
            (!alternatives.is_empty()).then_some(Requirement { alternatives })
        };
        self.text(name).split(',').filter_map(alternatives).collect()
    }
}

/// `name:any (>= 1.2) [amd64] <!nocheck>`.
fn capability(text: &str) -> Option<Capability> {
    let (name, version) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.split(')').next().map(|version| version.trim().to_owned())),
        None => (text, None),
    };
    let name = name.split_whitespace().next()?.split(':').next()?;
    (!name.is_empty()).then(|| Capability { name: name.to_owned(), version })
}

/// A package without its files, and dpkg's word on its state.
fn package(file: &Text, stanza: &Stanza<'_>) -> Result<(Package, String), PackagesError> {
    let name = stanza.text("Package");
    if name.is_empty() {
        return Err(file.error(stanza.line, "a package has a name"));
    }
    let yes = |field: &str| stanza.field(field).is_some_and(|value| value == b"yes");
    // In KiB.
    let size = stanza.text("Installed-Size").parse().unwrap_or(0u64);
    let package = Package {
        version: stanza.text("Version"),
        source: stanza.source(),
        architecture: stanza.text("Architecture"),
        depends: [stanza.requirements("Pre-Depends"), stanza.requirements("Depends")].concat(),
        recommends: stanza.requirements("Recommends"),
        provides: stanza.requirements("Provides").into_iter().flat_map(|one| one.alternatives).collect(),
        is_essential: yes("Essential") || yes("Protected"),
        priority: stanza.text("Priority"),
        section: stanza.text("Section"),
        size: size.saturating_mul(1024),
        record: stanza.record.clone(),
        ..Package::named(name)
    };
    Ok((package, stanza.text("Status")))
}

fn finish(
    database: &mut Database<'_, '_>,
    package: &mut Package,
    stanza: &Stanza<'_>,
    is_automatic: &HashMap<String, Vec<String>>,
) {
    let conffiles = stanza.text("Conffiles");
    for line in conffiles.lines().filter(|line| !line.contains(" remove-on-upgrade")) {
        if let Some(path) = line.split_whitespace().next() {
            package.configuration.push(database.canonical(path.as_bytes()));
        }
    }
    // What is for all architectures is marked under the machine's own.
    let is_marked = |architectures: &Vec<String>| {
        package.architecture == "all" || architectures.iter().any(|one| one.is_empty() || *one == package.architecture)
    };
    let is_needed = is_automatic.get(&package.name).is_some_and(is_marked);
    package.reason = if is_needed { Reason::Needed } else { Reason::Asked };
}

/// The packages that apt installed because of others, with their architectures.
fn marks(database: &mut Database<'_, '_>) -> Result<HashMap<String, Vec<String>>, PackagesError> {
    let mut automatic: HashMap<String, Vec<String>> = HashMap::new();
    if let Some(states) = database.text(b"var/lib/apt/extended_states")? {
        for stanza in stanzas(&states)?.iter().filter(|stanza| stanza.text("Auto-Installed") == "1") {
            automatic.entry(stanza.text("Package")).or_default().push(stanza.text("Architecture"));
        }
    }
    Ok(automatic)
}

/// Paths that other packages' files were moved away from: where to, and for whom not.
type Diversions = HashMap<Vec<u8>, (Vec<u8>, String)>;

/// Three lines each: from, to, and the package whose file takes the place, or a colon.
fn diversions(database: &mut Database<'_, '_>) -> Result<Diversions, PackagesError> {
    let mut all = Diversions::new();
    let Some(file) = database.text(b"var/lib/dpkg/diversions")? else { return Ok(all) };
    let lines: Vec<(usize, &[u8])> = file.lines().collect();
    for three in lines.chunks(3) {
        let [(_, from), (_, to), (_, by)] = three else {
            return Err(file.error(three[0].0, "a diversion has three lines"));
        };
        let (from, to) = (database.canonical(from), database.canonical(to));
        all.insert(from, (to, text(by)));
    }
    Ok(all)
}

/// The files of an installed package; of one that several architectures share a list each.
fn files(
    database: &mut Database<'_, '_>,
    package: &Package,
    diversions: &Diversions,
) -> Result<Vec<Vec<u8>>, PackagesError> {
    let names = [package.name.clone(), format!("{}:{}", package.name, package.architecture)];
    let mut files = Vec::new();
    for name in names {
        let Some(list) = database.text(format!("var/lib/dpkg/info/{name}.list").as_bytes())? else { continue };
        for (number, line) in list.lines() {
            if !line.starts_with(b"/") {
                return Err(list.error(number, "a path starts with a slash"));
            }
            let path = database.canonical(line);
            // The root is everybody's.
            if path.is_empty() {
                continue;
            }
            files.push(match diversions.get(&path) {
                Some((to, by)) if *by != package.name => to.clone(),
                _ => path,
            });
        }
    }
    Ok(files)
}
