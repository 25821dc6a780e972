//! The shell parser: what it makes of a text, and laws that hold for any text.

mod shell_check;

use std::fmt::Write;

use jettison_syntax::shell::{
    Command, CommandKind, Dialect, List, Operator, Pipeline, Redirect, RedirectOperator, Script, Terminator, Word,
    WordPart, WordPartKind, quote,
};
use proptest::prelude::*;

/// A script as an expression: `(name arguments redirects)` for a simple command; `‹…›` marks patterns, tildes and
/// braces, `"` what stands in quotes.
fn outline(script: &Script) -> String {
    list(&script.body)
}

fn list(list: &List) -> String {
    let mut out = String::new();
    for item in &list.items {
        if !out.is_empty() {
            out.push(' ');
        }
        out += &pipeline(&item.and_or.first);
        for (operator, _, right) in &item.and_or.rest {
            let sign = if *operator == Operator::And { "&&" } else { "||" };
            out += &format!(" {sign} {}", pipeline(right));
        }
        out += match item.terminator {
            Some((Terminator::Semicolon, _)) => ";",
            Some((Terminator::Newline, _)) => "⏎",
            Some((Terminator::Background, _)) => "&",
            None => "",
        };
    }
    out
}

fn pipeline(pipeline: &Pipeline) -> String {
    let mut out = if pipeline.negated { "! ".to_owned() } else { String::new() };
    for (index, each) in pipeline.commands.iter().enumerate() {
        if let Some(pipe) = index.checked_sub(1).map(|before| pipeline.pipes[before]) {
            out += if pipe.with_errors { " |& " } else { " | " };
        }
        out += &command(each);
    }
    out
}

fn command(command: &Command) -> String {
    let mut pieces = Vec::new();
    match &command.kind {
        CommandKind::Simple(simple) => {
            for each in &simple.assignments {
                let subscript = each.subscript.as_ref().map(|it| format!("[{}]", word(it))).unwrap_or_default();
                let value = each.value.as_ref().map(word).unwrap_or_default();
                pieces.push(format!("{}{subscript}{}{value}", each.name, if each.append { "+=" } else { "=" }));
            }
            pieces.extend(simple.words.iter().map(word));
        }
        CommandKind::Subshell(body) => pieces.push(format!("subshell {}", list(body))),
        CommandKind::Group(body) => pieces.push(format!("group {}", list(body))),
        CommandKind::If { branches, otherwise } => {
            for (condition, body) in branches {
                pieces.push(format!("if {} then {}", list(condition), list(body)));
            }
            pieces.extend(otherwise.as_ref().map(|body| format!("else {}", list(body))));
        }
        CommandKind::For { variable, words: Some(words), body } => {
            pieces.push(format!("for {variable} in [{}] {}", all(words), list(body)));
        }
        CommandKind::For { variable, words: None, body } => pieces.push(format!("for {variable} {}", list(body))),
        CommandKind::ArithmeticFor { expressions, body } => {
            let reads: Vec<_> = expressions.iter().flat_map(|each| each.reads.clone()).collect();
            pieces.push(format!("for (({})) {}", reads.join(" "), list(body)));
        }
        CommandKind::While { until, condition, body } => {
            let name = if *until { "until" } else { "while" };
            pieces.push(format!("{name} {} do {}", list(condition), list(body)));
        }
        CommandKind::Case { subject, arms } => {
            pieces.push(format!("case {}", word(subject)));
            pieces.extend(arms.iter().map(|arm| format!("[{}] {}", all(&arm.patterns), list(&arm.body))));
        }
        CommandKind::Select { variable, words, body } => {
            pieces.push(format!("select {variable} in [{}] {}", all(words), list(body)));
        }
        CommandKind::Function { name, body } => pieces.push(format!("function {name} {}", self::command(body))),
        CommandKind::Test { words } => pieces.push(format!("[[ {}", all(words))),
        CommandKind::Arithmetic(it) => pieces.push(format!("(( {}|{}", it.reads.join(" "), it.assigns.join(" "))),
        CommandKind::Time(inner) => {
            pieces.push(format!("time {}", inner.as_ref().map(|it| pipeline(it)).unwrap_or_default()));
        }
        CommandKind::Coproc(body) => pieces.push(format!("coproc {}", self::command(body))),
        CommandKind::Other => pieces.push("other".to_owned()),
    }
    pieces.extend(command.redirects.iter().map(redirect));
    format!("({})", pieces.join(" "))
}

