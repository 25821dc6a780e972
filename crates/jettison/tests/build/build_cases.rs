//! The cases of the build suites, read from `builds/*.txt` in the form that `format` describes. Their settings:
//!
//! - `build: ARGUMENTS` more arguments for the build; `@context` stands for the context's folder;
//! - `fails: TEXT` the build must fail, and say that;
//! - `peers: NAMES` which other engines must give the same (`buildkit`, `classic`, `buildah`; all where it is not said;
//!   `none` for what the engines at hand are too old for, or decide otherwise);
//! - `subordinate-ids: REASON` it cannot come out so where the users are an ordinary user's subordinate ids.
//!
//! `--- tree` lists every path that differs from the base's tree, but for folders whose contents alone changed:
//! `d MODE UID:GID PATH`, `f MODE UID:GID PATH "CONTENT"` (`*` for any content), `l UID:GID PATH -> TARGET`,
//! `p MODE UID:GID PATH`, `c|b MODE UID:GID PATH MAJOR,MINOR`, `- PATH` for one that is gone, and `any PATH` for one that
//! may be there in any form. `--- config` is a JSON object: each of its keys must have that value in the image's `config`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::each::each;
use crate::format::{self, Draft};

/// One Dockerfile, and what must come of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) draft: Draft,
    pub(crate) build: Vec<String>,
    pub(crate) fails: Option<String>,
    pub(crate) peers: Vec<String>,
    /// Why it cannot mean the same where the ids are subordinate ones.
    pub(crate) subordinate_ids: Option<String>,
    /// Paths with what is to be seen of them; `None` for those that are gone.
    pub(crate) tree: BTreeMap<String, Expected>,
    pub(crate) config: Map<String, Value>,
}

/// What must become of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Gone,
    Any,
    Is(String),
    /// A file of which only the content is left open.
    File(String),
}

/// All cases, in the order of file names.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/builds");
    format::all(&folder, &["tree", "config"]).into_iter().map(Case::of).collect()
}

/// Checks cases, several at a time; gives a paragraph for each that is wrong.
pub(crate) fn wrong_ones(
    workers: usize,
    cases: &[Case],
    check: impl Fn(usize, &Case) -> Result<(), String> + Sync,
) -> Vec<String> {
    let results = cases.iter().zip(each(workers, cases, check));
    let wrong = results.filter_map(|(case, result)| Some((&case.draft, result.err()?)));
    wrong.map(|(draft, message)| format!("######## {} ({})\n{message}", draft.name, draft.place)).collect()
}

impl Case {
    fn of(mut draft: Draft) -> Self {
        let mut case = Self {
            build: Vec::new(),
            fails: None,
            peers: ["buildkit", "classic", "buildah"].map(str::to_owned).to_vec(),
            subordinate_ids: None,
            tree: BTreeMap::new(),
            config: Map::new(),
            draft: Draft::default(),
        };
        let place = draft.place.clone();
        for (key, value) in draft.settings.drain(..) {
            match key.as_str() {
                "build" => case.build = value.split_whitespace().map(str::to_owned).collect(),
                "fails" => case.fails = Some(value),
                "peers" => case.peers = value.split_whitespace().filter(|n| *n != "none").map(str::to_owned).collect(),
                "subordinate-ids" => case.subordinate_ids = Some(value),
                _ => panic!("{place}: there is no setting {key:?}"),
            }
        }
        let mut has_tree = false;
        for (words, content) in draft.more.drain(..) {
            if words[0] == "config" {
                case.config = serde_json::from_str(&content).unwrap_or_else(|error| panic!("{place}: {error}"));
                continue;
            }
            has_tree = true;
            for line in content.lines().filter(|line| !line.is_empty()) {
                let (path, expected) = expected(line).unwrap_or_else(|| panic!("{place}: cannot read {line:?}"));
                case.tree.insert(path, expected);
            }
        }
        assert!(has_tree != case.fails.is_some(), "{place}: a case has a tree, or fails");
        case.draft = draft;
        case
    }
}

fn expected(line: &str) -> Option<(String, Expected)> {
    let (kind, rest) = line.split_once(' ')?;
    let path = |text: &str| text.strip_prefix('/').map(str::to_owned);
    let seen = match kind {
        "-" => return Some((path(rest)?, Expected::Gone)),
        "any" => return Some((path(rest)?, Expected::Any)),
        "l" => {
            let (owner, rest) = rest.split_once(' ')?;
            let (name, target) = rest.split_once(" -> ")?;
            return Some((path(name)?, Expected::Is(format!("l {owner} -> {target}"))));
        }
        kind => kind,
    };
    let (mode, rest) = rest.split_once(' ')?;
    let (owner, rest) = rest.split_once(' ')?;
    Some(match seen {
        "d" | "p" => (path(rest)?, Expected::Is(format!("{seen} {mode} {owner}"))),
        "c" | "b" => {
            let (name, device) = rest.rsplit_once(' ')?;
            (path(name)?, Expected::Is(format!("{seen} {mode} {owner} {device}")))
        }
        "f" if rest.ends_with(" *") => (path(rest.strip_suffix(" *")?)?, Expected::File(format!("f {mode} {owner} "))),
        "f" => {
            let (name, _) = rest.split_once(" \"")?;
            let content: String = serde_json::from_str(&rest[name.len() + 1..]).ok()?;
            (path(name)?, Expected::Is(format!("f {mode} {owner} {content:?}")))
        }
        _ => return None,
    })
}
