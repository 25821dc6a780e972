//! `.dockerignore` and its matcher: lossless lines, the rules they hold, and which paths of a build context they exclude.
//!
//! Reading follows moby's `ignorefile` (trim, Go's `filepath.Clean`, no leading slash), matching its `patternmatcher`:
//! patterns become regular expressions, a rule that matches a folder matches everything below it, and the last rule
//! that matches decides.

mod clean;
mod glob;
mod regex;
mod rule;

use crate::Span;
pub use glob::{BadPattern, matches_pattern};
use rule::Matcher;

/// A `.dockerignore` file.
#[derive(Clone, Debug)]
pub struct Ignore {
    /// All lines in their order; their spans are the text without a gap.
    pub lines: Vec<Line>,
    /// The rules in their order.
    pub rules: Vec<Rule>,
    /// The lines that are no rules but should be. The builder refuses the whole file for any of them.
    pub errors: Vec<IgnoreError>,
    matchers: Vec<Matcher>,
}

/// What the rules matched on a walk's way to a folder: [`Ignore::enter`] gives it. Nothing, to begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched(Vec<bool>);

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line with its end of line.
    pub span: Span,
    /// What it holds.
    pub kind: LineKind,
}

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// Nothing but white space.
    Blank,
    /// A line whose first character is `#`. White space before makes it a pattern.
    Comment,
    /// A pattern, good or bad.
    Pattern,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The pattern as written, with its `!` and without the white space around it.
    pub span: Span,
    /// Number of its line, the first being 1.
    pub line: usize,
    /// The pattern as the matcher takes it: cleaned, without `!`.
    pub pattern: String,
    /// Whether it includes again what earlier rules excluded.
    pub negated: bool,
}

/// A line that is no rule but should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct IgnoreError {
    /// The pattern as written.
    pub span: Span,
    /// Number of its line, the first being 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: IgnoreErrorKind,
}

/// What can be wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreErrorKind {
    /// `!` with nothing behind it.
    #[error("illegal exclusion pattern: \"!\"")]
    NothingNegated,
    /// Brackets without an end, or a backslash at the end.
    #[error("syntax error in pattern '{pattern}'")]
    Syntax {
        /// The cleaned pattern.
        pattern: String,
    },
    /// A pattern that gives no regular expression in moby's translation.
    #[error("pattern '{pattern}' cannot be matched: {reason}")]
    Unmatchable {
        /// The cleaned pattern.
        pattern: String,
        /// What the regular expression lacks.
        reason: &'static str,
    },
}