fn redirect(redirect: &Redirect) -> String {
    let fd = redirect.fd.map(|fd| fd.to_string()).unwrap_or_default();
    let variable = redirect.fd_variable.as_ref().map(|name| format!("{{{name}}}")).unwrap_or_default();
    let sign = match redirect.operator {
        RedirectOperator::In => "<",
        RedirectOperator::Out => ">",
        RedirectOperator::Append => ">>",
        RedirectOperator::Clobber => ">|",
        RedirectOperator::ReadWrite => "<>",
        RedirectOperator::DuplicateIn => "<&",
        RedirectOperator::DuplicateOut => ">&",
        RedirectOperator::HereString => "<<<",
        RedirectOperator::Heredoc => "<<",
        RedirectOperator::OutBoth => "&>",
        RedirectOperator::AppendBoth => "&>>",
    };
    let body = redirect.heredoc.as_ref().map(|heredoc| {
        let flags = [(heredoc.expand, "$"), (heredoc.strip_tabs, "-")];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
        format!("{flags}{{{}}}", heredoc.parts.iter().map(part).collect::<String>())
    });
    format!("{fd}{variable}{sign}{}{}", word(&redirect.target), body.unwrap_or_default())
}

fn all(words: &[Word]) -> String {
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &Word) -> String {
    word.parts.iter().map(part).collect()
}

fn part(part: &WordPart) -> String {
    let text = match &part.kind {
        WordPartKind::Literal(text) => text.replace(' ', "·").replace('\n', "⏎").replace('\t', "→"),
        WordPartKind::Parameter { name, prefix: None, operator: None, words } if words.is_empty() => format!("${name}"),
        WordPartKind::Parameter { name, prefix, operator, words } => {
            let prefix = prefix.map(String::from).unwrap_or_default();
            let operator = operator.as_deref().unwrap_or_default();
            let words = if words.is_empty() { String::new() } else { format!(" [{}]", all(words)) };
            format!("${{{prefix}{name} {operator}{words}}}")
        }
        WordPartKind::Command(body) => format!("$({})", list(body)),
        WordPartKind::Process(body) => format!("<({})", list(body)),
        WordPartKind::Arithmetic(it) => {
            format!("$(({}|{}|{}))", it.reads.join(" "), it.assigns.join(" "), all(&it.words))
        }
        WordPartKind::Glob(text) | WordPartKind::Brace(text) => format!("‹{text}›"),
        WordPartKind::Tilde => "‹~›".to_owned(),
        WordPartKind::Array(words) => format!("[{}]", all(words)),
    };
    if part.quoted { format!("\"{text}\"") } else { text }
}

