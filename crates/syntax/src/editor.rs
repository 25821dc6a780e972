//! Changes ranges of a Dockerfile and keeps its own line ends and escape character.

use std::collections::BTreeMap;

use crate::Span;
use crate::dockerfile::Dockerfile;

/// Changes to a Dockerfile, made together.
pub struct Editor<'a> {
    tree: &'a Dockerfile,
    /// By place. No two of them overlap, so that a new one can overlap its neighbours only.
    edits: BTreeMap<Span, String>,
}

/// Two changes touch the same place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two changes overlap at bytes {} to {}", .0.start, .0.end)]
pub struct Overlap(pub Span);

impl<'a> Editor<'a> {
    /// An editor without changes.
    #[must_use]
    pub fn new(tree: &'a Dockerfile) -> Self {
        Self { tree, edits: BTreeMap::new() }
    }

    /// Replaces a range. The text has `\n` for line ends and `\` before one for a continuation; the file's own are
    /// written.
    ///
    /// # Errors
    /// Where the range overlaps one that is changed already.
    pub fn replace(&mut self, span: Span, text: &str) -> Result<(), Overlap> {
        let overlaps = |other: Span| {
            let inside = |at: u32| other.start < at && at < other.end;
            span == other
                || (span.start < other.end && other.start < span.end)
                || (span.is_empty() && inside(span.start))
                || (other.is_empty() && span.start < other.start && other.start < span.end)
        };
        let neighbours = [self.edits.range(..span).next_back(), self.edits.range(span..).next()];
        if let Some((other, _)) = neighbours.into_iter().flatten().find(|(other, _)| overlaps(**other)) {
            return Err(Overlap(*other));
        }
        let text = self.in_own_style(text);
        self.edits.insert(span, text);
        Ok(())
    }

    /// A text with the line ends and the escape character of the file.
    #[must_use]
    pub fn in_own_style(&self, text: &str) -> String {
        let text = match self.tree.escape {
            '\\' => text.to_owned(),
            escape => continuations(text, escape),
        };
        match self.tree.newline() {
            "\n" => text,
            newline => text.replace("\r\n", "\n").replace('\n', newline),
        }
    }

    /// The changed text, and where each byte range of the result comes from: unchanged parts, in order.
    #[must_use]
    pub fn finish(self) -> Edited {
        let source = self.tree.text();
        let mut text = String::with_capacity(source.len() + 64);
        let mut kept = Vec::with_capacity(self.edits.len() + 1);
        let mut at = 0;
        let mut keep = |text: &mut String, from: usize, to: usize| {
            if from < to {
                kept.push((Span::new(text.len(), text.len() + to - from), Span::new(from, to)));
                text.push_str(&source[from..to]);
            }
        };
        for (span, new) in &self.edits {
            keep(&mut text, at, span.start as usize);
            text.push_str(new);
            at = span.end as usize;
        }
        keep(&mut text, at, source.len());
        Edited { text, kept }
    }
}

/// A text after its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// The parts that are as they were: where each stands now, and where it stood.
    pub kept: Vec<(Span, Span)>,
}

/// Writes continuations with another escape character.
fn continuations(text: &str, escape: char) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.strip_suffix("\\\n") {
            Some(before) => {
                out.push_str(before);
                out.push(escape);
                out.push('\n');
            }
            None => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Editor;
    use crate::Span;
    use crate::dockerfile::Dockerfile;

    #[test]
    fn the_files_own_line_ends_and_escape_character_are_written() {
        let tree = Dockerfile::parse("# escape=`\r\nFROM a\r\nRUN b\r\n");
        let mut editor = Editor::new(&tree);
        let at = tree.instructions[1].span;
        editor.replace(at, "RUN b \\\n && c").expect("no overlap");
        assert_eq!(editor.finish().text, "# escape=`\r\nFROM a\r\nRUN b `\r\n && c\r\n");
    }

    #[test]
    fn changes_that_overlap_are_refused() {
        let tree = Dockerfile::parse("FROM a\nRUN b\n");
        let mut editor = Editor::new(&tree);
        editor.replace(Span::new(0, 6), "FROM x").expect("the first");
        assert!(editor.replace(Span::new(5, 8), "").is_err());
        assert!(editor.replace(Span::new(3, 3), "y").is_err());
        editor.replace(Span::new(6, 6), "!").expect("beside it");
        assert_eq!(editor.finish().text, "FROM x!\nRUN b\n");
    }

    #[test]
    fn what_is_kept_is_known() {
        let tree = Dockerfile::parse("FROM a\nRUN b\n");
        let mut editor = Editor::new(&tree);
        editor.replace(Span::new(5, 6), "bb").expect("one");
        let edited = editor.finish();
        assert_eq!(edited.kept, vec![(Span::new(0, 5), Span::new(0, 5)), (Span::new(7, 14), Span::new(6, 13))]);
    }
}
