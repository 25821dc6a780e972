//! Turns parameter expansions into ours. Name and operator are read from the text; the other tree only says which
//! words stand in the operator.

use shuck_ast::{
    ArithmeticExprNode, BourneParameterExpansion as Bourne, ParameterExpansion, ParameterExpansionSyntax, ParameterOp,
    Subscript, VarRef, Word as SourceWord, WordPart as Source,
};

use super::lower::Lowerer;
use super::{Word, WordPartKind};

impl Lowerer<'_> {
    /// `$name`
    pub(super) fn variable(&mut self, name: &str) -> WordPartKind {
        if self.rest().starts_with("${") {
            return self.parameter(|_, _| {});
        }
        WordPartKind::Parameter { name: name.to_owned(), prefix: None, operator: None, words: Vec::new() }
    }

    /// `${…}`
    pub(super) fn parameter_expansion(&mut self, expansion: &ParameterExpansion) -> WordPartKind {
        let ParameterExpansionSyntax::Bourne(syntax) = &expansion.syntax else {
            self.exact = false;
            return self.parameter(|_, _| {});
        };
        self.parameter(|lowerer, words| match syntax {
            Bourne::Access { reference }
            | Bourne::Length { reference }
            | Bourne::Indices { reference }
            | Bourne::Transformation { reference, .. } => lowerer.reference(reference, words),
            Bourne::PrefixMatch { .. } => {}
            Bourne::Indirect { reference, operator, operand_word_ast, .. } => {
                lowerer.reference(reference, words);
                lowerer.operation(operator.as_deref(), operand_word_ast.as_deref(), words);
            }
            Bourne::Operation { reference, operator, operand_word_ast, .. } => {
                lowerer.reference(reference, words);
                lowerer.operation(Some(operator), operand_word_ast.as_deref(), words);
            }
            Bourne::Slice { reference, offset_ast, offset_word_ast, length_ast, length_word_ast, .. } => {
                lowerer.reference(reference, words);
                lowerer.number(offset_ast.as_deref(), Some(offset_word_ast), words);
                lowerer.number(length_ast.as_deref(), length_word_ast.as_deref(), words);
            }
        })
    }

    /// The forms that the other tree keeps as parts of their own.
    pub(super) fn other_parameter(&mut self, part: &Source) -> WordPartKind {
        self.parameter(|lowerer, words| match part {
            Source::Length(reference)
            | Source::ArrayAccess(reference)
            | Source::ArrayLength(reference)
            | Source::ArrayIndices(reference)
            | Source::Transformation { reference, .. } => lowerer.reference(reference, words),
            Source::ParameterExpansion { reference, operator, operand_word_ast, .. } => {
                lowerer.reference(reference, words);
                lowerer.operation(Some(operator), operand_word_ast.as_deref(), words);
            }
            Source::IndirectExpansion { reference, operator, operand_word_ast, .. } => {
                lowerer.reference(reference, words);
                lowerer.operation(operator.as_deref(), operand_word_ast.as_deref(), words);
            }
            Source::Substring { reference, offset_ast, offset_word_ast, length_ast, length_word_ast, .. }
            | Source::ArraySlice { reference, offset_ast, offset_word_ast, length_ast, length_word_ast, .. } => {
                lowerer.reference(reference, words);
                lowerer.number(offset_ast.as_deref(), Some(offset_word_ast), words);
                lowerer.number(length_ast.as_deref(), length_word_ast.as_deref(), words);
            }
            _ => {}
        })
    }

    fn parameter(&mut self, lower: impl FnOnce(&mut Self, &mut Vec<Word>)) -> WordPartKind {
        let raw = self.rest();
        // The other tree takes a text that ends within the braces.
        self.exact &= raw.starts_with("${") && raw.ends_with('}');
        let inner = raw.strip_prefix("${").unwrap_or(raw);
        let inner = inner.strip_suffix('}').unwrap_or(inner);
        let (prefix, name, operator) = split(inner);
        let mut words = Vec::new();
        let spaced = std::mem::replace(&mut self.spaced, true);
        lower(self, &mut words);
        self.spaced = spaced;
        let operator = (!operator.is_empty()).then(|| operator.to_owned());
        WordPartKind::Parameter { name: name.to_owned(), prefix, operator, words }
    }

    fn reference(&mut self, reference: &VarRef, words: &mut Vec<Word>) {
        if let Some(subscript) = &reference.subscript {
            words.extend(self.subscript(subscript));
        }
    }

    /// What stands in the brackets behind a name.
    pub(super) fn subscript(&mut self, subscript: &Subscript) -> Option<Word> {
        match (&subscript.arithmetic_ast, &subscript.word_ast) {
            (Some(tree), _) => Some(self.arithmetic_word(tree)),
            (None, Some(word)) => Some(self.word(word)),
            (None, None) => None,
        }
    }

    fn operation(&mut self, operator: Option<&ParameterOp>, operand: Option<&SourceWord>, words: &mut Vec<Word>) {
        match operator {
            Some(
                ParameterOp::RemovePrefixShort { pattern }
                | ParameterOp::RemovePrefixLong { pattern }
                | ParameterOp::RemoveSuffixShort { pattern }
                | ParameterOp::RemoveSuffixLong { pattern },
            ) => words.push(self.pattern(pattern)),
            Some(
                ParameterOp::ReplaceFirst { pattern, replacement_word_ast, .. }
                | ParameterOp::ReplaceAll { pattern, replacement_word_ast, .. },
            ) => {
                words.push(self.pattern(pattern));
                if replacement_word_ast.span.start != replacement_word_ast.span.end {
                    words.push(self.word(replacement_word_ast));
                }
            }
            _ => {
                if let Some(operand) = operand {
                    words.push(self.word(operand));
                }
            }
        }
    }

    fn number(&mut self, tree: Option<&ArithmeticExprNode>, word: Option<&SourceWord>, words: &mut Vec<Word>) {
        match (tree, word) {
            (Some(tree), _) => words.push(self.arithmetic_word(tree)),
            (None, Some(word)) => words.push(self.word(word)),
            (None, None) => {}
        }
    }
}

/// Splits what stands within the braces into the sign before the name, the name and the rest.
fn split(inner: &str) -> (Option<char>, &str, &str) {
    let sign = inner.chars().next().filter(|first| matches!(first, '#' | '!'));
    if let Some(sign) = sign {
        let rest = &inner[1..];
        let length = name_length(rest);
        // `${#}` and `${#-x}` are about the parameter `#`; `${#-}` is the length of `$-`.
        let is_prefix = length > 0
            && (rest.len() == length
                || rest.as_bytes()[0].is_ascii_alphanumeric()
                || rest.starts_with(['_', '@', '*']));
        if is_prefix {
            return (Some(sign), &rest[..length], &rest[length..]);
        }
    }
    let length = name_length(inner);
    (None, &inner[..length], &inner[length..])
}

/// The length of the parameter's name at the beginning of the text.
fn name_length(text: &str) -> usize {
    match text.as_bytes() {
        [first, ..] if first.is_ascii_digit() => text.bytes().take_while(u8::is_ascii_digit).count(),
        [first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
            text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
        }
        [b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!', ..] => 1,
        _ => 0,
    }
}
