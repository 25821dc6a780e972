//! The part of Go's regular expressions that translated patterns can reach: classes, groups, `|`, `*`, `?`, counted
//! repetition, `^` and `$`. Matching keeps a set of states, so its time is linear in the path for any pattern.

use std::iter::Peekable;
use std::str::Chars;

/// Go's limit on counted repetition.
const REPEAT_LIMIT: u32 = 1000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) struct Regex {
    program: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    One(Class),
    Split(usize, usize),
    Jump(usize),
    AtStart,
    AtEnd,
    Match,
}

/// A set of characters.
#[derive(Clone, Debug, Default)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn single(ch: char) -> Self {
        Self { negated: false, ranges: vec![(ch, ch)] }
    }

    fn accepts(&self, ch: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&ch)) != self.negated
    }
}

enum Node {
    One(Class),
    AtStart,
    AtEnd,
    Any(Vec<Vec<Node>>),
    Repeat { node: Box<Node>, least: u32, most: Option<u32> },
}

impl Regex {
    /// Compiles `expression`; the error says what it lacks.
    pub(super) fn new(expression: &str) -> Result<Self, &'static str> {
        let mut parser = Parser { chars: expression.chars().peekable() };
        let alternatives = parser.alternatives()?;
        if parser.chars.next().is_some() {
            return Err("unexpected )");
        }
        let mut program = Vec::new();
        emit(&Node::Any(alternatives), &mut program)?;
        program.push(Step::Match);
        Ok(Self { program })
    }

    /// Whether the expression matches anywhere in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let mut states = vec![false; self.program.len()];
        for (at, next) in text.char_indices().map(|(at, ch)| (at, Some(ch))).chain([(text.len(), None)]) {
            self.follow(0, at == 0, next.is_none(), &mut states);
            if states.last() == Some(&true) {
                return true;
            }
            let Some(ch) = next else { break };
            let after = at + ch.len_utf8();
            let mut moved = vec![false; self.program.len()];
            for (index, step) in self.program.iter().enumerate() {
                if states[index] && matches!(step, Step::One(class) if class.accepts(ch)) {
                    self.follow(index + 1, false, after == text.len(), &mut moved);
                }
            }
            states = moved;
        }
        false
    }

    /// Marks every state that is reached from `start` without reading a character.
    fn follow(&self, start: usize, at_start: bool, at_end: bool, states: &mut [bool]) {
        let mut waiting = vec![start];
        while let Some(index) = waiting.pop() {
            if std::mem::replace(&mut states[index], true) {
                continue;
            }
            match self.program[index] {
                Step::Split(one, other) => waiting.extend([one, other]),
                Step::Jump(to) => waiting.push(to),
                Step::AtStart if at_start => waiting.push(index + 1),
                Step::AtEnd if at_end => waiting.push(index + 1),
                Step::AtStart | Step::AtEnd | Step::One(_) | Step::Match => {}
            }
        }
    }
}

