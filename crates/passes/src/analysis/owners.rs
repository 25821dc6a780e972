//! Judges whether a `chown` or `chmod` of copied files is what the COPY can do itself.

use std::collections::BTreeSet;

use jettison_ir::Assumption;
use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::view::Scope;

use super::copies::{self, Copied, Source};
use super::ownership::{Change, Refusal, Setting};
use super::places::{self, exists, is_named_by, is_within, overlap, parent};

/// Of sources that the build context does not show.
pub(crate) const NO_SET_ID: Assumption = Assumption {
    name: "copied-files-have-no-set-id-bits",
    holds: "files that are copied from other stages, or where the build context is not at hand, have no set-user-ID and \
            set-group-ID bits, which chown would clear",
};

/// Of sources that the build context does not show.
pub(crate) const NAMES: Assumption = Assumption {
    name: "names-tell-files-from-folders",
    holds: "where the build context is not at hand, what is copied under a name with an extension is a file, and no \
            archive unless its name says so",
};

/// Of base images.
pub(crate) const NEW: Assumption = Assumption {
    name: "destinations-are-new",
    holds: "a base image has the usual folders of a system, such as /opt and /usr/local/bin, and nothing at a place of \
            their own to which a Dockerfile copies",
};

/// What comes of a command.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// The instructions that do it instead.
    pub(crate) copies: Vec<Copied>,
    /// Whether the folders themselves are still to be changed, since they were there before: without what is in them.
    pub(crate) keeps_folder: bool,
}

/// What is known of the RUN that the command is in.
pub(crate) struct Place<'u, 'a> {
    /// The Dockerfile.
    pub(crate) unit: &'u SourceUnit<'a>,
    /// The RUN.
    pub(crate) at: usize,
    /// What is before it, in stages below too.
    pub(crate) lineage: Vec<usize>,
    /// The variables in force there.
    pub(crate) scope: Scope,
    /// The copies of its own stage before it.
    pub(crate) copies: Vec<Copied>,
}

const fn refusal(code: &'static str, reason: &'static str) -> Option<Refusal> {
    Some(Refusal { code, reason })
}

/// Whether a setting gives files to anybody but root, who owns what a COPY makes on its way.
fn gives_away(setting: &Setting) -> bool {
    let is_root = |name: &str| matches!(name, "root" | "0");
    match setting {
        Setting::Owner { user, group, .. } => !is_root(user) || !group.as_deref().is_none_or(is_root),
        Setting::Mode { .. } | Setting::Adds { .. } => false,
    }
}

impl<'u, 'a> Place<'u, 'a> {
    /// Looks at what is before a RUN.
    pub(crate) fn of(unit: &'u SourceUnit<'a>, at: usize) -> Self {
        let lineage = places::lineage(unit, at);
        let own = unit.outline.stage_of(at).map_or(at..at, |stage| stage.instructions.start..at);
        let copies = own.filter_map(|at| copies::read(unit, at)).collect();
        Self { unit, at, lineage, scope: unit.scope(at), copies }
    }

    /// Which copies can do what a command does. Without a reason nothing is to be said: it has nothing to do with them.
    pub(crate) fn judge(&self, change: &Change) -> Result<Judged, Option<Refusal>> {
        let known: Vec<&str> = change.operands.iter().filter_map(|(path, _)| path.as_deref()).collect();
        if known.len() < change.operands.len() {
            let last = self.copies.last().filter(|copied| copied.at + 1 == self.at);
            let reason = "what a pattern, a variable or a substitution stands for is not known before the command runs";
            return Err(last.and_then(|_| refusal("unknown-path", reason)));
        }
        let mut judged = Judged::default();
        let mut kept = BTreeSet::new();
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for operand in &known {
            if let Some(copied) = self.last_with_file(operand) {
                self.check_files(copied, change, &known)?;
                found.insert(copied.at);
            } else {
                let (copies, keeps) = self.check_folder(operand, change)?;
                kept.insert(keeps);
                found.extend(copies);
            }
        }
        if kept.len() > 1 || (kept.contains(&true) && known.len() > 1) {
            return Err(refusal("folder-was-there", "some of the folders were there before, and others were not"));
        }
        judged.keeps_folder = kept.contains(&true);
        judged.copies = self.copies.iter().filter(|copied| found.contains(&copied.at)).cloned().collect();
        let first = judged.copies.first().map_or(self.at, |copied| copied.at);
        self.check_between(first, &known, &found)?;
        judged.copies.iter().try_for_each(|copied| self.check_copy(copied, change))?;
        Ok(judged)
    }

    fn last_with_file(&self, path: &str) -> Option<&Copied> {
        let makes =
            |copied: &&Copied| copied.files(self.unit).is_some_and(|files| files.iter().any(|(file, _)| file == path));
        self.copies.iter().rev().find(makes)
    }

