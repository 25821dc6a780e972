//! What builds showed, as cases state it: a `packages` block has a package a line, its name and what is known of it,
//! with commas between: `asked`, `base`, `needs NAME…`, `keeps NAME…`, and uses of its files: `line N PATH` by a RUN,
//! `command PATH`, `smoke PATH`, `file FILE PATH`. `smoke` behind the fence says that smoke commands were run. All RUNs of
//! such a case were watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use jettison_ir::source::{Observations, Observed, PackageSeen, PackageUse, PackageUser, PackagesSeen};
use jettison_syntax::dockerfile::{Dockerfile, Kind};

use crate::pages::PageCase;

/// What a case says of builds of a text.
pub(crate) fn of(case: &PageCase, text: &str) -> Option<Observations> {
    let block = case.block("packages")?;
    let packages: BTreeMap<String, PackageSeen> = block.text.lines().map(|line| package(case, line)).collect();
    let has_smoke = block.words.iter().any(|word| word == "smoke");
    let packages = Arc::new(PackagesSeen { packages, provided: BTreeMap::new(), has_smoke });
    let tree = Dockerfile::parse(text);
    let line = |offset: u32| text[..offset as usize].matches('\n').count() + 1;
    let runs = tree.instructions.iter().filter(|instruction| instruction.body.kind == Kind::Run);
    let lines = runs.map(|run| (line(run.span.start), line(run.span.end - 1)));
    let runs = lines.map(|lines| (lines, Arc::new(Observed::default()))).collect();
    Some(Observations { runs, packages: Some(packages), ..Observations::default() })
}

fn package(case: &PageCase, line: &str) -> (String, PackageSeen) {
    let (name, rest) = line.split_once(':').unwrap_or((line, ""));
    let mut package = PackageSeen { bytes: 1, ..PackageSeen::default() };
    for known in rest.split(',').map(str::trim).filter(|known| !known.is_empty()) {
        let words: Vec<&str> = known.split_whitespace().collect();
        let mut used = |by, path: &str| package.uses.push(PackageUse { by, path: path.to_owned() });
        match words[..] {
            ["asked"] => package.is_asked_for = true,
            ["base"] => package.is_of_base = true,
            ["needs", ref names @ ..] => package.needs = names.iter().map(|name| (*name).to_owned()).collect(),
            ["keeps", ref names @ ..] => package.keeps = names.iter().map(|name| (*name).to_owned()).collect(),
            ["line", number, path] => {
                let number = number.parse().expect("a line");
                used(PackageUser::Run((number, number)), path);
            }
            ["command", path] => used(PackageUser::Command, path),
            ["smoke", path] => used(PackageUser::Smoke("smoke".to_owned()), path),
            ["file", file, path] => used(PackageUser::File(file.to_owned()), path),
            _ => panic!("{}: nothing is known by {known:?}", case.name),
        }
    }
    (name.to_owned(), package)
}
