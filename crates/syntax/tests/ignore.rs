//! `.dockerignore`: its lines and rules, what the matcher excludes, which folders a walk must enter, and the globs of
//! COPY.

use jettison_syntax::ignore::{Ignore, LineKind, matches_pattern};

/// Patterns separated by `;`, a path, and whether it is excluded.
const EXCLUDED: &[(&str, &str, bool)] = &[
    ("**", "file", true),
    ("**/", "file", true),
    ("**", "dir/file", true),
    ("**/**", "dir/file", true),
    ("dir/**", "dir/file", true),
    ("dir/**", "dir/dir2/file", true),
    ("dir/**", "dir", false),
    ("dir/**", "dirt", false),
    ("**/dir", "dir", true),
    ("**/dir", "a/b/dir", true),
    ("**/dir", "a/dir/file", true),
    ("**/dir2/*", "dir/dir2/file", true),
    ("**/dir2/**", "dir/dir2/dir3/file", true),
    ("**/dir2/**", "dir/dir2", false),
    ("**file", "file", true),
    ("**file", "dir/profile", true),
    ("**/file", "dir/profile", false),
    ("**/file*txt", "dir/dir/file.txt", true),
    ("**/**/*.txt", "file.txt", true),
    ("**/**/*.txt2", "dir/dir/file.txt", false),
    ("**/.foo", "bar.foo", false),
    ("a**/*.txt", "a/dir/dir/file.txt", true),
    ("a**b", "ab", true),
    ("a**b", "a/x/b", true),
    ("a**b", "axb", false),
    ("a**", "abc", true),
    ("a/**/b", "a/b", true),
    ("a/**/b", "a/x/y/b", true),
    ("a/**/b", "a/xb", false),
    ("a/*.txt", "a/dir/file.txt", false),
    ("a/*.txt**", "a/file.txt", true),
    ("a[b-d]e", "ace", true),
    ("a[b-d]e", "aae", false),
    ("a[^b-d]e", "aze", true),
    ("[a-c]", "b/x", true),
    ("[a-ζ]*", "α", true),
    (".*", ".foo", true),
    (".*", "foo", false),
    ("abc.def", "abcZdef", false),
    ("abc?def", "abcZdef", true),
    ("abc?def", "abc/def", false),
    ("a(b)c/def", "a(b)c/def", true),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
    ("\\*", "*", true),
    ("\\*", "a", false),
    ("a\\\\", "a\\", true),
    ("\\!a", "!a", true),
    ("*", "a", true),
    ("*", "a/b", true),
    ("*/b", "a/b/c", true),
    ("*/b", "b", false),
    ("*.md", "README.md", true),
    ("*.md", "docs/README.md", false),
    ("*.md;!README.md", "README.md", false),
    ("*.md;!README.md", "OTHER.md", true),
    ("!README.md;*.md", "README.md", true),
    ("*.md;!README*.md;README-secret.md", "README-secret.md", true),
    ("docs;!docs/README.md", "docs/README.md", false),
    ("docs;!docs/README.md", "docs/a", true),
    ("docs/;!docs/README.md", "docs/README.md", false),
    ("docs/*;!docs/README.md", "docs/README.md", false),
    ("**;!util/docker/web", "util/docker/web/foo", false),
    ("**;!util/docker/web;util/docker/web/foo", "util/docker/web/foo", true),
    ("**;!util/docker/web", "util/docker", true),
    ("*;!src;src/gen", "src/gen/x", true),
    ("dir/", "dir/a", true),
    ("./x", "x", true),
    ("/x", "x", true),
    ("//x", "x", true),
    ("x/../y", "y", true),
    ("../x", "x", false),
    ("*;!/x", "x", false),
    ("*;! x", "x", false),
    ("*;./!x", "x", false),
    ("*;/!x", "x", false),
    (".", "a", false),
    ("/", "a", false),
    ("#a", "#a", false),
    (" #a", "#a", true),
    ("  a  ", "a", true),
    ("a b", "a b", true),
    ("*|b", "a/b", true),
    ("a{2}*", "aa", true),
    ("a{2}*", "a{2}", false),
    ("*.{js,ts}", "a.js", false),
    ("*.{js,ts}", "a.{js,ts}", true),
    ("*a^b", "a^b", false),
    ("[[:digit:]]*", "7x", true),
    ("[*]", "*", false),
    ("node_modules", "packages/a/node_modules/b", false),
    ("**/node_modules", "packages/a/node_modules/b", true),
    ("a", ".", false),
    ("", "a", false),
];

