//! Finds what package managers leave behind in a RUN, and puts its removal there.
//!
//! What the managers differ in is a [`Leftover`]; everything else is the same for all: which stages ship, what mounts
//! hide, what later instructions need, where in the shell text the removal goes.

use jettison_ir::Assumption;
use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::packages::{self, Argument, PackageCommand};
use jettison_syntax::shell::Script;
use jettison_syntax::view::{Scope, Setting};

use super::calls::{Call, calls};
use super::folders::{self, Folder, Mounted};
use super::insertion;
use super::later::{self, First};
use super::place;

pub(crate) const INDEXES: Assumption = Assumption {
    name: "package-indexes-are-not-read-at-run-time",
    holds: "a container does not read the index of packages that a build fetched, or fetches it again before",
};

pub(crate) const CACHES: Assumption = Assumption {
    name: "package-caches-are-not-read-at-run-time",
    holds: "a container does not read what package managers keep to save a download or a build",
};

pub(crate) const SCRIPTS: Assumption = Assumption {
    name: "scripts-fetch-their-own-package-indexes",
    holds: "a script of the project that installs packages fetches the index of packages before, or is named for it",
};

/// What a command does with a leftover.
#[derive(Clone, Copy, Default)]
pub(crate) struct Role {
    /// It makes it.
    pub(crate) makes: bool,
    /// It cannot do without what an earlier command made.
    pub(crate) needs: bool,
    /// It removes it, or cares for that otherwise.
    pub(crate) clears: bool,
    /// It works in a place of its own, which is not followed.
    pub(crate) elsewhere: bool,
}

/// A kind of leftover.
pub(crate) struct Leftover {
    /// Texts one of which every use of the manager holds.
    pub(crate) hints: &'static [&'static str],
    /// What is left, for messages.
    pub(crate) what: &'static str,
    /// Where it is, as far as that is known; `*` stands for any name.
    pub(crate) folders: &'static [Folder],
    /// Whether only root may remove it.
    pub(crate) is_roots: bool,
    /// What a command does with it; the text is the script's.
    pub(crate) role: fn(&PackageCommand, &str) -> Role,
    /// Other programs that need it.
    pub(crate) readers: &'static [&'static str],
    /// Other programs that make it, or more of it.
    pub(crate) fetchers: &'static [&'static str],
    /// Whether scripts of the project may need it.
    pub(crate) scripts_may_need: bool,
    /// Texts in the file that say that it is kept on purpose.
    pub(crate) keeps: &'static [&'static str],
    /// Texts by which a removal is known besides the folders.
    pub(crate) removed_as: &'static [&'static str],
    /// The commands that remove it; they always succeed. None where there is none that would.
    pub(crate) removal: fn(&Made<'_>) -> Option<Vec<String>>,
}

/// A leftover that a command makes.
pub(crate) struct Made<'a> {
    /// The program, as it is called.
    pub(crate) program: &'a str,
    /// The variables in force.
    pub(crate) scope: &'a Scope,
    /// Whether that program has certainly run before the removal does.
    pub(crate) has_run: bool,
    /// Whether the removal runs with `sudo`, so that `~` may be another user's home than the program's.
    pub(crate) with_sudo: bool,
}

impl Made<'_> {
    /// The removal of folders with `rm`.
    pub(crate) fn without(&self, folders: &[Folder]) -> Option<Vec<String>> {
        let names: Vec<String> = folders.iter().map(|folder| folder.shell_text(self.scope)).collect();
        let in_home = names.iter().any(|name| name.starts_with('~'));
        (!in_home || !self.with_sudo).then(|| vec![format!("rm -rf {}", names.join(" "))])
    }
}

