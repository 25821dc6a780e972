//! The cases of passes on Dockerfiles, under their laws.
//!
//! A case is a `dockerfile` block, whose fence may name a level (`-O2`) and `heredoc`, and then what comes of it: a
//! `fixed` block (left out where nothing changes), `findings`, and `declined`, a line and the code of its reason each.
//! A `context` block lists the build context (mode, size, path; a folder's path ends in a slash, a link's in @), and
//! `ignore` and `fixed-ignore` are `.dockerignore` before and after. A `history` block has a line a commit, the newest
//! first: the paths that it changed, or `-`. A `packages` block is what a traced build showed (`evidence.rs`).

use jettison_ir::source::{Context, ContextFile, Entry, Goal, History, Observations, RunStyle, SourceOptions};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_passes::{Fixes, PASSES, Rewritten, Selection, Source, rewrite};
use jettison_syntax::dockerfile::Dockerfile;

use crate::evidence;
use crate::pages::{self, Block, PageCase};

fn level_of(pass: &Pass, case: &PageCase) -> Level {
    let words = &case.block("dockerfile").expect("a Dockerfile").words;
    let named = words.iter().find_map(|word| word.strip_prefix("-O"));
    named.map_or(pass.level, |level| level.parse().expect("a level"))
}

fn options(pass: &Pass, case: &PageCase) -> SourceOptions {
    let words = &case.block("dockerfile").expect("a Dockerfile").words;
    let style = if words.iter().any(|word| word == "heredoc") { RunStyle::Heredoc } else { RunStyle::Operators };
    let goal = if matches!(pass.run, Run::Development(_)) { Goal::Development } else { Goal::Release };
    SourceOptions { level: level_of(pass, case), goal, style, denied: Vec::new() }
}

fn context(case: &PageCase) -> Option<Context> {
    let ignore = case.block("ignore").map(|block| block.text.clone());
    let listed = case.block("context");
    let commits = |block: &Block| {
        let paths = |line: &str| line.split_whitespace().filter(|path| *path != "-").map(str::to_owned).collect();
        History { commits: block.text.lines().map(paths).collect() }
    };
    let history = case.block("history").map(commits);
    if ignore.is_none() && listed.is_none() {
        return None;
    }
    let file = |line: &str| {
        let [mode, size, path] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{}: a context line has mode, size and path", case.name)
        };
        let (path, entry) = match (path.strip_suffix('/'), path.strip_suffix('@')) {
            (Some(path), _) => (path, Entry::Folder),
            (_, Some(path)) => (path, Entry::Link),
            _ => (path, Entry::File),
        };
        ContextFile {
            path: path.to_owned(),
            entry,
            mode: u32::from_str_radix(mode, 8).expect("a mode"),
            size: size.parse().expect("a size"),
        }
    };
    let files = listed.map(|block| block.text.lines().map(file).collect()).unwrap_or_default();
    Some(Context { files, ignore, history })
}

/// What a case is rewritten with, beside its text.
#[derive(Clone, Copy)]
struct With<'c> {
    context: Option<&'c Context>,
    observations: Option<&'c Observations>,
}

fn rewritten(text: &str, options: &SourceOptions, selection: &Selection, with: With<'_>) -> Rewritten {
    let With { context, observations } = with;
    let source = Source { tree: Dockerfile::parse(text), context, observations };
    rewrite(source, options, selection, Fixes::Applied, &mut |_| {})
}

fn lines((first, last): (usize, usize)) -> String {
    if first == last { format!("line {first}") } else { format!("lines {first}-{last}") }
}

fn comments(tree: &Dockerfile) -> Vec<&str> {
    let mut all: Vec<&str> = tree.comments.iter().map(|comment| comment.span.of(tree.text()).trim_end()).collect();
    let heredocs = tree.instructions.iter().flat_map(|instruction| &instruction.heredocs);
    all.extend(heredocs.flat_map(|heredoc| heredoc.body.of(tree.text()).lines()).filter(|line| line.starts_with('#')));
    all.sort_unstable();
    all
}

