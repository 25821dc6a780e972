//! Why packages are there: who asks for whom and how, and the shortest chain from what somebody asked for, or from what the
//! system itself is, to a package.

use super::{Capability, Manager, Package, Packages, Reason, Requirement};

/// How a package leads to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tie {
    /// It needs it.
    Depends,
    /// The other one is installed along with it unless somebody says no.
    Recommends,
    /// The other one says itself that it is installed along with it (`install_if` of apk, `Supplements` of rpm).
    Supplements,
}

/// A tie, seen from one of the two packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The place of the other package in [`Packages::packages`].
    pub package: usize,
    /// How they are tied.
    pub tie: Tie,
    /// What the asking one asks by: the other one's name, or something that it provides.
    pub capability: Capability,
}

/// Why a package is there, as far as a chain goes on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Somebody asked for it.
    Asked,
    /// The system is none without it, as the database says (`Essential`, `Protected`, `Priority: required` of dpkg).
    System,
    /// Nothing asks for it, and the database does not say that somebody did: where it never says so it probably was asked
    /// for, else it is left of something.
    Unneeded,
    /// Only packages ask for it that it leads to itself.
    Circle,
    /// The next package of the chain asks for it.
    Edge(Tie, Capability),
}

/// A package of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in [`Packages::packages`].
    pub package: usize,
    /// Why it is there; the last one of a chain is never there because of an edge.
    pub because: Because,
}

/// All ties of a database's packages, and the shortest ways to each.
#[derive(Clone, Debug)]
pub struct Graph {
    needs: Vec<Vec<Edge>>,
    needed_by: Vec<Vec<Edge>>,
    /// Why each package is there, and the next one of the chain.
    reasons: Vec<Step>,
}

impl Packages {
    /// The ties of all packages.
    #[must_use]
    pub fn graph(&self) -> Graph {
        let count = self.packages.len();
        let mut graph =
            Graph { needs: vec![Vec::new(); count], needed_by: vec![Vec::new(); count], reasons: Vec::new() };
        for (at, package) in self.packages.iter().enumerate() {
            let all = [
                (Tie::Depends, &package.depends),
                (Tie::Recommends, &package.recommends),
                (Tie::Supplements, &package.supplements),
            ];
            for (tie, requirement) in all.into_iter().flat_map(|(tie, all)| all.iter().map(move |one| (tie, one))) {
                for other in self.meeting(package, requirement).into_iter().filter(|other| *other != at) {
                    let (from, to) = if tie == Tie::Supplements { (other, at) } else { (at, other) };
                    graph.tie(from, to, tie, self.asked_by(requirement, other));
                }
            }
        }
        graph.explain(self);
        graph
    }

    /// Whether the system is none without a package, as the database says.
    #[must_use]
    pub fn is_system(&self, package: &Package) -> bool {
        package.is_essential || package.priority == "required"
    }

    /// Whether a package is nothing but a name for others (`apk add --virtual`).
    #[must_use]
    pub fn is_group(&self, package: &Package) -> bool {
        // apk-tools, `src/app_add.c`, writes this in place of a description.
        let is_virtual =
            |record: &[u8]| record.split(|&byte| byte == b'\n').any(|line| line == b"T:virtual meta package");
        self.manager == Manager::Apk && (package.name.starts_with('.') || is_virtual(&package.record))
    }

    /// The places of the packages of a group; see [`Packages::is_group`].
    #[must_use]
    pub fn members(&self, group: usize) -> Vec<usize> {
        let package = &self.packages[group];
        let mut all: Vec<usize> = package.depends.iter().flat_map(|one| self.meeting(package, one)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The chain from a package to what somebody asked for, itself included: see [`Graph::why`], which is faster for many.
    #[must_use]
    pub fn why(&self, at: usize) -> Vec<Step> {
        self.graph().why(at)
    }

    /// Who asks for a package: see [`Graph::needed_by`], which is faster for many.
    #[must_use]
    pub fn needed_by(&self, at: usize) -> Vec<Edge> {
        self.graph().needed_by[at].clone()
    }

    /// Which of a requirement's alternatives a package meets.
    fn asked_by<'r>(&self, requirement: &'r Requirement, other: usize) -> &'r Capability {
        let alternatives = &requirement.alternatives;
        let meets = |one: &&Capability| {
            let all = self.providers.get(&one.name);
            all.is_some_and(|all| all.iter().any(|(at, _)| *at == other)) || one.name == self.packages[other].name
        };
        // rpm is asked for files by their paths as well.
        alternatives.iter().find(meets).unwrap_or(&alternatives[0])
    }

