//! Finds packages that only a build needs and that the image keeps: those that nothing removes, and those that a later
//! layer hides.

use std::collections::HashMap;

use jettison_ir::source::{SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::calls::{Call, calls};

pub(crate) const PASS: Pass = Pass {
    name: "build-packages",
    summary: "packages that only a build needs and that the image keeps",
    level: Level::O1,
    safety: Safety::Advice,
    page: include_str!("build_packages.md"),
    aliases: &["DD063"],
    run: Run::Source(run),
};

/// Packages of distributions that serve to build, besides those whose names end in `-dev` and `-devel`.
#[rustfmt::skip]
const BUILD_ONLY: &[&str] = &[
    "autoconf", "automake", "bison", "build-base", "build-essential", "cargo", "clang", "cmake", "dpkg-dev", "file",
    "flex", "g++", "gcc", "gcc-c++", "gfortran", "libtool", "linux-headers", "m4", "make", "meson", "nasm", "ninja",
    "ninja-build", "pkg-config", "pkgconf", "re2c", "rust", "yasm",
];

/// Commands that build something, so that what they are given is needed while they run.
#[rustfmt::skip]
const BUILDERS: &[&str] = &[
    "autoreconf", "cargo", "cc", "clang", "cmake", "configure", "docker-php-ext-install", "g++", "gcc", "gem", "go",
    "make", "meson", "ninja", "pecl", "phpize",
];

/// The installations and removals of one RUN.
struct Step {
    at: usize,
    /// Names of packages and groups, with the manager and the place of the command.
    installed: Vec<(String, Manager, Span)>,
    removed: Vec<String>,
    /// The first command that removes packages.
    removal: Option<Span>,
    /// Whether it removes something whose name is not known.
    removes_unknown: bool,
    /// Whether something is built, as far as the text tells.
    builds: bool,
    /// Whether something may be built that the text does not tell.
    is_opaque: bool,
}

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let shipping = unit.stages().iter().filter(|stage| unit.outline.ships(stage.index));
    let runs = shipping.flat_map(|stage| stage.instructions.clone()).filter(|at| unit.kind(*at) == Kind::Run);
    let steps: Vec<Step> = runs.map(|at| step(unit, at)).collect();
    let mut remarks = removed_later(&steps);
    remarks.extend(kept(unit, &steps));
    remarks
}

fn step(unit: &SourceUnit<'_>, at: usize) -> Step {
    let mut step = Step {
        at,
        installed: Vec::new(),
        removed: Vec::new(),
        removal: None,
        removes_unknown: false,
        builds: false,
        is_opaque: false,
    };
    let Some(script) = unit.script(at) else { return Step { is_opaque: true, ..step } };
    step.is_opaque = script.error.is_some();
    for call in calls(script) {
        let span = unit.source_span(at, call.span());
        match &call.package {
            Some(command) if command.is_system() => step.read(command, span),
            _ => step.builds |= builds(&call),
        }
        let is_build = call.program().is_some_and(|(program, _)| BUILDERS.contains(&base_name(program)));
        step.is_opaque |= call.is_opaque() && !is_build;
    }
    step
}

fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn builds(call: &Call<'_>) -> bool {
    let language = call.package.as_ref().is_some_and(|command| matches!(command.verb, Verb::Install | Verb::Build));
    language || call.program().is_some_and(|(program, _)| BUILDERS.contains(&base_name(program)))
}

impl Step {
    fn read(&mut self, command: &PackageCommand, span: Span) {
        match command.verb {
            Verb::Install => {
                let group = command.option_value(&["--virtual", "-t"]).map(str::to_owned);
                let names = command.packages.iter().map(|package| package.name.clone());
                // What is in a group goes with the group, and is not named when it goes.
                match group.filter(|_| command.manager == Manager::Apk) {
                    Some(group) => self.installed.push((group, command.manager, span)),
                    None => self.installed.extend(names.map(|name| (name, command.manager, span))),
                }
            }
            Verb::Remove | Verb::Purge | Verb::AutoRemove => {
                self.removed.extend(command.packages.iter().map(|package| package.name.clone()));
                self.removal.get_or_insert(span);
                // Without names it is what nothing needs any more: `apt-mark` decided about that before.
                self.removes_unknown |= command.unknown || command.packages.is_empty();
            }
            _ => {}
        }
    }
}

/// Removals of what an earlier layer holds.
fn removed_later(steps: &[Step]) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let mut installed: HashMap<&str, usize> = HashMap::new();
    for step in steps {
        let hidden: Vec<&str> = step
            .removed
            .iter()
            .map(String::as_str)
            .filter(|name| !step.installed.iter().any(|(own, ..)| own == name) && installed.contains_key(name))
            .collect();
        if let Some(span) = step.removal
            && !hidden.is_empty()
        {
            let message = format!("{} removed here stays in the layer that an earlier RUN made", hidden.join(", "));
            let help = "install, use and remove it in one RUN, or build in a stage of its own".to_owned();
            remarks.push(SourceRemark::Found(SourceFinding::advice(span, message, help)));
        }
        for name in &step.removed {
            installed.remove(name.as_str());
        }
        installed.extend(step.installed.iter().map(|(name, ..)| (name.as_str(), step.at)));
    }
    remarks
}

/// Packages that serve to build, in a RUN that builds, which nothing removes and nothing later uses.
fn kept(unit: &SourceUnit<'_>, steps: &[Step]) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let mut is_needed_later = unit.instructions().iter().any(|instruction| instruction.body.kind == Kind::Onbuild);
    for step in steps.iter().rev() {
        is_needed_later |= step.is_opaque || step.removes_unknown || !step.removed.is_empty();
        let is_build = |name: &str| BUILD_ONLY.contains(&name) || name.ends_with("-dev") || name.ends_with("-devel");
        let names: Vec<&(String, Manager, Span)> = step.installed.iter().filter(|(name, ..)| is_build(name)).collect();
        if let Some((_, manager, span)) = names.first().copied()
            && step.builds
            && !is_needed_later
        {
            let list: Vec<&str> = names.iter().map(|(name, ..)| name.as_str()).collect();
            let message = format!("{} only needed to build, and in the image for good", are(&list));
            remarks.push(SourceRemark::Found(SourceFinding::advice(*span, message, help(*manager).to_owned())));
        }
        is_needed_later |= step.builds;
    }
    remarks.reverse();
    remarks
}

fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

fn help(manager: Manager) -> &'static str {
    match manager {
        Manager::Apk => {
            "install them with --virtual .build-deps, and end the RUN with apk del --no-network .build-deps; the \
             libraries that a -dev package brings and the result needs have to be named on their own"
        }
        Manager::AptGet | Manager::Apt | Manager::Aptitude => {
            "end the RUN with apt-get purge -y --auto-remove and their names; the libraries that a -dev package brings \
             and the result needs have to be installed on their own"
        }
        _ => "remove them at the end of the RUN, or build in a stage of its own and copy the result",
    }
}
