//! The builder's word lexer: the reference's own cases, every form of substitution, every error, and what is listed
//! without evaluating.

use std::path::PathBuf;

use jettison_syntax::expand::{ExpandErrorKind, Lexer, ModifierKind, literal, references};

fn reference_cases(name: &str) -> String {
    let shared = std::env::var_os("JETTISON_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = shared.join("peer-tests").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("the reference's cases are missing: {} ({error}); set JETTISON_SHARED", path.display())
    })
}

fn lookup_in(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    move |name| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

#[test]
fn reference_words_expand_as_written() {
    let lookup = lookup_in(&[("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")]);
    let mut counted = 0;
    for (index, line) in reference_cases("envVarTest").lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let [platform, word, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("line {}: three columns expected: {line}", index + 1);
        };
        for windows in [false, true] {
            if platform == "U" && windows || platform == "W" && !windows {
                continue;
            }
            assert!(matches!(platform, "A" | "U" | "W"), "line {}: platform {platform}", index + 1);
            let lexer = Lexer { windows, ..Lexer::new('\\') };
            let value = lexer.process_word(word, &lookup).map(|expanded| expanded.value);
            match value {
                Err(_) => assert_eq!(expected, "error", "line {}: {word}", index + 1),
                Ok(value) => assert_eq!(value, expected, "line {}: {word}", index + 1),
            }
            counted += 1;
        }
    }
    assert!(counted > 400, "only {counted} cases were read");
}

#[test]
fn reference_words_split_as_written() {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut counted = 0;
    for (index, line) in reference_cases("wordsTest").lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(variable) = line.strip_prefix("ENV ") {
            let (name, value) = variable.trim_start_matches(' ').split_once('=').expect("NAME=value");
            variables.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let (words, expected) = line.split_once('|').unwrap_or_else(|| panic!("line {}: {line}", index + 1));
        let expected: Vec<&str> = expected.trim_start_matches(' ').split(',').collect();
        let lookup = |name: &str| variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let split = Lexer::new('\\').process_words(words.trim(), &lookup).unwrap_or_else(|_| vec!["error".to_owned()]);
        assert_eq!(split, expected, "line {}: {words}", index + 1);
        counted += 1;
    }
    assert!(counted > 20, "only {counted} cases were read");
}

const VALUES: &[(&str, &str)] = &[
    ("A", "value"),
    ("E", ""),
    ("P", "/usr/local/lib/a.tar.gz"),
    ("X", "xxyy"),
    ("STARS", "a***yy*"),
    ("L", "one\ntwo"),
    ("PATTERN", "*x"),
    ("HASH", "#*x"),
    ("U", "한국어"),
];

#[test]
fn every_form_of_substitution() {
    let lookup = lookup_in(VALUES);
    let table = [
        ("$A", "value"),
        ("${A}", "value"),
        ("$A$N-${E}.", "value-."),
        ("${A:-w} ${E:-w} ${N:-w}", "value w w"),
        ("${A-w} ${E-w} ${N-w}", "value  w"),
        ("${A:+w} ${E:+w} ${N:+w}", "w  "),
        ("${A+w} ${E+w} ${N+w}", "w w "),
        ("${A:?no} ${A?no} ${E?no}", "value value "),
        ("${P#*/}", "usr/local/lib/a.tar.gz"),
        ("${P##*/}", "a.tar.gz"),
        ("${P%.*}", "/usr/local/lib/a.tar"),
        ("${P%%.*}", "/usr/local/lib/a"),
        ("${P#nothing}${P%nothing}", "/usr/local/lib/a.tar.gz/usr/local/lib/a.tar.gz"),
        ("${X#*x*y}", "y"),
        ("${X##*x}", "yy"),
        ("${X#}${X##}${X%}${X%%}", "xxyyxxyyxxyyxxyy"),
        ("${X#$PATTERN}", "xyy"),
        ("${X#$HASH}", "yy"),
        ("${X:#x}", "xyy"),
        ("${STARS%%\\**\\*}", "a"),
        ("${STARS%\\*}", "a***yy"),
        ("${L#*}", "one\ntwo"),
        ("${L##*}", "\ntwo"),
        ("${U%어}", "한국"),
        ("${U#?}", "국어"),
        ("${P/\\//:}", ":usr/local/lib/a.tar.gz"),
        ("${P//\\//:}", ":usr:local:lib:a.tar.gz"),
        ("${P//l*l/-}", "/usr/-ib/a.tar.gz"),
        ("${X/x/}", "xyy"),
        ("${X//x/}", "yy"),
        ("${X///-}", "-x-x-y-y-"),
        ("${A//*/-}", "-"),
        ("${X/$E/ww}", "wwxxyy"),
        ("${X//[x]/z}", "xxyy"),
        ("${X//x/<\\$0>}", "<\\x><\\x>yy"),
        ("${N/a/b}${N#a}", ""),
        ("${A:-${N:-${E:-deep}}}", "value"),
        ("${N:-${N:-${E:-deep}}}", "deep"),
        ("\"${N:-a b}\"'$A'", "a b$A"),
        ("${N:-'}'\"}\"\\}}", "}}}"),
        ("a\\ b", "a b"),
        ("\u{feff}a", "a"),
    ];
    for (word, expected) in table {
        let value = Lexer::new('\\').process_word(word, &lookup).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!(value.value, expected, "{word}");
    }
}

