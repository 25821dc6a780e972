//! Comments that tell passes to leave something alone: `# jettison: allow NAME reason`, and what other linters read.
//!
//! Such a comment speaks of the instruction that it stands directly above or within. hadolint's `# hadolint ignore=CODE`
//! and BuildKit's `# check=skip=CODE` count for the passes that have these codes as aliases.

use std::collections::BTreeMap;

use jettison_ir::Pass;
use jettison_ir::source::{SourceFinding, Target};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Dockerfile, closest};

use crate::PASSES;
use crate::driver::is_named;

/// What a Dockerfile's comments allow.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    /// What holds for the whole file.
    file: Vec<Allowance>,
    /// What holds for one instruction.
    instructions: BTreeMap<usize, Vec<Allowance>>,
    /// Comments that are meant for jettison and say nothing that it knows.
    pub misread: Vec<Misread>,
}

/// What one comment allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The comment.
    pub comment: Span,
    /// The reason that it gives.
    pub reason: Option<String>,
    names: Names,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// All that BuildKit checks.
    EveryBuildKitCheck,
    /// Passes and codes.
    These(Vec<String>),
}

/// A comment that is meant for jettison and says nothing that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// The comment.
    pub span: Span,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Allowance {
    fn covers(&self, pass: &Pass) -> bool {
        match &self.names {
            Names::These(names) => names.iter().any(|name| is_named(pass, name)),
            // hadolint's codes have no lower-case letters, BuildKit's names have.
            Names::EveryBuildKitCheck => {
                pass.aliases.iter().any(|alias| alias.contains(|letter: char| letter.is_ascii_lowercase()))
            }
        }
    }
}

impl Allowances {
    /// Reads a Dockerfile's comments.
    #[must_use]
    pub fn of(tree: &Dockerfile) -> Self {
        let mut allowances = Self::default();
        for directive in tree.directives.iter().filter(|directive| directive.name == "check") {
            allowances.file.extend(skipped_checks(&directive.value, directive.span));
        }
        let first_instruction = tree.instructions.first().map_or(u32::MAX, |first| first.span.start);
        let mut attached = tree.instructions.iter().enumerate().flat_map(|(at, instruction)| {
            let (above, within) = (instruction.above, instruction.within);
            (above.0..above.1).chain(within.0..within.1).map(move |comment| (comment as usize, at))
        });
        let mut next = attached.next();
        for (index, comment) in tree.comments.iter().enumerate() {
            while next.is_some_and(|(comment, _)| comment < index) {
                next = attached.next();
            }
            let instruction = next.filter(|(comment, _)| *comment == index).map(|(_, at)| at);
            match Comment::read(comment.span.of(tree.text()), comment.span) {
                None => {}
                Some(Comment::Misread(misread)) => allowances.misread.push(misread),
                Some(Comment::File(allowance, Tool::Other)) => allowances.file.push(allowance),
                Some(Comment::File(allowance, Tool::Jettison)) if comment.span.start < first_instruction => {
                    allowances.file.push(allowance);
                }
                Some(Comment::File(..)) => allowances.misplaced(
                    comment.span,
                    "what is allowed for the whole file stands above its first instruction",
                    "move the comment to the top of the file",
                ),
                Some(Comment::Instruction(allowance, tool)) => match instruction {
                    Some(at) => allowances.instructions.entry(at).or_default().push(allowance),
                    None if tool == Tool::Jettison => allowances.misplaced(
                        comment.span,
                        "the comment stands above no instruction, so that it allows nothing",
                        "put it directly above an instruction, or write allow-file at the top of the file",
                    ),
                    None => {}
                },
            }
        }
        allowances
    }

    fn misplaced(&mut self, span: Span, message: &str, help: &str) {
        self.misread.push(Misread { span, message: message.to_owned(), help: help.to_owned() });
    }

    /// The instructions that comments keep a pass from, with the reasons that they give.
    pub(crate) fn instructions<'s>(&'s self, pass: &'s Pass) -> impl Iterator<Item = (usize, String)> + 's {
        self.instructions.iter().filter_map(|(at, all)| {
            let allowance = all.iter().find(|allowance| allowance.covers(pass))?;
            Some((*at, allowance.reason.clone().unwrap_or_default()))
        })
    }

