//! Finds installations that bring what packages only recommend.

use jettison_ir::source::{SourceFinding, SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::calls::calls;

pub(crate) const PASS: Pass = Pass {
    name: "apt-recommends",
    summary: "installations that bring what packages only recommend",
    level: Level::O1,
    safety: Safety::Advice,
    page: include_str!("apt_recommends.md"),
    aliases: &["DL3015", "DD003", "DS029"],
    run: Run::Source(run),
};

/// What people need beside a package without naming it, since Debian 12's package recommends it, or its library does.
const NEEDED_BESIDE: &[(&str, &str)] = &[
    ("curl", "ca-certificates"),
    ("wget", "ca-certificates"),
    ("git", "ca-certificates"),
    ("git", "openssh-client"),
    ("gpg", "gnupg"),
    ("python3-pip", "build-essential"),
    ("openssh-client", "xauth"),
];

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let shipping: Vec<_> = unit.stages().iter().filter(|stage| unit.outline.ships(stage.index)).collect();
    // A setting holds for what follows, in stages built on this one too.
    let mut turned_off = Vec::new();
    for at in shipping.iter().flat_map(|stage| stage.instructions.clone()) {
        let line = unit.tree.line(unit.instruction(at));
        turned_off.extend(switches_in(line));
        let Some(script) = unit.script(at) else { continue };
        for call in calls(script) {
            let Some(command) = &call.package else { continue };
            let Some(brings) = brings(command) else { continue };
            if turned_off.contains(&brings.switch) {
                continue;
            }
            let first = command.name_span;
            let span = unit.source_span(at, command.verb_span.map_or(first, |verb| first.to(verb)));
            let message = format!("{} install brings what its packages {}", brings.program, brings.what);
            remarks.push(SourceRemark::Found(SourceFinding::advice(span, message, help(command, &brings))));
        }
    }
    remarks
}

/// Where the managers keep the setting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Apt,
    Dnf,
    Zypper,
}

/// That a command brings more than it is told.
struct Brings {
    switch: Switch,
    program: &'static str,
    what: &'static str,
    option: &'static str,
}

/// The settings that an instruction turns off for what follows, in a configuration file.
fn switches_in(line: &str) -> Vec<Switch> {
    let lower = line.to_ascii_lowercase();
    let is_off = |name: &str| {
        lower.find(name).is_some_and(|at| {
            let value = lower[at + name.len()..].trim_start_matches([' ', '=', '"', '\'', '\\', '\t']);
            ["0", "false", "no", "off"].iter().any(|off| value.starts_with(off))
        })
    };
    // Only in a file it is a setting: an option holds for one command.
    let mut found = Vec::new();
    if is_off("apt::install-recommends") && (lower.contains("apt.conf") || lower.contains("/etc/apt")) {
        found.push(Switch::Apt);
    }
    if is_off("install_weak_deps") && lower.contains("dnf.conf") {
        found.push(Switch::Dnf);
    }
    if is_off("solver.onlyrequires") || lower.contains("solver.onlyrequires = true") {
        found.push(Switch::Zypper);
    }
    found
}

fn brings(command: &PackageCommand) -> Option<Brings> {
    if command.verb != Verb::Install || (command.packages.is_empty() && !command.unknown) {
        return None;
    }
    let program = match command.manager {
        Manager::AptGet => "apt-get",
        Manager::Apt => "apt",
        Manager::Aptitude => "aptitude",
        Manager::Dnf => "dnf",
        Manager::Microdnf => "microdnf",
        Manager::Zypper => "zypper",
        _ => return None,
    };
    let values = |names: &[&str]| {
        let mut all = Vec::new();
        for option in command.options.iter().filter(|option| names.contains(&option.name.as_str())) {
            all.push(option.value.clone().unwrap_or_default().to_ascii_lowercase());
        }
        all
    };
    let sets = |names: &[&str], key: &str| {
        values(names).iter().any(|value| {
            let set = value.strip_prefix(key).map(|rest| rest.trim_start_matches(['=', '"', ' ']));
            set.is_some_and(|off| ["0", "false", "no"].iter().any(|word| off.starts_with(word)))
        })
    };
    match command.manager {
        Manager::Dnf | Manager::Microdnf => {
            let is_off = sets(&["--setopt"], "install_weak_deps");
            (!is_off).then_some(Brings {
                switch: Switch::Dnf,
                program,
                what: "only recommend (weak dependencies)",
                option: "--setopt=install_weak_deps=False",
            })
        }
        Manager::Zypper => (!command.has_option(&["--no-recommends"])).then_some(Brings {
            switch: Switch::Zypper,
            program,
            what: "only recommend",
            option: "--no-recommends",
        }),
        _ => {
            let is_off = command.has_option(&["--no-install-recommends", "--without-recommends"])
                || (command.manager == Manager::Aptitude && command.has_option(&["-R"]))
                || sets(&["-o", "--option"], "apt::install-recommends");
            let option =
                if command.manager == Manager::Aptitude { "--without-recommends" } else { "--no-install-recommends" };
            (!is_off).then_some(Brings { switch: Switch::Apt, program, what: "only recommend", option })
        }
    }
}

fn help(command: &PackageCommand, brings: &Brings) -> String {
    let has = |name: &str| command.packages.iter().any(|package| package.name == name);
    let mut missing: Vec<String> = Vec::new();
    for (package, needed) in NEEDED_BESIDE.iter().filter(|_| brings.switch == Switch::Apt) {
        if has(package) && !has(needed) {
            missing.push(format!("{needed} beside {package}"));
        }
    }
    let named = match &missing[..] {
        [] => String::new(),
        missing => format!(", such as {}", missing.join(" and ")),
    };
    format!("{} leaves that out; what the image needs of it has to be named then{named}", brings.option)
}