/// Texts with the outline of what is made of them.
const CASES: &[(&str, &str)] = &[
    ("", ""),
    ("# only a comment", ""),
    ("apt-get update && apt-get install -y curl", "(apt-get update) && (apt-get install -y curl)"),
    ("a || b && c; d & e", "(a) || (b) && (c); (d)& (e)"),
    ("! a | b |& c", "! (a) | (b) |& (c)"),
    ("a   &&\\\n   b # why\n", "(a) && (b)⏎"),
    ("A=1 B=\"x y\" cmd C=2", "(A=1 B=\"x·y\" cmd C=2)"),
    ("A= B", "(A= B)"),
    ("A=1", "(A=1)"),
    ("PATH=~/bin:~:$PATH", "(PATH=‹~›/bin:‹~›:$PATH)"),
    ("echo ~/x ~root a~b \"~\"", "(echo ‹~›/x ‹~› a~b \"~\")"),
    ("export A=b C D=\"$e\"", "(export A=b C D=\"$e\")"),
    ("declare -a x=(1 \"2 3\" $y)", "(declare -a x=[1 \"2·3\" $y])"),
    ("x[1]+=2 y+=(a [k]=v)", "(x[$((||))]+=2 y+=[a $((k||)) v])"),
    ("declare -a x=( 1 ) y=()", "(declare -a x=[1] y=[])"),
    ("declare -A x=([\"a\"]=1 [b]=2)", "(declare -A x=[\"a\" 1 $((b||)) 2])"),
    ("exit 1", "(exit 1)"),
    ("A=b exit 1 2>/dev/null && return", "(A=b exit 1 2>/dev/null) && (return)"),
    ("rm -rf /var/lib/apt/lists/* ./[a-z]? \"*\" \\*", "(rm -rf /var/lib/apt/lists/‹*› ./‹[a-z]›‹?› \"*\" *)"),
    ("echo a\\ b 'c d'\"e f\"g ''", "(echo a·b \"c·d\"\"e·f\"g \"\")"),
    ("echo \"a\\$b\\\"c\\d\" $'a\\tb\\x41'", "(echo \"a$b\"c\\d\" \"a→bA\")"),
    ("echo {a,b}/c{1..3} {} {x}", "(echo ‹{a,b}›/c‹{1..3}› {} {x})"),
    ("[ -z \"$A\" ] && [[ -n $b && $c == x* ]]", "([ -z \"$A\" ]) && ([[ $b $c x‹*›)"),
    (
        "echo ${a} ${#a} ${!a} ${a:-b c} ${a:=$(d)} ${a%%.*} ${a//x/$y} ${a:1:n} ${a[i]}",
        "(echo $a ${#a } ${!a } ${a :-b c [b·c]} ${a :=$(d) [$((d))]} ${a %%.* [.‹*›]} ${a //x/$y [x $y]} ${a :1:n [$((||)) $((n||))]} ${a [i] [$((i||))]})",
    ),
    ("echo $@ $# $? $$ $! $- $_ $0 $1 ${10} ${#} ${#@}", "(echo $@ $# $? $$ $! $- $_ $0 $1 $10 $# ${#@ })"),
    ("echo $((a + b[1] * $c)) $((d++, e=2))", "(echo $((a b||$c)) $((d|d e|)))"),
    ("echo `a b` \"`c \\`d\\` \\\"e\\\"`\"", "(echo $((a b)) \"$((c $((d)) \"e\"))\")"),
    ("echo $(a; b $(c)) \"$(d | e)\"", "(echo $((a); (b $((c)))) \"$((d) | (e))\")"),
    ("diff <(a) >(b)", "(diff <((a)) <((b)))"),
    ("(a; b) > x && { c; d; } 2>&1", "(subshell (a); (b) >x) && (group (c); (d); 2>&1)"),
    ("( (a) ; (b) )", "(subshell (subshell (a)); (subshell (b)))"),
    ("if a; then b; elif c; then d; else e; fi > f", "(if (a); then (b); if (c); then (d); else (e); >f)"),
    ("for i in a \"b c\" *.d; do e $i; done", "(for i in [a \"b·c\" ‹*›.d] (e $i);)"),
    ("for i; do a; done", "(for i (a);)"),
    ("for ((i=0; i<n; i++)); do a; done", "(for ((i n i)) (a);)"),
    ("while read -r l; do a; done < f", "(while (read -r l); do (a); <f)"),
    ("until a; do b; done", "(until (a); do (b);)"),
    (
        "case $x in (a|b*) c;; \"d e\") ;; *) f; g;& h) i;;& j) k; esac",
        "(case $x [a b‹*›] (c) [\"d·e\"]  [‹*›] (f); (g) [h] (i) [j] (k);)",
    ),
    ("A=$(case \"$x\" in a) b;; *) c;; esac); d", "(A=$((case \"$x\" [a] (b) [‹*›] (c)))); (d)"),
    ("select x in a b; do c; done", "(select x in [a b] (c);)"),
    (
        "f() { a; }; function g { b; }; function h() ( c )",
        "(function f (group (a);)); (function g (group (b);)); (function h (subshell (c)))",
    ),
    ("((x = y + 1))", "((( y|x)"),
    ("time -p a | b", "(time (a) | (b))"),
    (
        "a >b 2>>c <d <>e >|f 2>&1 <&- &>g &>>h >&2 <<<\"i\" {v}>j",
        "(a >b 2>>c <d <>e >|f 2>&1 <&- &>g &>>h >&2 <<<\"i\" {v}>j)",
    ),
    (">a", "(>a)"),
    (">a b c <d e", "(b c e >a <d)"),
    ("cat <<A && b\nx $y \\$z `c`\nA\nd", "(cat <<A${\"x·\"\"$y\"\"·$z·\"\"$((c))\"\"⏎\"}) && (b)⏎ (d)"),
    ("cat <<'A' <<-B\n$x\nA\n\ty $(z)\n\tB\n", "(cat <<\"A\"{\"$x⏎\"} <<B$-{\"→y·\"\"$((z))\"\"⏎\"})⏎"),
    ("if a; then cat <<E\nfi\nE\nfi; b", "(if (a); then (cat <<E${\"fi⏎\"})⏎); (b)"),
    ("{ cat <<E; }\n}\nE\nb", "(group (cat <<E${\"}⏎\"});)⏎ (b)"),
    ("x=$(cat <<E\n)\nE\n) y", "(x=$((cat <<E${\")⏎\"})⏎) y)"),
    ("set -eux; \\\n  # gone\n  a", "(set -eux); (a)"),
    ("a;b;;", "(a); (b) error"),
    ("if a", " error"),
    ("echo 'x", " error"),
    ("a && ", " error"),
    ("a ) b", "(a) error"),
    ("échö \"ü$x\" | grep ß", "(échö \"ü\"\"$x\") | (grep ß)"),
    ("a\r\nb", "(a\r)⏎ (b)"),
    ("find . -exec rm {} \\; -o -name '*.pyc'", "(find . -exec rm {} ; -o -name \"*.pyc\")"),
    ("echo a#b # c", "(echo a#b)"),
    ("a & b & wait $!", "(a)& (b)& (wait $!)"),
    ("echo \"${x:-\"a b\"}\" ${x+\"$y\"}", "(echo \"${x :-\"a b\" [\"a·b\"]}\" ${x +\"$y\" [\"$y\"]})"),
    ("a; (( ))", "(a); ((( |)"),
    ("coproc a", "(coproc (a))"),
    ("eval \"$(a -s)\" && . ./b", "(eval \"$((a -s))\") && (. ./b)"),
    ("export PATH=\"/a:$PATH\" LD=~/b", "(export PATH=\"/a:\"\"$PATH\" LD=‹~›/b)"),
];