/// The laws.
fn check(pass: &Pass, case: &PageCase) {
    let name = &case.name;
    let before = &case.block("dockerfile").expect("a Dockerfile").text;
    let options = options(pass, case);
    let context = context(case);
    let context = context.as_ref();
    let observations = evidence::of(case, before);
    let with = With { context, observations: observations.as_ref() };
    assert!(Dockerfile::parse(before.as_str()).is_valid(), "{name}: {:?}", Dockerfile::parse(before.as_str()).errors);
    let only = Selection { only: vec![pass.name.to_owned()], ..Selection::of(options.level) };
    let result = rewritten(before, &options, &only, with);
    let expected = case.block("fixed").map_or(before, |block| &block.text);
    assert_eq!(result.tree.text(), expected, "{name}: fixed");
    let found: String =
        result.found.iter().map(|found| format!("{}: {}\n", lines(found.lines), found.finding.message)).collect();
    assert_eq!(found, case.block("findings").map_or("", |block| &block.text), "{name}: findings");
    let declined: String =
        result.declined.iter().map(|left| format!("{}: {}\n", lines(left.lines), left.decline.code)).collect();
    if let Some(block) = case.block("declined") {
        assert_eq!(declined, block.text, "{name}: declined");
    }
    if let Some(block) = case.block("fixed-ignore") {
        assert_eq!(result.ignore.as_deref(), Some(&*block.text), "{name}: fixed-ignore");
    } else {
        assert_eq!(result.ignore, None, "{name}: .dockerignore stays as it is");
    }
    for found in &result.found {
        assert!(found.finding.fix.is_some() || found.finding.help.is_some(), "{name}: a fix or a help line");
        assert!(pass.safety != Safety::Advice || found.finding.fix.is_none(), "{name}: advice changes nothing");
    }
    for left in &result.declined {
        assert!(!left.decline.reason.ends_with('.') && !left.decline.reason.is_empty(), "{name}: a reason");
    }
    for selection in [only.clone(), Selection::of(options.level)] {
        let result = rewritten(before, &options, &selection, with);
        assert!(result.tree.is_valid(), "{name}: the result is valid: {:?}", result.tree.errors);
        let before = Dockerfile::parse(before.as_str());
        let (was, is) = (comments(&before), comments(&result.tree));
        assert!(was.iter().all(|comment| is.contains(comment)), "{name}: comments are kept: {is:?}");
        let with_ignore = context.map(|context| Context {
            ignore: result.ignore.clone().or_else(|| context.ignore.clone()),
            ..context.clone()
        });
        let seen = evidence::of(case, result.tree.text());
        let again = With { context: with_ignore.as_ref(), observations: seen.as_ref() };
        let again = rewritten(result.tree.text(), &options, &selection, again);
        assert_eq!(again.tree.text(), result.tree.text(), "{name}: a second run changes nothing");
        assert_eq!(again.ignore, None, "{name}: a second run changes no .dockerignore");
        let twice = rewritten(before.text(), &options, &selection, with);
        assert_eq!(twice.tree.text(), result.tree.text(), "{name}: reproducible");
    }
    let below = SourceOptions { level: Level::O0, ..options.clone() };
    for (options, selection) in [
        (&below, Selection { only: vec![pass.name.to_owned()], ..Selection::of(Level::O0) }),
        (&options, Selection { skip: vec![pass.name.to_owned()], ..only.clone() }),
        (&options, Selection { limit: Some(0), ..only.clone() }),
    ] {
        let result = rewritten(before, options, &selection, with);
        assert_eq!(result.tree.text(), before, "{name}: silent below its level, when skipped, at limit 0");
    }
}

#[test]
fn every_case_holds_the_laws() {
    for pass in PASSES.iter().filter(|pass| !matches!(pass.run, Run::Image(_))) {
        for case in pages::cases(pass, "dockerfile") {
            check(pass, &case);
        }
    }
}
