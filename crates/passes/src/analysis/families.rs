//! What the names of well-known base images tell: whether their tags move, and which smaller ones their families have.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The table as it is read; its own head says what the lines mean.
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("../data/bases.txt")));

#[derive(Default)]
struct Table {
    images: BTreeMap<&'static str, Image>,
    notes: BTreeMap<&'static str, &'static str>,
    suites: Vec<&'static str>,
    small: Vec<&'static str>,
    moving: Vec<&'static str>,
}

#[derive(Default)]
struct Image {
    numbers: usize,
    suites_are_releases: bool,
    is_toolchain: bool,
    has_user: bool,
    smaller: Vec<Smaller>,
}

struct Smaller {
    when: Vec<&'static str>,
    tag: &'static str,
    note: &'static str,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self::default();
        let mut current = "";
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (key, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let words = || rest.split_whitespace();
            if !line.starts_with(' ') {
                match key {
                    "image" => current = rest,
                    "note" => drop(rest.split_once(' ').map(|(name, text)| table.notes.insert(name, text))),
                    "suite" => table.suites.extend(words()),
                    "small" => table.small.extend(words()),
                    "moving" => table.moving.extend(words()),
                    _ => {}
                }
                continue;
            }
            let image = table.images.entry(current).or_default();
            match (key, &words().collect::<Vec<_>>()[..]) {
                ("numbers", [number]) => image.numbers = number.parse().unwrap_or_default(),
                ("suites", _) => image.suites_are_releases = true,
                ("user", _) => image.has_user = true,
                ("toolchain", _) => image.is_toolchain = true,
                ("smaller", [when, tag, note]) => {
                    image.smaller.push(Smaller { when: when.split(',').collect(), tag, note });
                }
                _ => {}
            }
        }
        table
    }
}

/// A reference to an image, taken apart.
pub(crate) struct Reference<'a> {
    /// All before the tag.
    name: &'a str,
    tag: Option<&'a str>,
    has_digest: bool,
    image: Option<&'static Image>,
    /// The tag's parts: a version or a word that stands for one, a suite, and the rest.
    version: &'a str,
    suite: &'a str,
    rest: Vec<&'a str>,
}

/// A smaller image of the same family.
pub(crate) struct SmallerBase {
    /// Its reference.
    pub(crate) reference: String,
    /// What to know about it.
    pub(crate) note: &'static str,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart.
    pub(crate) fn read(reference: &'a str) -> Self {
        let (named, has_digest) = reference.split_once('@').map_or((reference, false), |(named, _)| (named, true));
        let last = named.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match named[last..].split_once(':') {
            Some((name, tag)) => (&named[..last + name.len()], Some(tag)),
            None => (named, None),
        };
        let image = TABLE.images.get(short(name));
        let mut parsed = Self { name, tag, has_digest, image, version: "", suite: "", rest: Vec::new() };
        for (at, part) in tag.unwrap_or_default().split('-').enumerate() {
            let is_version = part.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
            if at == 0 && (is_version || TABLE.moving.contains(&part)) {
                parsed.version = if part == "latest" { "" } else { part };
            } else if parsed.suite.is_empty() && TABLE.suites.contains(&part) {
                parsed.suite = part;
            } else if !part.is_empty() && part != "latest" {
                parsed.rest.push(part);
            }
        }
        parsed
    }

    /// Whether the image is known to run no ONBUILD instructions: those that Docker's official images had were all
    /// in tags that say so.
    pub(crate) fn has_no_triggers(&self) -> bool {
        self.image.is_some() && !self.tag.is_some_and(|tag| tag.contains("onbuild"))
    }

    /// Whether the image's commands are known to run as root.
    pub(crate) fn is_root(&self) -> bool {
        self.image.is_some_and(|image| !image.has_user)
    }

    /// Whether it is the image of that short name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        short(self.name) == name
    }

    /// Whether the tag goes over to new versions by itself, though it is not `latest`.
    pub(crate) fn moves(&self) -> bool {
        let Some(tag) = self.tag.filter(|tag| *tag != "latest" && !self.has_digest) else { return false };
        if TABLE.moving.contains(&self.version) || TABLE.moving.contains(&tag) {
            return true;
        }
        let Some(image) = self.image else { return false };
        let numbers = self.version.split(|ch: char| !ch.is_ascii_digit()).filter(|run| !run.is_empty()).count();
        let by_suite = image.suites_are_releases && !self.suite.is_empty();
        numbers < image.numbers && !by_suite
    }

    /// Whether the image holds compilers or build tools.
    pub(crate) fn is_toolchain(&self) -> bool {
        self.image.is_some_and(|image| image.is_toolchain)
    }

    /// The smaller ones of its family.
    pub(crate) fn smaller(&self) -> Vec<SmallerBase> {
        let is_small = |part: &&str| {
            TABLE.small.contains(part)
                || part.starts_with("alpine")
                || TABLE.small.contains(&part.trim_end_matches(char::is_numeric))
        };
        let Some(image) = self.image.filter(|_| !self.rest.iter().any(is_small)) else { return Vec::new() };
        let rest = self.rest.join("-");
        let fits =
            |smaller: &&Smaller| smaller.when.iter().any(|when| *when == rest || (*when == "-" && rest.is_empty()));
        image.smaller.iter().filter(fits).map(|smaller| self.named(smaller, &rest)).collect()
    }

    fn named(&self, smaller: &Smaller, rest: &str) -> SmallerBase {
        let (name, template) = smaller.tag.rsplit_once(':').unwrap_or((self.name, smaller.tag));
        let unnamed = self.version.is_empty()
            && self.suite.is_empty()
            && self.image.is_some_and(|image| image.suites_are_releases);
        let filled = template.split('-').map(|part| match part {
            // Where suites are releases, the tag of the newest one is `stable`.
            "VERSION" if unnamed => "stable",
            "VERSION" => self.version,
            "SUITE" => self.suite,
            "REST" => rest,
            part => part,
        });
        let tag = filled.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let tag = if tag.is_empty() { "latest".to_owned() } else { tag };
        let note = TABLE.notes.get(smaller.note).copied().unwrap_or_default();
        SmallerBase { reference: format!("{name}:{tag}"), note }
    }
}

/// The short name of an image: without Docker Hub's registry and folder.
fn short(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    name.strip_prefix("library/").or_else(|| name.strip_prefix("public.ecr.aws/docker/library/")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{Reference, TABLE};

    #[test]
    fn the_table_is_whole() {
        let text = include_str!("../data/bases.txt");
        let images = text.lines().filter(|line| line.starts_with("image ")).count();
        assert_eq!(TABLE.images.len(), images);
        assert_eq!(text.lines().filter(|line| line.starts_with("  source https://")).count(), images);
        for (name, image) in &TABLE.images {
            assert!(image.numbers > 0, "{name} lacks numbers");
            for smaller in &image.smaller {
                assert!(TABLE.notes.contains_key(smaller.note), "{name}: {}", smaller.note);
            }
        }
    }

    #[test]
    fn every_smaller_tag_counts_as_small() {
        for name in TABLE.images.keys() {
            for tag in ["1.2", "1.2-bookworm", "bookworm"] {
                let reference = format!("{name}:{tag}");
                for smaller in Reference::read(&reference).smaller() {
                    let again = Reference::read(&smaller.reference).smaller();
                    assert!(again.is_empty(), "{} has a smaller one", smaller.reference);
                }
            }
        }
    }
}
