//! Installations that bring what packages only recommend, and the settings that turn this off.

use jettison_syntax::packages::{Manager, PackageCommand, Verb};

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

/// Where the managers keep the setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    Apt,
    Dnf,
    Zypper,
}

/// That a command brings more than it is told.
pub(crate) struct Brings {
    pub(crate) switch: Switch,
    pub(crate) program: &'static str,
    /// What packages do to it.
    pub(crate) what: &'static str,
    /// What leaves it out.
    pub(crate) option: &'static str,
}

/// The settings that an instruction turns off for what follows, in a configuration file.
pub(crate) fn switches_in(line: &str) -> Vec<Switch> {
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

/// What an installation brings beside what it names; none where it brings that alone.
pub(crate) fn brings(command: &PackageCommand) -> Option<Brings> {
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

/// What can be done about it.
pub(crate) fn help(command: &PackageCommand, brings: &Brings) -> String {
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