/// Why something is left alone: a code and a sentence.
pub(crate) type Refusal = (&'static str, String);

/// The refusal where the file says that a leftover stays.
pub(crate) const KEPT: (&str, &str) = ("kept-on-purpose", "the Dockerfile says that this is kept");

/// Everything about one kind of leftover in a Dockerfile.
pub(crate) fn run(unit: &SourceUnit<'_>, leftover: &Leftover) -> Vec<SourceRemark> {
    let is_kept = leftover.keeps.iter().any(|text| unit.tree.text().contains(text));
    run_unless(unit, leftover, is_kept.then_some(KEPT))
}

/// The same, where everything is left alone for a reason, if there is one.
pub(crate) fn run_unless(
    unit: &SourceUnit<'_>,
    leftover: &Leftover,
    kept: Option<(&'static str, &'static str)>,
) -> Vec<SourceRemark> {
    let uses_it: Vec<bool> = (0..unit.instructions().len()).map(|at| mentions(unit, at, leftover)).collect();
    if !uses_it.contains(&true) {
        return Vec::new();
    }
    let needed = later::needed_by(unit, &|at| first_use(unit, at, leftover, uses_it[at]));
    let shipped = later::shipped(unit);
    let mut remarks = Vec::new();
    for stage in unit.stages().iter().filter(|stage| shipped[stage.index]) {
        for at in stage.instructions.clone().filter(|at| uses_it[*at] && unit.kind(*at) == Kind::Run) {
            let span = unit.instruction(at).span;
            match examine(unit, at, leftover, needed[at], kept) {
                Ok(None) => {}
                Ok(Some(finding)) => remarks.push(SourceRemark::Found(finding)),
                Err((code, reason)) => remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason })),
            }
        }
    }
    remarks
}

fn mentions(unit: &SourceUnit<'_>, at: usize, leftover: &Leftover) -> bool {
    let line = unit.text(at).map_or_else(|| unit.tree.line(unit.instruction(at)), |text| &text.text);
    leftover.hints.iter().any(|hint| line.contains(hint))
}

/// The package command of an exec form.
pub(crate) fn executed(unit: &SourceUnit<'_>, at: usize) -> Option<PackageCommand> {
    let Arguments::Json(strings) = &unit.instruction(at).body.arguments else { return None };
    let words: Vec<Argument<'_>> =
        strings.iter().map(|string| Argument { value: Some(&string.value), span: Span::default() }).collect();
    packages::read(&words)
}

/// What an instruction does first with the leftover, as far as can be told.
fn first_use(unit: &SourceUnit<'_>, at: usize, leftover: &Leftover, uses_it: bool) -> Option<First> {
    let needs_or_makes = |role: Role, offline: bool| match role {
        Role { makes: true, needs: false, .. } if !offline => Some(First::Makes),
        Role { makes: true, .. } | Role { needs: true, .. } => Some(First::Needs),
        _ => None,
    };
    match unit.kind(at) {
        Kind::Run => {}
        // What is not taken apart needs it, unless it fetches its own.
        Kind::Onbuild | Kind::Cmd | Kind::Entrypoint | Kind::Healthcheck => {
            let line = unit.tree.line(unit.instruction(at));
            let fetches = [" update", "-Sy", "refresh", "\"update\""].iter().any(|text| line.contains(text));
            return (uses_it && leftover.scripts_may_need && !fetches).then_some(First::Needs);
        }
        _ => return None,
    }
    let offline = unit.instruction(at).body.flag("network").is_some_and(|flag| flag.value() == Some("none"));
    let Some(script) = unit.script(at).filter(|script| script.error.is_none()) else {
        let Some(command) = executed(unit, at) else { return uses_it.then_some(First::Needs) };
        return needs_or_makes((leftover.role)(&command, ""), offline);
    };
    if !uses_it && !leftover.scripts_may_need {
        return None;
    }
    calls(script).iter().find_map(|call| match &call.package {
        Some(command) => needs_or_makes((leftover.role)(command, &script.text), offline),
        None if names_folder(call, script, leftover) => Some(First::Needs),
        None => needs_unseen(unit, call, script, leftover),
    })
}

/// Whether a command names one of the folders, other than to remove it.
fn names_folder(call: &Call<'_>, script: &Script, leftover: &Leftover) -> bool {
    let removes = matches!(call.program(), Some(("rm" | "/bin/rm" | "find" | "rmdir", _)));
    !removes && leftover.folders.iter().any(|folder| call.mentions(script, folder.token()))
}

/// Whether a command that is not taken apart may need the leftover.
fn needs_unseen(unit: &SourceUnit<'_>, call: &Call<'_>, script: &Script, leftover: &Leftover) -> Option<First> {
    let (program, words) = call.program()?;
    let name = program.rsplit('/').next().unwrap_or_default();
    if leftover.readers.contains(&name) {
        return Some(First::Needs);
    }
    if !leftover.scripts_may_need || !call.is_opaque() {
        return None;
    }
    if leftover.hints.iter().any(|hint| call.mentions(script, hint)) {
        return Some(if call.mentions(script, "update") { First::Makes } else { First::Needs });
    }
    let named = std::iter::once(name).chain(words.iter().map(|word| word.text(&script.text)));
    let is_installer = named
        .filter(|word| word.ends_with(".sh") || (*word == name && program.contains('/')))
        .map(|word| word.rsplit('/').next().unwrap_or_default().to_ascii_lowercase())
        .any(|name| {
            ["install", "setup", "dep", "package", "prereq", "bootstrap", "provision"]
                .iter()
                .any(|part| name.contains(part))
        });
    (is_installer || !unit.may_assume(&SCRIPTS)).then_some(First::Needs)
}

