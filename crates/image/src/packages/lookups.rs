//! Who has a path, who needs whom, what goes with what.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use hashbrown::HashMap;

use super::database::Text;
use super::{Capability, Manager, Package, Packages, Requirement};

/// Which ties between packages are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// What they need.
    Needs,
    /// What they need or recommend, and what was installed along with them.
    All,
}

impl Packages {
    pub(super) fn new(manager: Manager, file: &Text, packages: Vec<Package>, removed: Vec<Package>) -> Self {
        let mut owners: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut providers: HashMap<String, Vec<(usize, Option<String>)>> = HashMap::new();
        for (at, package) in packages.iter().enumerate() {
            for path in &package.files {
                let owners = owners.entry_ref(path.as_slice()).or_default();
                if owners.last() != Some(&at) {
                    owners.push(at);
                }
            }
            let own = Capability { name: package.name.clone(), version: Some(package.version.clone()) };
            for Capability { name, version } in std::iter::once(&own).chain(&package.provides) {
                providers.entry_ref(name.as_str()).or_default().push((at, version.clone()));
            }
        }
        let end = file.path.rfind_byte(b'/').unwrap_or_default();
        Self { manager, place: file.path[..end].to_vec(), packages, removed, owners, providers }
    }

    /// The place of the package of a name in [`Packages::packages`]; `name:architecture` is understood.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        let (name, architecture) = name.split_once(':').map_or((name, None), |(name, other)| (name, Some(other)));
        let is_it = |package: &Package| {
            package.name == name && architecture.is_none_or(|wanted| ["any", &package.architecture].contains(&wanted))
        };
        // Every package is among those that provide its name.
        let all = self.providers.get(name)?;
        all.iter().map(|(at, _)| *at).find(|at| is_it(&self.packages[*at]))
    }

    /// The package of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Package> {
        self.position(name).map(|at| &self.packages[at])
    }

    /// The places of the packages that a manager is asked for by a name: that of the name, else those that provide it.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<usize> {
        if let Some(at) = self.position(name) {
            return vec![at];
        }
        self.providers.get(name).into_iter().flatten().map(|(at, _)| *at).collect()
    }

    /// The places of the packages that have a path of the tree: several for most folders, one for most files.
    #[must_use]
    pub fn owners(&self, path: &[u8]) -> &[usize] {
        self.owners.get(path).map_or(&[], Vec::as_slice)
    }

    /// The places of the packages that a package's requirement is met by; none where nothing meets it.
    #[must_use]
    pub fn meeting(&self, of: &Package, requirement: &Requirement) -> Vec<usize> {
        let mut all = Vec::new();
        for Capability { name, version } in &requirement.alternatives {
            let asked = version.is_some() && self.manager != Manager::Rpm;
            let providers = self.providers.get(name).map_or(&[][..], Vec::as_slice);
            // Something of no version is no answer to a question for one, but for rpm.
            all.extend(providers.iter().filter(|(_, own)| !asked || own.is_some()).map(|(at, _)| *at));
            if self.manager == Manager::Rpm && name.starts_with('/') {
                all.extend(self.owners(&name.as_bytes()[1..]));
            }
        }
        all.sort_unstable();
        all.dedup();
        // Of a library for several architectures the package's own counts.
        let fits = |at: &usize| ["all", "noarch", "any", &of.architecture].contains(&&*self.packages[*at].architecture);
        if all.iter().any(fits) {
            all.retain(fits);
        }
        all
    }

    /// The places of all packages that these lead to, themselves included.
    #[must_use]
    pub fn closure(&self, of: impl IntoIterator<Item = usize>, ties: Ties) -> BTreeSet<usize> {
        let with = if ties == Ties::All { self.supplementing() } else { HashMap::new() };
        let mut left: Vec<usize> = of.into_iter().collect();
        let mut all: BTreeSet<usize> = left.iter().copied().collect();
        while let Some(at) = left.pop() {
            let package = &self.packages[at];
            let more: &[Requirement] = if ties == Ties::All { &package.recommends } else { &[] };
            let needed = package.depends.iter().chain(more).flat_map(|one| self.meeting(package, one));
            let along = with.get(&at).into_iter().flatten().copied();
            for next in needed.chain(along) {
                if all.insert(next) {
                    left.push(next);
                }
            }
        }
        all
    }

    /// For each package those that were installed along with it.
    fn supplementing(&self) -> HashMap<usize, Vec<usize>> {
        let mut all: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, package) in self.packages.iter().enumerate() {
            for met in package.supplements.iter().flat_map(|one| self.meeting(package, one)) {
                all.entry(met).or_default().push(at);
            }
        }
        all
    }

    /// The places of the packages that need one.
    #[must_use]
    pub fn needing(&self, one: usize) -> Vec<usize> {
        let needs = |package: &Package| {
            package.depends.iter().any(|requirement| self.meeting(package, requirement).contains(&one))
        };
        (0..self.packages.len()).filter(|at| *at != one && needs(&self.packages[*at])).collect()
    }

    /// What packages that stay would miss without these: each with a requirement that is met now and no longer then.
    #[must_use]
    pub fn missed_without(&self, gone: &BTreeSet<usize>) -> Vec<(usize, &Requirement)> {
        let staying = (0..self.packages.len()).filter(|at| !gone.contains(at));
        let requirements = staying.flat_map(|at| self.packages[at].depends.iter().map(move |one| (at, one)));
        let is_missed = |(at, requirement): &(usize, &Requirement)| {
            let met = self.meeting(&self.packages[*at], requirement);
            !met.is_empty() && met.iter().all(|one| gone.contains(one))
        };
        requirements.filter(is_missed).collect()
    }
}
