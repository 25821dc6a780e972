//! Packages of distributions that serve to build: which they are, what uses them, and what goes with them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use jettison_syntax::packages::{Manager, Verb};

use super::calls::Call;
use super::families::Reference;

/// The table as it is read; its own head says what the lines mean.
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("../data/build_packages.txt")));

#[derive(Default)]
struct Table {
    /// The lists without a key, by their names.
    lists: HashMap<&'static str, HashSet<&'static str>>,
    tools: HashMap<&'static str, Vec<&'static str>>,
    libraries: HashMap<&'static str, Vec<&'static str>>,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let Some(key) = words.next() else { continue };
            match key {
                "tool" => {
                    if let Some(name) = words.next() {
                        table.tools.insert(name, words.collect());
                    }
                }
                "library" => {
                    if let Some(name) = words.next() {
                        table.libraries.insert(name, words.collect());
                    }
                }
                list => table.lists.entry(list).or_default().extend(words),
            }
        }
        table
    }

    fn has(&self, list: &str, word: &str) -> bool {
        self.lists.get(list).is_some_and(|words| words.contains(word))
    }
}

/// What a package that serves to build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildPackage {
    /// A compiler, or a tool that builds call.
    Compiler,
    /// What a library is built against.
    Headers,
    /// Something that is used where one of these programs is called.
    Tool(&'static [&'static str]),
}

/// What a package serves to build; none where it serves something else, as far as its name tells.
pub(crate) fn build_package(name: &str) -> Option<BuildPackage> {
    let plain = without_version(name);
    if TABLE.has("build", plain) {
        return Some(BuildPackage::Compiler);
    }
    if let Some(programs) = TABLE.tools.get(name) {
        return Some(BuildPackage::Tool(programs));
    }
    (name.ends_with("-dev") || name.ends_with("-devel")).then_some(BuildPackage::Headers)
}

/// A name without the version that belongs to it, as in `gcc-12`.
fn without_version(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((plain, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => plain,
        _ => name,
    }
}

/// The last part of a program's path.
pub(crate) fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether a command builds something, so that compilers are needed while it runs.
pub(crate) fn builds(call: &Call<'_>) -> bool {
    let is_builder = || call.program().is_some_and(|(program, _)| is_build_program(base_name(program)));
    match &call.package {
        Some(command) if command.is_system() => false,
        Some(command) => {
            matches!(command.verb, Verb::Install | Verb::Build)
                || (matches!(command.manager, Manager::Go | Manager::Cargo) && is_builder())
        }
        None => is_builder(),
    }
}

/// Whether a program builds, whatever it is given; programs that do other things as well are known as managers.
fn is_build_program(program: &str) -> bool {
    TABLE.has("builder", program)
}

/// Whether a command compiles extensions of an interpreted language, or programs with a library of their compiler.
pub(crate) fn builds_natively(call: &Call<'_>) -> bool {
    let is_native = || call.program().is_some_and(|(program, _)| TABLE.has("native", base_name(program)));
    let is_pip = call.package.as_ref().is_some_and(|command| !command.is_system() && command.manager != Manager::Go);
    builds(call) && (is_pip || is_native())
}

/// Whether a command uses such a package.
pub(crate) fn uses(package: BuildPackage, call: &Call<'_>) -> bool {
    match package {
        BuildPackage::Compiler | BuildPackage::Headers => builds(call),
        BuildPackage::Tool(programs) => {
            let by_build = programs.contains(&"*") && builds(call);
            by_build || call.program().is_some_and(|(program, _)| programs.contains(&base_name(program)))
        }
    }
}

/// Whether a package keeps histories of sources.
pub(crate) fn is_history(name: &str) -> bool {
    TABLE.has("history", name)
}

/// Whether a package of a language calls compilers where it is used.
pub(crate) fn compiles_where_used(name: &str) -> bool {
    TABLE.has("compiling", name)
}

/// Whether a command is known to build nothing.
pub(crate) fn is_plain(call: &Call<'_>) -> bool {
    match &call.package {
        Some(command) => command.is_system(),
        None => {
            call.simple.words.is_empty()
                || call.program().is_some_and(|(program, _)| TABLE.has("plain", base_name(program)))
        }
    }
}

/// Whether sources that commands fetch are there to build from: something is built behind them, or they are removed.
pub(crate) fn fetches_to_build(calls: &[&Call<'_>], package: BuildPackage) -> bool {
    let words = |call: &Call<'_>| -> Vec<String> {
        call.simple.arguments().iter().filter_map(|word| word.literal()).map(|word| word.into_owned()).collect()
    };
    let Some(first) = calls.iter().position(|call| uses(package, call)) else { return false };
    let mut named: HashSet<String> = HashSet::new();
    for call in calls.iter().filter(|call| uses(package, call)) {
        for word in words(call) {
            if word == "config" {
                return false;
            }
            let plain = word.trim_end_matches('/');
            named.insert(base_name(plain).trim_end_matches(".git").to_owned());
        }
    }
    calls[first..].iter().any(|call| {
        let removes = |word: &String| {
            let plain = word.trim_end_matches('/');
            plain.ends_with(".git") || (!plain.starts_with('-') && named.contains(base_name(plain)))
        };
        builds(call) || (call.simple.name() == Some("rm") && words(call).iter().any(removes))
    })
}

/// Whether a word of a later command is the name of a tool that such packages hold.
pub(crate) fn is_tool(word: &str) -> bool {
    let name = without_version(base_name(word));
    ["build", "programs", "builder"].iter().any(|list| TABLE.has(list, name) && !TABLE.has("native", name))
        || TABLE.tools.contains_key(name)
        || TABLE.tools.values().any(|programs| programs.contains(&name))
}

/// Whether a word is the name of a program that builds what a language's packages hold.
pub(crate) fn is_language_manager(word: &str) -> bool {
    TABLE.has("native", base_name(word))
}

/// Whether a compiler compiles C++, so that what it makes needs the library of that language.
pub(crate) fn is_plus(name: &str) -> bool {
    TABLE.has("plus", without_version(name))
}

/// Whether something would go with a compiler that is removed.
pub(crate) fn needs_compilers(name: &str) -> bool {
    let mut starts = TABLE.lists.get("dependant").into_iter().flatten();
    starts.any(|one| one.strip_suffix('*').map_or(*one == name, |start| name.starts_with(start)))
}

/// Whether a package brings the certificates that other programs may use.
pub(crate) fn brings_certificates(name: &str) -> bool {
    TABLE.has("certificates", name)
}

/// How many names with one beginning are looked at.
const LOOKED_AT: usize = 64;

/// Whether the library that a `-dev` package brings stays without it: it belongs to none, or one of the packages
/// installed by name holds it.
pub(crate) fn keeps_library(name: &str, installed: &BTreeMap<String, usize>) -> bool {
    if TABLE.has("headers", name) {
        return true;
    }
    if TABLE.libraries.get(name).into_iter().flatten().any(|runtime| installed.contains_key(*runtime)) {
        return true;
    }
    let stem = name.trim_end_matches("-devel").trim_end_matches("-dev");
    let mut names = installed.range(stem.to_owned()..).map(|(own, _)| own).take(LOOKED_AT);
    names.by_ref().take_while(|own| own.starts_with(stem)).any(|own| {
        let rest = &own[stem.len()..];
        rest.is_empty() || rest == "-libs" || rest == "-lib" || rest.starts_with(|first: char| first.is_ascii_digit())
    })
}

/// What the names of the packages that a compiler's products need start with, for Alpine, where the base lacks them.
pub(crate) fn compiler_library(names: &BTreeSet<&str>, is_native: bool) -> Option<&'static [&'static str]> {
    if names.iter().any(|name| is_plus(name)) {
        return Some(&["libstdc++"]);
    }
    let compiles = names.iter().any(|name| matches!(without_version(name), "gcc" | "cargo" | "rust"));
    let is_rust = names.iter().any(|name| matches!(*name, "cargo" | "rust"));
    (compiles && (is_native || is_rust)).then_some(&["libgcc", "libstdc++"])
}