/// What one RUN leaves, and its removal.
pub(crate) fn examine(
    unit: &SourceUnit<'_>,
    at: usize,
    leftover: &Leftover,
    needed: Option<usize>,
    kept: Option<(&'static str, &'static str)>,
) -> Result<Option<SourceFinding>, Refusal> {
    let refuse = |code: &'static str, reason: &str| Err((code, reason.to_owned()));
    if let Some(command) = executed(unit, at) {
        if (leftover.role)(&command, "").makes {
            return refuse("exec-form", "the exec form runs one program, and has no place for a second one");
        }
        return Ok(None);
    }
    let script = whole_script(unit, at)?;
    let calls = calls(script);
    let roles: Vec<Role> = calls
        .iter()
        .map(|call| call.package.as_ref().map_or_else(Role::default, |command| (leftover.role)(command, &script.text)))
        .collect();
    let Some(last) = roles.iter().rposition(|role| role.makes) else { return Ok(None) };
    let scope = unit.scope(at);
    let home = folders::home(unit, at, &scope);
    let paths: Vec<String> =
        leftover.folders.iter().filter_map(|folder| folder.path(&scope, home.as_deref())).collect();
    let removes = |call: &Call<'_>| {
        let is_removal = matches!(call.program(), Some(("rm" | "/bin/rm" | "find", _)));
        let own = leftover.folders.iter().map(|folder| folder.shell_text(&scope));
        let mut names = leftover.removed_as.iter().map(|name| (*name).to_owned()).chain(own);
        let is_named = is_removal && names.any(|name| call.mentions(script, &name));
        is_named || paths.iter().any(|path| folders::removes(call, script, &scope, home.as_deref(), path))
    };
    let cleans = |call: &Call<'_>| call.program().is_some_and(|(program, _)| program.contains("clean"));
    if (last..calls.len()).any(|at| roles[at].clears || removes(&calls[at]) || cleans(&calls[at])) {
        return Ok(None);
    }
    let known = if paths.is_empty() { vec![None] } else { paths.iter().map(|path| Some(path.as_str())).collect() };
    for path in known {
        match folders::mounted(unit, at, unit.instruction(at), path) {
            Mounted::Hidden => return Ok(None),
            Mounted::Unclear => return refuse("mounts", "something is mounted there, or it is not known where"),
            Mounted::Free => {}
        }
    }
    if roles.iter().any(|role| role.elsewhere) {
        return refuse("elsewhere", "the command works in a place of its own");
    }
    if let Some((code, reason)) = kept {
        return refuse(code, reason);
    }
    if let Some(later) = needed {
        let (line, _) = unit.tree.position(unit.instruction(later).span.start);
        return Err(("needed-later", format!("line {line} uses what is left here, or may do so")));
    }
    let behind = &script.text[calls[last].span().end as usize..];
    if leftover.folders.iter().any(|folder| behind.contains(folder.token())) {
        return refuse("needed-later", "a later command of the RUN names the folder, and may read it");
    }
    let prefix = privilege(unit, at, leftover, &calls[last], script)?;
    let maker = &calls[last];
    let (errexit, makers, after) = surroundings(unit, at, leftover, script, &calls, &roles);
    let place = place::behind(script, &after, &makers, errexit)
        .or_else(|refusal| {
            // Scripts are followed where that can be: only what names the manager has to be.
            let known: Vec<Span> = after.iter().copied().filter(|span| is_known(&calls, *span)).collect();
            if known.len() == after.len() { Err(refusal) } else { place::behind(script, &known, &makers, errexit) }
        })
        .map_err(|(code, reason)| (code, reason.to_owned()))?;
    let program_of =
        |call: &Call<'_>| call.package.as_ref().map_or("", |command| command.name_span.of(&script.text)).to_owned();
    let program = program_of(maker);
    let is_one = calls.iter().zip(&roles).all(|(call, role)| !role.makes || program_of(call) == program);
    let made = Made {
        program: &program,
        scope: &scope,
        has_run: is_one && !place.is_behind_compound,
        with_sudo: !prefix.is_empty(),
    };
    let Some(commands) = (leftover.removal)(&made) else {
        return refuse("unsure-command", "no command is known that removes this here and never fails");
    };
    let commands: Vec<String> = commands.into_iter().map(|command| format!("{prefix}{command}")).collect();
    let message = format!("{} leaves {} in the image", made.program, leftover.what);
    // With sudo, the home may be either user's.
    let home = home.as_deref().filter(|_| prefix.is_empty());
    let claims = leftover.folders.iter().flat_map(|folder| folder.claims(&scope, home)).collect();
    let edits = insertion::insert(unit, at, &place, &commands);
    Ok(Some(SourceFinding::fixed(unit.source_span(at, maker.span()), message, edits, SourceClaim::Gone(claims))))
}