    /// Whether a command that names a copied file is done to all of its COPY.
    fn check_files(&self, copied: &Copied, change: &Change, known: &[&str]) -> Result<(), Option<Refusal>> {
        let files = copied.files(self.unit).unwrap_or_default();
        let covers = |path: &str| {
            known.iter().any(|operand| *operand == path || (change.recursion.is_some() && is_within(path, operand)))
        };
        if !files.iter().all(|(file, _)| covers(file)) {
            let reason = "the COPY puts down other files too, which the command leaves as they are";
            return Err(refusal("other-files", reason));
        }
        let by_name = files.iter().any(|(_, kind)| *kind == Source::NamedLikeFile);
        if by_name && change.recursion.is_none() && !self.unit.may_assume(&NAMES) {
            return Err(refusal("may-be-folder", "the name alone does not tell a file from a folder"));
        }
        // A file that is copied to a path, not into a folder, ends up elsewhere where that is a folder already.
        if !copied.into_folder && !self.unit.may_assume(&NEW) {
            return Err(refusal("not-fresh", "the base image may have a folder at that place"));
        }
        let makes = gives_away(&change.setting)
            && files.iter().any(|(file, _)| {
                !known.iter().any(|operand| operand != file && is_within(file, operand))
                    && !self.has_parent(file, copied.at)
            });
        if makes {
            let reason = "the COPY makes the folder above as well, and --chown would give that away too";
            return Err(refusal("makes-parents", reason));
        }
        Ok(())
    }

    /// Whether the folder above is there for sure when a COPY starts.
    fn has_parent(&self, path: &str, at: usize) -> bool {
        let folder = parent(path);
        let before = self.lineage.partition_point(|earlier| *earlier < at);
        if folder != "/" && places::is_of_bases(folder) {
            return self.unit.may_assume(&NEW);
        }
        exists(self.unit, folder, &self.lineage[..before])
    }

    /// The copies that make a folder all by themselves, and whether the folder itself was there before.
    fn check_folder(&self, folder: &str, change: &Change) -> Result<(Vec<usize>, bool), Option<Refusal>> {
        let touching: Vec<&Copied> = self.copies.iter().filter(|copied| self.touches(copied, folder)).collect();
        let Some(first) = touching.first() else { return Err(None) };
        if change.recursion.is_none() {
            return Err(if touching.iter().any(|copied| copied.target == folder && !copied.into_folder) {
                refusal("may-be-folder", "the name alone does not tell a file from a folder")
            } else if touching.iter().any(|copied| is_within(folder, &copied.target)) {
                refusal("part-of-a-copy", "it is done to a part of what the COPY puts down")
            } else {
                None
            });
        }
        if touching.iter().any(|copied| !is_within(&copied.target, folder)) {
            return Err(refusal("part-of-a-copy", "it is done to a part of what the COPY puts down"));
        }
        if places::may_hold_something(folder) || !self.unit.may_assume(&NEW) {
            return Err(refusal("not-fresh", "the base image may have files at that place, which are changed as well"));
        }
        let keeps = self.was_there_before(folder, first.at)?;
        let may_miss_folder = self.check_folder_itself(folder, &touching, change, keeps)?;
        Ok((touching.iter().map(|copied| copied.at).collect(), keeps || may_miss_folder))
    }

    /// Whether a COPY puts something at a folder, below it or around it.
    fn touches(&self, copied: &Copied, folder: &str) -> bool {
        match copied.files(self.unit) {
            Some(files) => files.iter().any(|(file, _)| overlap(file, folder)),
            None => overlap(&copied.target, folder) && copied.target != "/",
        }
    }

    /// Whether a WORKDIR made the folder before the first COPY into it, and nothing else was put there.
    fn was_there_before(&self, folder: &str, first: usize) -> Result<bool, Option<Refusal>> {
        let mut was = false;
        for at in self.lineage.iter().take_while(|at| **at < first) {
            if !is_named_by(self.unit, folder, *at, &self.scope) {
                continue;
            }
            let is_folder = self.unit.kind(*at) == Kind::Workdir
                && self.unit.settings(*at + 1).workdir.known().is_some_and(|workdir| workdir == folder);
            if !is_folder {
                let reason = "an earlier instruction may have put something at that place, which is changed as well";
                return Err(refusal("not-fresh", reason));
            }
            was = true;
        }
        Ok(was)
    }

    /// Whether `--chmod` may leave the folder itself as it is.
    fn check_folder_itself(
        &self,
        folder: &str,
        touching: &[&Copied],
        change: &Change,
        was_there: bool,
    ) -> Result<bool, Option<Refusal>> {
        let Setting::Mode { bits, .. } = change.setting else {
            let has_parent =
                !gives_away(&change.setting) || touching.first().is_some_and(|first| self.has_parent(folder, first.at));
            let reason = "the COPY makes the folder above as well, and --chown would give that away too";
            return if was_there || has_parent { Ok(false) } else { Err(refusal("makes-parents", reason)) };
        };
        // The folder that a COPY makes to copy into, and those above it, have the mode 755, whatever --chmod says.
        if bits == 0o755 {
            return Ok(false);
        }
        if touching.iter().any(|copied| copied.target != folder && !self.has_parent(&copied.target, copied.at)) {
            return Err(refusal("makes-parents", "the COPY makes folders on its way, which --chmod leaves at 755"));
        }
        Ok(true)
    }

