//! The removal of packages that served to build, in the RUN that installed and used them: as a group of apk's, or by
//! their names.

use std::collections::{BTreeSet, HashMap};

use jettison_ir::source::{PackagesSeen, SourceUnit, TextEdit};
use jettison_syntax::Span;
use jettison_syntax::packages::{Manager, Package, PackageCommand, Verb};
use jettison_syntax::shell::{CommandKind, Item, Operator, Pipeline, Script, Terminator};

use super::build_evidence::{Chosen, Evidence};
use super::build_needs::{BuildNeeds, group_of};
use super::build_tools::{self, BuildPackage, build_package, builds_natively, keeps_library};
use super::calls::{Call, calls};
use super::insertion::insert;
use super::place::{self, Errexit};

/// Why nothing is removed: a code and a sentence.
pub(crate) type Refusal = (&'static str, String);

/// Packages that can be removed again, and how.
pub(crate) struct Removal {
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The change.
    pub(crate) edits: Vec<TextEdit>,
    /// What to know of packages that stay, as sentences.
    pub(crate) notes: Vec<String>,
    /// Whether they are known by their names to serve builds.
    pub(crate) is_for_building: bool,
}

/// The packages of an installation that go.
struct Going<'p> {
    packages: Vec<&'p Package>,
    /// What they bring and what is kept by its name.
    kept: Vec<String>,
    notes: Vec<String>,
}

fn refuse<T>(code: &'static str, reason: impl Into<String>) -> Result<T, Refusal> {
    Err((code, reason.into()))
}

/// Whether packages of a manager's can be removed again, by what the text tells or by what was seen.
fn is_supported(manager: Manager, seen: Option<&PackagesSeen>) -> bool {
    match manager {
        Manager::Apk | Manager::AptGet | Manager::Apt | Manager::Dnf | Manager::Yum | Manager::Microdnf => true,
        // What they take along is known only where their packages are.
        Manager::Zypper | Manager::Pacman => seen.is_some(),
        _ => false,
    }
}

/// What of the packages that a RUN installs it can remove again, with the place of the installation in the shell text;
/// none where it installs nothing that serves to build, or removes packages itself.
pub(crate) fn removal(
    unit: &SourceUnit<'_>,
    at: usize,
    needs: &BuildNeeds,
) -> Option<(Span, Result<Removal, Refusal>)> {
    let script = unit.script(at).filter(|script| script.error.is_none() && script.exact)?;
    let calls = calls(script);
    let system = || calls.iter().filter_map(|call| Some((call, call.package.as_ref().filter(|own| own.is_system())?)));
    if system().any(|(_, command)| matches!(command.verb, Verb::Remove | Verb::Purge | Verb::AutoRemove)) {
        return None;
    }
    let seen = unit.packages(at);
    let serves = |package: &Package| !package.is_file && build_package(&package.name).is_some();
    let installs = |command: &PackageCommand| {
        let is_install = command.verb == Verb::Install && group_of(command).is_none();
        is_install && is_supported(command.manager, seen)
    };
    let all: Vec<_> = system().filter(|(_, command)| installs(command)).collect();
    let mut found: Vec<_> = all.iter().filter(|(_, command)| command.packages.iter().any(serves)).collect();
    if found.is_empty() && seen.is_some_and(|seen| seen.has_smoke) {
        // Whatever it is for: what is used was seen.
        found = all.iter().filter(|(_, command)| !command.packages.is_empty()).collect();
    }
    let (call, command) = found.first()?;
    if found.len() > 1 {
        let reason = "it installs packages that serve to build in several commands".to_owned();
        return Some((call.span(), Err(("several-installations", reason))));
    }
    let run = Installing { unit, at, script, calls: &calls, call, command, needs, seen };
    Some((call.span(), run.removal()))
}

/// A RUN that installs packages that serve to build.
struct Installing<'r, 'u, 's> {
    unit: &'r SourceUnit<'u>,
    at: usize,
    script: &'s Script,
    calls: &'r [Call<'s>],
    call: &'r Call<'s>,
    command: &'r PackageCommand,
    needs: &'r BuildNeeds,
    /// What building and watching showed.
    seen: Option<&'r PackagesSeen>,
}

