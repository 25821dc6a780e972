//! Which packages of an installation can go again, as building the image and watching what it uses showed: those that
//! nothing later uses. What goes with them and is used is kept by its name.

use std::collections::BTreeSet;

use jettison_ir::source::{PackageSeen, PackageUse, PackageUser, PackagesSeen, SourceUnit};
use jettison_syntax::packages::{Manager, Package, PackageCommand};

use super::build_needs::BuildNeeds;
use super::build_tools::{self, build_package};
use super::later::stands_on;

/// Why nothing is removed: a code and a sentence.
type Refusal = (&'static str, String);

/// What other programs may need without that being seen: no file of theirs has to be opened before something is fetched.
const CERTIFICATES: &str = "ca-certificates";

/// What of an installation goes.
pub(crate) struct Chosen<'p> {
    /// The packages that go, as the command names them.
    pub(crate) going: Vec<&'p Package>,
    /// What would go with them and is used, each with the use.
    pub(crate) kept: Vec<(String, String)>,
    /// Why others like them stay: a sentence each.
    pub(crate) staying: Vec<String>,
}

/// What is known where an instruction installs packages.
pub(crate) struct Evidence<'e, 'u> {
    pub(crate) unit: &'e SourceUnit<'u>,
    /// The instruction.
    pub(crate) at: usize,
    pub(crate) seen: &'e PackagesSeen,
}

/// When a package is used, as an instruction that installs it sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Here,
    Later,
    /// In a stage that does not stand on this one, or before.
    Elsewhere,
}