#[test]
fn texts_have_these_outlines() {
    let mut wrong = String::new();
    for (text, expected) in CASES {
        let script = Script::parse(text, Dialect::Bash);
        shell_check::check(&script);
        let mut found = outline(&script);
        if let Some(error) = &script.error {
            write!(found, " error").unwrap();
            assert!(!error.message.is_empty() && !script.exact);
        } else {
            write!(found, "{}", if script.exact { "" } else { " inexact" }).unwrap();
        }
        if found != *expected {
            writeln!(wrong, "{text:?}\n  expected {expected:?}\n  found    {found:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn script(text: &str) -> Script {
    let script = Script::parse(text, Dialect::Sh);
    assert_eq!(script.error, None, "{text:?}");
    script
}

#[test]
fn spans_cover_exactly_the_text_of_a_command() {
    let text = "set -e; { A=1 apt-get  install -y curl >/dev/null && rm -rf /x/* ; } || exit 1 # end";
    let script = script(text);
    let texts: Vec<_> = script.commands().iter().map(|command| command.span.of(text)).collect();
    assert_eq!(
        texts,
        [
            "set -e",
            "{ A=1 apt-get  install -y curl >/dev/null && rm -rf /x/* ; }",
            "A=1 apt-get  install -y curl >/dev/null",
            "rm -rf /x/*",
            "exit 1"
        ]
    );
    assert_eq!(script.simple_commands()[1].1.span.of(text), "A=1 apt-get  install -y curl");
    assert_eq!(script.comments.iter().map(|span| span.of(text)).collect::<Vec<_>>(), ["# end"]);
    let names: Vec<_> = script.simple_commands().iter().map(|(_, simple)| simple.name()).collect();
    assert_eq!(names, [Some("set"), Some("apt-get"), Some("rm"), Some("exit")]);
    let install = script.simple_commands()[1].1;
    let arguments: Vec<_> = install.arguments().iter().map(|word| word.text(text)).collect();
    assert_eq!(arguments, ["install", "-y", "curl"]);
}

#[test]
fn comments_are_listed() {
    let text = "# 1\na # 2\nb && # 3\n c#d `e # 4\n` $(# 5\nf # 6\n) '# g' # 7\nif a; then # 8\n # 9\n b; fi # 10
x=(a # 11\n # 12\n); case a in # 13\n b) # 14\n c;; # 15\n esac; cat <<E # 16\n# h\nE\n# 17";
    let script = Script::parse(text, Dialect::Bash);
    shell_check::check(&script);
    assert!(script.exact);
    let comments: Vec<_> = script.comments.iter().map(|span| span.of(text)).collect();
    assert_eq!(comments, (1..=17).map(|number| format!("# {number}")).collect::<Vec<_>>());
}

#[test]
fn words_know_what_is_literal() {
    let script = script("a 'b c'\\ d \"$e\" f* ~ \"~*\" [ g=~");
    let simple = script.simple_commands()[0].1;
    let literals: Vec<_> = simple.words.iter().map(Word::literal).collect();
    let literals: Vec<_> = literals.iter().map(Option::as_deref).collect();
    assert_eq!(literals, [Some("a"), Some("b c d"), None, None, None, Some("~*"), Some("["), Some("g=~")]);
    assert!(simple.words[2].has_expansion() && !simple.words[2].is_glob());
    assert!(simple.words[3].is_glob() && !simple.words[3].has_expansion());
    assert!(simple.words[4].has_expansion());
}

#[test]
fn nested_commands_are_found_in_order() {
    let text =
        "a $(b `c`) \"$(d \\\n  <(e))\" <<X && f() { g ${h:-$(i)}; }; j $((1 + $(k)))\n$(l \"`m \\`n\\``\")\nX\n";
    let script = Script::parse(text, Dialect::Bash);
    shell_check::check(&script);
    let names: Vec<_> = script.simple_commands().iter().filter_map(|(_, simple)| simple.name()).collect();
    assert_eq!(names, ["c", "b", "e", "d", "n", "m", "l", "a", "i", "g", "k", "j"]);
    // Only what stands in backquotes with backslashes has no place in the text.
    let placeless = script.commands().iter().filter(|command| command.span.is_empty()).count();
    assert_eq!(placeless, 2);
}

#[test]
fn variables_are_listed() {
    let text = "A=$B; for c in $@; do echo \"${D:=$e}\" $? `f $g`; done; export H=i J; read -r k l; : $((m = n + 1)) $!
cat <<X >$o
$p \\$q ${#r}
X
for s; do case $- in $t) ;; esac; done; getopts ab u; printf -v w x; echo '$y' ${z[i]}";
    let script = Script::parse(text, Dialect::Bash);
    let read: Vec<_> = script.variables_read().into_iter().collect();
    assert_eq!(read, ["!", "-", "?", "@", "B", "D", "e", "g", "i", "n", "o", "p", "r", "t", "z"]);
    let assigned: Vec<_> = script.variables_assigned().into_iter().collect();
    assert_eq!(assigned, ["A", "D", "H", "OPTARG", "OPTIND", "c", "k", "l", "m", "s", "u", "w"]);
}

#[test]
fn sh_reads_the_language_of_bash_where_its_own_fails() {
    assert_eq!(outline(&script("[[ -n $a ]] && b &> c")), "([[ $a) && (b &>c)");
    // Braces are text for the shell of POSIX.
    assert_eq!(outline(&script("mkdir {a,b}")), "(mkdir {a,b})");
}

#[test]
fn what_stands_before_an_error_is_kept() {
    let script = Script::parse("a; b &&& c", Dialect::Bash);
    assert!(script.error.is_some() && !script.exact);
    for (open, close) in
        [("(", ")"), ("$(", ")"), ("{ ", ";}"), ("${a:-", "}"), ("if a; then ", ";fi"), ("\"$(", ")\"")]
    {
        for depth in [40, 90, 2000] {
            let text = format!("{}a{}", open.repeat(depth), close.repeat(depth));
            shell_check::check(&Script::parse(&text, Dialect::Bash));
        }
    }
    let script = Script::parse(&"(".repeat(100_000), Dialect::Sh);
    assert!(script.error.is_some());
    let script = Script::parse(&"a && ".repeat(100_000), Dialect::Sh);
    assert!(script.error.is_some());
}

/// Pieces that texts are put together from: any of them may come behind any other.
const PIECES: &[&str] = &[
    "a",
    " ",
    "\n",
    ";",
    "&",
    "&&",
    "||",
    "|",
    "|&",
    "(",
    ")",
    "{",
    "}",
    "if ",
    "then ",
    "fi",
    "for x in ",
    "do ",
    "done",
    "case $x in ",
    "esac",
    ";;",
    "while ",
    "$(",
    "`",
    "${x",
    ":-",
    "$((",
    "))",
    "'",
    "\"",
    "\\",
    "$",
    "#",
    "<<E",
    "\nE\n",
    "<<-'E'",
    ">",
    "<",
    "2>&1",
    "=",
    "A=b ",
    "x=(",
    "é",
    "\u{a0}",
    "*",
    "[",
    "]",
    "[[ ",
    "]]",
    "~",
    "{a,b}",
    "export ",
    "function f ",
    "f() ",
    "exit ",
    "!",
    "time ",
    "\r\n",
    "\t",
    "$'",
    "<(",
    "%",
    "&>>",
    "{v}>",
    "0",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_obeys_the_law(text in any::<String>()) {
        shell_check::check_any(&Script::parse(&text, Dialect::Sh));
    }

    #[test]
    fn any_mixture_obeys_the_law(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        shell_check::check_any(&Script::parse(&pieces.concat(), Dialect::Bash));
        shell_check::check_any(&Script::parse(&pieces.concat(), Dialect::Sh));
    }

    #[test]
    fn any_mutation_obeys_the_law(
        index in 0..CASES.len(),
        other in 0..CASES.len(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..6,
        piece in prop::sample::select(PIECES),
    ) {
        let mut text: Vec<char> = format!("{}\n{}", CASES[index].0, CASES[other].0).chars().collect();
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, piece.chars());
        let text: String = text.into_iter().collect();
        shell_check::check_any(&Script::parse(&text, Dialect::Bash));
    }

    #[test]
    fn a_quoted_word_is_read_back(word in "[^\0]{0,20}") {
        let text = format!("x {}", quote(&word));
        let script = Script::parse(&text, Dialect::Bash);
        prop_assert_eq!(&script.error, &None);
        let commands = script.simple_commands();
        let literal = commands[0].1.arguments()[0].literal();
        prop_assert_eq!(literal.as_deref(), Some(word.as_str()));
    }
}