impl Installing<'_, '_, '_> {
    fn removal(&self) -> Result<Removal, Refusal> {
        if self.command.unknown {
            return refuse("unknown-packages", "not all of the packages are named: the shell gives some of the words");
        }
        let errexit = place::errexit(self.script, self.unit.settings(self.at).shell.has_option('e'));
        let steps = self.steps(errexit)?;
        let Going { packages: going, kept, notes } = match self.seen {
            Some(seen) => self.by_evidence(seen)?,
            None => self.by_text()?,
        };
        let mut edits = Vec::new();
        let names: Vec<String> = going.iter().map(|package| package.name.clone()).collect();
        let is_for_building = names.iter().all(|name| build_package(name).is_some());
        let commands = if self.command.manager == Manager::Apk {
            let group = self.group_name();
            edits.extend(self.grouped(&going, &kept, &group, errexit)?);
            vec![format!("apk del --no-network {group}")]
        } else {
            let marking = (!kept.is_empty()).then(|| marking(self.command.manager, &kept)).transpose()?;
            marking.into_iter().chain([removing(self.command.manager, &names)]).collect()
        };
        edits.extend(self.behind(self.last_step(&steps), &commands, errexit)?);
        Ok(Removal { names, edits, notes, is_for_building })
    }

    /// What goes by what the text tells.
    fn by_text(&self) -> Result<Going<'_>, Refusal> {
        let used = self.used()?;
        self.is_only_needed_here(&used)?;
        let (packages, staying) = self.without_libraries(used)?;
        let brings = if staying.len() == 1 { "stays: it brings" } else { "stay: they bring" };
        let text = || format!("{} {brings} libraries that are not installed by their own names", staying.join(", "));
        let notes = (!staying.is_empty()).then(text).into_iter().collect();
        Ok(Going { packages, kept: Vec::new(), notes })
    }

    /// What goes by what was seen.
    fn by_evidence(&self, seen: &PackagesSeen) -> Result<Going<'_>, Refusal> {
        self.is_the_last_to_use(seen.has_smoke)?;
        let evidence = Evidence { unit: self.unit, at: self.at, seen };
        let used = self.used().unwrap_or_default();
        let serves = |package: &Package| used.iter().any(|used| used.span == package.span);
        let Chosen { going, mut kept, staying } = evidence.choose(self.command, self.needs, &serves)?;
        kept.extend(evidence.certificates(&going, &kept));
        let by_name = kept.iter().map(|(name, reason)| format!("{name} is kept by its name: {reason}"));
        let notes = by_name.chain(staying).collect();
        Ok(Going { packages: going, kept: kept.into_iter().map(|(name, _)| name).collect(), notes })
    }

    /// The steps of the RUN, if each runs only when those before it went well, and the installation is one of them.
    fn steps(&self, errexit: Errexit) -> Result<Vec<Span>, Refusal> {
        let items = &self.script.body.items;
        let is_guarded = items.len() == 1 || errexit == Errexit::On;
        if !is_guarded || items.iter().any(is_background) || !items.last().is_some_and(is_and) {
            return refuse("unguarded-list", "commands run there whether those before them went well or not");
        }
        let own = self.call.span();
        let Some(item) = items.iter().find(|item| item.span.contains(own)) else {
            return refuse("odd-place", "the packages are installed where nothing can follow");
        };
        let is_step = pipelines(item).any(|pipeline| self.is_own(pipeline));
        let is_alone = items.len() == 1 || item.and_or.rest.is_empty();
        if !is_step
            || !is_and(item)
            || !is_alone
            || self.command.name_span.start != self.call.simple.words[0].span.start
        {
            return refuse("odd-place", "the packages are installed within another command, or under a condition");
        }
        let leaves = |call: &Call<'_>| matches!(call.simple.name(), Some("exit" | "exec" | "return" | "trap"));
        if self.calls.iter().any(leaves) {
            return refuse("odd-place", "its shell may end before its last command");
        }
        Ok(items.iter().flat_map(pipelines).map(|pipeline| pipeline.span).collect())
    }

    /// Whether it is the installation, or the list of a RUN that was joined with others, of which it is one step.
    fn is_own(&self, pipeline: &Pipeline) -> bool {
        let [command] = &pipeline.commands[..] else { return false };
        let is_step = match &command.kind {
            CommandKind::Simple(_) => command.span == self.call.span(),
            // By the text alone nothing is told of RUNs that state was kept apart for.
            CommandKind::Subshell(list) if self.seen.is_some() => match &list.items[..] {
                [item] => is_and(item) && !is_background(item) && pipelines(item).any(|inner| self.is_own(inner)),
                _ => false,
            },
            _ => false,
        };
        is_step && !pipeline.negated
    }

    /// The packages that something behind their installation uses.
    fn used(&self) -> Result<Vec<&Package>, Refusal> {
        let behind: Vec<&Call<'_>> =
            self.calls.iter().filter(|call| call.span().start >= self.call.span().end).collect();
        let is_used = |package: BuildPackage| behind.iter().any(|call| build_tools::uses(package, call));
        let is_tool_used = |name: &str, tool| match build_tools::is_history(name) {
            true => build_tools::fetches_to_build(&behind, tool),
            false => is_used(tool),
        };
        let compiles = is_used(BuildPackage::Compiler);
        let mut tools: HashMap<&str, bool> = HashMap::new();
        let named = self.command.packages.iter().filter(|package| !package.is_file);
        let used: Vec<&Package> = named
            .filter(|package| match build_package(&package.name) {
                Some(tool @ BuildPackage::Tool(_)) => {
                    *tools.entry(&package.name).or_insert_with(|| is_tool_used(&package.name, tool))
                }
                Some(_) => compiles,
                None => false,
            })
            .collect();
        if used.is_empty() {
            return refuse("no-use-seen", "nothing in this RUN is seen to use the packages that serve to build");
        }
        Ok(used)
    }

    /// An instruction by its keyword.
    fn keyword(&self, at: usize) -> &'static str {
        self.unit.kind(at).keyword()
    }

    /// What the rest of the file says against it, whatever is installed. Where commands show the image's work, they say
    /// what it needs at run time.
    fn is_the_last_to_use(&self, has_smoke: bool) -> Result<(), Refusal> {
        let mut languages = self.calls.iter().filter_map(|call| call.package.as_ref()).filter(|own| !own.is_system());
        let compiling = languages.find_map(|command| {
            command.packages.iter().find(|package| build_tools::compiles_where_used(&package.name))
        });
        if let Some(package) = compiling.filter(|_| !has_smoke) {
            return refuse("builds-at-run-time", format!("{} calls compilers where it is used", package.name));
        }
        let stage = self.unit.outline.stage_of(self.at).map(|stage| stage.index);
        if let Some(later) = self.needs.needed_by[self.at] {
            return refuse("needed-later", format!("a later {} may need them", self.keyword(later)));
        }
        if let Some(by) = stage.and_then(|stage| self.needs.copied_by[stage]) {
            return refuse("copied-from", format!("a {} takes files from this stage", self.keyword(by)));
        }
        if !self.needs.has_command && !has_smoke {
            return refuse(
                "no-command",
                "the file names no command to run, or a shell: it may be an image for people to build with",
            );
        }
        Ok(())
    }

    /// What the rest of the file says against it, as far as the text alone tells.
    fn is_only_needed_here(&self, used: &[&Package]) -> Result<(), Refusal> {
        self.is_the_last_to_use(false)?;
        let earlier = |package: &&&Package| self.needs.installed.get(&package.name).is_some_and(|by| *by < self.at);
        if let Some(package) = used.iter().find(earlier) {
            return refuse("installed-before", format!("an earlier RUN installs {} already", package.name));
        }
        if self.command.manager == Manager::Apk {
            return Ok(());
        }
        if !self.needs.base.as_deref().is_some_and(build_tools::lacks_build_packages) {
            return refuse("base-may-have-them", "the base may hold them already, and would lose them");
        }
        self.takes_nothing_else(used)
    }

    /// Whether a removal by name takes nothing with it that is to stay.
    fn takes_nothing_else(&self, used: &[&Package]) -> Result<(), Refusal> {
        let going: BTreeSet<&str> = used.iter().map(|package| package.name.as_str()).collect();
        let takes_compilers = going.iter().any(|name| !matches!(build_package(name), Some(BuildPackage::Tool(_))));
        let mut others = self.needs.installed.keys().filter(|name| !going.contains(name.as_str()));
        let needs_them = |name: &&String| {
            let is_build = matches!(build_package(name), Some(BuildPackage::Compiler | BuildPackage::Headers));
            is_build || build_tools::needs_compilers(name) || name.starts_with('@')
        };
        if let Some(other) = others.find(needs_them).filter(|_| takes_compilers) {
            return refuse("may-take-more", format!("{other} may need them, and would go with them"));
        }
        if used.iter().any(|package| package.qualifier.is_some()) {
            return refuse("other-architecture", "packages of another architecture are among them");
        }
        let is_apt = matches!(self.command.manager, Manager::AptGet | Manager::Apt);
        let recommends = is_apt && !self.command.has_option(&["--no-install-recommends"]);
        let mut bringing = going.iter().filter(|name| build_tools::brings_certificates(name));
        match bringing.next() {
            Some(name) if recommends && !self.needs.installed.contains_key("ca-certificates") => refuse(
                "brings-certificates",
                format!("{name} brings ca-certificates, which other programs may need and nothing else names"),
            ),
            _ => Ok(()),
        }
    }

    /// The packages that can go, and those that stay for the libraries that they bring.
    fn without_libraries<'p>(&self, used: Vec<&'p Package>) -> Result<(Vec<&'p Package>, Vec<String>), Refusal> {
        let installed = &self.needs.installed;
        let is_apk = self.command.manager == Manager::Apk;
        let stays = |package: &&Package| {
            let is_headers = build_package(&package.name) == Some(BuildPackage::Headers);
            is_headers && !keeps_library(&package.name, installed)
        };
        let (staying, going): (Vec<&Package>, Vec<&Package>) = used.into_iter().partition(stays);
        let refusal = |name: &str, what: &str| {
            refuse("needs-run-time-library", format!("{name} brings {what}, which nothing installs by its own name"))
        };
        if let Some(package) = staying.first()
            && (!is_apk || going.is_empty())
        {
            return refusal(&package.name, "a library that what is built may need");
        }
        let names: BTreeSet<&str> = going.iter().map(|package| package.name.as_str()).collect();
        let is_native = self.calls.iter().any(builds_natively);
        let has = |wanted: &[&str]| wanted.iter().any(|name| installed.contains_key(*name));
        let base_has = self.needs.base.as_deref().is_some_and(build_tools::has_plus_library);
        if let Some(libraries) = build_tools::compiler_library(&names, is_native).filter(|_| is_apk && !base_has)
            && !has(libraries)
        {
            let mut compilers = going.iter().map(|package| package.name.as_str());
            let compiler = compilers.find(|name| build_tools::is_plus(name)).or_else(|| names.first().copied());
            return refusal(compiler.unwrap_or_default(), &format!("{} for what it compiles", libraries.join(" and ")));
        }
        let fortran = names.iter().find(|name| name.contains("gfortran"));
        if let Some(name) = fortran
            && !installed.keys().any(|own| own.starts_with("libgfortran"))
        {
            return refusal(name, "libgfortran for what it compiles");
        }
        Ok((going, staying.into_iter().map(|package| package.name.clone()).collect()))
    }

    /// The last step that is no clean-up.
    fn last_step(&self, steps: &[Span]) -> Span {
        let is_cleaning = |call: &Call<'_>| {
            let cleans = call.package.as_ref().is_some_and(|command| command.verb == Verb::Clean);
            cleans || matches!(call.simple.name(), Some("rm" | "rmdir"))
        };
        // The calls stand in order, as the steps do.
        let mut calls = self.calls.iter().rev().peekable();
        for step in steps.iter().rev() {
            let (mut any, mut all) = (false, true);
            while let Some(call) = calls.next_if(|call| call.span().start >= step.start) {
                (any, all) = (true, all && is_cleaning(call));
            }
            if !any || !all {
                return *step;
            }
        }
        self.call.span()
    }

    /// A name that the file does not hold yet.
    fn group_name(&self) -> String {
        let text = self.unit.tree.text();
        let mut name = ".build-packages".to_owned();
        let mut number = 2;
        while text.contains(&name) {
            name = format!(".build-packages-{number}");
            number += 1;
        }
        name
    }

    fn behind(&self, step: Span, commands: &[String], errexit: Errexit) -> Result<Vec<TextEdit>, Refusal> {
        let place = place::behind(self.script, &[step], &[self.call.span()], errexit)
            .map_err(|(code, reason)| (code, reason.to_owned()))?;
        if place.grouped {
            return refuse("odd-place", "what would come before the removal is an alternative to another command");
        }
        Ok(insert(self.unit, self.at, &place, commands))
    }

    /// The edits that put packages into a group: in the command itself if all go, or else in one of their own, behind
    /// those that stay and what is kept of the others.
    fn grouped(
        &self,
        going: &[&Package],
        kept: &[String],
        group: &str,
        errexit: Errexit,
    ) -> Result<Vec<TextEdit>, Refusal> {
        let words = &self.call.simple.words;
        let going_words: BTreeSet<Span> = going.iter().map(|package| package.span).collect();
        let packages: BTreeSet<Span> = self.command.packages.iter().map(|package| package.span).collect();
        let is_package = |span: Span| packages.contains(&span);
        let source = |span: Span| self.unit.source_span(self.at, span);
        if going.len() == self.command.packages.len() && kept.is_empty() {
            let first = words.iter().position(|word| is_package(word.span)).filter(|first| *first > 0);
            let Some(first) = first else { return refuse("odd-place", "its packages come before its options") };
            return Ok(vec![TextEdit::insert(source(words[first - 1].span).end, format!(" --virtual {group}"))]);
        }
        if !self.call.command.redirects.is_empty() || !self.call.simple.assignments.is_empty() {
            return refuse("odd-place", "variables or redirects belong to the installation, which would be two");
        }
        let options = words.iter().map(|word| word.span).filter(|span| !is_package(*span));
        let options: Vec<&str> = options.map(|span| span.of(&self.script.text)).collect();
        let mut own = format!("{} --virtual {group}", options.join(" "));
        let mut taken: Vec<Span> = Vec::new();
        let mut by_name = String::new();
        for pair in words.windows(2).filter(|pair| going_words.contains(&pair[1].span)) {
            let (left, right) = (source(pair[0].span), source(pair[1].span));
            let gap = self.gap(left.end, right.start)?;
            if taken.is_empty() {
                by_name = kept.iter().map(|name| format!("{gap}{name}")).collect();
            }
            own.push_str(&gap);
            own.push_str(pair[1].span.of(&self.script.text));
            let span = Span { start: left.end, end: right.end };
            match taken.last_mut().filter(|last| last.end == span.start) {
                Some(last) => last.end = span.end,
                None => taken.push(span),
            }
        }
        let mut edits: Vec<TextEdit> = taken.into_iter().map(TextEdit::delete).collect();
        if let Some(first) = edits.first_mut() {
            first.text = by_name;
        }
        edits.extend(self.behind(self.call.span(), &[own], errexit)?);
        Ok(edits)
    }

    /// What stands between two words: a blank, or a continuation with the indentation behind it.
    fn gap(&self, from: u32, to: u32) -> Result<String, Refusal> {
        let gap = self.unit.tree.text().get(from as usize..to as usize).unwrap_or_default();
        let is_blank = |ch: char| ch.is_whitespace() || ch == self.unit.tree.escape;
        if !gap.chars().all(is_blank) || gap.matches('\n').count() > 1 {
            return refuse("comment-among-packages", "comments or empty lines stand among the packages");
        }
        Ok(gap.rsplit_once('\n').map_or_else(|| " ".to_owned(), |(_, indent)| format!(" \\\n{indent}")))
    }
}

