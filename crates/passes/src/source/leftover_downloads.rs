//! Removes archives that a RUN downloads and unpacks, right where it unpacks them.

use std::collections::HashMap;

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::shell::{Script, Word, WordPartKind};

use crate::analysis::calls::{Call, calls};
use crate::analysis::downloads::{downloaded, last_uses, patterns, unpacks, unquoted};
use crate::analysis::folders::{self, Mounted};
use crate::analysis::{insertion, later, leftovers, place};

const DOWNLOADS: Assumption = Assumption {
    name: "downloads-are-not-read-after-unpacking",
    holds: "an archive that a RUN downloads and unpacks is of no use afterwards, unless the Dockerfile names it again",
};

pub(crate) const PASS: Pass = Pass {
    name: "leftover-downloads",
    summary: "archives that stay after they were unpacked",
    level: Level::O2,
    safety: Safety::Assuming(&[DOWNLOADS]),
    page: include_str!("leftover_downloads.md"),
    aliases: &["DD016"],
    run: Run::Source(run),
};

type Refusal = (&'static str, String);

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    if !unit.may_assume(&DOWNLOADS) {
        return remarks;
    }
    let shipped = later::shipped(unit);
    let names = last_uses(unit.tree.text());
    for stage in unit.stages().iter().filter(|stage| shipped[stage.index]) {
        for at in stage.instructions.clone().filter(|at| unit.kind(*at) == Kind::Run) {
            let hinted = unit.text(at).is_some_and(|text| text.text.contains("curl") || text.text.contains("wget"));
            let Some(script) = leftovers::whole_script(unit, at).ok().filter(|_| hinted) else { continue };
            let calls = calls(script);
            for (first, call) in calls.iter().enumerate() {
                let Some(file) = downloaded(call, script) else { continue };
                let Some((last, word)) = unpacked(&calls, script, first, &file) else { continue };
                let found = Download { unit, at, script, calls: &calls, first, last, file: &file, word };
                match found.examine(&names) {
                    Ok(None) => {}
                    Ok(Some(finding)) => remarks.push(SourceRemark::Found(finding)),
                    Err((code, reason)) => {
                        let span = unit.source_span(at, call.span());
                        remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                    }
                }
            }
        }
    }
    remarks
}

/// The first command behind a download that unpacks the file, and its word for it.
fn unpacked<'c>(calls: &'c [Call<'_>], script: &Script, first: usize, file: &str) -> Option<(usize, &'c Word)> {
    let name = file.rsplit('/').next()?;
    calls.iter().enumerate().skip(first + 1).find_map(|(at, call)| {
        let is_it = |word: &&Word| unquoted(word, script).rsplit('/').next() == Some(name);
        unpacks(call, script).into_iter().find(is_it).map(|word| (at, word))
    })
}

struct Download<'d, 'u> {
    unit: &'d SourceUnit<'u>,
    at: usize,
    script: &'d Script,
    calls: &'d [Call<'d>],
    /// The command that downloads.
    first: usize,
    /// The command that unpacks.
    last: usize,
    /// The file, as the first one names it.
    file: &'d str,
    /// The same, as the last one does.
    word: &'d Word,
}