    /// What allows a finding: a comment for the file, or for an instruction that the finding or its fix touches.
    #[must_use]
    pub fn covering(&self, tree: &Dockerfile, pass: &Pass, finding: &SourceFinding) -> Option<&Allowance> {
        let for_file = self.file.iter().find(|allowance| allowance.covers(pass));
        if for_file.is_some() || self.instructions.is_empty() {
            return for_file;
        }
        let fix = finding.fix.iter().filter(|fix| fix.target == Target::Dockerfile);
        let edits = fix.flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
        std::iter::once(finding.span).chain(edits).find_map(|span| {
            let first = tree.instructions.partition_point(|instruction| instruction.span.end <= span.start);
            let end = tree.instructions.partition_point(|instruction| instruction.span.start < span.end);
            let touched = self.instructions.range(first..end.max(first));
            touched.flat_map(|(_, all)| all).find(|allowance| allowance.covers(pass))
        })
    }
}

/// Whose comment it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    Jettison,
    Other,
}

/// What a comment says.
enum Comment {
    File(Allowance, Tool),
    Instruction(Allowance, Tool),
    Misread(Misread),
}

impl Comment {
    fn read(text: &str, span: Span) -> Option<Self> {
        let text = text.trim_start_matches('#').trim();
        if let Some(rest) = text.strip_prefix("jettison:") {
            return Some(Self::own(rest.trim_start(), span));
        }
        if let Some(rest) = text.strip_prefix("hadolint") {
            let rest = rest.trim_start();
            let global = rest.strip_prefix("global").map(str::trim_start);
            let codes = global.unwrap_or(rest).strip_prefix("ignore")?.trim_start().strip_prefix('=')?;
            let allowance = these(codes.split(','), None, span);
            return Some(match global {
                Some(_) => Self::File(allowance, Tool::Other),
                None => Self::Instruction(allowance, Tool::Other),
            });
        }
        let value = text.strip_prefix("check")?.trim_start().strip_prefix('=')?;
        skipped_checks(value, span).map(|allowance| Self::Instruction(allowance, Tool::Other))
    }

    /// `allow NAME[,NAME…] reason`, `allow-file NAME[,NAME…] reason`.
    fn own(text: &str, span: Span) -> Self {
        let misread = |message: String, help: &str| Self::Misread(Misread { span, message, help: help.to_owned() });
        let mut words = text.split_whitespace();
        let verb = words.next().unwrap_or_default();
        if !matches!(verb, "allow" | "allow-file") {
            let help = "write `# jettison: allow NAME reason`, or allow-file for the whole file";
            return misread(format!("jettison reads no comment with {verb:?}"), help);
        }
        let mut names = Vec::new();
        for word in words.by_ref() {
            names.extend(word.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
            if !word.ends_with(',') {
                break;
            }
        }
        if names.is_empty() {
            return misread("the comment names no pass".to_owned(), "`jettison passes` lists them");
        }
        if let Some(unknown) = names.iter().find(|name| !PASSES.iter().any(|pass| is_named(pass, name))) {
            let all: Vec<&'static str> = PASSES.iter().map(|pass| pass.name).collect();
            let help = closest(unknown, &all).map(|name| format!("did you mean {name}?"));
            let help = help.unwrap_or_else(|| "`jettison passes` lists them".to_owned());
            return misread(format!("there is no pass {unknown:?}, so that the comment allows nothing"), &help);
        }
        let reason = words.collect::<Vec<_>>().join(" ");
        let allowance = these(names.iter().map(String::as_str), Some(reason).filter(|reason| !reason.is_empty()), span);
        match verb {
            "allow" => Self::Instruction(allowance, Tool::Jettison),
            _ => Self::File(allowance, Tool::Jettison),
        }
    }
}

fn these<'a>(names: impl Iterator<Item = &'a str>, reason: Option<String>, comment: Span) -> Allowance {
    // hadolint takes what stands behind the last code as a remark.
    let names = names.filter_map(|name| name.split_whitespace().next()).map(str::to_owned).collect();
    Allowance { comment, reason, names: Names::These(names) }
}

/// What `skip=…` names in the value of a `check` directive or comment, such as `skip=A,B;error=true`.
fn skipped_checks(value: &str, span: Span) -> Option<Allowance> {
    let names = value.split(';').find_map(|part| part.trim().strip_prefix("skip=").map(str::trim))?;
    if names.split(',').any(|name| name.trim().eq_ignore_ascii_case("all")) {
        return Some(Allowance { comment: span, reason: None, names: Names::EveryBuildKitCheck });
    }
    Some(these(names.split(','), None, span))
}