#[test]
fn every_error_has_its_place() {
    let lookup = lookup_in(VALUES);
    let table = [
        ("a'b", "1..3 unexpected end of statement while looking for matching single-quote"),
        ("a\"b", "1..3 unexpected end of statement while looking for matching double-quote"),
        ("a${", "1..3 syntax error: missing '}'"),
        ("a${b", "1..4 syntax error: missing '}'"),
        ("a${b:", "1..5 syntax error: missing '}'"),
        ("a${b:-c", "1..7 syntax error: missing '}'"),
        ("${A/x}", "0..6 syntax error: missing '/' in ${}"),
        ("${A/x/y", "0..7 syntax error: missing '}'"),
        ("${}", "0..2 syntax error: bad substitution"),
        ("x${{a}", "1..3 syntax error: bad substitution"),
        ("${:a}", "0..2 syntax error: bad substitution"),
        ("${A:=w}", "0..7 unsupported modifier (:=) in substitution"),
        ("${A=w}", "0..4 unsupported modifier (=) in substitution"),
        ("${A:1}", "0..6 unsupported modifier (:1) in substitution"),
        ("${A^^}", "0..4 unsupported modifier (^) in substitution"),
        ("${A:}", "0..5 syntax error: missing '}'"),
        ("${N?}", "0..5 N: is not allowed to be unset"),
        ("${E:?}", "0..6 E: is not allowed to be empty"),
        ("${N:?need $A}", "0..13 N: need value"),
        ("${X#\\x}", "0..7 invalid pattern (\\x) in substitution: invalid escape '\\x'"),
    ];
    for (word, expected) in table {
        let error = Lexer::new('\\').process_word(word, &lookup).expect_err(word);
        assert_eq!(format!("{}..{} {error}", error.span.start, error.span.end), expected, "{word}");
    }
    let deep = format!("{}x{}", "${A:-".repeat(5000), "}".repeat(5000));
    let error = Lexer::new('\\').process_word(&deep, &lookup).expect_err("too deep");
    assert!(matches!(error.kind, ExpandErrorKind::NestedTooDeep { .. }));
}

/// The builder looks for heredocs in this way, so that `: "${A:=b}" && cat <<EOF` announces one.
#[test]
fn unknown_variables_keep_what_the_shell_alone_knows() {
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.process_words_in_place(": ${N:=b} <<EOF", &|_| None).expect("words");
    let words: Vec<_> = words.iter().map(|(word, span)| (word.as_str(), span.range())).collect();
    assert_eq!(words, [(":", 0..1), ("${N:=b}", 2..9), ("<<EOF", 10..15)]);
    assert!(lexer.process_words("${N=b}", &|_| None).is_err());
}

#[test]
fn backtick_as_escape_character() {
    let lookup = lookup_in(VALUES);
    let value = |word: &str| Lexer::new('`').process_word(word, &lookup).unwrap().value;
    assert_eq!(value("C:\\dir\\`$A"), "C:\\dir\\$A");
    assert_eq!(value("\"a`\"b`c\""), "a\"b`c");
    assert_eq!(value("a``b`"), "a`b");
}

#[test]
fn used_and_unmatched_variables() {
    let lookup = lookup_in(VALUES);
    let expanded = Lexer::new('\\').process_word("$A ${N:-$E} ${M+$A}", &lookup).unwrap();
    assert_eq!(expanded.used.iter().collect::<Vec<_>>(), ["A", "E"]);
    assert_eq!(expanded.unmatched.iter().collect::<Vec<_>>(), ["M", "N"]);
}

