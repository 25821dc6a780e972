//! Turns the words of `shuck-parser` into ours. Where that parser has a word's parts, what is in them is read from the
//! text once more: quotes and escapes are resolved, patterns and tildes told from text.

use shuck_ast::{
    ArrayElem, Assignment as SourceAssignment, AssignmentValue, Pattern, PatternPart, StmtSeq, Word as SourceWord,
    WordPart as Source, WordPartNode,
};

use super::lower::Lowerer;
use super::{Assignment, Dialect, Word, WordPart, WordPartKind};

/// What an unquoted part of a word stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the beginning of a word.
    First,
    /// At the beginning of an assignment's value, where a tilde behind a colon counts too.
    Value,
    /// Behind another part.
    Later,
}

impl Lowerer<'_> {
    /// A word.
    pub(super) fn word(&mut self, word: &SourceWord) -> Word {
        self.word_at(word, Position::First)
    }

    fn word_at(&mut self, word: &SourceWord, position: Position) -> Word {
        let outer = self.enter(word.span);
        let mut parts = Vec::with_capacity(word.parts.len());
        // What POSIX's language does not expand in braces is text.
        let braces: Vec<(usize, usize)> = match self.dialect {
            Dialect::Sh => Vec::new(),
            Dialect::Bash => {
                let expanding = word.brace_syntax.iter().filter(|brace| brace.expands());
                expanding.map(|brace| (brace.span.start.offset(), brace.span.end.offset())).collect()
            }
        };
        for (index, part) in word.parts.iter().enumerate() {
            let position = if index == 0 { position } else { Position::Later };
            self.part(part, Quoting { quoted: false, position, braces: &braces }, &mut parts);
        }
        Word { span: self.leave(&outer), parts }
    }

    fn part(&mut self, node: &WordPartNode, quoting: Quoting<'_>, parts: &mut Vec<WordPart>) {
        let outer = self.enter(node.span);
        let quoted = quoting.quoted;
        let kind = match &node.kind {
            Source::Literal(_) if quoted => WordPartKind::Literal(unescape(self.rest(), "$`\"\\")),
            Source::Literal(_) => {
                self.literal(quoting.position, quoting.braces, parts);
                self.leave(&outer);
                return;
            }
            Source::SingleQuoted { value, dollar } => {
                let raw = self.rest();
                self.exact &= raw.len() > 1 && raw.ends_with('\'');
                let text = match raw.strip_prefix('\'').and_then(|raw| raw.strip_suffix('\'')) {
                    Some(text) if !dollar => text,
                    _ => value.slice(self.source),
                };
                let kind = WordPartKind::Literal(text.to_owned());
                parts.push(WordPart { span: self.leave(&outer), quoted: true, kind });
                return;
            }
            Source::DoubleQuoted { parts: inner, .. } => {
                self.exact &= self.rest().len() > 1 && self.rest().ends_with('"');
                let before = parts.len();
                for part in inner {
                    self.part(part, Quoting { quoted: true, ..quoting }, parts);
                }
                let span = self.leave(&outer);
                if parts.len() == before {
                    parts.push(WordPart { span, quoted: true, kind: WordPartKind::Literal(String::new()) });
                }
                return;
            }
            Source::Variable(name) => self.variable(name.as_str()),
            Source::CommandSubstitution { body, .. } => self.substitution(body, quoted),
            Source::ProcessSubstitution { body, .. } => WordPartKind::Process(self.within_delimiters(2, body)),
            Source::ArithmeticExpansion { expression, expression_ast, expression_word_ast, .. } => {
                self.arithmetic_expansion(expression.span(), expression_ast.as_deref(), expression_word_ast)
            }
            Source::Parameter(parameter) => self.parameter_expansion(parameter),
            Source::ZshQualifiedGlob(_) => WordPartKind::Glob(self.rest().to_owned()),
            other => self.other_parameter(other),
        };
        parts.push(WordPart { span: self.leave(&outer), quoted, kind });
    }

    /// A command substitution; the cursor stands at its beginning.
    pub(super) fn substitution(&mut self, body: &StmtSeq, quoted: bool) -> WordPartKind {
        let raw = self.rest();
        let Some(inner) = raw.strip_prefix('`') else {
            return WordPartKind::Command(self.within_delimiters(2, body));
        };
        let closed = inner.strip_suffix('`');
        self.exact &= closed.is_some();
        let inner = closed.unwrap_or(inner);
        if !inner.contains('\\') {
            return WordPartKind::Command(self.within_delimiters(1, body));
        }
        // The shell reads what is left once the backslashes are gone: the other tree looks no further than the text.
        let text = unescape(inner, if quoted { "$`\"\\" } else { "$`\\" });
        let parsed = self.parse(&text);
        let mut lowerer = Lowerer::new(&text, self.dialect);
        let place = if closed.is_some() { self.high - 1 } else { self.high };
        lowerer.place = Some(self.emit(place, place).start);
        let list = lowerer.script(&parsed);
        self.exact &= lowerer.finish().1;
        WordPartKind::Command(list)
    }

    /// A list between an opening sign of some bytes and a closing one of a byte.
    fn within_delimiters(&mut self, open: usize, body: &StmtSeq) -> super::List {
        self.exact &= self.rest().len() > open && self.rest().ends_with([')', '`']);
        let outer = self.enter_at(self.low + open, self.high.saturating_sub(1));
        let list = self.list(body);
        self.start();
        self.exact &= self.low == self.high;
        self.leave(&outer);
        list
    }

    /// The text up to the end of the node, unquoted, at the beginning of a word.
    pub(super) fn unquoted(&mut self, parts: &mut Vec<WordPart>, braces: &[(usize, usize)]) {
        self.literal(Position::First, braces, parts);
    }

    /// The text up to the end of the node, with quotes but without expansions: a delimiter or a descriptor.
    pub(super) fn plain(&mut self, parts: &mut Vec<WordPart>) {
        let (mut text, mut quote) = (String::new(), None);
        let mut characters = self.rest().chars();
        let mut quoted = false;
        while let Some(character) = characters.next() {
            match (character, quote) {
                ('\'' | '"', None) => (quote, quoted) = (Some(character), true),
                (_, Some(open)) if open == character => quote = None,
                ('\\', None | Some('"')) => {
                    quoted = true;
                    text.extend(characters.next());
                }
                _ => {
                    self.exact &= quote.is_some() || !character.is_ascii_whitespace();
                    text.push(character);
                }
            }
        }
        self.exact &= quote.is_none();
        let span = self.emit(self.low, self.high);
        parts.push(WordPart { span, quoted, kind: WordPartKind::Literal(text) });
    }

    fn literal(&mut self, position: Position, braces: &[(usize, usize)], parts: &mut Vec<WordPart>) {
        let mut scan = Unquoted {
            offset: self.low,
            raw: self.rest(),
            position,
            found: Vec::new(),
            text: String::new(),
            from: 0,
            blank: false,
        };
        scan.run(braces);
        // The other tree takes what follows an open brace or bracket for the same word.
        self.exact &= self.spaced || !scan.blank;
        for (start, end, kind) in scan.found {
            let span = self.emit(self.low + start, self.low + end);
            // The other tree splits text where quotes and escapes begin.
            if let WordPartKind::Literal(text) = &kind
                && let Some(WordPart { span: last, quoted: false, kind: WordPartKind::Literal(before) }) =
                    parts.last_mut()
                && last.end == span.start
            {
                before.push_str(text);
                last.end = span.end;
                continue;
            }
            parts.push(WordPart { span, quoted: false, kind });
        }
    }

    /// `name=value` before a command.
    pub(super) fn assignment(&mut self, assignment: &SourceAssignment) -> Assignment {
        let outer = self.enter(assignment.span);
        let target = &assignment.target;
        let subscript = target.subscript.as_deref().and_then(|subscript| self.subscript(subscript));
        let value = self.value(&assignment.value);
        let span = self.leave(&outer);
        let name = target.name.to_string();
        Assignment { span, name, subscript, value, append: assignment.append }
    }

    fn value(&mut self, value: &AssignmentValue) -> Option<Word> {
        match value {
            AssignmentValue::Scalar(word) if word.span.start == word.span.end => None,
            AssignmentValue::Scalar(word) => Some(self.word_at(word, Position::Value)),
            AssignmentValue::Compound(array) => {
                let outer = self.enter_at(self.array_start(array.span.start.offset()), self.high);
                self.expect("(");
                let mut words = Vec::with_capacity(array.elements.len());
                for element in &array.elements {
                    self.start();
                    if let ArrayElem::Keyed { key, .. } | ArrayElem::KeyedAppend { key, .. } = element {
                        words.extend(self.subscript(key));
                    }
                    words.push(self.word(element.value()));
                }
                self.expect(")");
                let span = self.leave(&outer);
                let part = WordPart { span, quoted: false, kind: WordPartKind::Array(words) };
                Some(Word { span, parts: vec![part] })
            }
        }
    }

    /// Where the parenthesis of an array stands: the other tree leaves it out behind `declare`.
    fn array_start(&self, start: usize) -> usize {
        let before = self.source.get(self.low..start).unwrap_or_default();
        let before = before.trim_end_matches('[').trim_ascii_end();
        match before.strip_suffix('(') {
            Some(before) if !self.source[start..].starts_with('(') => self.low + before.len(),
            _ => start,
        }
    }

    /// `name=value` as an argument of `export` and the like.
    pub(super) fn assignment_word(&mut self, assignment: &SourceAssignment) -> Word {
        let value = match &assignment.value {
            AssignmentValue::Scalar(word) => word.span,
            AssignmentValue::Compound(array) => array.span,
        };
        let outer = self.enter(assignment.span);
        let mut parts = Vec::new();
        let end = match &assignment.value {
            AssignmentValue::Scalar(_) if value.start == value.end => self.high,
            AssignmentValue::Scalar(_) => value.start.offset(),
            AssignmentValue::Compound(_) => self.array_start(value.start.offset()),
        };
        let name = self.enter_at(self.low, end);
        let text = self.rest().to_owned();
        let span = self.leave(&name);
        parts.push(WordPart { span, quoted: false, kind: WordPartKind::Literal(text) });
        parts.extend(self.value(&assignment.value).into_iter().flat_map(|word| word.parts));
        Word { span: self.leave(&outer), parts }
    }

    /// A pattern of `case`, `[[` or a parameter's operator.
    pub(super) fn pattern(&mut self, pattern: &Pattern) -> Word {
        let outer = self.enter(pattern.span);
        let mut parts = Vec::with_capacity(pattern.parts.len());
        self.pattern_parts(pattern, Position::First, &mut parts);
        Word { span: self.leave(&outer), parts }
    }

    fn pattern_parts(&mut self, pattern: &Pattern, mut position: Position, parts: &mut Vec<WordPart>) {
        for node in &pattern.parts {
            let outer = self.enter(node.span);
            match &node.kind {
                PatternPart::Literal(_) => {
                    self.literal(position, &[], parts);
                    self.leave(&outer);
                }
                PatternPart::AnyString | PatternPart::AnyChar | PatternPart::CharClass(_) => {
                    let kind = WordPartKind::Glob(self.rest().to_owned());
                    parts.push(WordPart { span: self.leave(&outer), quoted: false, kind });
                }
                PatternPart::Word(word) => {
                    let word = self.word_at(word, position);
                    parts.extend(word.parts);
                    self.leave(&outer);
                }
                PatternPart::Group { patterns, .. } => {
                    let open = self.enter_at(self.low, self.low + 2);
                    let kind = WordPartKind::Glob(self.rest().to_owned());
                    parts.push(WordPart { span: self.leave(&open), quoted: false, kind });
                    for pattern in patterns {
                        self.pattern_parts(pattern, Position::Later, parts);
                    }
                    self.leave(&outer);
                }
            }
            position = Position::Later;
        }
    }
}