impl Ignore {
    /// Reads a file. Lines that are no rules are in [`Ignore::errors`] and exclude nothing here.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut ignore = Self { lines: Vec::new(), rules: Vec::new(), errors: Vec::new(), matchers: Vec::new() };
        let mut start = 0;
        for (index, with_end) in text.split_inclusive('\n').enumerate() {
            let span = Span::new(start, start + with_end.len());
            let mut content = with_end.strip_suffix('\n').unwrap_or(with_end);
            if index == 0
                && let Some(rest) = content.strip_prefix('\u{feff}')
            {
                content = rest;
                start += '\u{feff}'.len_utf8();
            }
            let trimmed = content.trim();
            let kind = if content.starts_with('#') {
                LineKind::Comment
            } else if trimmed.is_empty() {
                LineKind::Blank
            } else {
                let from = start + content.len() - content.trim_start().len();
                ignore.pattern(trimmed, Span::new(from, from + trimmed.len()), index + 1);
                LineKind::Pattern
            };
            ignore.lines.push(Line { span, kind });
            start = span.range().end;
        }
        ignore
    }

    fn pattern(&mut self, written: &str, span: Span, line: usize) {
        // The `!` is judged after cleaning, so `./!a` is negated too.
        let cleaned = clean::read(written);
        let negated = cleaned.starts_with('!');
        let pattern = cleaned.strip_prefix('!').unwrap_or(&cleaned).to_owned();
        match Matcher::new(&pattern) {
            Ok(matcher) => {
                self.rules.push(Rule { span, line, pattern, negated });
                self.matchers.push(matcher);
            }
            Err(kind) => self.errors.push(IgnoreError { span, line, kind }),
        }
    }

    /// Whether `path` is excluded from the build context: moby's `MatchesOrParentMatches`. The path is relative, with
    /// slashes, without `.` and `..`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path = clean::clean(path);
        if path == "." {
            return false;
        }
        let mut excluded = false;
        for (rule, matcher) in self.rules.iter().zip(&self.matchers) {
            // A rule that cannot change the outcome is not asked.
            if rule.negated == excluded && (matcher.is_match(&path) || parents(&path).any(|dir| matcher.is_match(dir)))
            {
                excluded = !rule.negated;
            }
        }
        excluded
    }

    /// Whether a walk over the build context leaves `path` out: moby's `MatchesUsingParentResults`, which builders use
    /// when they send a context. It differs from [`Ignore::matches`] where a rule that includes a folder again had
    /// nothing to undo at the folder itself: `a/b` and then `!a` leaves `a/b` excluded.
    #[must_use]
    pub fn walk_excludes(&self, path: &str) -> bool {
        let path = clean::clean(path);
        if path == "." {
            return false;
        }
        let above = parents(&path).fold(Matched::default(), |above, folder| self.enter(&above, folder));
        self.walk_excludes_in(&above, &path)
    }

    /// [`Ignore::walk_excludes`] for a walk that knows what matched at the folder of `path` and above it. The path is
    /// whole, and clean.
    #[must_use]
    pub fn walk_excludes_in(&self, above: &Matched, path: &str) -> bool {
        let mut excluded = false;
        for (rule, is_matched) in self.rules.iter().zip(self.matches_in(above, path)) {
            if is_matched(excluded) {
                excluded = !rule.negated;
            }
        }
        excluded
    }

    /// What matches at the folder `path`, where `above` is what matched at the folder that it lies in. The path is
    /// whole, and clean; nothing has matched at the context's root.
    #[must_use]
    pub fn enter(&self, above: &Matched, path: &str) -> Matched {
        let mut excluded = false;
        let step = self.rules.iter().zip(self.matches_in(above, path)).map(|(rule, is_matched)| {
            let matched = is_matched(excluded);
            if matched {
                excluded = !rule.negated;
            }
            matched
        });
        Matched(step.collect())
    }

    /// For each rule whether it matches `path` or did above it, given whether the path is excluded so far.
    fn matches_in(&self, above: &Matched, path: &str) -> impl Iterator<Item = impl Fn(bool) -> bool> {
        let above = above.0.iter().copied().chain(std::iter::repeat(false));
        self.rules.iter().zip(&self.matchers).zip(above).map(move |((rule, matcher), matched)| {
            move |excluded| matched || (rule.negated == excluded && matcher.is_match(path))
        })
    }

    /// Whether something below the folder `dir` may be included though the folder is excluded, so that a walk must enter
    /// it. Says yes where it cannot tell.
    #[must_use]
    pub fn could_reinclude_below(&self, dir: &str) -> bool {
        let dir = clean::clean(dir);
        self.rules.iter().filter(|rule| rule.negated).any(|rule| dir == "." || could_match_below(&rule.pattern, &dir))
    }
}

/// The folders above `path`, the outermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    // Go's `filepath.Dir` and a split at slashes give an empty first part for absolute paths.
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Whether `pattern` could match something below `dir`: each of its parts could match the folder's part at its place.
fn could_match_below(pattern: &str, dir: &str) -> bool {
    let mut folders = dir.split('/');
    for part in pattern.split('/') {
        // Characters that are special to moby's regular expressions only are not looked into, nor are classes, which
        // may match a slash.
        if part.contains("**") || part.contains(['[', '\\', '|', '^', '{']) {
            return true;
        }
        let Some(folder) = folders.next() else { return true };
        if !matches_pattern(part, folder).unwrap_or(true) {
            return false;
        }
    }
    // The pattern names the folder itself or one above it, and with it everything below.
    true
}

#[cfg(test)]
mod tests {
    use super::{Ignore, Matched};

    #[test]
    fn a_walk_that_remembers_excludes_the_same() {
        for text in ["a\n!a/b\n", "a/b\n!a\n", "**/c\n!a/b/c\nd*\n", "!a\na\n!a/b/c/d\n", "*\n!*/b\n"] {
            let ignore = Ignore::parse(text);
            let mut above = Matched::default();
            for path in ["a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e"] {
                assert_eq!(ignore.walk_excludes_in(&above, path), ignore.walk_excludes(path), "{path} in {text:?}");
                above = ignore.enter(&above, path);
            }
        }
    }
}
