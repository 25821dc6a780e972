//! Finds installations that bring what packages only recommend.

use jettison_ir::source::{
    PackagesSeen, SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit,
};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::build_evidence::Evidence;
use crate::analysis::calls::{Call, calls};

pub(crate) const PASS: Pass = Pass {
    name: "apt-recommends",
    summary: "installations that bring what packages only recommend",
    level: Level::O1,
    safety: Safety::Assuming(&[SHOWN]),
    page: include_str!("apt_recommends.md"),
    aliases: &["DL3015", "DD003", "DS029"],
    run: Run::Source(run),
};

/// That the commands show all of the image's work.
const SHOWN: Assumption = Assumption {
    name: "smoke-commands-show-what-the-image-needs",
    holds: "what is only recommended and was used by nothing that was seen is not needed",
};

/// So many packages are named that are left out.
const NAMED: usize = 8;

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
            let advice = || SourceFinding::advice(span, message.clone(), help(command, &brings));
            let may = unit.options.level >= Level::Os && unit.may_assume(&SHOWN);
            let Some(seen) = unit.packages(at).filter(|_| may) else {
                remarks.push(SourceRemark::Found(advice()));
                continue;
            };
            match without(unit, at, &call, command, &brings, seen) {
                Ok(Without { edits, gone, help }) => {
                    let claim = SourceClaim::PackagesGone(gone);
                    let finding = SourceFinding::fixed(span, message, edits, claim);
                    remarks.push(SourceRemark::Found(SourceFinding { help: Some(help), ..finding }));
                }
                Err((code, reason)) => {
                    remarks.push(SourceRemark::Found(advice()));
                    remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                }
            }
        }
    }
    remarks
}

/// An installation without what is only recommended, but for what was used.
struct Without {
    edits: Vec<TextEdit>,
    gone: Vec<String>,
    help: String,
}

fn without(
    unit: &SourceUnit<'_>,
    at: usize,
    call: &Call<'_>,
    command: &PackageCommand,
    brings: &Brings,
    seen: &PackagesSeen,
) -> Result<Without, (&'static str, String)> {
    let refuse = |code, reason: &str| Err((code, reason.to_owned()));
    if !seen.has_smoke {
        return refuse("no-smoke", "no smoke command shows what the image needs of it");
    }
    if command.unknown || command.packages.iter().any(|package| package.is_file) {
        return refuse("unknown-packages", "not all of the packages are named");
    }
    let (gone, kept) = Evidence { unit, at, seen }.only_recommended(command);
    if gone.is_empty() {
        return refuse("all-used", "nothing of what is only recommended can be left out: it is needed, or was used");
    }
    let Some(last) = command.packages.iter().map(|package| package.span).max_by_key(|span| span.end) else {
        return refuse("unknown-packages", "the packages are not named");
    };
    let verb = command.verb_span.unwrap_or(command.name_span);
    if !call.span().contains(verb) || verb.end > last.start {
        return refuse("odd-place", "its packages come before the word that installs them");
    }
    let insert = |span: Span, text: String| TextEdit::insert(unit.source_span(at, span).end, text);
    let mut edits = vec![insert(verb, format!(" {}", brings.option))];
    if !kept.is_empty() {
        edits.push(insert(last, kept.iter().map(|(name, _)| format!(" {name}")).collect()));
    }
    let bytes = |name: &&str| seen.packages.get(*name).map_or(0, |package| package.bytes);
    let mut gone: Vec<&str> = gone.into_iter().collect();
    gone.sort_by_key(|name| (std::cmp::Reverse(bytes(name)), *name));
    let more = gone.len().saturating_sub(NAMED);
    let named = gone.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let mut notes = vec![match more {
        0 => format!("left out: {named}"),
        more => format!("left out: {named} and {more} more"),
    }];
    notes.extend(kept.iter().map(|(name, used)| format!("{name} is kept by its name: {used}")));
    let gone = gone.into_iter().map(str::to_owned).collect();
    Ok(Without { edits, gone, help: notes.join("; ") })
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
