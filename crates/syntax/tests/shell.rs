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
            write!(out, " {sign} {}", pipeline(right)).unwrap();
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
        WordPartKind::Arithmetic(it) => format!("$(({}|{}|{}))", it.reads.join(" "), it.assigns.join(" "), all(&it.words)),
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
    ("apt-get update && apt-get install -y curl", ""),
    ("a || b && c; d & e", ""),
    ("! a | b |& c", ""),
    ("a   &&\\\n   b # why\n", ""),
    ("A=1 B=\"x y\" cmd C=2", ""),
    ("A= B", ""),
    ("A=1", ""),
    ("PATH=~/bin:~:$PATH", ""),
    ("echo ~/x ~root a~b \"~\"", ""),
    ("export A=b C D=\"$e\"", ""),
    ("declare -a x=(1 \"2 3\" $y)", ""),
    ("x[1]+=2 y+=(a [k]=v)", ""),
    ("exit 1", ""),
    ("A=b exit 1 2>/dev/null && return", ""),
    ("rm -rf /var/lib/apt/lists/* ./[a-z]? \"*\" \\*", ""),
    ("echo a\\ b 'c d'\"e f\"g ''", ""),
    ("echo \"a\\$b\\\"c\\d\" $'a\\tb\\x41'", ""),
    ("echo {a,b}/c{1..3} {} {x}", ""),
    ("[ -z \"$A\" ] && [[ -n $b && $c == x* ]]", ""),
    ("echo ${a} ${#a} ${!a} ${a:-b c} ${a:=$(d)} ${a%%.*} ${a//x/$y} ${a:1:n} ${a[i]}", ""),
    ("echo $@ $# $? $$ $! $- $_ $0 $1 ${10} ${#} ${#@}", ""),
    ("echo $((a + b[1] * $c)) $((d++, e=2))", ""),
    ("echo `a b` \"`c \\`d\\` \\\"e\\\"`\"", ""),
    ("echo $(a; b $(c)) \"$(d | e)\"", ""),
    ("diff <(a) >(b)", ""),
    ("(a; b) > x && { c; d; } 2>&1", ""),
    ("( (a) ; (b) )", ""),
    ("if a; then b; elif c; then d; else e; fi > f", ""),
    ("for i in a \"b c\" *.d; do e $i; done", ""),
    ("for i; do a; done", ""),
    ("for ((i=0; i<n; i++)); do a; done", ""),
    ("while read -r l; do a; done < f", ""),
    ("until a; do b; done", ""),
    ("case $x in (a|b*) c;; \"d e\") ;; *) f; g;& h) i;;& j) k; esac", ""),
    ("A=$(case \"$x\" in a) b;; *) c;; esac); d", ""),
    ("select x in a b; do c; done", ""),
    ("f() { a; }; function g { b; }; function h() ( c )", ""),
    ("((x = y + 1))", ""),
    ("time -p a | b", ""),
    ("a >b 2>>c <d <>e >|f 2>&1 <&- &>g &>>h >&2 <<<\"i\" {v}>j", ""),
    (">a", ""),
    (">a b c <d e", ""),
    ("cat <<A && b\nx $y \\$z `c`\nA\nd", ""),
    ("cat <<'A' <<-B\n$x\nA\n\ty $(z)\n\tB\n", ""),
    ("if a; then cat <<E\nfi\nE\nfi; b", ""),
    ("{ cat <<E; }\n}\nE\nb", ""),
    ("x=$(cat <<E\n)\nE\n) y", ""),
    ("set -eux; \\\n  # gone\n  a", ""),
    ("a;b;;", ""),
    ("if a", ""),
    ("echo 'x", ""),
    ("a && ", ""),
    ("a ) b", ""),
    ("échö \"ü$x\" | grep ß", ""),
    ("a\r\nb", ""),
    ("find . -exec rm {} \\; -o -name '*.pyc'", ""),
    ("echo a#b # c", ""),
    ("a & b & wait $!", ""),
    ("echo \"${x:-\"a b\"}\" ${x+\"$y\"}", ""),
    ("coproc a", ""),
    ("eval \"$(a -s)\" && . ./b", ""),
    ("export PATH=\"/a:$PATH\" LD=~/b", ""),
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
            assert!(script.exact, "{text:?}");
        }
        if found != *expected {
            writeln!(wrong, "{text:?}\n  expected {expected:?}\n  found    {found:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
