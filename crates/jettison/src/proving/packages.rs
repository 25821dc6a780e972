//! The packages of the image of a Dockerfile as it is, and what was seen to use them: its RUN instructions, its command,
//! the smoke commands, and the programs that no package owns.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jettison_engine::build::{Built, BuiltStep};
use jettison_image::packages::{self, Packages, Reason};
use jettison_image::{Config, Kind, Node, Tree};
use jettison_ir::source::{PackageUse, PackageUser, PackagesSeen};
use serde_json::Value;

use super::evidence::followed;
use super::images::Form;
use super::smoke::Expected;
use super::{Original, Prover};

/// Where programs are looked for that no variable says where.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Scripts that call scripts are followed so far.
const DEPTH: usize = 5;
/// Longer scripts are not read.
const LONGEST: usize = 1 << 20;
/// What is in these folders is for people: programs that sort it read it, and none needs it.
const FOR_PEOPLE: [&str; 6] = [
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/menu/",
];

/// What is known of the packages, or why nothing is; none where there are no packages.
pub(super) fn seen(
    prover: &Prover<'_>,
    original: &Original,
    expected: &[Expected],
) -> Result<Option<Result<PackagesSeen, String>>> {
    let form = &original.form;
    let (tree, base) = (form.tree()?, form.base_tree()?);
    let read = |tree: &Tree<'_>| packages::read(tree, &mut form.reader(tree));
    let (databases, below) = match (read(&tree), read(&base)) {
        (Ok(databases), Ok(below)) => (databases, below),
        (Err(error), _) | (_, Err(error)) => return Ok(Some(Err(error.to_string()))),
    };
    let [database] = &databases[..] else {
        let several = || Err("the image has databases of several package managers".to_owned());
        return Ok((databases.len() > 1).then(several));
    };
    let mut search = Search { prover, built: &original.built, form, tree: &tree, database, uses: BTreeMap::new() };
    for step in original.built.steps.iter().filter(|step| step.text.starts_with("RUN")) {
        search.run(step)?;
    }
    if let Err(gap) = search.command()?.and(search.smoke(expected)).and(search.files()?) {
        return Ok(Some(Err(gap)));
    }
    let of_base = |name: &str| below.iter().any(|below| below.get(name).is_some());
    Ok(Some(Ok(search.finish(&of_base, !expected.is_empty()))))
}

/// What was found out, or what stays unknown: a sentence.
type Known = Result<(), String>;

struct Search<'s> {
    prover: &'s Prover<'s>,
    built: &'s Built,
    form: &'s Form,
    tree: &'s Tree<'s>,
    database: &'s Packages,
    /// For each package who uses it, with one of the files.
    uses: BTreeMap<usize, BTreeMap<PackageUser, String>>,
}

