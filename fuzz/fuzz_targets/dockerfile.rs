//! Dockerfiles of any bytes: no byte is lost and no span lies outside, the outline is read, and what the passes write at
//! -O2, at -Os and for development is valid, keeps every comment, and is left alone by a second run.
#![no_main]

use std::collections::BTreeSet;

use jettison_ir::Level;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_passes::{Fixes, Rewritten, Selection, Source, rewrite};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Dockerfile;
use jettison_syntax::view::Outline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let tree = Dockerfile::from_bytes(input.to_vec());
    assert!(tree.bytes() == input, "the bytes come back");
    check_spans(&tree);
    let _ = Outline::of(&tree);
    if !tree.is_valid() {
        return;
    }
    for (level, goal) in [(Level::O2, Goal::Release), (Level::Os, Goal::Release), (Level::O2, Goal::Development)] {
        for style in [RunStyle::Operators, RunStyle::Heredoc] {
            check_rewrite(&tree, &SourceOptions { level, goal, style, denied: Vec::new() });
        }
    }
});

fn check_spans(tree: &Dockerfile) {
    let text = tree.text();
    let joined: String = tree.tokens().map(|(_, span)| span.of(text)).collect();
    assert!(joined == text, "tokens concatenate to the text");
    let mut behind = 0;
    for instruction in &tree.instructions {
        assert!(instruction.span.start >= behind && text.get(instruction.span.range()).is_some(), "{instruction:?}");
        behind = instruction.span.end;
        let line = tree.line(instruction);
        assert!(line.get(instruction.body.rest.range()).is_some(), "{instruction:?}");
        for (at, byte) in line.bytes().enumerate() {
            let source = instruction.logical.source_span(Span::new(at, at + 1));
            assert!(text.as_bytes()[source.range()] == [byte], "byte {at} of {line:?}");
        }
    }
    for error in &tree.errors {
        assert!(text.get(error.span.range()).is_some(), "{error:?}");
    }
}

/// The comments, and the lines of heredocs, in which the shell's comments are.
fn comments(tree: &Dockerfile) -> BTreeSet<&str> {
    let heredocs = tree.instructions.iter().flat_map(|instruction| &instruction.heredocs);
    let lines = heredocs.flat_map(|heredoc| heredoc.body.of(tree.text()).lines());
    tree.comments.iter().map(|comment| comment.span.of(tree.text())).chain(lines).map(str::trim).collect()
}

fn check_rewrite(tree: &Dockerfile, options: &SourceOptions) {
    let selection = Selection::of(options.level);
    let run = |tree: Dockerfile| -> Rewritten {
        rewrite(Source { tree, context: None, observations: None }, options, &selection, Fixes::Applied, &mut |_| {})
    };
    let result = run(tree.clone());
    assert!(result.tree.is_valid(), "{:?} in:\n{}", result.tree.errors, result.tree.text());
    let kept = comments(&result.tree);
    let missing = tree.comments.iter().map(|one| one.span.of(tree.text()).trim()).find(|one| !kept.contains(one));
    assert!(missing.is_none(), "{missing:?} is lost in:\n{}", result.tree.text());
    assert!(result.lines.iter().count() == result.tree.text().matches('\n').count() + 1, "each line is mapped");
    let again = run(result.tree.clone());
    assert!(
        again.tree.text() == result.tree.text(),
        "a second run changes\n{}\ninto\n{}",
        result.tree.text(),
        again.tree.text()
    );
}