/// How a part of a word stands in it.
#[derive(Clone, Copy)]
struct Quoting<'braces> {
    quoted: bool,
    position: Position,
    braces: &'braces [(usize, usize)],
}

/// A scan over unquoted text.
struct Unquoted<'text> {
    /// Where `raw` begins in the source.
    offset: usize,
    raw: &'text str,
    position: Position,
    found: Vec<(usize, usize, WordPartKind)>,
    /// Literal text not yet in `found`, which began at `from`.
    text: String,
    from: usize,
    /// Whether a blank stands in it without a backslash.
    blank: bool,
}

impl Unquoted<'_> {
    fn run(&mut self, braces: &[(usize, usize)]) {
        let raw = self.raw;
        let mut at = 0;
        let mut tilde = self.position != Position::Later;
        while let Some(character) = raw[at..].chars().next() {
            let rest = &raw[at..];
            let home = std::mem::replace(&mut tilde, self.position == Position::Value && character == ':');
            let (length, kind) = if let Some(end) = self.brace(at, braces) {
                (end - at, WordPartKind::Brace(raw[at..end].to_owned()))
            } else if let Some(length) = self.home(rest).filter(|_| home) {
                (length, WordPartKind::Tilde)
            } else if let Some(length) = glob(rest) {
                (length, WordPartKind::Glob(rest[..length].to_owned()))
            } else {
                at += self.text(rest, character);
                continue;
            };
            self.flush(at);
            self.found.push((at, at + length, kind));
            at += length;
            self.from = at;
        }
        self.flush(at);
    }

    /// Takes a character, or what a backslash makes of the next; returns the length of what it read.
    fn text(&mut self, rest: &str, character: char) -> usize {
        if character != '\\' {
            self.blank |= matches!(character, ' ' | '\t' | '\n');
            self.text.push(character);
            return character.len_utf8();
        }
        match rest[1..].chars().next() {
            Some('\n') => 2,
            Some(escaped) => {
                self.text.push(escaped);
                1 + escaped.len_utf8()
            }
            None => {
                self.text.push('\\');
                1
            }
        }
    }

    /// The length of a tilde with the name of a user, at the beginning of the text.
    fn home(&self, rest: &str) -> Option<usize> {
        let name = rest.strip_prefix('~')?;
        let is_name = |character: char| character.is_alphanumeric() || "_-+.".contains(character);
        let length = name.find(|character| !is_name(character)).unwrap_or(name.len());
        match name[length..].chars().next() {
            None | Some('/') => Some(1 + length),
            Some(':') if self.position == Position::Value => Some(1 + length),
            Some(_) => None,
        }
    }

    fn flush(&mut self, at: usize) {
        if at > self.from {
            let text = std::mem::take(&mut self.text);
            self.found.push((self.from, at, WordPartKind::Literal(text)));
        }
        self.from = at;
    }

    /// The end of the list in braces around `at`, as far as it lies in the text.
    fn brace(&self, at: usize, braces: &[(usize, usize)]) -> Option<usize> {
        let offset = self.offset + at;
        let end = braces.iter().filter(|(start, end)| (*start..*end).contains(&offset)).map(|(_, end)| *end).max()?;
        Some((end - self.offset).min(self.raw.len()))
    }
}

/// The length of the pattern at the beginning of the text.
fn glob(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [b'*' | b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            // A bracket right behind the opening one, or behind its negation, stands for itself.
            let negation = usize::from(matches!(rest.first(), Some(b'!' | b'^')));
            let first = 1 + negation + 1;
            text.as_bytes().get(first..)?.iter().position(|byte| *byte == b']').map(|at| first + at + 1)
        }
        _ => None,
    }
}

/// Drops the backslashes before `special` characters, and escaped ends of lines.
fn unescape(raw: &str, special: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('\n') => {}
            Some(escaped) if special.contains(escaped) => text.push(escaped),
            other => {
                text.push('\\');
                text.extend(other);
            }
        }
    }
    text
}

/// The text of a here-document's body, where a double quote needs no backslash.
pub(super) fn unescape_heredoc(raw: &str) -> String {
    unescape(raw, "$`\\")
}
