//! The pages of passes: their parts, and the cases in them.

use jettison_ir::Pass;
use jettison_passes::PASSES;

/// A case of a page: a paragraph, then its blocks.
pub(crate) struct PageCase {
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block.
pub(crate) struct Block {
    /// The first word behind the fence.
    pub(crate) kind: String,
    /// The words behind it.
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
}

impl PageCase {
    pub(crate) fn block(&self, kind: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.kind == kind)
    }
}

/// The cases of a page. Each starts with a block of the kind `first`, and is named by the paragraph before that.
pub(crate) fn cases(pass: &Pass, first: &str) -> Vec<PageCase> {
    let (_, text) = pass.page.split_once("## Cases\n").expect("every page has cases");
    let mut cases: Vec<PageCase> = Vec::new();
    let mut words = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else {
            words = if line.is_empty() { words } else { line.to_owned() };
            continue;
        };
        let text: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let mut fence = fence.split_whitespace().map(str::to_owned);
        let kind = fence.next().unwrap_or_default();
        let known = [
            first,
            "fixed",
            "findings",
            "declined",
            "context",
            "ignore",
            "fixed-ignore",
            "history",
            "packages",
            "options",
            "secrets",
        ];
        assert!(known.contains(&&*kind), "{}: there are no {kind:?} blocks", pass.name);
        if kind == first {
            cases.push(PageCase { name: format!("{}: {words}", pass.name), blocks: Vec::new() });
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{}: a case starts with {first:?}", pass.name));
        case.blocks.push(Block { kind, words: fence.collect(), text });
    }
    assert!(cases.len() >= 2, "{} has too few cases", pass.name);
    cases
}

#[test]
fn every_page_has_its_parts() {
    for pass in PASSES {
        assert!(pass.page.starts_with(&format!("# {}\n", pass.name)), "{}", pass.name);
        for heading in ["## What it finds", "## Why it is safe", "## When it stays quiet", "## Cases"] {
            assert!(pass.page.contains(heading), "{} lacks {heading:?}", pass.name);
        }
        assert!(pass.name.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{}", pass.name);
    }
}