fn emit(node: &Node, program: &mut Vec<Step>) -> Result<(), &'static str> {
    if program.len() > 100_000 {
        return Err("expression too large");
    }
    match node {
        Node::One(class) => program.push(Step::One(class.clone())),
        Node::AtStart => program.push(Step::AtStart),
        Node::AtEnd => program.push(Step::AtEnd),
        Node::Any(alternatives) => {
            let mut jumps = Vec::new();
            for (index, nodes) in alternatives.iter().enumerate() {
                let split = program.len();
                let last = index + 1 == alternatives.len();
                if !last {
                    program.push(Step::Jump(0));
                }
                for node in nodes {
                    emit(node, program)?;
                }
                if !last {
                    jumps.push(program.len());
                    program.push(Step::Jump(0));
                    program[split] = Step::Split(split + 1, program.len());
                }
            }
            let end = program.len();
            for jump in jumps {
                program[jump] = Step::Jump(end);
            }
        }
        Node::Repeat { node, least, most } => {
            for _ in 0..*least {
                emit(node, program)?;
            }
            match most {
                None => {
                    let split = program.len();
                    program.push(Step::Jump(0));
                    emit(node, program)?;
                    program.push(Step::Jump(split));
                    program[split] = Step::Split(split + 1, program.len());
                }
                Some(most) => {
                    for _ in *least..*most {
                        let split = program.len();
                        program.push(Step::Jump(0));
                        emit(node, program)?;
                        program[split] = Step::Split(split + 1, program.len());
                    }
                }
            }
        }
    }
    Ok(())
}

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Result<Vec<Vec<Node>>, &'static str> {
        let mut alternatives = vec![Vec::new()];
        let mut repeated = false;
        while let Some(ch) = self.chars.next_if(|ch| *ch != ')') {
            let nodes: &mut Vec<Node> = alternatives.last_mut().ok_or("no alternative")?;
            let repetition = match ch {
                '*' => Some((0, None)),
                '?' => Some((0, Some(1))),
                '{' => self.count()?,
                _ => None,
            };
            if let Some((least, most)) = repetition {
                if repeated && ch != '?' {
                    return Err("invalid nested repetition operator");
                }
                // A `?` behind a repetition only changes what it prefers.
                if !repeated {
                    let node = nodes.pop().ok_or("missing argument to repetition operator")?;
                    nodes.push(Node::Repeat { node: Box::new(node), least, most });
                }
                repeated = true;
                continue;
            }
            repeated = false;
            nodes.push(match ch {
                '|' => {
                    alternatives.push(Vec::new());
                    continue;
                }
                '^' => Node::AtStart,
                '$' => Node::AtEnd,
                '.' => Node::One(Class { negated: true, ranges: vec![('\n', '\n')] }),
                '(' => {
                    let group = Node::Any(self.alternatives()?);
                    self.chars.next_if_eq(&')').ok_or("missing closing )")?;
                    group
                }
                '[' => Node::One(self.class()?),
                '\\' => Node::One(self.escape()?),
                literal => Node::One(Class::single(literal)),
            });
        }
        Ok(alternatives)
    }

    /// `{2}`, `{2,}` or `{2,4}` behind the brace; anything else leaves the brace a character.
    fn count(&mut self) -> Result<Option<(u32, Option<u32>)>, &'static str> {
        let rest: String =
            self.chars.clone().take_while(|ch| ch.is_ascii_digit() || *ch == ',' || *ch == '}').collect();
        let Some((inner, _)) = rest.split_once('}') else { return Ok(None) };
        let (least, most) = inner
            .split_once(',')
            .map_or((inner, Some(inner)), |(least, most)| (least, if most.is_empty() { None } else { Some(most) }));
        let number = |digits: &str| digits.parse::<u32>().unwrap_or(u32::MAX);
        let is_number = |digits: &str| {
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'))
        };
        if !is_number(least) || most.is_some_and(|most| !is_number(most)) {
            return Ok(None);
        }
        let (least, most) = (number(least), most.map(number));
        if least > REPEAT_LIMIT || most.is_some_and(|most| most > REPEAT_LIMIT || most < least) {
            return Err("invalid repeat count");
        }
        for _ in 0..=inner.len() {
            self.chars.next();
        }
        Ok(Some((least, most)))
    }

    fn escape(&mut self) -> Result<Class, &'static str> {
        let ch = self.chars.next().ok_or("trailing backslash at end of expression")?;
        let control = |ch: char| Ok(Class::single(ch));
        match ch {
            'a' => control('\u{7}'),
            'f' => control('\u{c}'),
            'n' => control('\n'),
            'r' => control('\r'),
            't' => control('\t'),
            'v' => control('\u{b}'),
            'd' | 'D' => Ok(Class { negated: ch == 'D', ranges: vec![('0', '9')] }),
            'w' | 'W' => Ok(Class { negated: ch == 'W', ranges: vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')] }),
            's' | 'S' => Ok(Class { negated: ch == 'S', ranges: vec![('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')] }),
            ch if ch.is_ascii() && !ch.is_ascii_alphanumeric() => Ok(Class::single(ch)),
            _ => Err("invalid escape sequence"),
        }
    }

    /// A class behind its bracket.
    fn class(&mut self) -> Result<Class, &'static str> {
        let mut class = Class { negated: self.chars.next_if_eq(&'^').is_some(), ranges: Vec::new() };
        let mut first = true;
        loop {
            if !first && self.chars.next_if_eq(&']').is_some() {
                return Ok(class);
            }
            first = false;
            if let Some(ranges) = self.named()? {
                class.ranges.extend(ranges);
                continue;
            }
            let low = self.class_character()?;
            let Some(low) = single(&low) else {
                if low.negated {
                    return Err("negated class within a class");
                }
                class.ranges.extend(low.ranges);
                continue;
            };
            let mut ahead = self.chars.clone();
            let high = if ahead.next() == Some('-') && ahead.next() != Some(']') {
                self.chars.next();
                single(&self.class_character()?).ok_or("invalid character class range")?
            } else {
                low
            };
            if high < low {
                return Err("invalid character class range");
            }
            class.ranges.push((low, high));
        }
    }

    fn class_character(&mut self) -> Result<Class, &'static str> {
        match self.chars.next() {
            None => Err("missing closing ]"),
            Some('\\') => self.escape(),
            Some(ch) => Ok(Class::single(ch)),
        }
    }

    /// `[:name:]` within a class.
    fn named(&mut self) -> Result<Option<&'static [(char, char)]>, &'static str> {
        let rest: String = self.chars.clone().take(12).collect();
        let Some((name, _)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else { return Ok(None) };
        let ranges: &[(char, char)] = match name {
            "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
            "alpha" => &[('A', 'Z'), ('a', 'z')],
            "ascii" => &[('\0', '\u{7f}')],
            "blank" => &[('\t', '\t'), (' ', ' ')],
            "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
            "digit" => &[('0', '9')],
            "graph" => &[('!', '~')],
            "lower" => &[('a', 'z')],
            "print" => &[(' ', '~')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "space" => &[('\t', '\r'), (' ', ' ')],
            "upper" => &[('A', 'Z')],
            "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
            "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
            _ => return Err("invalid character class range"),
        };
        for _ in 0..name.len() + 4 {
            self.chars.next();
        }
        Ok(Some(ranges))
    }
}

/// The character of a class that holds just one.
fn single(class: &Class) -> Option<char> {
    match class.ranges[..] {
        [(low, high)] if low == high && !class.negated => Some(low),
        _ => None,
    }
}
