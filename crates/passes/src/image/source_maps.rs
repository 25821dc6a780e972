//! Finds source maps, which lead debuggers from scripts and styles that a build made to their sources.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::python;
use crate::analysis::image::rules::Rule;
use crate::analysis::image::waste::{Finder, decline};

const ASSUMES: &[Assumption] =
    &[Assumption { name: "source-maps-are-for-debuggers", holds: "source maps are read by debuggers alone" }];

pub(crate) const PASS: Pass = Pass {
    name: "source-maps",
    summary: "source maps beside the scripts and styles that they are for",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("source_maps.md"),
    aliases: &[],
    run: Run::Image(run),
};

/// How the names of what has maps end.
const MAPPED: [&[u8]; 4] = [b".js", b".mjs", b".cjs", b".css"];

/// Modules that read maps when a script fails, so that its messages name the sources.
const READERS: [&str; 3] = ["source-map-support", "@cspotcode/source-map-support", "@vercel/nft"];

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let finder = Finder::new(unit, plan);
    let found: BTreeSet<Node> = maps(unit).into_iter().filter(|node| finder.may_go(*node)).collect();
    if found.is_empty() {
        return Vec::new();
    }
    if let Some(reason) = reader(unit, plan) {
        return vec![decline(None, format!("source maps stay: {reason}"))];
    }
    let help = "build without them (`devtool: false`, `sourcemap: false`), or name them in `.dockerignore`".to_owned();
    let rule = Rule { pass: PASS.name, what: "source maps", help, is_of_packages: true, ..Rule::default() };
    finder.remarks_of(&rule, found)
}

/// The maps that lie beside what they are for.
fn maps(unit: &ImageUnit<'_>) -> Vec<Node> {
    let tree = &unit.upper;
    let is_map = |node: &Node| {
        let Some(mapped) = tree.name(*node).strip_suffix(b".map") else { return false };
        tree.kind(*node) == Kind::File
            && MAPPED.iter().any(|end| mapped.ends_with(end))
            && tree.parent(*node).is_some_and(|folder| tree.child(folder, mapped).is_some())
            && unit.content(*node).is_some_and(|content| content.contains_str("\"mappings\""))
    };
    tree.walk().filter(is_map).collect()
}

/// What reads maps in this image.
fn reader(unit: &ImageUnit<'_>, plan: &Plan) -> Option<String> {
    let settings = serde_json::to_string(&unit.config.settings()).unwrap_or_default();
    if settings.contains("enable-source-maps") {
        return Some("the image's settings have Node read them (--enable-source-maps)".to_owned());
    }
    let tree = &unit.upper;
    let is_there = |node: &Node| !plan.edits.is_gone(tree, *node);
    for node in tree.walk().filter(is_there) {
        let path = tree.path(node);
        if let Some(name) = READERS.iter().find(|name| path.ends_with_str(format!("/node_modules/{name}"))) {
            return Some(format!("{name} is there, which reads them"));
        }
        let is_code = tree.name(node) == b"package.json" && !path.contains_str("/node_modules/");
        if is_code && unit.content(node).is_some_and(|content| content.contains_str("enable-source-maps")) {
            return Some(format!("{} has Node read them (--enable-source-maps)", unit.shown(node)));
        }
    }
    let collects = python::has_package(unit, plan, "django");
    collects.then(|| "django is there, whose collectstatic refuses scripts without the maps that they name".to_owned())
}
