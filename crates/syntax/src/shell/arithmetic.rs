//! Turns arithmetic expressions into what they read, set and expand.

use shuck_ast::{ArithmeticExpr, ArithmeticExprNode, ArithmeticLvalue, ArithmeticPostfixOp, ArithmeticUnaryOp};

use super::lower::Lowerer;
use super::{Arithmetic, Word, WordPart, WordPartKind};

impl Lowerer<'_> {
    /// The expression at `span`.
    pub(super) fn arithmetic_at(&mut self, span: shuck_ast::Span, tree: Option<&ArithmeticExprNode>) -> Arithmetic {
        let outer = self.enter(span);
        let spaced = std::mem::replace(&mut self.spaced, true);
        let mut found = Arithmetic::default();
        if let Some(tree) = tree {
            self.expression(tree, &mut found);
        }
        self.spaced = spaced;
        found.span = self.leave(&outer);
        found
    }

    /// `$((…))`
    pub(super) fn arithmetic_expansion(
        &mut self,
        span: shuck_ast::Span,
        tree: Option<&ArithmeticExprNode>,
        word: &shuck_ast::Word,
    ) -> WordPartKind {
        self.exact &= self.rest().ends_with("))") || self.rest().ends_with(']');
        let outer = self.enter(span);
        let spaced = std::mem::replace(&mut self.spaced, true);
        let mut found = Arithmetic::default();
        match tree {
            Some(tree) => self.expression(tree, &mut found),
            None => found.words.push(self.word(word)),
        }
        self.spaced = spaced;
        found.span = self.leave(&outer);
        WordPartKind::Arithmetic(found)
    }

    /// An expression in the place of a word, such as a subscript.
    pub(super) fn arithmetic_word(&mut self, tree: &ArithmeticExprNode) -> Word {
        let arithmetic = self.arithmetic_at(tree.span, Some(tree));
        let span = arithmetic.span;
        Word { span, parts: vec![WordPart { span, quoted: false, kind: WordPartKind::Arithmetic(arithmetic) }] }
    }

    fn expression(&mut self, node: &ArithmeticExprNode, found: &mut Arithmetic) {
        match &node.kind {
            ArithmeticExpr::Number(_) => {}
            ArithmeticExpr::Variable(name) => found.reads.push(name.to_string()),
            ArithmeticExpr::Indexed { name, index } => {
                found.reads.push(name.to_string());
                self.expression(index, found);
            }
            ArithmeticExpr::ShellWord(word) => {
                let word = self.word(word);
                found.words.push(word);
            }
            ArithmeticExpr::Parenthesized { expression } => self.expression(expression, found),
            ArithmeticExpr::Unary { op, expr } => {
                if matches!(op, ArithmeticUnaryOp::PreIncrement | ArithmeticUnaryOp::PreDecrement) {
                    found.assigns.extend(variable(expr));
                }
                self.expression(expr, found);
            }
            ArithmeticExpr::Postfix { expr, op: ArithmeticPostfixOp::Increment | ArithmeticPostfixOp::Decrement } => {
                found.assigns.extend(variable(expr));
                self.expression(expr, found);
            }
            ArithmeticExpr::Binary { left, right, .. } => {
                self.expression(left, found);
                self.expression(right, found);
            }
            ArithmeticExpr::Conditional { condition, then_expr, else_expr } => {
                self.expression(condition, found);
                self.expression(then_expr, found);
                self.expression(else_expr, found);
            }
            ArithmeticExpr::Assignment { target, op, value } => {
                let name = match target {
                    ArithmeticLvalue::Variable(name) => name,
                    ArithmeticLvalue::Indexed { name, index } => {
                        self.expression(index, found);
                        name
                    }
                };
                if *op != shuck_ast::ArithmeticAssignOp::Assign {
                    found.reads.push(name.to_string());
                }
                found.assigns.push(name.to_string());
                self.expression(value, found);
            }
        }
    }
}

/// The variable that `++` and `--` count up and down.
fn variable(node: &ArithmeticExprNode) -> Option<String> {
    match &node.kind {
        ArithmeticExpr::Variable(name) | ArithmeticExpr::Indexed { name, .. } => Some(name.to_string()),
        ArithmeticExpr::Parenthesized { expression } => variable(expression),
        _ => None,
    }
}
