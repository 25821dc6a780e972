//! What building a Dockerfile and watching what it made showed of the packages of its image.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The packages of the image that a Dockerfile makes, as its databases say, and what used them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesSeen {
    /// Those that are there in the end, by name.
    pub packages: BTreeMap<String, PackageSeen>,
    /// What else packages can be asked for by, each with the packages that answer to it.
    pub provided: BTreeMap<String, BTreeSet<String>>,
    /// Whether commands that show the image's work were run and watched.
    pub has_smoke: bool,
}

/// A package of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageSeen {
    /// The packages that it cannot do without.
    pub needs: BTreeSet<String>,
    /// The packages that it keeps there as well: those that it recommends, and those that were installed along with it.
    pub keeps: BTreeSet<String>,
    /// Whether somebody asked for it by name; else it is there for others.
    pub is_asked_for: bool,
    /// Whether the base holds it.
    pub is_of_base: bool,
    /// Bytes of its files, unpacked.
    pub bytes: u64,
    /// What used its files.
    pub uses: Vec<PackageUse>,
}

/// A use of a package's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageUse {
    /// Who used it.
    pub by: PackageUser,
    /// The file, absolute.
    pub path: String,
}

/// Who uses a package's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageUser {
    /// The RUN instruction of these lines of the original.
    Run((usize, usize)),
    /// The command that the image runs, or its health check, to start.
    Command,
    /// A command that shows the image's work.
    Smoke(String),
    /// A program or library of no package, which needs it: its path.
    File(String),
}

impl PackagesSeen {
    /// The package that a name asks for; none where several answer to it, or none.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(&str, &PackageSeen)> {
        if let Some((name, package)) = self.packages.get_key_value(name) {
            return Some((name, package));
        }
        let mut answers = self.provided.get(name)?.iter();
        let only = answers.next().filter(|_| answers.next().is_none())?;
        self.packages.get_key_value(only).map(|(name, package)| (name.as_str(), package))
    }

    /// All that these packages lead to, themselves included; with `keeps` also over what is only kept.
    #[must_use]
    pub fn closure<'s>(&'s self, of: impl IntoIterator<Item = &'s str>, with_kept: bool) -> BTreeSet<&'s str> {
        let mut left: Vec<&str> = of.into_iter().collect();
        let mut all: BTreeSet<&str> = BTreeSet::new();
        while let Some(name) = left.pop() {
            let Some((name, package)) = self.packages.get_key_value(name) else { continue };
            if !all.insert(name) {
                continue;
            }
            left.extend(package.needs.iter().map(String::as_str));
            if with_kept {
                left.extend(package.keeps.iter().map(String::as_str));
            }
        }
        all
    }

    /// The packages that hold the rest there where these are gone: those that somebody asked for, and the base's.
    pub fn roots_without<'s>(&'s self, gone: &BTreeSet<&str>) -> impl Iterator<Item = &'s str> + use<'s> {
        let holds = |(name, package): &(&'s String, &PackageSeen)| {
            (package.is_asked_for || package.is_of_base) && !gone.contains(name.as_str())
        };
        let roots: Vec<&str> = self.packages.iter().filter(holds).map(|(name, _)| name.as_str()).collect();
        roots.into_iter()
    }

    /// Of these packages those that no other of them needs: all of them come with these.
    #[must_use]
    pub fn tops<'s>(&'s self, of: &BTreeSet<&'s str>) -> Vec<&'s str> {
        let mut tops: Vec<&str> = of.iter().copied().collect();
        for name in of {
            let others: Vec<&str> = tops.iter().copied().filter(|other| other != name).collect();
            if self.closure(others.iter().copied(), false).contains(name) {
                tops = others;
            }
        }
        tops
    }
}

impl fmt::Display for PackageUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.by {
            PackageUser::Run((first, last)) if first == last => write!(f, "the RUN of line {first} uses {path}"),
            PackageUser::Run((first, last)) => write!(f, "the RUN of lines {first}-{last} uses {path}"),
            PackageUser::Command => write!(f, "the image's command needs {path}"),
            PackageUser::Smoke(command) => write!(f, "the smoke command {command} uses {path}"),
            PackageUser::File(file) => write!(f, "{file} needs {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(all: &[(&str, &str, &str, bool)]) -> PackagesSeen {
        let set = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let package = |(name, needs, keeps, is_asked_for): &(&str, &str, &str, bool)| {
            let package = PackageSeen {
                needs: set(needs),
                keeps: set(keeps),
                is_asked_for: *is_asked_for,
                ..PackageSeen::default()
            };
            ((*name).to_owned(), package)
        };
        PackagesSeen { packages: all.iter().map(package).collect(), ..PackagesSeen::default() }
    }

    fn text(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        names.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn packages_are_held_by_those_that_somebody_asked_for() {
        let seen = seen(&[
            ("git", "libcurl zlib", "ca-certificates", true),
            ("curl", "libcurl", "", true),
            ("libcurl", "zlib", "", false),
            ("zlib", "", "", false),
            ("ca-certificates", "openssl", "", false),
            ("openssl", "", "", false),
        ]);
        assert_eq!(text(seen.closure(["git"], false)), "git libcurl zlib");
        assert_eq!(text(seen.closure(["git"], true)), "ca-certificates git libcurl openssl zlib");
        let gone = BTreeSet::from(["git"]);
        assert_eq!(text(seen.closure(seen.roots_without(&gone), true)), "curl libcurl zlib");
        assert_eq!(text(seen.tops(&BTreeSet::from(["zlib", "libcurl", "openssl"]))), "libcurl openssl");
    }

    #[test]
    fn one_of_packages_that_need_each_other_is_their_top() {
        let seen = seen(&[("a", "b", "", false), ("b", "a", "", false), ("c", "", "", false)]);
        assert_eq!(text(seen.tops(&BTreeSet::from(["a", "b", "c"]))), "b c");
    }

    #[test]
    fn names_that_one_package_answers_to_ask_for_it() {
        let mut seen = seen(&[("gcc-12", "", "", true), ("cc-a", "", "", true), ("cc-b", "", "", true)]);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        seen.provided.insert("gcc".to_owned(), set(&["gcc-12"]));
        seen.provided.insert("cc".to_owned(), set(&["cc-a", "cc-b"]));
        let name = |asked: &str| seen.named(asked).map(|(name, _)| name);
        assert_eq!((name("gcc-12"), name("gcc")), (Some("gcc-12"), Some("gcc-12")));
        assert_eq!((name("cc"), name("none")), (None, None));
    }
}