#[test]
fn what_is_excluded() {
    for (patterns, path, expected) in EXCLUDED {
        let ignore = Ignore::parse(&patterns.replace(';', "\n"));
        assert_eq!(ignore.errors, [], "{patterns}");
        assert_eq!(ignore.matches(path), *expected, "{patterns} on {path}");
    }
}

#[test]
fn walking_differs_where_a_folder_has_nothing_to_undo() {
    let table = [
        ("a/b;!a", "a/b", false, true),
        ("a;!a/b", "a/b", false, false),
        ("a;!a/b", "a/b/c", false, false),
        ("a;!a", "a/b", false, false),
        ("!a;a", "a/b", true, true),
        ("**/c;!a;a/d", "a/b/c", false, true),
        ("", "a", false, false),
    ];
    for (patterns, path, matches, walked) in table {
        let ignore = Ignore::parse(&patterns.replace(';', "\n"));
        assert_eq!((ignore.matches(path), ignore.walk_excludes(path)), (matches, walked), "{patterns} on {path}");
    }
}

#[test]
fn lines_cover_the_text() {
    let text = "\u{feff}# first\r\n\n  \t\n !a/ \r\n/b\nlast";
    let ignore = Ignore::parse(text);
    let lines: Vec<(&str, LineKind)> = ignore.lines.iter().map(|line| (line.span.of(text), line.kind)).collect();
    assert_eq!(
        lines,
        [
            ("\u{feff}# first\r\n", LineKind::Comment),
            ("\n", LineKind::Blank),
            ("  \t\n", LineKind::Blank),
            (" !a/ \r\n", LineKind::Pattern),
            ("/b\n", LineKind::Pattern),
            ("last", LineKind::Pattern),
        ]
    );
    let rules: Vec<_> =
        ignore.rules.iter().map(|rule| (rule.span.of(text), rule.line, rule.pattern.as_str(), rule.negated)).collect();
    assert_eq!(rules, [("!a/", 4, "a", true), ("/b", 5, "b", false), ("last", 6, "last", false)]);
    let text = "\u{feff}a\n\u{feff}b";
    let ignore = Ignore::parse(text);
    assert!(ignore.matches("a") && !ignore.matches("b") && ignore.matches("\u{feff}b"));
    assert_eq!(ignore.rules[0].span.of(text), "a");
}

#[test]
fn bad_patterns_name_their_line() {
    let table = [
        ("a\n!\n", "line 2: illegal exclusion pattern: \"!\""),
        ("! ", "line 1: illegal exclusion pattern: \"!\""),
        ("!/", "line 1: illegal exclusion pattern: \"!\""),
        ("# x\n\n[", "line 3: syntax error in pattern '['"),
        ("[]a]", "line 1: syntax error in pattern '[]a]'"),
        ("a\\", "line 1: syntax error in pattern 'a\\'"),
        ("[a-b-c]", "line 1: syntax error in pattern '[a-b-c]'"),
        ("[c-a]", "line 1: pattern '[c-a]' cannot be matched: invalid character class range"),
        ("\\y", "line 1: pattern '\\y' cannot be matched: invalid escape sequence"),
        ("*{2}", "line 1: pattern '*{2}' cannot be matched: invalid nested repetition operator"),
    ];
    for (text, expected) in table {
        let ignore = Ignore::parse(text);
        let errors: Vec<String> = ignore.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [expected], "{text:?}");
    }
}

