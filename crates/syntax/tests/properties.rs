//! What holds for any text: parsing never panics, no byte is lost, spans lie where they say. Texts are any bytes, and
//! changes to real Dockerfiles and to snippets with what parsers get wrong.

#[path = "reference/data.rs"]
#[allow(dead_code)] // Files only: the other half is for those that compare.
mod data;
mod mutation;

use std::sync::OnceLock;

use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Body, Dockerfile, Instruction, decode, encode};
use jettison_syntax::expand;
use jettison_syntax::view::Outline;
use mutation::{Mutation, SNIPPETS, mutated};
use proptest::prelude::*;

/// All real files below 16 kB; mutations of larger ones tell nothing more.
fn files() -> &'static [Vec<u8>] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| data::dockerfiles().into_values().filter(|bytes| bytes.len() < 16_384).collect())
}

fn check_bytes(bytes: &[u8]) {
    let tree = Dockerfile::from_bytes(bytes.to_vec());
    assert_eq!(tree.bytes(), bytes, "the bytes come back");
    check(&tree);
}

/// Everything that is promised of a tree.
fn check(tree: &Dockerfile) {
    let text = tree.text();
    let joined: String = tree.tokens().map(|(_, span)| span.of(text)).collect();
    assert_eq!(joined, text, "tokens concatenate to the text");
    let mut behind = 0;
    for instruction in &tree.instructions {
        assert!(instruction.span.start >= behind, "instructions are in order and apart");
        assert!(instruction.lines.0 <= instruction.lines.1, "lines are in order");
        behind = instruction.span.end;
        check_instruction(tree, instruction);
    }
    let within = |span: Span| assert!(text.get(span.range()).is_some(), "{span:?} is no part of the text");
    tree.errors.iter().for_each(|error| within(error.span));
    tree.directives.iter().for_each(|directive| within(directive.span));
    let mut behind = 0;
    for comment in &tree.comments {
        assert!(comment.span.of(text).starts_with('#'), "a comment starts with #");
        assert!(comment.span.start >= behind, "comments are in order and apart");
        assert_eq!(tree.position(comment.span.start).0, comment.line as usize, "a comment's line");
        behind = comment.span.end;
    }
    let outline = Outline::of(tree);
    assert_eq!(outline.settings.len(), tree.instructions.len(), "settings for each instruction");
    for stage in 0..outline.stages.len() {
        assert!(!outline.ships(stage) || outline.is_reachable(stage), "what ships is reachable");
    }
}

fn check_instruction(tree: &Dockerfile, instruction: &Instruction) {
    let text = tree.text();
    let line = tree.line(instruction);
    assert!(text.get(instruction.span.range()).is_some(), "an instruction's span is a part of the text");
    assert_eq!(tree.position(instruction.span.start).0, instruction.lines.0 as usize, "its first line");
    for (at, byte) in line.bytes().enumerate() {
        let span = Span::new(at, at + 1);
        let source = instruction.logical.source_span(span);
        assert_eq!(text.as_bytes()[source.range()], [byte], "a byte of the logical line is where it came from");
    }
    let whole = instruction.logical.source_span(Span::new(0, line.len()));
    assert!(instruction.span.contains(whole), "the logical line comes from the instruction");
    for heredoc in &instruction.heredocs {
        assert!(line.get(heredoc.word.range()).is_some_and(|word| word.contains("<<")), "the word announces it");
        assert!(text.get(heredoc.body.range()).is_some(), "its body is a part of the text");
        assert!(text.get(heredoc.terminator.range()).is_some(), "its end is a part of the text");
        assert_eq!(heredoc.body.end, heredoc.terminator.start, "the end stands behind the body");
    }
    let mut comments = instruction.above.0..instruction.within.1;
    assert!(comments.all(|at| (at as usize) < tree.comments.len()), "its comments are there");
    check_body(&instruction.body, line);
}

fn check_body(body: &Body, line: &str) {
    let within = |span: Span| assert!(line.get(span.range()).is_some(), "{span:?} is no part of {line:?}");
    within(body.keyword);
    within(body.rest);
    let mut behind = body.keyword.end;
    for flag in &body.flags {
        within(flag.span);
        assert!(behind <= flag.span.start && flag.span.end <= body.rest.start, "flags are in order");
        behind = flag.span.end;
    }
    check_arguments(&body.arguments, body.rest, line);
}

