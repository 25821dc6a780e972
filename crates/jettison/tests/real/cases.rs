//! The cases of the rewrite suite, read from `rewrites/*.txt` in the form that `format` describes. Their settings:
//!
//! - `expect: merged` the result has fewer RUNs, `changed` any other text, `unchanged` the same text, `any` (the
//!   default) whatever is the same image, `fails` the original does not build and the result must not build either;
//! - `says: TEXT` what the failing build of the original prints, so that it fails for the reason meant;
//! - `level: -O1` the level, where it is not -O2; `skip: a,b` passes to skip; `for: development` the other form;
//! - `build: ARGUMENTS` more arguments for `docker build`;
//! - `noise: PATH REASON` a path that may differ; `gone: PATH` one below which files may be missing afterwards;
//! - `lines: crlf` and `start: bom` how the Dockerfile is encoded.

use std::path::Path;

use crate::format::{self, Draft};

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Merged,
    Changed,
    Unchanged,
    Any,
    Fails,
}

/// One Dockerfile with its context.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// File and line, for messages.
    pub(crate) place: String,
    pub(crate) expect: Expect,
    pub(crate) says: Option<String>,
    /// Arguments for `jettison rewrite`.
    pub(crate) rewrite: Vec<String>,
    /// Arguments for `docker build`.
    pub(crate) build: Vec<String>,
    pub(crate) noise: Vec<String>,
    pub(crate) gone: Vec<String>,
    pub(crate) draft: Draft,
}

/// All cases of a folder, in the order of file names.
pub(crate) fn all(folder: &Path) -> Vec<Case> {
    format::all(folder, &[]).into_iter().map(Case::of).collect()
}

impl Case {
    fn of(mut draft: Draft) -> Self {
        let mut case = Self {
            name: draft.name.clone(),
            place: draft.place.clone(),
            expect: Expect::Any,
            says: None,
            rewrite: Vec::new(),
            build: Vec::new(),
            noise: Vec::new(),
            gone: Vec::new(),
            draft: Draft::default(),
        };
        let (mut level, mut crlf, mut bom) = ("-O2".to_owned(), false, false);
        for (key, value) in draft.settings.drain(..) {
            match key.as_str() {
                "level" => level = value,
                "lines" => crlf = value == "crlf",
                "start" => bom = value == "bom",
                _ => case.set(&key, value),
            }
        }
        case.rewrite.insert(0, level);
        if crlf {
            draft.dockerfile = draft.dockerfile.replace('\n', "\r\n");
        }
        if bom {
            draft.dockerfile.insert(0, '\u{feff}');
        }
        let is_told = (case.expect == Expect::Fails) == case.says.is_some();
        assert!(is_told, "{}: `expect: fails` and `says:` belong together", case.place);
        case.draft = draft;
        case
    }

    /// Writes the context with the Dockerfile in it.
    pub(crate) fn write(&self, folder: &Path) {
        self.draft.write(folder);
    }

    fn set(&mut self, key: &str, value: String) {
        match key {
            "expect" => {
                self.expect = match value.as_str() {
                    "merged" => Expect::Merged,
                    "changed" => Expect::Changed,
                    "unchanged" => Expect::Unchanged,
                    "any" => Expect::Any,
                    "fails" => Expect::Fails,
                    _ => panic!("{}: there is no expectation {value:?}", self.place),
                }
            }
            "says" => self.says = Some(value),
            "skip" => self.rewrite.extend(["--skip".to_owned(), value]),
            "for" => self.rewrite.extend(["--for".to_owned(), value]),
            "build" => self.build = value.split_whitespace().map(str::to_owned).collect(),
            "noise" => {
                let (path, _reason) =
                    value.split_once(' ').unwrap_or_else(|| panic!("{}: noise has a reason", self.place));
                self.noise.push(path.to_owned());
            }
            "gone" => self.gone.push(value),
            _ => panic!("{}: there is no setting {key:?}", self.place),
        }
    }
}
