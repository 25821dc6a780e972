//! Removes what builds in several languages keep of downloads and earlier builds, where nothing reads it later.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};

pub(crate) const PASS: Pass = Pass {
    name: "language-caches",
    summary: "what composer, go, cargo, maven and dotnet keep of their downloads and builds",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("language_caches.md"),
    aliases: &[],
    run: Run::Source(run),
};

/// composer's downloads.
const COMPOSER: Leftover = Leftover {
    hints: &["composer"],
    what: "its downloads",
    folders: &[
        Folder::Home { variable: "COMPOSER_CACHE_DIR", behind: "", below: ".composer/cache" },
        Folder::Home { variable: "COMPOSER_HOME", behind: "/cache", below: ".cache/composer" },
    ],
    is_roots: false,
    role: composer,
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal: |made| made.has_run.then(|| vec![format!("{} clear-cache", made.program)]),
};

/// The answers of package servers; packages themselves are needed by later builds, and by programs that are not published.
const DOTNET: Leftover = Leftover {
    hints: &["dotnet"],
    what: "the answers of package servers",
    folders: &[
        Folder::Home { variable: "", behind: "", below: ".local/share/NuGet/http-cache" },
        Folder::Home { variable: "", behind: "", below: ".local/share/NuGet/v3-cache" },
    ],
    is_roots: false,
    role: dotnet,
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal: |made| made.has_run.then(|| vec![format!("{} nuget locals http-cache --clear", made.program)]),
};

/// Go's modules and its build cache. Modules are not writable, so that only root can remove them as they are.
const GO: Leftover = Leftover {
    hints: &["go build", "go install", "go get", "go mod", "go run", "go test", "\"go\""],
    what: "its modules and build cache",
    folders: &[
        Folder::Home { variable: "GOCACHE", behind: "", below: ".cache/go-build" },
        Folder::Home { variable: "GOMODCACHE", behind: "", below: "go/pkg/mod" },
        Folder::At("/go/pkg/mod"),
    ],
    is_roots: true,
    role: go,
    readers: &[],
    fetchers: &[],
    scripts_may_need: true,
    keeps: &[],
    removed_as: &["GOCACHE", "GOMODCACHE", "pkg/mod"],
    removal: |_| Some(vec!["rm -rf \"$(go env GOCACHE)\" \"$(go env GOMODCACHE)\"".to_owned()]),
};

/// The sources of crates, packed and unpacked.
const CARGO: Leftover = Leftover {
    hints: &["cargo"],
    what: "the sources of crates",
    folders: &[
        Folder::Home { variable: "CARGO_HOME", behind: "/registry", below: ".cargo/registry" },
        Folder::Home { variable: "CARGO_HOME", behind: "/git", below: ".cargo/git" },
        Folder::At("/usr/local/cargo/registry"),
        Folder::At("/usr/local/cargo/git"),
    ],
    is_roots: true,
    role: cargo,
    readers: &[],
    fetchers: &[],
    scripts_may_need: true,
    keeps: &[],
    removed_as: &["CARGO_HOME", "cargo/registry"],
    removal: cargo_removal,
};

/// The artefacts that maven fetched.
const MAVEN: Leftover = Leftover {
    hints: &["mvn"],
    what: "the artefacts that it fetched",
    folders: &[Folder::Home { variable: "", behind: "", below: ".m2/repository" }],
    is_roots: false,
    role: maven,
    readers: &[],
    fetchers: &[],
    scripts_may_need: true,
    keeps: &[],
    removed_as: &[],
    removal: |made| made.without(MAVEN.folders),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { all(unit) } else { Vec::new() }
}

fn all(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let simple = [&COMPOSER, &DOTNET, &GO, &CARGO];
    let mut remarks: Vec<SourceRemark> =
        simple.into_iter().flat_map(|leftover| leftovers::run(unit, leftover)).collect();
    let unknown = ("run-time-unknown", "what the container runs may read what was fetched: it is not java itself");
    remarks.extend(leftovers::run_unless(unit, &MAVEN, (!runs_java(unit)).then_some(unknown)));
    remarks
}

/// Whether java itself is what containers run.
fn runs_java(unit: &SourceUnit<'_>) -> bool {
    let is_command = |at: &usize| matches!(unit.kind(*at), Kind::Cmd | Kind::Entrypoint);
    let last = unit.stages().last().map_or(0..0, |stage| stage.instructions.clone());
    let Some(at) = last.rev().find(is_command) else { return false };
    let program = match (&unit.instruction(at).body.arguments, unit.script(at)) {
        (Arguments::Json(strings), _) => strings.first().map_or("", |string| &string.value),
        (_, Some(script)) => script.simple_commands().first().and_then(|(_, simple)| simple.name()).unwrap_or_default(),
        _ => "",
    };
    // A class path may name what was fetched.
    let reads = ["build-classpath", "/.m2", "~/.m2"].iter().any(|sign| unit.tree.text().contains(sign));
    program.rsplit('/').next() == Some("java") && !reads
}

/// A command of a build, whose leftovers a later one of the kind needs.
fn builds(command: &PackageCommand) -> Role {
    let builds = matches!(command.verb, Verb::Install | Verb::Build | Verb::Run);
    Role {
        // Who only fetches does so to have it there.
        makes: builds,
        needs: builds || matches!(command.verb, Verb::Download | Verb::Other),
        clears: command.verb == Verb::Clean,
        elsewhere: false,
    }
}

fn composer(command: &PackageCommand, _: &str) -> Role {
    if command.manager != Manager::Composer {
        return Role::default();
    }
    let makes = matches!(command.verb, Verb::Install | Verb::Upgrade) && !command.has_option(&["--no-cache"]);
    Role { makes, clears: command.verb == Verb::Clean, ..Role::default() }
}

fn dotnet(command: &PackageCommand, text: &str) -> Role {
    if command.manager != Manager::Dotnet {
        return Role::default();
    }
    let is_of_caches = command.verb_span.is_some_and(|span| !text.is_empty() && span.of(text).starts_with("nuget"));
    let offline = command.has_option(&["--no-restore"]);
    Role {
        makes: !offline && matches!(command.verb, Verb::Install | Verb::Build),
        clears: is_of_caches,
        ..Role::default()
    }
}

fn go(command: &PackageCommand, _: &str) -> Role {
    if command.manager != Manager::Go {
        return Role::default();
    }
    builds(command)
}

fn cargo(command: &PackageCommand, _: &str) -> Role {
    if command.manager == Manager::Cargo { Role { clears: false, ..builds(command) } } else { Role::default() }
}

fn maven(command: &PackageCommand, _: &str) -> Role {
    if command.manager != Manager::Maven {
        return Role::default();
    }
    let moved = |value: &str| value.starts_with("maven.repo.local");
    let elsewhere = command.options.iter().any(|option| option.value.as_deref().is_some_and(moved));
    Role { elsewhere, clears: false, ..builds(command) }
}

fn cargo_removal(made: &Made<'_>) -> Option<Vec<String>> {
    if made.scope.get("CARGO_HOME").is_some() {
        return made.without(&CARGO.folders[..2]);
    }
    let home = "\"${CARGO_HOME:-$HOME/.cargo}\"";
    (!made.with_sudo).then(|| vec![format!("rm -rf {home}/registry {home}/git")])
}