/// The shell text of a RUN, where all of it is known.
pub(crate) fn whole_script<'u>(unit: &'u SourceUnit<'_>, at: usize) -> Result<&'u Script, Refusal> {
    let Some(script) = unit.script(at) else {
        return Err(("unread-shell", "the language of this shell is not read".to_owned()));
    };
    let strips_tabs = unit.text(at).is_some_and(|text| text.is_heredoc)
        && unit.instruction(at).heredocs.iter().any(|heredoc| heredoc.strips_tabs);
    if script.error.is_some() || !script.exact || strips_tabs {
        return Err(("unread-script", "the shell text could not be read as a whole".to_owned()));
    }
    Ok(script)
}

fn is_known(calls: &[Call<'_>], span: Span) -> bool {
    calls.iter().any(|call| call.span() == span && call.package.is_some())
}

/// Whether `set -e` is in force, what makes the leftover, and what the removal has to come after.
fn surroundings(
    unit: &SourceUnit<'_>,
    at: usize,
    leftover: &Leftover,
    script: &Script,
    calls: &[Call<'_>],
    roles: &[Role],
) -> (place::Errexit, Vec<Span>, Vec<Span>) {
    let errexit = place::errexit(script, unit.settings(at).shell.has_option('e'));
    let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<Span> {
        (0..calls.len()).filter(|at| wanted(*at)).map(|at| calls[at].span()).collect()
    };
    let makers = of(&|at| roles[at].makes);
    let first = makers.first().map_or(0, |span| span.start);
    let is_reader = |call: &Call<'_>| {
        let name = call.program().map(|(program, _)| program.rsplit('/').next().unwrap_or_default());
        name.is_some_and(|name| leftover.readers.contains(&name) || leftover.fetchers.contains(&name))
    };
    let may_need = |call: &Call<'_>| leftover.scripts_may_need && call.is_opaque() && call.span().start > first;
    let after = of(&|at| roles[at].makes || roles[at].needs || is_reader(&calls[at]) || may_need(&calls[at]));
    (errexit, makers, after)
}

/// What has to stand before the removal so that it may be done: nothing, or `sudo`.
fn privilege(
    unit: &SourceUnit<'_>,
    at: usize,
    leftover: &Leftover,
    maker: &Call<'_>,
    script: &Script,
) -> Result<&'static str, Refusal> {
    let name = maker.package.as_ref().map_or(maker.span().start, |command| command.name_span.start);
    let before: Vec<&str> =
        maker.simple.words.iter().filter(|word| word.span.end <= name).map(|word| word.text(&script.text)).collect();
    if before.contains(&"exec") {
        return Err((
            "replaced-shell",
            "the command takes the shell's place, so that nothing can follow it".to_owned(),
        ));
    }
    if before.first() == Some(&"sudo") {
        let plain = before[1..].iter().all(|word| matches!(*word, "-E" | "-H" | "-n" | "-EH") || word.contains('='));
        return if plain {
            Ok("sudo ")
        } else {
            Err(("other-user", "sudo has options that are not followed".to_owned()))
        };
    }
    let user = match &unit.settings(at).user {
        Setting::Base => return Ok(""),
        Setting::Unknown => None,
        Setting::Known(user) => Some(user.split(':').next().unwrap_or_default()),
    };
    let is_root = matches!(user, Some("root" | "0" | ""));
    if leftover.is_roots && !is_root {
        return Err(("not-root", "only root can remove this, and the user here is another one".to_owned()));
    }
    Ok("")
}