fn pipelines(item: &Item) -> impl Iterator<Item = &Pipeline> {
    std::iter::once(&item.and_or.first).chain(item.and_or.rest.iter().map(|(_, _, pipeline)| pipeline))
}

/// Whether each of its commands runs only where those before it went well.
fn is_and(item: &Item) -> bool {
    item.and_or.rest.iter().all(|(operator, _, _)| *operator == Operator::And)
}

fn is_background(item: &Item) -> bool {
    matches!(item.terminator, Some((Terminator::Background, _)))
}

/// The command that makes packages ones that somebody asked for, so that they stay when what brought them goes.
fn marking(manager: Manager, names: &[String]) -> Result<String, Refusal> {
    let names = names.join(" ");
    match manager {
        Manager::AptGet | Manager::Apt => Ok(format!("apt-mark manual {names}")),
        Manager::Dnf => Ok(format!("dnf mark install {names}")),
        Manager::Yum => Ok(format!("yum mark install {names}")),
        Manager::Pacman => Ok(format!("pacman -D --asexplicit {names}")),
        _ => refuse("needs-run-time-library", format!("{names} would go with them, which something needs")),
    }
}

/// The command that removes packages with what only they needed.
fn removing(manager: Manager, names: &[String]) -> String {
    let names = names.join(" ");
    match manager {
        Manager::AptGet | Manager::Apt => format!("apt-get purge -y --auto-remove {names}"),
        Manager::Microdnf => format!("microdnf remove -y {names}"),
        Manager::Yum => format!("yum remove -y {names}"),
        Manager::Zypper => format!("zypper --non-interactive remove --clean-deps {names}"),
        Manager::Pacman => format!("pacman -Rns --noconfirm {names}"),
        _ => format!("dnf remove -y {names}"),
    }
}
