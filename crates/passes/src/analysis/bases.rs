//! What is known of base images by their names: the user and the working directory of Docker's official images.

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::shell::{Command, CommandKind, Operator};
use jettison_syntax::view::{Origin, Setting};

use super::state;

/// Official images that start as root, with their working directory. Source: the Dockerfiles that the official images
/// library lists for them.
const OFFICIAL: &[(&str, &str)] = &[
    ("almalinux", "/"),
    ("alpine", "/"),
    ("amazonlinux", "/"),
    ("archlinux", "/"),
    ("buildpack-deps", "/"),
    ("busybox", "/"),
    ("centos", "/"),
    ("debian", "/"),
    ("eclipse-temurin", "/"),
    ("elixir", "/"),
    ("erlang", "/"),
    ("fedora", "/"),
    ("gcc", "/"),
    ("golang", "/go"),
    ("haskell", "/"),
    ("httpd", "/usr/local/apache2"),
    ("mariadb", "/"),
    ("maven", "/"),
    ("mysql", "/"),
    ("nginx", "/"),
    ("node", "/"),
    ("openjdk", "/"),
    ("oraclelinux", "/"),
    ("php", "/var/www/html"),
    ("postgres", "/"),
    ("python", "/"),
    ("redis", "/data"),
    ("rockylinux", "/"),
    ("ruby", "/"),
    ("rust", "/"),
    ("ubuntu", "/"),
];

/// The working directory of an official image that starts as root.
fn official(image: &str) -> Option<&'static str> {
    let name = image.strip_prefix("docker.io/").unwrap_or(image);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let name = name.split(['@', ':']).next().unwrap_or(name);
    OFFICIAL.iter().find(|(own, _)| *own == name).map(|(_, directory)| *directory)
}

/// The image that the stage of an instruction starts from in the end.
fn base_of<'u>(unit: &'u SourceUnit<'_>, at: usize) -> Option<&'u str> {
    let mut stage = unit.outline.stage_of(at)?;
    loop {
        match &stage.base {
            Origin::Stage(below) => stage = unit.stages().get(*below)?,
            Origin::Image(image) => return Some(image),
            Origin::Scratch | Origin::Unknown => return None,
        }
    }
}

/// The working directory before an instruction, where the file or the base's name tells it.
pub(crate) fn directory<'u>(unit: &'u SourceUnit<'_>, at: usize) -> Option<&'u str> {
    match &unit.settings(at).workdir {
        Setting::Known(path) => Some(path),
        Setting::Base => base_of(unit, at).and_then(official),
        Setting::Unknown => None,
    }
}

/// How many RUN instructions of a stage are looked at for what tells the user.
const LOOKED_AT: usize = 32;

/// Whether a RUN before an instruction, as the base's user, cannot have ended well but as root: it fetches or installs
/// packages of the distribution.
fn installed_packages(unit: &SourceUnit<'_>, at: usize) -> bool {
    let Some(stage) = unit.outline.stage_of(at) else { return false };
    let runs = (stage.from + 1..at).filter(|other| unit.kind(*other) == Kind::Run).take(LOOKED_AT);
    runs.filter(|other| unit.settings(*other).user == Setting::Base).any(|other| {
        let Some(script) = unit.script(other).filter(|script| script.exact) else { return false };
        let only_and = script
            .body
            .items
            .iter()
            .all(|item| item.and_or.rest.iter().all(|(operator, _, _)| *operator == Operator::And));
        script.body.items.len() == 1
            && only_and
            && state::steps(script).into_iter().any(|step| match &step.commands[..] {
                [Command { kind: CommandKind::Simple(simple), .. }] => {
                    matches!(simple.name(), Some("apt-get" | "apt" | "apk" | "yum" | "dnf" | "microdnf" | "zypper"))
                        && simple.arguments().iter().any(|word| {
                            word.literal()
                                .is_some_and(|word| matches!(&*word, "update" | "install" | "add" | "upgrade"))
                        })
                }
                _ => false,
            })
    })
}

/// Whether the user before an instruction is known to be root.
pub(crate) fn is_root(unit: &SourceUnit<'_>, at: usize) -> bool {
    match &unit.settings(at).user {
        Setting::Known(user) => matches!(&**user, "root" | "0" | "0:0" | "root:root" | "root:0" | "0:root"),
        Setting::Base => base_of(unit, at).and_then(official).is_some() || installed_packages(unit, at),
        Setting::Unknown => false,
    }
}