    /// Why a package is there where no other one is the reason.
    fn root(&self, at: usize, graph: &Graph) -> Option<Because> {
        let package = &self.packages[at];
        match package.reason {
            _ if self.is_system(package) => Some(Because::System),
            Reason::Asked => Some(Because::Asked),
            Reason::Unknown if graph.needed_by[at].is_empty() => Some(Because::Unneeded),
            Reason::Needed | Reason::Unknown => None,
        }
    }
}

impl Graph {
    /// Whom a package asks for, and whom it brings along.
    #[must_use]
    pub fn needs(&self, at: usize) -> &[Edge] {
        &self.needs[at]
    }

    /// Who asks for a package, and whom it says to go along with.
    #[must_use]
    pub fn needed_by(&self, at: usize) -> &[Edge] {
        &self.needed_by[at]
    }

    /// The shortest chain from a package to what somebody asked for, or the system itself: the package, who asks for it, who
    /// asks for that one. Of chains of one length that which starts with stronger ties counts, then what was asked for before
    /// the system, then the order of the database.
    #[must_use]
    pub fn why(&self, at: usize) -> Vec<Step> {
        let mut chain = Vec::new();
        let mut at = at;
        loop {
            let Step { package: next, because } = self.reasons[at].clone();
            let goes_on = matches!(because, Because::Edge(..));
            chain.push(Step { package: at, because });
            if !goes_on {
                return chain;
            }
            at = next;
        }
    }

    fn tie(&mut self, from: usize, to: usize, tie: Tie, capability: &Capability) {
        // A package that asks in several ways is tied by the first, which is the strongest.
        if self.needs[from].iter().all(|edge| edge.package != to) {
            self.needs[from].push(Edge { package: to, tie, capability: capability.clone() });
            self.needed_by[to].push(Edge { package: from, tie, capability: capability.clone() });
        }
    }

    /// Finds the reason of each package, by width from those that need none.
    fn explain(&mut self, packages: &Packages) {
        let mut found: Vec<Option<Step>> = vec![None; self.needs.len()];
        let mut roots: Vec<(usize, Because)> =
            (0..found.len()).filter_map(|at| Some((at, packages.root(at, self)?))).collect();
        let rank = |because: &Because| *because == Because::System;
        roots.sort_by_key(|(at, because)| (rank(because), *at));
        loop {
            let mut level: Vec<usize> = roots.iter().map(|(at, _)| *at).collect();
            for (package, because) in roots {
                found[package] = Some(Step { package, because });
            }
            while !level.is_empty() {
                level = self.next(&level, &mut found);
            }
            match found.iter().position(Option::is_none) {
                None => break,
                Some(left) => roots = vec![self.start(left, &found)],
            }
        }
        self.reasons = found.into_iter().flatten().collect();
    }

    /// Whom the packages of a level lead to that nobody led to before.
    fn next(&self, level: &[usize], found: &mut [Option<Step>]) -> Vec<usize> {
        let mut edges: Vec<(Tie, usize, &Edge)> = Vec::new();
        for (order, at) in level.iter().enumerate() {
            let new = self.needs[*at].iter().filter(|edge| found[edge.package].is_none());
            edges.extend(new.map(|edge| (edge.tie, order, edge)));
        }
        edges.sort_by_key(|(tie, order, _)| (*tie, *order));
        let mut next = Vec::new();
        for (tie, order, edge) in edges {
            if found[edge.package].is_none() {
                let because = Because::Edge(tie, edge.capability.clone());
                found[edge.package] = Some(Step { package: level[order], because });
                next.push(edge.package);
            }
        }
        next
    }

    /// Where to go on from a package that nothing with a reason leads to: back to one that nobody asks for, or in a circle.
    fn start(&self, from: usize, found: &[Option<Step>]) -> (usize, Because) {
        let mut walked = vec![from];
        loop {
            let at = walked[walked.len() - 1];
            let Some(edge) = self.needed_by[at].iter().find(|edge| found[edge.package].is_none()) else {
                return (at, Because::Unneeded);
            };
            if let Some(again) = walked.iter().position(|at| *at == edge.package) {
                let first = walked[again..].iter().min().copied();
                return (first.unwrap_or(at), Because::Circle);
            }
            walked.push(edge.package);
        }
    }
}