    /// Whether nothing between the first COPY and the RUN looks at owners, or puts more where they are changed.
    fn check_between(&self, first: usize, known: &[&str], found: &BTreeSet<usize>) -> Result<(), Option<Refusal>> {
        for at in (first + 1..self.at).filter(|at| !found.contains(at)) {
            let names = known.iter().any(|path| is_named_by(self.unit, path, at, &self.scope));
            match self.unit.kind(at) {
                Kind::Run => {
                    let reason = "a command between may depend on who owns the files, or make more of them";
                    return Err(refusal("run-between", reason));
                }
                Kind::Copy | Kind::Add if names => {
                    return Err(refusal("others-write-there", "another instruction puts files there as well"));
                }
                Kind::Workdir if names => {
                    let goes_there = self.unit.settings(at + 1).workdir.known();
                    if !goes_there.is_some_and(|workdir| known.iter().any(|path| is_within(path, workdir))) {
                        return Err(refusal("others-write-there", "a WORKDIR makes a folder there as well"));
                    }
                }
                _ if names => {
                    return Err(refusal("others-write-there", "an instruction between names the place"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a COPY can take the flag.
    fn check_copy(&self, copied: &Copied, change: &Change) -> Result<(), Option<Refusal>> {
        let body = &self.unit.instruction(copied.at).body;
        let odd = ["link", "parents", "exclude", "keep-git-dir", "checksum", "unpack"];
        if odd.iter().any(|flag| body.flag(flag).is_some()) {
            return Err(refusal(
                "other-flags",
                "with the flags that the COPY has, --chown and --chmod do more or less",
            ));
        }
        let (flag, is_owner) = match change.setting {
            Setting::Owner { .. } => ("chown", true),
            Setting::Mode { .. } | Setting::Adds { .. } => ("chmod", false),
        };
        if body.flag(flag).is_some() && !matches!(change.setting, Setting::Adds { .. }) {
            return Err(refusal("already-set", "the COPY sets another owner or mode already"));
        }
        if body.kind == Kind::Add {
            self.check_add(copied)?;
        }
        let kinds: Vec<Source> = copied.sources.iter().map(|source| copied.kind(self.unit, source)).collect();
        if kinds.contains(&Source::Special) {
            return Err(refusal("link", "a source is a link or something special"));
        }
        if let Setting::Owner { group, variables, .. } = &change.setting {
            if group.is_none() && copied.from.is_some() {
                let reason = "the group is that of the other stage's file, which is not known";
                return Err(refusal("group-unknown", reason));
            }
            if !variables.is_empty() {
                let (before, here) = (self.unit.scope(copied.at), self.unit.scope(self.at));
                let is_same = |name: &String| {
                    here.get(name).is_some_and(|variable| variable.value.is_some())
                        && before.get(name) == here.get(name)
                };
                if !variables.iter().all(is_same) {
                    return Err(refusal("variable", "a variable in the owner has no certain value at the COPY"));
                }
            }
        }
        if matches!(change.setting, Setting::Mode { bits, .. } if bits > 0o777) {
            let reason = "some builders leave the set-id bits and the sticky bit out of what --chmod says";
            return Err(refusal("set-id", reason));
        }
        // An octal mode decides about the bits of files, and leaves them to folders.
        if is_owner || copied.files(self.unit).is_none() {
            self.check_set_id(copied)?;
        }
        Ok(())
    }

    fn check_set_id(&self, copied: &Copied) -> Result<(), Option<Refusal>> {
        let mode = self.unit.instruction(copied.at).body.flag("chmod").and_then(|flag| flag.value());
        if mode.is_some_and(|mode| u32::from_str_radix(mode, 8).is_ok_and(|bits| bits & 0o6000 == 0)) {
            return Ok(());
        }
        let reason = "chown clears the set-user-ID and set-group-ID bits, and --chown leaves them";
        match copied.is_without_set_id_bits(self.unit) {
            Some(true) if mode.is_none() => Ok(()),
            None if mode.is_none() && self.unit.may_assume(&NO_SET_ID) => Ok(()),
            _ => Err(refusal("set-id", reason)),
        }
    }

    fn check_add(&self, copied: &Copied) -> Result<(), Option<Refusal>> {
        for source in &copied.sources {
            let lower = source.to_ascii_lowercase();
            if lower.contains("://") || lower.starts_with("git@") || lower.contains(".git#") {
                return Err(refusal("add-remote", "ADD fetches the source, and what that is, is known only then"));
            }
            let endings = [".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz", ".zst"];
            let is_archive = endings.iter().any(|ending| lower.ends_with(ending)) || lower.contains(".tar.");
            let kind = copied.kind(self.unit, source);
            if is_archive || !matches!(kind, Source::Folder | Source::File | Source::NamedLikeFile) {
                return Err(refusal("archive", "ADD unpacks archives, whose files have owners and modes of their own"));
            }
            if kind != Source::Folder && !self.unit.may_assume(&NAMES) {
                return Err(refusal("archive", "ADD unpacks archives, and the name alone does not tell one"));
            }
        }
        Ok(())
    }
}