fn check_arguments(arguments: &Arguments, rest: Span, line: &str) {
    let within = |span: Span| {
        assert!(rest.contains(span) && line.get(span.range()).is_some(), "{span:?} is no part of {rest:?} of {line:?}");
    };
    match arguments {
        Arguments::None => {}
        Arguments::Json(strings) => strings.iter().for_each(|string| within(string.span)),
        Arguments::Text(span) => within(*span),
        Arguments::Words(words) => words.iter().for_each(|span| within(*span)),
        Arguments::Pairs { pairs, .. } => pairs.iter().for_each(|pair| {
            within(pair.name);
            within(pair.value);
        }),
        Arguments::Health { kind, command } => {
            within(*kind);
            check_arguments(command, rest, line);
        }
        Arguments::Trigger(body) => check_body(body, line),
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let one = (any::<u64>(), any::<usize>(), any::<usize>());
    proptest::collection::vec(one.prop_map(|(kind, at, other)| Mutation::of(kind, at, other)), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_kept(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(encode(&decode(bytes.clone())), &bytes[..]);
        check_bytes(&bytes);
    }

    #[test]
    fn any_text_holds_together(text in "(?s).{0,200}") {
        check_bytes(text.as_bytes());
    }

    #[test]
    fn any_row_of_pieces_holds_together(pieces in proptest::collection::vec(0..mutation::PIECES.len(), 0..40)) {
        let text: String = pieces.into_iter().map(|piece| mutation::PIECES[piece]).collect();
        check_bytes(text.as_bytes());
    }

    #[test]
    fn changed_snippets_hold_together(which in 0..SNIPPETS.len(), mutations in mutations()) {
        check_bytes(&mutated(SNIPPETS[which].as_bytes().to_vec(), &mutations));
    }

    #[test]
    fn changed_real_files_hold_together(which in any::<usize>(), mutations in mutations()) {
        let files = files();
        check_bytes(&mutated(files[which % files.len()].clone(), &mutations));
    }

    #[test]
    fn words_keep_their_places(pieces in proptest::collection::vec(0..mutation::PIECES.len(), 0..12)) {
        let text: String = pieces.into_iter().map(|piece| mutation::PIECES[piece]).collect();
        let raw = expand::Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..expand::Lexer::new('\\') };
        if let Ok(words) = raw.process_words_in_place(&text, &|_| None) {
            let references = expand::references(&text, '\\');
            let mut before = Span::default();
            for (word, span) in words {
                prop_assert!(text.get(span.range()).is_some(), "{span:?} of {text:?}");
                prop_assert!(!word.is_empty() && span.start < span.end, "a word stands somewhere");
                // What a substitution stands for may be split: its words share its place, and nothing else.
                let shared = Span { start: span.start, end: before.end };
                let is_apart = span.start >= before.end;
                prop_assert!(
                    is_apart || references.iter().any(|reference| reference.span == shared),
                    "{span:?} behind {before:?} of {text:?}",
                );
                prop_assert!(before.start <= span.start && before.end <= span.end, "words are in order");
                before = span;
            }
        }
    }
}

#[test]
fn words_of_one_substitution_share_its_place() {
    let lexer = expand::Lexer { keep_unset: true, ..expand::Lexer::new('\\') };
    let words = lexer.process_words_in_place(r#"x${--a=b \"}y"#, &|_| None);
    let expected = [("x${--a=b", Span::new(0, 12)), ("\"}y", Span::new(1, 13))];
    assert_eq!(words, Ok(expected.map(|(word, span)| (word.to_owned(), span)).to_vec()));
}

#[test]
fn every_real_file_holds_together() {
    data::dockerfiles().into_values().for_each(|bytes| check_bytes(&bytes));
}

#[test]
fn every_prefix_of_a_snippet_holds_together() {
    for snippet in SNIPPETS {
        (0..=snippet.len()).for_each(|end| check_bytes(&snippet.as_bytes()[..end]));
    }
}

#[test]
fn nothing_that_is_large_or_deep_ends_the_parser() {
    let deep = ["ONBUILD ", "${", "${a:-", "[", "(", "$(", "{", "\"$(", "<<E ", "--a ", "\\\n", "# \\\n", "if "];
    for piece in deep {
        for around in ["FROM a\nRUN ", "FROM a\nENV a=", "FROM a\nCMD ", ""] {
            check_bytes(format!("{around}{}", piece.repeat(5_000)).as_bytes());
        }
    }
}