impl Download<'_, '_> {
    fn examine(&self, names: &HashMap<&str, usize>) -> Result<Option<SourceFinding>, Refusal> {
        let refuse = |code: &'static str, reason: &str| Err((code, reason.to_owned()));
        let Self { unit, at, script, calls, .. } = *self;
        let name = self.file.rsplit('/').next().unwrap_or_default();
        if calls[self.last + 1..].iter().any(|call| self.removes(call, name)) {
            return Ok(None);
        }
        let unpacked_as = unquoted(self.word, script);
        let path = self.path(&unpacked_as, self.last);
        let is_same = if unpacked_as == self.file && !self.moves_between() {
            true
        } else {
            path.is_some() && path == self.path(self.file, self.first)
        };
        if !is_same {
            return refuse("unknown-folder", "it is not known whether the unpacked file is the downloaded one");
        }
        let end = unit.source_span(at, calls[self.last].span()).end as usize;
        if names.get(name).is_some_and(|last| *last >= end) {
            return refuse("needed-later", "the file is named again after it was unpacked");
        }
        if self.sets_variables() {
            return refuse("changed-name", "a variable in the file's name is set again");
        }
        match folders::mounted(unit, at, unit.instruction(at), path.as_deref()) {
            Mounted::Hidden => return Ok(None),
            Mounted::Unclear => return refuse("mounts", "something is mounted there, or it is not known where"),
            Mounted::Free => {}
        }
        let errexit = place::errexit(script, unit.settings(at).shell.has_option('e'));
        let after = [calls[self.last].span()];
        let place = place::behind(script, &after, &after, errexit).map_err(|(code, why)| (code, why.to_owned()))?;
        if place.is_behind_compound {
            return refuse("in-loop", "the file is unpacked in a loop, and may be another one each time");
        }
        let sudo = calls[self.first].simple.words.first().is_some_and(|word| word.text(&script.text) == "sudo");
        let prefix = if sudo { "sudo " } else { "" };
        let edits = insertion::insert(unit, at, &place, &[format!("{prefix}rm -f {}", self.word.text(&script.text))]);
        let message = format!("{name} stays in the image after it was unpacked");
        let span = unit.source_span(at, calls[self.first].span());
        Ok(Some(SourceFinding::fixed(span, message, edits, SourceClaim::Gone(patterns(path, &unpacked_as)))))
    }

    /// Whether the working directory changes between the two commands.
    fn moves_between(&self) -> bool {
        let moves = |call: &Call<'_>| matches!(call.simple.name(), Some("cd" | "pushd" | "popd"));
        self.calls[self.first..self.last].iter().any(moves)
    }

    /// A file's absolute path at a command.
    fn path(&self, file: &str, at: usize) -> Option<String> {
        if file.starts_with('/') {
            return Some(file.to_owned());
        }
        let goes = |call: &&Call<'_>| matches!(call.simple.name(), Some("cd" | "pushd" | "popd"));
        let folder = match self.calls[..at].iter().rfind(goes) {
            None => self.unit.settings(self.at).workdir.known()?.to_owned(),
            Some(call) => call.simple.arguments().first()?.literal()?.into_owned(),
        };
        let file = file.strip_prefix("./").unwrap_or(file);
        (folder.starts_with('/') && !file.starts_with("..")).then(|| format!("{}/{file}", folder.trim_end_matches('/')))
    }

    /// Whether a command may remove the file: it names it, or something with a pattern, or a folder.
    fn removes(&self, call: &Call<'_>, name: &str) -> bool {
        let Some((program, words)) = call.program() else { return false };
        let program = program.rsplit('/').next().unwrap_or_default();
        if !matches!(program, "rm" | "find" | "unlink" | "shred") {
            return false;
        }
        let extension = name.rsplit('.').next().unwrap_or_default();
        let folder = self.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        program == "find"
            || words.iter().map(|word| unquoted(word, self.script)).filter(|word| !word.starts_with('-')).any(|word| {
                let trimmed = word.trim_end_matches("/*").trim_end_matches('/');
                word.contains(name)
                    || word.starts_with('$')
                    || (word.contains(['*', '?', '{']) && (word.ends_with('*') || word.contains(extension)))
                    || (trimmed.starts_with('/') && (folders::is_within(folder, trimmed) || self.is_below(trimmed)))
                    || matches!(trimmed, "." | "..")
            })
    }

    fn is_below(&self, folder: &str) -> bool {
        let path = self.path(&unquoted(self.word, self.script), self.last);
        path.is_none_or(|path| folders::is_within(&path, folder))
    }

    /// Whether a variable in the file's name is set after the download.
    fn sets_variables(&self) -> bool {
        let read: Vec<&str> = self
            .word
            .parts
            .iter()
            .filter_map(|part| match &part.kind {
                WordPartKind::Parameter { name, .. } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let set = self.calls[self.first..=self.last].iter().flat_map(|call| &call.simple.assignments);
        let mut set = set;
        set.any(|assignment| read.contains(&assignment.name.as_str()))
    }
}
