//! What a step read and wrote.

pub(crate) mod clean;
mod closure;
pub(crate) mod judge;
mod paths;

use serde::{Deserialize, Serialize};

pub use closure::{Closure, closure};

/// The paths that a RUN's processes used. Each list is sorted, without doubles; paths are absolute, cleaned of `.`,
/// `..` and doubled slashes, as the container sees them, with symbolic links as the programs named them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Opened for reading.
    #[serde(with = "paths")]
    pub opened: Vec<Vec<u8>>,
    /// Executed: the program, its interpreter, its loader.
    #[serde(with = "paths")]
    pub executed: Vec<Vec<u8>>,
    /// Folders whose entries were listed, or that were held open. It stands for asking about their entries too: what a
    /// program asks by the folder's descriptor and without following links is not in `examined`.
    #[serde(with = "paths")]
    pub listed: Vec<Vec<u8>>,
    /// Asked about (the stat and access families, readlink).
    #[serde(with = "paths")]
    pub examined: Vec<Vec<u8>>,
    /// Looked up in vain: they were not there.
    #[serde(with = "paths")]
    pub missed: Vec<Vec<u8>>,
    /// Opened for writing, made, renamed, linked, removed, or changed in mode, owner or attributes.
    #[serde(with = "paths")]
    pub written: Vec<Vec<u8>>,
    /// Why the trace may not be complete: one sentence each. Empty for a complete one.
    pub gaps: Vec<String>,
}

impl Trace {
    /// As JSON: paths are strings, or `{"hex": "…"}` where they are not UTF-8.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// From what [`Trace::to_json`] gave.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Adds all that another trace has.
    pub fn merge(&mut self, other: &Self) {
        let lists = [
            (&mut self.opened, &other.opened),
            (&mut self.executed, &other.executed),
            (&mut self.listed, &other.listed),
            (&mut self.examined, &other.examined),
            (&mut self.missed, &other.missed),
            (&mut self.written, &other.written),
        ];
        for (ours, theirs) in lists {
            ours.extend_from_slice(theirs);
            ours.sort_unstable();
            ours.dedup();
        }
        for gap in &other.gaps {
            if !self.gaps.contains(gap) {
                self.gaps.push(gap.clone());
            }
        }
    }

    /// Whether this path was opened, executed, listed, asked about or looked up in vain: whether the step could run
    /// differently if it were another. An entry of a listed folder counts.
    pub fn reads(&self, path: &[u8]) -> bool {
        let has = |list: &[Vec<u8>], path: &[u8]| list.binary_search_by(|known| known.as_slice().cmp(path)).is_ok();
        let lists = [&self.opened, &self.executed, &self.listed, &self.examined, &self.missed];
        lists.iter().any(|list| has(list, path))
            || clean::split(path).is_some_and(|(folder, _)| has(&self.listed, folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_names_that_are_no_text() {
        let trace = Trace {
            opened: vec![b"/a".to_vec(), b"/caf\xe9".to_vec()],
            missed: vec!["/\u{e9}\n\"".as_bytes().to_vec()],
            gaps: vec!["something.".to_owned()],
            ..Trace::default()
        };
        let json = trace.to_json().unwrap();
        assert!(String::from_utf8_lossy(&json).contains(r#""opened":["/a",{"hex":"2f636166e9"}]"#));
        assert_eq!(Trace::from_json(&json).unwrap(), trace);
    }

    #[test]
    fn merging_is_the_union() {
        let list = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut first = Trace { opened: list(&["/b", "/c"]), gaps: vec!["x".to_owned()], ..Trace::default() };
        let second = Trace {
            opened: list(&["/a", "/c"]),
            missed: list(&["/m"]),
            gaps: vec!["x".to_owned(), "y".to_owned()],
            ..Trace::default()
        };
        first.listed = list(&["/folder"]);
        first.merge(&second);
        assert!(first.reads(b"/folder/entry") && !first.reads(b"/folder/entry/other"));
        assert_eq!(first.opened, list(&["/a", "/b", "/c"]));
        assert_eq!(first.gaps, ["x", "y"]);
        assert!(first.reads(b"/m") && first.reads(b"/a") && !first.reads(b"/z"));
    }
}
