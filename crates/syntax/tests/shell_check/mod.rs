//! The law of spans: they lie within the text, split no character, nest, and siblings follow one another.

use jettison_syntax::Span;
use jettison_syntax::shell::{
    Arithmetic, Command, CommandKind, List, Pipeline, Redirect, Script, Terminator, Word, WordPart, WordPartKind,
};

fn gave_up(script: &Script) -> bool {
    script.error.as_ref().is_some_and(|error| error.message == "the parser gave up")
}

/// Checks the law on the script of any text at all: the parser behind it may give up on some, and then no tree is left
/// that anything could rely on.
#[allow(dead_code)] // Not every test program has random texts.
pub(crate) fn check_any(script: &Script) {
    if gave_up(script) {
        assert!(!script.exact && script.body.items.is_empty(), "{:?}", script.text);
    } else {
        check(script);
    }
}

/// Checks the law on a script.
pub(crate) fn check(script: &Script) {
    assert!(!gave_up(script), "a panic over {:?}", script.text);
    let checker = Checker { text: &script.text, exact: script.exact };
    checker.list(&script.body, Span::new(0, script.text.len()));
    let mut last = 0;
    for comment in &script.comments {
        checker.inside(*comment, Span::new(0, script.text.len()));
        assert!(comment.start >= last && comment.of(&script.text).starts_with('#'), "{:?}", script.text);
        last = comment.end;
    }
    if let Some(error) = &script.error {
        checker.inside(error.span, Span::new(0, script.text.len()));
    }
}

struct Checker<'a> {
    text: &'a str,
    exact: bool,
}

