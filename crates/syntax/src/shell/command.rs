//! Turns the commands of `shuck-parser` into ours.

use shuck_ast::{
    Assignment as SourceAssignment, BuiltinCommand, CaseCommand, Command as Source, CompoundCommand, ConditionalExpr,
    DeclOperand, ForCommand, FunctionDef, IfCommand, IfSyntax, Redirect as SourceRedirect, Stmt, StmtSeq,
    Word as SourceWord,
};

use super::lower::Lowerer;
use super::{Arithmetic, CaseArm, Command, CommandKind, List, Redirect, Simple, Word, WordPart, WordPartKind};

/// What a simple command is made of; assignments, words and redirects come in any order.
enum Piece<'tree> {
    Assignment(&'tree SourceAssignment),
    Word(&'tree SourceWord),
    Name(shuck_ast::Span),
    Operand(&'tree SourceAssignment),
    Redirect(&'tree SourceRedirect),
}

impl Piece<'_> {
    fn offset(&self) -> usize {
        match self {
            Self::Assignment(assignment) | Self::Operand(assignment) => assignment.span.start.offset(),
            Self::Word(word) => word.span.start.offset(),
            Self::Name(span) => span.start.offset(),
            Self::Redirect(redirect) => redirect.fd_var_span.unwrap_or(redirect.span).start.offset(),
        }
    }
}

impl Lowerer<'_> {
    /// A single command with its redirects.
    pub(super) fn command(&mut self, statement: &Stmt) -> Command {
        let start = self.start();
        let simple = match &statement.command {
            Source::Simple(simple) => {
                let mut pieces: Vec<Piece<'_>> = simple.assignments.iter().map(Piece::Assignment).collect();
                // Assignments alone come with a name that has no place in the text.
                if simple.name.span.start != simple.name.span.end {
                    pieces.push(Piece::Word(&simple.name));
                }
                pieces.extend(simple.args.iter().map(Piece::Word));
                pieces
            }
            Source::Builtin(builtin) => self.builtin(builtin),
            Source::Decl(declaration) => {
                let mut pieces: Vec<Piece<'_>> = declaration.assignments.iter().map(Piece::Assignment).collect();
                pieces.push(Piece::Name(declaration.variant_span));
                pieces.extend(declaration.operands.iter().map(|operand| match operand {
                    DeclOperand::Flag(word) | DeclOperand::Dynamic(word) => Piece::Word(word),
                    DeclOperand::Name(name) => Piece::Name(name.span),
                    DeclOperand::Assignment(assignment) => Piece::Operand(assignment),
                }));
                pieces
            }
            Source::Compound(compound) => {
                let kind = self.compound(compound);
                return self.with_redirects(start, kind, statement);
            }
            Source::Function(function) => {
                let kind = self.function(function);
                return self.with_redirects(start, kind, statement);
            }
            Source::Binary(_) | Source::AnonymousFunction(_) => {
                self.exact = false;
                return self.with_redirects(start, CommandKind::Other, statement);
            }
        };
        self.simple(start, simple, statement)
    }

    fn with_redirects(&mut self, start: usize, kind: CommandKind, statement: &Stmt) -> Command {
        let redirects = statement.redirects.iter().filter_map(|redirect| self.redirect(redirect)).collect();
        Command { span: self.since(start), kind, redirects }
    }

    fn simple<'tree>(&mut self, start: usize, mut pieces: Vec<Piece<'tree>>, statement: &'tree Stmt) -> Command {
        pieces.extend(statement.redirects.iter().map(Piece::Redirect));
        pieces.sort_by_key(Piece::offset);
        let mut simple = Simple { span: self.emit(start, start), assignments: Vec::new(), words: Vec::new() };
        let mut redirects: Vec<Redirect> = Vec::new();
        let mut extent = None;
        for piece in &pieces {
            let span = match piece {
                Piece::Redirect(redirect) => {
                    redirects.extend(self.redirect(redirect));
                    continue;
                }
                Piece::Assignment(assignment) => {
                    let assignment = self.assignment(assignment);
                    let span = assignment.span;
                    simple.assignments.push(assignment);
                    span
                }
                Piece::Word(word) => self.push_word(&mut simple, |lowerer| lowerer.word(word)),
                Piece::Name(span) => self.push_word(&mut simple, |lowerer| lowerer.bare_word(*span)),
                Piece::Operand(assignment) => {
                    self.push_word(&mut simple, |lowerer| lowerer.assignment_word(assignment))
                }
            };
            extent = Some(extent.map_or(span, |extent: crate::Span| extent.to(span)));
        }
        simple.span = extent.unwrap_or(simple.span);
        Command { span: self.since(start), kind: CommandKind::Simple(simple), redirects }
    }

    fn push_word(&mut self, simple: &mut Simple, lower: impl FnOnce(&mut Self) -> Word) -> crate::Span {
        let word = lower(self);
        let span = word.span;
        simple.words.push(word);
        span
    }

    /// A word that the other tree holds as a name only.
    pub(super) fn bare_word(&mut self, span: shuck_ast::Span) -> Word {
        let outer = self.enter(span);
        let mut parts = Vec::new();
        self.unquoted(&mut parts, &[]);
        Word { span: self.leave(&outer), parts }
    }

    /// `exit`, `return`, `break` and `continue`: their names have no place in the other tree.
    fn builtin<'tree>(&mut self, builtin: &'tree BuiltinCommand) -> Vec<Piece<'tree>> {
        let (name, argument, more, assignments, span) = match builtin {
            BuiltinCommand::Break(it) => ("break", &it.depth, &it.extra_args, &it.assignments, it.span),
            BuiltinCommand::Continue(it) => ("continue", &it.depth, &it.extra_args, &it.assignments, it.span),
            BuiltinCommand::Return(it) => ("return", &it.code, &it.extra_args, &it.assignments, it.span),
            BuiltinCommand::Exit(it) => ("exit", &it.code, &it.extra_args, &it.assignments, it.span),
        };
        let from = assignments.last().map_or(self.low, |last| last.span.end.offset()).max(self.low);
        let at = self.source.get(from..self.high).and_then(|text| text.find(name)).map(|at| from + at);
        self.exact &= at.is_some();
        let mut pieces: Vec<Piece<'_>> = assignments.iter().map(Piece::Assignment).collect();
        if let Some(at) = at {
            let start = shuck_ast::Position::at(span.start.line(), 1, at);
            let end = shuck_ast::Position::at(span.start.line(), 1, at + name.len());
            pieces.push(Piece::Name(shuck_ast::Span::from_positions(start, end)));
        }
        pieces.extend(argument.iter().chain(more).map(Piece::Word));
        pieces
    }

    /// A list between two words or signs.
    fn enclosed(&mut self, open: &str, body: &StmtSeq, close: &str) -> List {
        self.expect(open);
        let list = self.list(body);
        self.close(close);
        list
    }

    /// The closing word or sign, before which a `;` may stand that the other tree leaves out.
    fn close(&mut self, close: &str) {
        self.accept(";");
        self.expect(close);
    }

    fn compound(&mut self, compound: &CompoundCommand) -> CommandKind {
        match compound {
            CompoundCommand::Subshell(body) => CommandKind::Subshell(self.enclosed("(", body, ")")),
            CompoundCommand::BraceGroup(body) => CommandKind::Group(self.enclosed("{", body, "}")),
            CompoundCommand::If(it) => self.conditional(it),
            CompoundCommand::For(it) => self.loop_over(it),
            CompoundCommand::ArithmeticFor(it) => {
                self.expect("for");
                self.expect("((");
                let parts = [
                    (it.init_span, &it.init_ast),
                    (it.condition_span, &it.condition_ast),
                    (it.step_span, &it.step_ast),
                ];
                let expressions = parts
                    .into_iter()
                    .filter_map(|(span, tree)| Some(self.arithmetic_at(span?, tree.as_ref())))
                    .collect();
                self.closing(it.right_paren_span, "))");
                self.accept(";");
                CommandKind::ArithmeticFor { expressions, body: self.do_done(&it.body) }
            }
            CompoundCommand::While(it) => {
                self.expect("while");
                let condition = self.list(&it.condition);
                CommandKind::While { until: false, condition, body: self.do_done(&it.body) }
            }
            CompoundCommand::Until(it) => {
                self.expect("until");
                let condition = self.list(&it.condition);
                CommandKind::While { until: true, condition, body: self.do_done(&it.body) }
            }
            CompoundCommand::Case(it) => self.case(it),
            CompoundCommand::Select(it) => {
                self.expect("select");
                self.expect(it.variable.as_str());
                self.accept("in");
                let words = it.words.iter().map(|word| self.word(word)).collect();
                self.accept(";");
                CommandKind::Select { variable: it.variable.to_string(), words, body: self.do_done(&it.body) }
            }
            CompoundCommand::Arithmetic(it) => {
                self.expect("((");
                let nothing = self.emit(self.low, self.low);
                let expression = match it.expr_span {
                    Some(span) => self.arithmetic_at(span, it.expr_ast.as_ref()),
                    None => Arithmetic { span: nothing, ..Arithmetic::default() },
                };
                self.closing(it.right_paren_span, "))");
                CommandKind::Arithmetic(expression)
            }
            CompoundCommand::Time(it) => {
                self.expect("time");
                if it.posix_format {
                    self.expect("-p");
                }
                CommandKind::Time(it.command.as_ref().map(|command| Box::new(self.pipeline(command))))
            }
            CompoundCommand::Conditional(it) => {
                self.expect("[[");
                let mut words = Vec::new();
                self.test(&it.expression, &mut words);
                self.closing(it.right_bracket_span, "]]");
                CommandKind::Test { words }
            }
            CompoundCommand::Coproc(it) => {
                self.expect("coproc");
                if let Some(name) = it.name_span {
                    self.enter_then_leave(name);
                }
                CommandKind::Coproc(Box::new(self.command(&it.body)))
            }
            CompoundCommand::Repeat(_) | CompoundCommand::Foreach(_) | CompoundCommand::Always(_) => {
                self.exact = false;
                CommandKind::Other
            }
        }
    }

    /// Moves the cursor over a closing sign, and over what stands before it and is not kept.
    fn closing(&mut self, span: shuck_ast::Span, sign: &str) {
        let start = span.start.offset();
        if (self.low..self.high).contains(&start) && self.source.is_char_boundary(start) {
            self.low = start;
        }
        self.expect(sign);
    }

    /// Moves the cursor over a node that is not kept.
    fn enter_then_leave(&mut self, span: shuck_ast::Span) {
        let outer = self.enter(span);
        self.leave(&outer);
    }

    /// The body of a loop, in words or, as Bash allows, in braces.
    fn do_done(&mut self, body: &StmtSeq) -> List {
        self.accept(";");
        if self.accept("{") {
            let list = self.list(body);
            self.close("}");
            return list;
        }
        self.enclosed("do", body, "done")
    }

    fn conditional(&mut self, it: &IfCommand) -> CommandKind {
        self.exact &= matches!(it.syntax, IfSyntax::ThenFi { .. });
        self.expect("if");
        let mut branches = vec![self.branch(&it.condition, &it.then_branch)];
        for (condition, body) in &it.elif_branches {
            self.close("elif");
            branches.push(self.branch(condition, body));
        }
        let otherwise = it.else_branch.as_ref().map(|body| {
            self.close("else");
            self.list(body)
        });
        self.close("fi");
        CommandKind::If { branches, otherwise }
    }

    fn branch(&mut self, condition: &StmtSeq, body: &StmtSeq) -> (List, List) {
        let condition = self.list(condition);
        self.close("then");
        (condition, self.list(body))
    }

    fn loop_over(&mut self, it: &ForCommand) -> CommandKind {
        self.expect("for");
        let variable = it.targets.first().map(|target| {
            let outer = self.enter(target.span);
            let name = self.rest().to_owned();
            self.leave(&outer);
            name
        });
        if it.words.is_some() {
            self.expect("in");
        }
        let words = it.words.as_ref().map(|words| words.iter().map(|word| self.word(word)).collect());
        CommandKind::For { variable: variable.unwrap_or_default(), words, body: self.do_done(&it.body) }
    }

    fn case(&mut self, it: &CaseCommand) -> CommandKind {
        self.expect("case");
        let subject = self.word(&it.word);
        self.expect("in");
        let mut arms = Vec::with_capacity(it.cases.len());
        for arm in &it.cases {
            self.accept("(");
            let start = self.start();
            let mut patterns = Vec::with_capacity(arm.patterns.len());
            for pattern in &arm.patterns {
                if !patterns.is_empty() {
                    self.expect("|");
                }
                patterns.push(self.pattern(pattern));
            }
            self.expect(")");
            let body = self.list(&arm.body);
            let span = self.emit(start, start);
            let span = patterns.iter().map(|pattern| pattern.span).chain([body.span]).fold(span, crate::Span::to);
            // The other tree misplaces this sign within substitutions.
            self.exact &=
                self.accept(";;&") || self.accept(";;") || self.accept(";&") || self.rest().starts_with("esac");
            arms.push(CaseArm { span, patterns, body });
        }
        self.expect("esac");
        CommandKind::Case { subject, arms }
    }

    fn function(&mut self, it: &FunctionDef) -> CommandKind {
        if it.header.function_keyword_span.is_some() {
            self.expect("function");
        }
        let mut name = None;
        for entry in &it.header.entries {
            let word = self.word(&entry.word);
            name = name.or_else(|| word.literal().map(std::borrow::Cow::into_owned));
        }
        if it.header.trailing_parens_span.is_some() {
            self.expect("(");
            self.expect(")");
        }
        let body = Box::new(self.command(&it.body));
        CommandKind::Function { name: name.unwrap_or_default(), body }
    }

    fn test(&mut self, expression: &ConditionalExpr, words: &mut Vec<Word>) {
        match expression {
            ConditionalExpr::Binary(it) => {
                self.test(&it.left, words);
                self.test(&it.right, words);
            }
            ConditionalExpr::Unary(it) => self.test(&it.expr, words),
            ConditionalExpr::Parenthesized(it) => self.test(&it.expr, words),
            ConditionalExpr::Word(word) | ConditionalExpr::Regex(word) => words.push(self.word(word)),
            ConditionalExpr::Pattern(pattern) => words.push(self.pattern(pattern)),
            ConditionalExpr::VarRef(name) => {
                let outer = self.enter(name.span);
                let text = self.rest().to_owned();
                let span = self.leave(&outer);
                let part = WordPart { span, quoted: false, kind: WordPartKind::Literal(text) };
                words.push(Word { span, parts: vec![part] });
            }
        }
    }
}