impl Search<'_> {
    fn note(&mut self, by: &PackageUser, path: &[u8]) {
        // A link may be of another package than what it leads to.
        for found in [in_its_folder(self.tree, path), followed(self.tree, path)] {
            if FOR_PEOPLE.iter().any(|folder| found.starts_with(folder.as_bytes())) {
                continue;
            }
            if self.tree.find(&found).is_some_and(|node| self.tree.kind(node) == Kind::Directory) {
                continue;
            }
            for owner in self.database.owners(&found) {
                let users = self.uses.entry(*owner).or_default();
                users.entry(by.clone()).or_insert_with(|| String::from_utf8_lossy(path).into_owned());
            }
        }
    }

    /// What a RUN used, as far as it was watched.
    fn run(&mut self, step: &BuiltStep) -> Result<()> {
        let Some(trace) = step.trace.as_deref().filter(|trace| trace.gaps.is_empty()) else { return Ok(()) };
        let line = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
        let by = PackageUser::Run((line(step.lines.0), line(step.lines.1)));
        trace.executed.iter().for_each(|path| self.note(&by, path));
        // It opens every library there is; those that programs needed are known from these.
        let is_linked_anew = trace.executed.iter().any(|path| path.ends_with(b"/ldconfig"));
        for path in &trace.opened {
            if !(is_linked_anew && is_library(path)) {
                self.note(&by, path);
            }
        }
        if is_linked_anew {
            for needs in self.prover.engine.needs(self.built, &trace.executed)? {
                needs.libraries.iter().for_each(|path| self.note(&by, path));
            }
        }
        Ok(())
    }

    /// What the image's own commands need to start, the programs in their scripts included.
    fn command(&mut self) -> Result<Known> {
        let startup = self.prover.engine.startup(self.built)?;
        if let Some(gap) = startup.gaps.into_iter().next() {
            return Ok(Err(gap));
        }
        let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut new: Vec<Vec<u8>> = startup.paths.into_iter().collect();
        for _ in 0..DEPTH {
            let mut named: Vec<Vec<u8>> = Vec::new();
            for path in new.drain(..) {
                self.note(&PackageUser::Command, &path);
                named.extend(self.named_in_script(&path));
                known.insert(path);
            }
            named.retain(|path| !known.contains(path));
            named.sort_unstable();
            named.dedup();
            if named.is_empty() {
                break;
            }
            for needs in self.prover.engine.needs(self.built, &named)? {
                if let Some(gap) = needs.gaps.into_iter().next() {
                    return Ok(Err(gap));
                }
                new.extend(needs.executed.into_iter().chain(needs.libraries));
            }
            new.extend(named);
        }
        Ok(Ok(()))
    }

    fn smoke(&mut self, expected: &[Expected]) -> Known {
        for Expected { smoke, trace, .. } in expected {
            if let Some(gap) = trace.gaps.first() {
                return Err(format!("the smoke command {}: {gap}", smoke.text()));
            }
            let by = PackageUser::Smoke(smoke.text().to_owned());
            trace.opened.iter().chain(&trace.executed).for_each(|path| self.note(&by, path));
        }
        Ok(())
    }

    /// What the programs and libraries need that no package owns: what was built.
    fn files(&mut self) -> Result<Known> {
        let may_run = |node: &Node| {
            let tree = self.tree;
            let name = tree.name(*node);
            let is_named = is_library(name) || name.ends_with(b".node");
            tree.kind(*node) == Kind::File && (is_named || tree.attributes(*node).mode & 0o111 != 0)
        };
        let own = self.tree.walk().filter(may_run).filter(|node| self.form.is_own(self.tree, *node));
        let paths = own.map(|node| self.tree.path(node)).filter(|path| self.database.owners(path).is_empty());
        let mut files: Vec<Vec<u8>> = paths.map(|path| absolute(&path)).collect();
        files.sort_unstable();
        let all = self.prover.engine.needs(self.built, &files)?;
        for (file, needs) in files.iter().zip(all) {
            if let Some(gap) = needs.gaps.into_iter().next() {
                return Ok(Err(gap));
            }
            let by = PackageUser::File(String::from_utf8_lossy(file).into_owned());
            let found = self.found_by_env(file);
            needs.executed.iter().chain(&needs.libraries).chain(&found).for_each(|path| self.note(&by, path));
        }
        Ok(Ok(()))
    }

    /// The text of a script that no package owns.
    fn script(&self, path: &[u8]) -> Option<Vec<u8>> {
        let place = followed(self.tree, path);
        if !self.database.owners(&place).is_empty() {
            return None;
        }
        let node = self.tree.find(&place).filter(|node| self.tree.kind(*node) == Kind::File)?;
        let content = self.form.reader(self.tree)(node)?;
        (content.starts_with(b"#!") && content.len() <= LONGEST).then_some(content)
    }

    /// Whatever a script of nobody's names that is a program.
    fn named_in_script(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let Some(content) = self.script(path) else { return Vec::new() };
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+./-".contains(byte);
        let words: BTreeSet<&[u8]> = content.split(|byte| !is_part(byte)).filter(|word| !word.is_empty()).collect();
        words.into_iter().filter_map(|word| self.program(word)).collect()
    }

    /// The interpreter that a script has `env` look for.
    fn found_by_env(&self, path: &[u8]) -> Option<Vec<u8>> {
        let content = self.script(path)?;
        let line = content.split(|&byte| byte == b'\n').next()?.strip_prefix(b"#!")?;
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.next().filter(|first| first.ends_with(b"/env"))?;
        self.program(words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))?)
    }

    /// Where a program is.
    fn program(&self, word: &[u8]) -> Option<Vec<u8>> {
        let is_program = |path: &Vec<u8>| {
            let node = self.tree.find(&followed(self.tree, path));
            let is_file = |node: Node| self.tree.kind(node) == Kind::File;
            node.is_some_and(|node| is_file(node) && self.tree.attributes(node).mode & 0o111 != 0)
        };
        if word.contains(&b'/') {
            return Some(word.to_vec()).filter(|word| word.starts_with(b"/")).filter(is_program);
        }
        let folders = search_path(&self.built.config);
        folders.iter().map(|folder| [folder.as_bytes(), b"/", word].concat()).find(is_program)
    }

    /// The packages that another one needs or recommends.
    fn brought(&self) -> BTreeSet<usize> {
        let all = self.database.packages.iter().enumerate();
        let brings = |(at, package): (usize, &packages::Package)| {
            let met = package.depends.iter().chain(&package.recommends);
            let met: Vec<usize> = met.flat_map(|one| self.database.meeting(package, one)).collect();
            met.into_iter().filter(move |other| *other != at)
        };
        all.flat_map(brings).collect()
    }

    fn finish(mut self, of_base: &dyn Fn(&str) -> bool, has_smoke: bool) -> PackagesSeen {
        let mut seen = PackagesSeen { has_smoke, ..PackagesSeen::default() };
        let name = |at: usize| self.database.packages[at].name.clone();
        let brought = self.brought();
        for (at, package) in self.database.packages.iter().enumerate() {
            let met = |all: &[packages::Requirement]| -> BTreeSet<String> {
                let met = all.iter().flat_map(|one| self.database.meeting(package, one));
                met.filter(|other| *other != at).map(name).collect()
            };
            let users = self.uses.remove(&at).unwrap_or_default();
            let own = seen.packages.entry(package.name.clone()).or_default();
            own.needs.extend(met(&package.depends));
            own.keeps.extend(met(&package.recommends));
            own.is_of_base |= of_base(&package.name);
            // rpm does not say why packages are there: what another one brings may go with that.
            own.is_asked_for |= match package.reason {
                Reason::Asked => true,
                Reason::Needed => false,
                Reason::Unknown => own.is_of_base || !brought.contains(&at),
            };
            own.bytes += package.size;
            own.uses.extend(users.into_iter().map(|(by, path)| PackageUse { by, path }));
            for brought_by in met(&package.supplements) {
                seen.packages.entry(brought_by).or_default().keeps.insert(package.name.clone());
            }
            for capability in &package.provides {
                seen.provided.entry(capability.name.clone()).or_default().insert(package.name.clone());
            }
        }
        seen
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [&b"/"[..], path].concat()
}