#[cfg(test)]
mod tests {
    use jettison_ir::source::SourceFinding;
    use jettison_ir::{Level, Pass, Run, Safety};
    use jettison_syntax::Span;
    use jettison_syntax::dockerfile::Dockerfile;

    use super::Allowances;

    const PASS: Pass = Pass {
        name: "latest-tag",
        summary: "",
        level: Level::O1,
        safety: Safety::Advice,
        page: "",
        aliases: &["DL3006", "SomeCheck"],
        run: Run::Source(|_| Vec::new()),
    };

    /// The instructions, counted from 0, for which the pass is told to be quiet, and what was not understood.
    fn check(text: &str, quiet: &[usize], misread: &[&str]) {
        let tree = Dockerfile::parse(text);
        let allowances = Allowances::of(&tree);
        let is_quiet = |at: &usize| {
            let finding = SourceFinding::advice(tree.instructions[*at].span, String::new(), String::new());
            allowances.covering(&tree, &PASS, &finding).is_some()
        };
        let found: Vec<usize> = (0..tree.instructions.len()).filter(is_quiet).collect();
        assert_eq!(found, quiet, "{text}");
        let said: Vec<&str> = allowances.misread.iter().map(|misread| &*misread.message).collect();
        assert_eq!(said.len(), misread.len(), "{text}: {said:?}");
        assert!(said.iter().zip(misread).all(|(said, part)| said.contains(part)), "{text}: {said:?}");
    }

    #[test]
    fn comments_speak_of_the_instruction_below_or_around_them() {
        check("# jettison: allow latest-tag it is a test\nFROM a\nFROM b\n", &[0], &[]);
        check("FROM a\n  #jettison:allow dl3006\n# and more\nFROM b\n", &[1], &[]);
        check("FROM a\nRUN a \\\n  # jettison: allow shadowed-files, latest-tag why\n  b\nRUN c\n", &[1], &[]);
        check("# jettison: allow shadowed-files\nFROM a\n", &[], &[]);
        check("# about jettison: allow latest-tag\nFROM a\n", &[], &[]);
        check("# jettison: allow latest-tag\n\nFROM a\n", &[], &["above no instruction"]);
        check("FROM a\n# jettison: allow latest-tag\n", &[], &["above no instruction"]);
    }

    #[test]
    fn comments_speak_of_the_file() {
        check("# jettison: allow-file latest-tag why\n\nFROM a\nFROM b\n", &[0, 1], &[]);
        check("FROM a\n# jettison: allow-file latest-tag\nFROM b\n", &[], &["above its first instruction"]);
        check("FROM a\n# hadolint global ignore=DL3006\nFROM b\n", &[0, 1], &[]);
        check("# check=skip=Other,SomeCheck;error=true\nFROM a\n", &[0], &[]);
        check("# check=skip=all\nFROM a\nFROM b\n", &[0, 1], &[]);
        check("# check=error=true\nFROM a\n", &[], &[]);
    }

    #[test]
    fn other_linters_comments_count() {
        check("# hadolint ignore=DL3008,DL3006\nFROM a\nFROM b\n", &[0], &[]);
        check("FROM a\n#hadolint  ignore = DL3006 because\nFROM b\n", &[1], &[]);
        check("FROM a\n# hadolint ignore=DL3008\nFROM b\n# hadolint is nice\n", &[], &[]);
        check("FROM a\n# check=skip=SomeCheck\nFROM b\n", &[1], &[]);
    }

    #[test]
    fn what_names_nothing_known_is_said() {
        check("# jettison: allow latest-tags\nFROM a\n", &[], &["no pass \"latest-tags\""]);
        check("# jettison: allow\nFROM a\n", &[], &["names no pass"]);
        check("# jettison: ignore latest-tag\nFROM a\n", &[], &["no comment with \"ignore\""]);
        let tree = Dockerfile::parse("# jettison: allow latest-tags\nFROM a\n");
        assert_eq!(Allowances::of(&tree).misread[0].help, "did you mean latest-tag?");
        assert_eq!(Allowances::of(&tree).misread[0].span, Span::new(0, 29));
    }
}
