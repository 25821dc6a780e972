//! Finds tests that packages of Python, Ruby and Node brought along.

use std::collections::BTreeSet;

use jettison_image::Node;
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::rules::Rule;
use crate::analysis::image::test_folders::{self, Language};
use crate::analysis::image::test_use;
use crate::analysis::image::waste::Finder;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "tests-of-packages-are-not-run",
    holds: "nobody runs the tests of installed packages in the image",
}];

pub(crate) const PASS: Pass = Pass {
    name: "test-folders",
    summary: "tests that packages of Python, Ruby and Node brought along",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("test_folders.md"),
    aliases: &[],
    run: Run::Image(run),
};

const WHAT: [(&str, &[Language]); 3] = [
    ("tests of Python's packages", &[Language::Python, Language::PythonLibrary]),
    ("tests of gems", &[Language::Ruby]),
    ("tests of packages of Node", &[Language::Node]),
];

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let mut finder = Finder::new(unit, plan);
    let mut folders = test_folders::find(unit);
    folders.retain(|folder, _| !plan.edits.is_gone(&unit.upper, *folder));
    let within = |folder: Node, all: &mut BTreeSet<Node>| finder.take(folder, all);
    let mut found: Vec<(Rule, BTreeSet<Node>)> = Vec::new();
    for (what, languages) in WHAT {
        let mut all = BTreeSet::new();
        let meant = folders.iter().filter(|(_, package)| languages.contains(&package.language));
        meant.for_each(|(folder, _)| within(*folder, &mut all));
        all.retain(|node| finder.may_go(*node));
        found.push((rule(what), all));
    }
    if found.iter().flat_map(|(_, all)| all).any(|node| unit.is_own(*node)) {
        let mut used = BTreeSet::new();
        for folder in test_use::used(unit, plan, &folders) {
            finder.take(folder, &mut used);
        }
        let reason = "modules or settings outside of them name them";
        finder.held.extend(used.into_iter().map(|node| (node, reason)));
    }
    found.into_iter().flat_map(|(rule, all)| finder.remarks_of(&rule, all)).collect()
}

fn rule(what: &'static str) -> Rule {
    let help = "remove them in the RUN that installs the packages".to_owned();
    let run = vec!["pytest", "py.test", "nose2", "tox", "rspec", "mocha", "jest", "vitest"];
    Rule { pass: PASS.name, what, help, run, is_of_packages: true, ..Rule::default() }
}
