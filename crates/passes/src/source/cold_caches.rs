//! Gives package managers a cache that outlives the RUN, so that a changed RUN fetches only what is new.

use std::collections::BTreeSet;

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::{Instruction, Kind};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};
use jettison_syntax::shell::Script;
use jettison_syntax::view::{Origin, Setting, Stage};

use crate::analysis::cache_use::{About, about, is_within, last_that_needs_the_index, reaches, updates_first};
use crate::analysis::caches::{CACHES, Caches, filled_by};
use crate::analysis::families::Reference;
use crate::analysis::hazards::Refusal;
use crate::analysis::separable::package_command;

const CACHES_ARE_SPARE: Assumption = Assumption {
    name: "package-caches-are-spare",
    holds: "what package managers keep of their downloads is read by them alone, and fetched again where it is missing",
};

pub(crate) const PASS: Pass = Pass {
    name: "cold-caches",
    summary: "for development: package managers that fetch all again in a RUN that changed",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES_ARE_SPARE]),
    page: include_str!("cold_caches.md"),
    aliases: &["tally/prefer-package-cache-mounts"],
    run: Run::Development(run),
};

const INDEX_ACROSS_RUNS: &str = "one instruction fetches the index of packages, and another one may install from it";

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    // Mounts came with version 1.2 of the frontend.
    let is_old = |value: &str| ["docker/dockerfile:1.0", "docker/dockerfile:1.1"].iter().any(|old| value.contains(old));
    let is_old = unit.tree.directives.iter().any(|directive| directive.name == "syntax" && is_old(&directive.value));
    if is_old || !unit.may_assume(&CACHES_ARE_SPARE) {
        return Vec::new();
    }
    let about = about(unit);
    let index_until = last_that_needs_the_index(unit);
    let images = images_below(unit.stages());
    let mut remarks = Vec::new();
    for stage in unit.stages() {
        let base = images[stage.index];
        for at in stage.instructions.clone().filter(|at| unit.kind(*at) == Kind::Run) {
            let Some(script) = unit.script(at).filter(|script| script.error.is_none()) else { continue };
            let packages: Vec<PackageCommand> =
                script.simple_commands().into_iter().filter_map(|(_, simple)| package_command(simple)).collect();
            let filled: BTreeSet<usize> = packages.iter().filter_map(filled_by).map(|(place, _)| place).collect();
            let mut folders: Vec<(&'static str, bool)> = Vec::new();
            for place in filled {
                let caches = &CACHES[place];
                let missing = |folder: &&&str| !has_mount(unit.instruction(at), folder);
                let missing: Vec<&str> = caches.folders.iter().filter(missing).copied().collect();
                // Who mounts one of the folders decided about all.
                if missing.len() < caches.folders.len() {
                    continue;
                }
                let needs_index = caches.managers.contains(&Manager::AptGet)
                    && (!updates_first(script) || index_until.is_some_and(|last| at < last));
                let allowed = if needs_index {
                    Err(Refusal { code: "index-across-runs", reason: INDEX_ACROSS_RUNS.to_owned() })
                } else {
                    may_mount(unit, at, base, caches, &packages, script, &about[place])
                };
                match allowed {
                    Ok(()) => folders.extend(missing.into_iter().map(|folder| (folder, caches.locked))),
                    Err(Refusal { code, reason }) => {
                        let span = unit.instruction(at).span;
                        remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                    }
                }
            }
            if !folders.is_empty() {
                remarks.push(mounted(unit, at, &folders));
            }
        }
    }
    remarks
}

/// The image below each stage.
fn images_below(stages: &[Stage]) -> Vec<Option<&str>> {
    let mut images: Vec<Option<&str>> = Vec::with_capacity(stages.len());
    for stage in stages {
        images.push(match &stage.base {
            Origin::Stage(below) => images.get(*below).copied().flatten(),
            Origin::Image(image) => Some(image),
            Origin::Scratch | Origin::Unknown => None,
        });
    }
    images
}

/// Whether something is mounted at the folder, above it or below it.
fn has_mount(instruction: &Instruction, folder: &str) -> bool {
    let mounts = instruction.body.flags.iter().filter(|flag| flag.name() == "mount").filter_map(|flag| flag.value());
    mounts.flat_map(|mount| mount.split(',')).any(|field| {
        let (name, value) = field.split_once('=').unwrap_or_default();
        let is_target = matches!(name.trim(), "target" | "dst" | "destination");
        is_target && (is_within(folder, value) || is_within(value, folder))
    })
}

/// What stands against mounting a cache while a RUN runs.
fn may_mount(
    unit: &SourceUnit<'_>,
    at: usize,
    base: Option<&str>,
    caches: &Caches,
    packages: &[PackageCommand],
    script: &Script,
    about: &About,
) -> Result<(), Refusal> {
    let refuse = |code, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
    let base = base.map(Reference::read);
    let is_root = match &unit.settings(at).user {
        Setting::Known(user) => matches!(&**user, "root" | "0" | "root:root" | "0:0"),
        Setting::Base => base.as_ref().is_some_and(Reference::is_root),
        Setting::Unknown => false,
    };
    if !is_root {
        return refuse("other-user", "it may run as a user who is not root, and a mounted cache belongs to root");
    }
    if caches.of_image.is_some_and(|name| !base.as_ref().is_some_and(|base| base.is_named(name))) {
        return refuse("unknown-folder", "where this base image keeps the cache is not known");
    }
    let own = || packages.iter().filter(|package| caches.managers.contains(&package.manager));
    let assigned = script.variables_assigned();
    if about.has_variable || caches.variables.iter().any(|name| assigned.contains(*name)) {
        return refuse("moved-cache", "a variable moves the cache or switches it off");
    }
    if own().any(|package| package.has_option(caches.options)) {
        return refuse("moved-cache", "an option moves the cache or switches it off");
    }
    if about.is_named || own().any(|package| package.verb == Verb::Clean) || reaches(unit, at, script, caches.folders) {
        return refuse("handled-cache", "the file cleans the cache, copies it or reads it");
    }
    if about.is_needed {
        return refuse("offline", "a command builds from what another one left in the cache");
    }
    if caches.is_store && about.runs_manager {
        return refuse("runs-from-cache", "the container's program runs from what is in the cache");
    }
    Ok(())
}

fn mounted(unit: &SourceUnit<'_>, at: usize, folders: &[(&'static str, bool)]) -> SourceRemark {
    let instruction = unit.instruction(at);
    let mut text = String::new();
    for (folder, locked) in folders {
        let sharing = if *locked { ",sharing=locked" } else { "" };
        text += &format!("--mount=type=cache,target={folder}{sharing} \\\n    ");
    }
    let edits = vec![TextEdit::insert(instruction.logical.source_of(instruction.body.rest.start), text)];
    let names: Vec<&str> = folders.iter().map(|(folder, _)| *folder).collect();
    let message = format!("all is fetched again when this RUN changes: a cache mount keeps {}", names.join(", "));
    let gone = SourceClaim::Gone(names.iter().flat_map(|folder| gone(folder)).collect());
    SourceRemark::Found(SourceFinding::fixed(instruction.span, message, edits, gone))
}

/// What is no longer in the image: the folder, all below, and a hidden folder above that is made for it.
fn gone(folder: &str) -> Vec<String> {
    let mut gone = vec![folder.to_owned(), format!("{folder}/**")];
    if let Some((above, _)) = folder.rsplit_once('/').filter(|(above, _)| above.contains("/.")) {
        gone.push(above.to_owned());
    }
    gone
}