/// A path with the links of its folder followed, itself not.
fn in_its_folder(tree: &Tree<'_>, path: &[u8]) -> Vec<u8> {
    let Some(at) = path.iter().rposition(|&byte| byte == b'/') else { return path.to_vec() };
    let (folder, name) = (followed(tree, &path[..at]), &path[at + 1..]);
    if folder.is_empty() { name.to_vec() } else { [folder.as_slice(), b"/", name].concat() }
}

fn is_library(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

/// The folders that an image's programs are looked for in.
fn search_path(config: &Config) -> Vec<String> {
    let env = config.get("config").and_then(|config| config.get("Env")).and_then(Value::as_array);
    let set = env.into_iter().flatten().filter_map(Value::as_str).find_map(|set| set.strip_prefix("PATH="));
    let folders = set.unwrap_or(PATH).split(':').filter(|folder| folder.starts_with('/'));
    folders.map(|folder| folder.trim_end_matches('/').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_by_their_names() {
        for (path, expected) in [
            ("/usr/lib/libz.so", true),
            ("/usr/lib/libz.so.1.2", true),
            ("/usr/lib/x.cpython-311.so", true),
            ("/usr/lib/libz.a", false),
            ("/usr/bin/so", false),
        ] {
            assert_eq!(is_library(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn programs_are_looked_for_where_the_image_says() {
        let config = |env: &str| {
            let text = format!(
                r#"{{"architecture":"amd64","os":"linux","config":{env},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
            );
            Config::parse(text.as_bytes()).expect("a config")
        };
        assert_eq!(search_path(&config(r#"{"Env":["A=b","PATH=/x/:y:/z"]}"#)), ["/x", "/z"]);
        assert!(search_path(&config("{}")).contains(&"/usr/local/bin".to_owned()));
    }
}