impl<'e> Evidence<'e, '_> {
    fn when(&self, used: &PackageUse) -> When {
        let PackageUser::Run((first, last)) = used.by else { return When::Later };
        let holds = |at: &usize| {
            self.unit.kind(*at) == jettison_syntax::dockerfile::Kind::Run
                && self.unit.original_lines(*at).is_some_and(|(from, to)| from <= first && last <= to)
        };
        // A RUN that other ones were joined with has the lines of all of them.
        let mut users = (0..self.unit.instructions().len()).filter(holds);
        match users.next() {
            Some(at) if at == self.at => When::Here,
            Some(at) if at > self.at && stands_on(self.unit, at, self.at) => When::Later,
            _ => When::Elsewhere,
        }
    }

    /// What uses a package behind the instruction that installs it.
    fn used_later(&self, package: &'e PackageSeen) -> Option<&'e PackageUse> {
        package.uses.iter().find(|used| self.when(used) == When::Later)
    }

    /// What uses a package in the instruction that installs it, or later.
    pub(crate) fn used(&self, package: &'e PackageSeen) -> Option<&'e PackageUse> {
        package.uses.iter().find(|used| self.when(used) != When::Elsewhere)
    }

    /// Whether the instruction uses a package, or what it brings.
    fn is_used_here(&self, name: &str) -> bool {
        self.seen.closure([name], false).into_iter().any(|name| {
            let package = self.seen.packages.get(name).filter(|package| !package.is_of_base);
            package.is_some_and(|package| package.uses.iter().any(|used| self.when(used) == When::Here))
        })
    }

    /// Chooses what goes of the packages that a command names; `serves` tells whether something in the instruction's text
    /// is seen to use a package to build.
    pub(crate) fn choose<'p>(
        &self,
        command: &'p PackageCommand,
        needs: &BuildNeeds,
        serves: &dyn Fn(&Package) -> bool,
    ) -> Result<Chosen<'p>, Refusal> {
        let mut going: Vec<(&Package, &str)> = Vec::new();
        let mut refusals: Vec<(&str, Refusal)> = Vec::new();
        for package in command.packages.iter().filter(|package| !package.is_file) {
            match self.candidate(package, needs, serves) {
                Some(Ok(name)) => going.push((package, name)),
                Some(Err(refusal)) => refusals.push((&package.name, refusal)),
                None => {}
            }
        }
        let used = loop {
            match self.going_along(&going) {
                Ok(used) => break used,
                Err((at, refusal)) => {
                    let (package, _) = going.remove(at);
                    refusals.push((&package.name, refusal));
                }
            }
        };
        if going.is_empty() {
            let none = || ("no-use-seen", "nothing that it installs is seen to serve the build alone".to_owned());
            return Err(refusals.into_iter().next().map_or_else(none, |(_, refusal)| refusal));
        }
        let kept = self.kept(&used);
        if command.manager != Manager::Apk {
            self.spares_the_base(&going, &kept)?;
        }
        let staying = refusals.into_iter().map(|(name, (_, reason))| format!("{name} stays: {reason}")).collect();
        Ok(Chosen { going: going.into_iter().map(|(package, _)| package).collect(), kept, staying })
    }

    /// The name of a package that may go; none where it is no candidate at all.
    fn candidate(
        &self,
        package: &Package,
        needs: &BuildNeeds,
        serves: &dyn Fn(&Package) -> bool,
    ) -> Option<Result<&'e str, Refusal>> {
        let asked = &package.name;
        if build_package(asked).is_none() && !self.seen.has_smoke {
            return None;
        }
        let (name, found) = self.seen.named(asked)?;
        let refuse = |code, reason: String| Some(Err((code, reason)));
        if name == CERTIFICATES {
            return refuse("needed-later", "other programs may need certificates whatever was seen".to_owned());
        }
        if package.qualifier.is_some() {
            return refuse("other-architecture", format!("{asked} is named with its architecture"));
        }
        if found.is_of_base {
            return refuse("base-may-have-them", format!("the base holds {name} already, and would lose it"));
        }
        if needs.installed.get(asked).is_some_and(|by| *by < self.at) {
            return refuse("installed-before", format!("an earlier RUN installs {asked} already"));
        }
        if let Some(used) = self.used_later(found) {
            return refuse("needed-later", used.to_string());
        }
        let is_seen = || match build_tools::is_history(asked) {
            // A working copy that stays may be brought up to date with it, which no build shows.
            true => serves(package),
            false => serves(package) || self.is_used_here(name),
        };
        if !self.seen.has_smoke && !is_seen() {
            return refuse("no-use-seen", format!("nothing in this RUN is seen to use {asked}"));
        }
        Some(Ok(name))
    }

    /// What goes with packages and is used later; or which of them has to stay, and why.
    fn going_along(&self, going: &[(&Package, &'e str)]) -> Result<Vec<(&'e str, &'e PackageUse)>, (usize, Refusal)> {
        let gone: BTreeSet<&str> = going.iter().map(|(_, name)| *name).collect();
        let holding = self.seen.closure(self.seen.roots_without(&gone), false);
        if let Some(at) = going.iter().position(|(_, name)| holding.contains(name)) {
            let name = going[at].1;
            let needs = |other: &&str| self.seen.packages[*other].needs.contains(name);
            let other = holding.iter().copied().find(needs).unwrap_or("another package");
            return Err((at, ("may-take-more", format!("{other} needs {name}, and would go with it"))));
        }
        let mut used = Vec::new();
        for name in self.seen.closure(gone.iter().copied(), true).difference(&holding).copied() {
            let Some(found) = self.used_later(&self.seen.packages[name]) else { continue };
            // A tool that comes with another package is as good as named.
            let brings = |(_, top): &(&Package, &str)| self.seen.closure([*top], false).contains(name);
            if let Some(at) = going.iter().position(brings).filter(|_| build_package(name).is_some()) {
                return Err((at, ("needed-later", format!("it brings {name}, and {found}"))));
            }
            used.push((name, found));
        }
        Ok(used)
    }

    /// What is kept by its name: of the used packages those that bring the others.
    fn kept(&self, used: &[(&'e str, &'e PackageUse)]) -> Vec<(String, String)> {
        let names: BTreeSet<&str> = used.iter().map(|(name, _)| *name).collect();
        let reason = |name: &str| used.iter().find(|(own, _)| *own == name).map(|(_, used)| used.to_string());
        let tops = self.seen.tops(&names);
        tops.into_iter().map(|name| (name.to_owned(), reason(name).unwrap_or_default())).collect()
    }

    /// Whether a removal that takes along what nothing asked for takes nothing of the base's.
    fn spares_the_base(&self, going: &[(&Package, &'e str)], kept: &[(String, String)]) -> Result<(), Refusal> {
        let gone: BTreeSet<&str> = going.iter().map(|(_, name)| *name).collect();
        let asked_for = self.seen.roots_without(&gone).filter(|name| self.seen.packages[*name].is_asked_for);
        let staying = self.seen.closure(asked_for.chain(kept.iter().map(|(name, _)| name.as_str())), true);
        let mut of_base = self.seen.packages.iter().filter(|(_, package)| package.is_of_base);
        match of_base.find(|(name, _)| !staying.contains(name.as_str())) {
            Some((name, _)) => {
                let reason = format!("nothing asks for {name} of the base, which would go with them");
                Err(("may-take-more", reason))
            }
            None => Ok(()),
        }
    }

    /// The certificates where they would go with packages: they are kept, whatever was seen.
    pub(crate) fn certificates(&self, going: &[&Package], kept: &[(String, String)]) -> Option<(String, String)> {
        let names = going.iter().filter_map(|package| self.seen.named(&package.name)).map(|(name, _)| name);
        let gone: BTreeSet<&str> = names.collect();
        let roots = self.seen.roots_without(&gone).chain(kept.iter().map(|(name, _)| name.as_str()));
        let is_going = self.seen.closure(gone.iter().copied(), true).contains(CERTIFICATES)
            && !self.seen.closure(roots, false).contains(CERTIFICATES);
        let reason = "other programs may need them whatever was seen";
        (is_going && !gone.contains(CERTIFICATES)).then(|| (CERTIFICATES.to_owned(), reason.to_owned()))
    }

    /// What an installation brings that nothing needs and that was never used: all that it need not bring; and what of the
    /// rest has to be named then.
    pub(crate) fn only_recommended(&self, command: &PackageCommand) -> (BTreeSet<&'e str>, Vec<(String, String)>) {
        let named = command.packages.iter().filter_map(|package| self.seen.named(&package.name));
        let named: Vec<&str> = named.map(|(name, _)| name).collect();
        let needed = self.seen.closure(self.seen.roots_without(&BTreeSet::new()), false);
        let recommended: Vec<&str> =
            self.seen.closure(named.iter().copied(), true).difference(&needed).copied().collect();
        let use_of = |name: &&'e str| {
            let found = self.used(&self.seen.packages[*name]).map(ToString::to_string);
            let certificates = (*name == CERTIFICATES).then(|| "other programs may need them".to_owned());
            Some((*name, found.or(certificates)?))
        };
        let used: Vec<(&str, String)> = recommended.iter().filter_map(use_of).collect();
        let names: BTreeSet<&str> = used.iter().map(|(name, _)| *name).collect();
        let tops = self.seen.tops(&names);
        let staying = self.seen.closure(tops.iter().copied(), false);
        let gone = recommended.into_iter().filter(|name| !staying.contains(name)).collect();
        let kept = used.into_iter().filter(|(name, _)| tops.contains(name));
        (gone, kept.map(|(name, used)| (name.to_owned(), used)).collect())
    }
}