#[test]
fn folders_that_must_be_entered() {
    let table = [
        ("*", "a", false),
        ("*;!b", "a", false),
        ("*;!a/b", "a", true),
        ("*;!a/b", "a/b", true),
        ("*;!a/b", "a/b/c", true),
        ("*;!a/b", "a/c", false),
        ("*;!a/b", ".", true),
        ("*;!*/b", "x", true),
        ("*;!*/b", "x/y", false),
        ("*;!**/b", "x/y", true),
        ("*;!a?/b", "ab", true),
        ("*;!a?/b", "b", false),
        ("*;!a", "a/b", true),
    ];
    for (patterns, dir, expected) in table {
        let ignore = Ignore::parse(&patterns.replace(';', "\n"));
        assert_eq!(ignore.could_reinclude_below(dir), expected, "{patterns} below {dir}");
    }
}

/// Pattern, path, and whether it matches; `None` where the pattern is malformed.
const GLOBS: &[(&str, &str, Option<bool>)] = &[
    ("abc", "abc", Some(true)),
    ("*", "abc", Some(true)),
    ("*c", "abc", Some(true)),
    ("a*", "a", Some(true)),
    ("a*", "ab/c", Some(false)),
    ("a*/b", "abc/b", Some(true)),
    ("a*/b", "a/c/b", Some(false)),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", Some(false)),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Some(false)),
    ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
    ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
    ("ab[c]", "abc", Some(true)),
    ("ab[b-d]", "abc", Some(true)),
    ("ab[e-g]", "abc", Some(false)),
    ("ab[^c]", "abc", Some(false)),
    ("ab[^e-g]", "abc", Some(true)),
    ("a\\*b", "a*b", Some(true)),
    ("a\\*b", "ab", Some(false)),
    ("a?b", "a☺b", Some(true)),
    ("a[^a]b", "a☺b", Some(true)),
    ("a???b", "a☺b", Some(false)),
    ("[a-ζ]*", "α", Some(true)),
    ("*[a-ζ]", "A", Some(false)),
    ("a?b", "a/b", Some(false)),
    ("a*b", "a/b", Some(false)),
    ("[\\]a]", "]", Some(true)),
    ("[x\\-]", "-", Some(true)),
    ("[\\-x]", "a", Some(false)),
    ("[!a]", "b", Some(false)),
    ("[!a]", "!", Some(true)),
    ("[c-a]", "b", Some(false)),
    ("**", "a/b", Some(false)),
    ("", "", Some(true)),
    ("*", "", Some(true)),
    ("*x", "xxx", Some(true)),
    ("[]a]", "]", None),
    ("[-]", "-", None),
    ("[x-]", "x", None),
    ("[-x]", "x", None),
    ("\\", "a", None),
    ("[a-b-c]", "a", None),
    ("[", "a", None),
    ("[^", "a", None),
    ("[^bc", "a", None),
    ("a[", "a", None),
    ("zzz[", "a", None),
];

#[test]
fn globs_match_as_in_go() {
    for (pattern, path, expected) in GLOBS {
        assert_eq!(matches_pattern(pattern, path).ok(), *expected, "{pattern} on {path}");
    }
}

#[test]
fn any_file_is_read_without_a_panic() {
    use proptest::prelude::*;
    proptest!(|(text in "([*?!#./\\\\^{}|,-]|[\\[\\]]|[a-c1-3]|\r?\n| |é|\u{feff}){0,24}", path in "[a-c]{1,2}(/[a-c1é]{1,2}){0,2}")| {
        let ignore = Ignore::parse(&text);
        let joined: String = ignore.lines.iter().map(|line| line.span.of(&text)).collect();
        prop_assert_eq!(joined, text.clone());
        for (rule, span) in ignore.rules.iter().map(|rule| (rule.line, rule.span)) {
            prop_assert!(ignore.lines[rule - 1].span.contains(span));
        }
        // A folder that need not be entered holds nothing that is included.
        if let Some((dir, _)) = path.split_once('/')
            && ignore.matches(dir) && !ignore.could_reinclude_below(dir)
        {
            prop_assert!(ignore.matches(&path), "{text:?} {path}");
        }
        if ignore.rules.iter().all(|rule| !rule.negated) {
            prop_assert_eq!(ignore.matches(&path), ignore.walk_excludes(&path));
        }
        let _ = matches_pattern(&text, &path);
    });
}