#[test]
fn modes_that_keep_text() {
    let lookup = lookup_in(VALUES);
    let raw = Lexer { raw_quotes: true, ..Lexer::new('\\') };
    assert_eq!(raw.process_word("'$A' \"$A\"", &lookup).unwrap().value, "'$A' \"value\"");
    let raw = Lexer { raw_escapes: true, ..Lexer::new('\\') };
    assert_eq!(raw.process_word("\\$A \"\\$A\\b\" \\", &lookup).unwrap().value, "\\$A \\$A\\\\b \\");
    let heredoc = Lexer { plain_quotes: true, raw_escapes: true, ..Lexer::new('\\') };
    assert_eq!(heredoc.process_word("it's \"$A", &lookup).unwrap().value, "it's \"value");
    let keep = Lexer { keep_unset: true, ..Lexer::new('\\') };
    assert_eq!(
        keep.process_word("$N ${N} ${N:-$A} ${N/a/b} $A", &lookup).unwrap().value,
        "$N ${N} ${N:-value} ${N/a/b} value"
    );
}

#[test]
fn references_without_evaluating() {
    let table = [
        ("plain 'no $a' \\$b", ""),
        ("$a${b}", "0..2 a, 2..6 b"),
        ("\"$a\"'$b'", "1..3 a quoted"),
        ("${a:-${b#x$c}}", "0..14 a :Default 5..13, 5..13 b TrimPrefix 9..12, 10..12 c"),
        ("\"${a+$b}\"", "1..8 a Alternative quoted 5..7, 5..7 b quoted"),
        ("${a//$b/$c}", "0..11 a Replace 5..10, 5..7 b, 8..10 c"),
        ("${a:=$b} $c", "0..8 a :Unsupported 5..7, 5..7 b, 9..11 c"),
        ("${a%$b", "0..6 a TrimSuffix 4..6, 4..6 b"),
        ("${a?'", "0..5 a Required 4..5"),
        ("${} $b", "4..6 b"),
        ("$1$@", "0..2 1, 2..4 @"),
        ("\"$a", "1..3 a quoted"),
    ];
    for (word, expected) in table {
        let listed: Vec<String> = references(word, '\\')
            .iter()
            .map(|reference| {
                let mut text = format!("{}..{} {}", reference.span.start, reference.span.end, reference.name);
                if let Some(modifier) = reference.modifier {
                    let kind: ModifierKind = modifier.kind;
                    text += &format!(" {}{kind:?}", if modifier.colon { ":" } else { "" });
                }
                if reference.quoted {
                    text += " quoted";
                }
                if let Some(modifier) = reference.modifier {
                    text += &format!(" {}..{}", modifier.word.start, modifier.word.end);
                }
                text
            })
            .collect();
        assert_eq!(listed.join(", "), expected, "{word}");
    }
}

#[test]
fn literal_words() {
    assert_eq!(literal("'a b'\"c\"\\ d", '\\').as_deref(), Some("a bc d"));
    assert_eq!(literal("\\$a", '\\').as_deref(), Some("$a"));
    assert_eq!(literal("$a", '\\'), None);
    assert_eq!(literal("${a:-b}", '\\'), None);
    assert_eq!(literal("'open", '\\'), None);
    assert_eq!(literal("${}", '\\'), None);
}

#[test]
fn any_text_is_read_without_a_panic() {
    use proptest::prelude::*;
    let lookup = lookup_in(VALUES);
    proptest!(|(word in "([$]|[{}:]|[-+?#%/*]|['\"\\\\`]|[AENPX]|한| ){0,24}")| {
        for escape in ['\\', '`'] {
            let outcome = Lexer::new(escape).process_word(&word, &lookup);
            if let Err(error) = &outcome {
                prop_assert!(error.span.end as usize <= word.len());
            }
            for reference in references(&word, escape) {
                prop_assert!(word.get(reference.span.range()).is_some_and(|text| text.starts_with('$')));
                if let Some(modifier) = reference.modifier {
                    prop_assert!(reference.span.contains(modifier.word));
                    prop_assert!(word.get(modifier.word.range()).is_some());
                }
            }
            if let Some(value) = literal(&word, escape) {
                prop_assert_eq!(outcome.map(|expanded| expanded.value), Ok(value));
            }
        }
    });
}
