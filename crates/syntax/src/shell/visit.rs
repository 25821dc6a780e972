//! Walks over a script's tree, and the questions that are answered by a walk.

use std::collections::BTreeSet;

use super::{
    Arithmetic, Assignment, Command, CommandKind, List, Pipeline, Redirect, Script, Simple, Word, WordPart,
    WordPartKind,
};

/// A node that a walk passes.
#[derive(Clone, Copy, Debug)]
pub enum Node<'tree> {
    /// A list; what is in it follows.
    List(&'tree List),
    /// A pipeline; what is in it follows.
    Pipeline(&'tree Pipeline),
    /// A command. A simple one comes behind what is expanded for it, any other before what is in it.
    Command(&'tree Command),
    /// An assignment before a simple command, behind its value.
    Assignment(&'tree Assignment),
    /// A redirect, behind its target and its here-document.
    Redirect(&'tree Redirect),
    /// A word, before its parts.
    Word(&'tree Word),
    /// A part of a word or of a here-document, before what is in it.
    Part(&'tree WordPart),
    /// An arithmetic expression, before its words.
    Arithmetic(&'tree Arithmetic),
}

impl Script {
    /// Calls `see` for every node in about the order in which a shell gets to them, nested ones included: those in
    /// substitutions, here-documents and functions.
    pub fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        self.body.walk(see);
    }

    /// All commands in that order.
    #[must_use]
    pub fn commands(&self) -> Vec<&Command> {
        let mut commands = Vec::new();
        self.walk(&mut |node| {
            if let Node::Command(command) = node {
                commands.push(command);
            }
        });
        commands
    }

    /// All simple commands in that order, each with the command that holds its redirects.
    #[must_use]
    pub fn simple_commands(&self) -> Vec<(&Command, &Simple)> {
        let commands = self.commands().into_iter();
        commands
            .filter_map(|command| match &command.kind {
                CommandKind::Simple(simple) => Some((command, simple)),
                _ => None,
            })
            .collect()
    }

    /// Names of all parameters that are expanded anywhere, special ones such as `?` and `@` included, and of the
    /// variables that arithmetic expressions read. What `eval` or a script that is sourced reads is not known.
    #[must_use]
    pub fn variables_read(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.walk(&mut |node| match node {
            Node::Part(WordPart { kind: WordPartKind::Parameter { name, .. }, .. }) => {
                names.insert(name.clone());
            }
            Node::Arithmetic(arithmetic) => names.extend(arithmetic.reads.iter().cloned()),
            // Without words, the loop runs through the positional parameters.
            Node::Command(Command { kind: CommandKind::For { words: None, .. }, .. }) => {
                names.insert("@".to_owned());
            }
            _ => {}
        });
        names.remove("");
        names
    }

    /// Names of all variables that are set anywhere: by assignments, loops, `export` and the like, `read`, `getopts`,
    /// `${name:=…}` and arithmetic expressions.
    #[must_use]
    pub fn variables_assigned(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.walk(&mut |node| match node {
            Node::Assignment(assignment) => {
                names.insert(assignment.name.clone());
            }
            Node::Arithmetic(arithmetic) => names.extend(arithmetic.assigns.iter().cloned()),
            Node::Part(WordPart { kind: WordPartKind::Parameter { name, operator: Some(operator), .. }, .. })
                if operator.starts_with(":=") || operator.starts_with('=') =>
            {
                names.insert(name.clone());
            }
            Node::Redirect(Redirect { fd_variable: Some(name), .. }) => {
                names.insert(name.clone());
            }
            Node::Command(command) => match &command.kind {
                CommandKind::For { variable, .. } | CommandKind::Select { variable, .. } => {
                    names.insert(variable.clone());
                }
                CommandKind::Simple(simple) => names.extend(set_by_arguments(simple)),
                _ => {}
            },
            _ => {}
        });
        names.remove("");
        names
    }
}

/// Names of the variables that a command sets which is told their names.
fn set_by_arguments(simple: &Simple) -> Vec<String> {
    let literal = |word: &Word| word.literal().filter(|name| is_name(name)).map(|name| name.into_owned());
    match simple.name() {
        Some("export" | "readonly" | "declare" | "typeset" | "local") => {
            let first = |word: &Word| match word.parts.first().map(|part| &part.kind) {
                Some(WordPartKind::Literal(text)) => {
                    let (target, _) = text.split_once('=')?;
                    let target = target.strip_suffix('+').unwrap_or(target);
                    let name = target.split_once('[').map_or(target, |(name, _)| name);
                    is_name(name).then(|| name.to_owned())
                }
                _ => None,
            };
            simple.arguments().iter().filter_map(first).collect()
        }
        Some("read" | "mapfile" | "readarray") => simple.arguments().iter().filter_map(literal).collect(),
        Some("getopts") => {
            let name = simple.arguments().get(1).and_then(literal);
            name.into_iter().chain(["OPTARG".to_owned(), "OPTIND".to_owned()]).collect()
        }
        Some("printf") => match simple.arguments() {
            [option, name, ..] if option.literal().as_deref() == Some("-v") => literal(name).into_iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl List {
    /// Calls `see` for the list and every node in it; see [`Script::walk`].
    pub fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        see(Node::List(self));
        for item in &self.items {
            item.and_or.first.walk(see);
            for (_, _, pipeline) in &item.and_or.rest {
                pipeline.walk(see);
            }
        }
    }
}

impl Pipeline {
    fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        see(Node::Pipeline(self));
        for command in &self.commands {
            command.walk(see);
        }
    }
}

impl Command {
    /// Calls `see` for the command and every node in it; see [`Script::walk`].
    pub fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        if let CommandKind::Simple(simple) = &self.kind {
            walk_words(&simple.words, see);
            self.walk_redirects(see);
            for assignment in &simple.assignments {
                walk_words(assignment.subscript.as_slice(), see);
                walk_words(assignment.value.as_slice(), see);
                see(Node::Assignment(assignment));
            }
            see(Node::Command(self));
            return;
        }
        see(Node::Command(self));
        self.walk_redirects(see);
        match &self.kind {
            CommandKind::Simple(_) | CommandKind::Other | CommandKind::Time(None) => {}
            CommandKind::Subshell(body) | CommandKind::Group(body) => body.walk(see),
            CommandKind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    condition.walk(see);
                    body.walk(see);
                }
                if let Some(body) = otherwise {
                    body.walk(see);
                }
            }
            CommandKind::For { words, body, .. } => {
                walk_words(words.as_deref().unwrap_or_default(), see);
                body.walk(see);
            }
            CommandKind::Select { words, body, .. } => {
                walk_words(words, see);
                body.walk(see);
            }
            CommandKind::ArithmeticFor { expressions, body } => {
                for expression in expressions {
                    expression.walk(see);
                }
                body.walk(see);
            }
            CommandKind::While { condition, body, .. } => {
                condition.walk(see);
                body.walk(see);
            }
            CommandKind::Case { subject, arms } => {
                subject.walk(see);
                for arm in arms {
                    walk_words(&arm.patterns, see);
                    arm.body.walk(see);
                }
            }
            CommandKind::Function { body, .. } | CommandKind::Coproc(body) => body.walk(see),
            CommandKind::Test { words } => walk_words(words, see),
            CommandKind::Arithmetic(expression) => expression.walk(see),
            CommandKind::Time(Some(pipeline)) => pipeline.walk(see),
        }
    }

    fn walk_redirects<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        for redirect in &self.redirects {
            redirect.target.walk(see);
            for part in redirect.heredoc.iter().flat_map(|heredoc| &heredoc.parts) {
                part.walk(see);
            }
            see(Node::Redirect(redirect));
        }
    }
}

impl Word {
    /// Calls `see` for the word and every node in it; see [`Script::walk`].
    pub fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        see(Node::Word(self));
        for part in &self.parts {
            part.walk(see);
        }
    }
}

impl WordPart {
    fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        see(Node::Part(self));
        match &self.kind {
            WordPartKind::Literal(_) | WordPartKind::Glob(_) | WordPartKind::Tilde | WordPartKind::Brace(_) => {}
            WordPartKind::Parameter { words, .. } | WordPartKind::Array(words) => walk_words(words, see),
            WordPartKind::Command(body) | WordPartKind::Process(body) => body.walk(see),
            WordPartKind::Arithmetic(arithmetic) => arithmetic.walk(see),
        }
    }
}

impl Arithmetic {
    fn walk<'tree>(&'tree self, see: &mut dyn FnMut(Node<'tree>)) {
        see(Node::Arithmetic(self));
        walk_words(&self.words, see);
    }
}

fn walk_words<'tree>(words: &'tree [Word], see: &mut dyn FnMut(Node<'tree>)) {
    for word in words {
        word.walk(see);
    }
}