impl Checker<'_> {
    fn inside(&self, span: Span, outer: Span) {
        assert!(self.text.get(span.range()).is_some(), "{span:?} of {:?}", self.text);
        assert!(outer.contains(span), "{span:?} is not in {outer:?} of {:?}", self.text);
    }

    /// Children follow one another within their parent.
    fn order(&self, outer: Span, children: impl IntoIterator<Item = Span>) {
        let mut last = outer.start;
        for child in children {
            self.inside(child, outer);
            assert!(child.start >= last, "{child:?} begins before {last} in {:?}", self.text);
            last = child.end;
        }
    }

    /// The gap between two spans holds nothing but blanks, comments and what is expected.
    fn gap(&self, before: Span, after: Span) {
        if !self.exact || before.is_empty() || after.is_empty() {
            return;
        }
        let gap = &self.text[before.end as usize..after.start as usize];
        let gap = gap.replace("\\\n", "");
        assert!(gap.trim().is_empty() || gap.contains('\n') || gap.contains('#'), "gap {gap:?} in {:?}", self.text);
    }

    fn list(&self, list: &List, outer: Span) {
        self.inside(list.span, outer);
        let spans = list.items.iter().flat_map(|item| [Some(item.span), item.terminator.map(|(_, span)| span)]);
        self.order(list.span, spans.flatten());
        for item in &list.items {
            assert_eq!(item.span, item.and_or.span);
            let and_or = &item.and_or;
            let rest = and_or.rest.iter().flat_map(|(_, operator, pipeline)| [*operator, pipeline.span]);
            self.order(and_or.span, [and_or.first.span].into_iter().chain(rest));
            self.pipeline(&and_or.first);
            for (_, operator, pipeline) in &and_or.rest {
                self.gap(*operator, pipeline.span);
                self.pipeline(pipeline);
            }
            if let Some((terminator, span)) = item.terminator
                && self.exact
                && !span.is_empty()
            {
                let text = match terminator {
                    Terminator::Semicolon => ";",
                    Terminator::Newline => "\n",
                    Terminator::Background => "&",
                };
                assert_eq!(span.of(self.text), text, "in {:?}", self.text);
            }
        }
    }

    fn pipeline(&self, pipeline: &Pipeline) {
        assert_eq!(pipeline.commands.len(), pipeline.pipes.len() + 1);
        self.order(pipeline.span, pipeline.commands.iter().map(|command| command.span));
        self.order(pipeline.span, pipeline.pipes.iter().map(|pipe| pipe.span));
        for (index, pipe) in pipeline.pipes.iter().enumerate() {
            self.gap(pipeline.commands[index].span, pipe.span);
        }
        for command in &pipeline.commands {
            self.command(command);
        }
    }

    fn command(&self, command: &Command) {
        if self.exact {
            let text = command.span.of(self.text);
            // A carriage return is part of a word, and so is a blank behind a backslash.
            let blank = [' ', '\t', '\n'];
            assert!(!text.starts_with(blank), "{text:?} in {:?}", self.text);
            assert!(
                !text.trim_end_matches('\\').ends_with(blank) || text.contains('\\'),
                "{text:?} in {:?}",
                self.text
            );
        }
        self.order(command.span, command.redirects.iter().map(|redirect| redirect.span));
        for redirect in &command.redirects {
            self.redirect(redirect);
        }
        let inside = command.span;
        match &command.kind {
            CommandKind::Simple(simple) => {
                self.inside(simple.span, inside);
                let assignments = simple.assignments.iter().map(|assignment| assignment.span);
                self.order(simple.span, assignments.chain(simple.words.iter().map(|word| word.span)));
                for assignment in &simple.assignments {
                    let children = assignment.subscript.iter().chain(&assignment.value);
                    self.words(assignment.span, children);
                }
                self.words(simple.span, &simple.words);
            }
            CommandKind::Subshell(body) | CommandKind::Group(body) => {
                if self.exact && !inside.is_empty() && command.redirects.is_empty() {
                    let text = inside.of(self.text);
                    assert!(text.starts_with(['(', '{']) && text.ends_with([')', '}']), "{text:?}");
                }
                self.list(body, inside);
            }
            CommandKind::If { branches, otherwise } => {
                let lists = branches.iter().flat_map(|(condition, body)| [condition, body]).chain(otherwise);
                self.order(inside, lists.clone().map(|list| list.span));
                lists.for_each(|list| self.list(list, inside));
            }
            CommandKind::For { words, body, .. } => {
                self.words(inside, words.iter().flatten());
                self.list(body, inside);
            }
            CommandKind::Select { words, body, .. } => {
                self.words(inside, words);
                self.list(body, inside);
            }
            CommandKind::ArithmeticFor { expressions, body } => {
                expressions.iter().for_each(|expression| self.arithmetic(expression, inside));
                self.list(body, inside);
            }
            CommandKind::While { condition, body, .. } => {
                self.order(inside, [condition.span, body.span]);
                self.list(condition, inside);
                self.list(body, inside);
            }
            CommandKind::Case { subject, arms } => {
                self.order(inside, [subject.span].into_iter().chain(arms.iter().map(|arm| arm.span)));
                self.words(inside, [subject]);
                for arm in arms {
                    self.words(arm.span, &arm.patterns);
                    self.list(&arm.body, arm.span);
                }
            }
            CommandKind::Function { body, .. } | CommandKind::Coproc(body) => {
                self.inside(body.span, inside);
                self.command(body);
            }
            CommandKind::Test { words } => self.words(inside, words),
            CommandKind::Arithmetic(expression) => self.arithmetic(expression, inside),
            CommandKind::Time(Some(pipeline)) => {
                self.inside(pipeline.span, inside);
                self.pipeline(pipeline);
            }
            CommandKind::Time(None) | CommandKind::Other => {}
        }
    }

    fn redirect(&self, redirect: &Redirect) {
        self.words(redirect.span, [&redirect.target]);
        if let Some(heredoc) = &redirect.heredoc {
            self.inside(heredoc.body, Span::new(0, self.text.len()));
            self.parts(heredoc.body, &heredoc.parts);
        }
    }

    fn words<'a>(&self, outer: Span, words: impl IntoIterator<Item = &'a Word> + Clone) {
        self.order(outer, words.clone().into_iter().map(|word| word.span));
        for word in words {
            self.parts(word.span, &word.parts);
        }
    }

    fn parts(&self, outer: Span, parts: &[WordPart]) {
        self.order(outer, parts.iter().map(|part| part.span));
        for part in parts {
            match &part.kind {
                WordPartKind::Parameter { words, .. } | WordPartKind::Array(words) => self.words(part.span, words),
                WordPartKind::Command(list) | WordPartKind::Process(list) => self.list(list, part.span),
                WordPartKind::Arithmetic(arithmetic) => self.arithmetic(arithmetic, part.span),
                _ => {}
            }
        }
    }

    fn arithmetic(&self, arithmetic: &Arithmetic, outer: Span) {
        self.inside(arithmetic.span, outer);
        self.words(outer, &arithmetic.words);
    }
}
