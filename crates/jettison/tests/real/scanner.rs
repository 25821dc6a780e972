//! What an SBOM scanner finds in an image: Syft reads the databases of package managers, of Python, npm and gems by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::python;
use crate::running::Root;

/// What is installed, each with its version, by its kind: `deb`, `apk`, `rpm`, `alpm`, `python`, `npm`, `gem`.
pub(crate) type Found = BTreeMap<String, BTreeSet<String>>;

/// What Syft reads; it would look into each program for its version as well.
const CATALOGERS: &str = "alpm-db-cataloger,apk-db-cataloger,dpkg-db-cataloger,rpm-db-cataloger,\
    javascript-package-cataloger,python-installed-package-cataloger,ruby-installed-gemspec-cataloger";

pub(crate) fn found(root: &Root) -> Found {
    let mut command = Command::new(python::program("syft"));
    command.args(["--quiet", "--output=json", "--override-default-catalogers", CATALOGERS]);
    command.arg(format!("dir:{}", root.path().display()));
    command.envs([("SYFT_CHECK_FOR_APP_UPDATE", "false"), ("SYFT_FILE_METADATA_SELECTION", "none")]);
    let output = command.output().expect("syft");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut all = Found::new();
    for artifact in answer["artifacts"].as_array().expect("artifacts") {
        let word = |name: &str| artifact[name].as_str().expect("a text").to_owned();
        all.entry(word("type")).or_default().insert(format!("{} {}", word("name"), word("version")));
    }
    all
}

/// The scanner finds the packages of the manager that are there, by their names, and of languages what it found before.
pub(crate) fn agrees(before: &Found, after: &Root, manager: &str, installed: &BTreeSet<String>) {
    let mut after = found(after);
    let all = after.remove(manager).unwrap_or_default();
    let names: BTreeSet<String> = all.iter().filter_map(|one| Some(one.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(&names, installed);
    assert!(all.is_subset(&before[manager]), "{all:?}");
    for kind in ["python", "npm", "gem"] {
        assert_eq!(after.get(kind), before.get(kind), "{kind}");
    }
}