/// Whether an image is known to hold none of these packages.
pub(crate) fn lacks_build_packages(image: &str) -> bool {
    let reference = Reference::read(image);
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let named = |list: &str| TABLE.lists.get(list).into_iter().flatten().any(|name| reference.is_named(name));
    named("base") || (tag.contains("slim") && named("slim"))
}

/// Whether an image holds the library of C++ by name.
pub(crate) fn has_plus_library(image: &str) -> bool {
    let reference = Reference::read(image);
    TABLE.lists.get("plus-base").into_iter().flatten().any(|name| reference.is_named(name))
}

/// Whether an image's own command serves.
pub(crate) fn serves(image: &str) -> bool {
    let reference = Reference::read(image);
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let is_php = reference.is_named("php") && (tag.contains("fpm") || tag.contains("apache"));
    is_php || TABLE.lists.get("service").into_iter().flatten().any(|name| reference.is_named(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BuildPackage, build_package, keeps_library, lacks_build_packages};

    #[test]
    fn names_tell_what_builds() {
        for name in ["gcc", "gcc-12", "clang-14", "build-base", "make"] {
            assert_eq!(build_package(name), Some(BuildPackage::Compiler), "{name}");
        }
        assert_eq!(build_package("libffi-dev"), Some(BuildPackage::Headers));
        assert!(matches!(build_package("git"), Some(BuildPackage::Tool(_))));
        for name in ["python3", "curl", "makeself", "gccgo-doc", "libgcc"] {
            assert_eq!(build_package(name), None, "{name}");
        }
    }

    #[test]
    fn libraries_are_found_by_their_names() {
        let installed: BTreeMap<String, usize> =
            ["libffi8", "zlib1g", "libpq5", "libxml2-utils", "icu-libs"].map(|name| (name.to_owned(), 0)).into();
        for name in ["libffi-dev", "zlib1g-dev", "libpq-dev", "icu-dev", "musl-dev", "icu-devel"] {
            assert!(keeps_library(name, &installed), "{name}");
        }
        for name in ["libxml2-dev", "libxslt-dev", "libjpeg-dev"] {
            assert!(!keeps_library(name, &installed), "{name}");
        }
    }

    #[test]
    fn bases_are_known_by_name_and_tag() {
        for image in ["debian", "ubuntu:22.04", "python:3.12-slim", "fedora:40"] {
            assert!(lacks_build_packages(image), "{image}");
        }
        for image in ["python:3.12", "buildpack-deps:bookworm", "rust:1-slim", "corp/debian-tools:slim"] {
            assert!(!lacks_build_packages(image), "{image}");
        }
    }
}
