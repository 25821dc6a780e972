//! The law of the development form: its release form means what the release form of the file means.

use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_ir::{Level, Run};
use jettison_passes::{Fixes, PASSES, Selection, Source, rewrite};
use jettison_syntax::dockerfile::Dockerfile;

use crate::pages;

fn form(text: &str, goal: Goal, pass: &str) -> Dockerfile {
    let options = SourceOptions { level: Level::O1, goal, style: RunStyle::Operators, denied: Vec::new() };
    let selection = Selection { only: vec![pass.to_owned()], ..Selection::of(Level::O1) };
    rewrite(
        Source { tree: Dockerfile::parse(text), context: None, observations: None },
        &options,
        &selection,
        Fixes::Applied,
        &mut |_| {},
    )
    .tree
}

/// What a file says, without its layout and comments, and without the subshells that keep the lookups of joined steps
/// apart.
fn said(tree: &Dockerfile) -> Vec<String> {
    let words = |instruction| {
        tree.line(instruction).split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "").replace(" )", "")
    };
    tree.instructions.iter().map(words).collect()
}

#[test]
fn what_is_cut_is_joined_again() {
    let pass = PASSES.iter().find(|pass| pass.name == "joined-steps").expect("the pass");
    assert!(matches!(pass.run, Run::Development(_)));
    let mut cut = 0;
    for case in pages::cases(pass, "dockerfile") {
        let text = &case.block("dockerfile").expect("a Dockerfile").text;
        let development = form(text, Goal::Development, pass.name);
        cut += usize::from(development.text() != text);
        let again = form(development.text(), Goal::Release, "adjacent-runs");
        let release = form(text, Goal::Release, "adjacent-runs");
        assert_eq!(said(&again), said(&release), "{}", case.name);
    }
    assert!(cut > 5, "only {cut} cases are cut");
}
