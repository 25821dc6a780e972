//! Takes files away that are secrets as a whole, where that was asked for.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use jettison_image::{Kind, Node};
use jettison_ir::{
    Assumption, Changed, Claim, Confidence, Decline, Edit, Finding, Fix, ImageUnit, Level, Pass, Plan, Remark, Run,
    Safety, ShippedSecret,
};

use crate::analysis::image::mentions::Mentions;

const ASSUMES: &[Assumption] = &[Assumption {
    name: "secrets-are-not-read",
    holds: "with `--remove-secrets`: files that are secrets as a whole are for the build, or a container is given them when \
            it starts",
}];

pub(crate) const PASS: Pass = Pass {
    name: "shipped-secrets",
    summary: "files that are secrets, such as private keys, where --remove-secrets asks for it",
    level: Level::O1,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("shipped_secrets.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let mut files: BTreeMap<Node, &ShippedSecret> = BTreeMap::new();
    for secret in &unit.secrets {
        let Some(node) = seen(unit, secret) else { continue };
        // Of several in a file the one counts that the file is there for.
        let first = files.entry(node).or_insert(secret);
        if secret.is_removable() && !first.is_removable() {
            *first = secret;
        }
    }
    let mentions = LazyCell::new(|| Mentions::of(unit));
    let is_named = |node: &Node| mentions.nodes.contains(node);
    let names = unit.upper.hard_links();
    let mut remarks = Vec::new();
    for (node, secret) in files {
        if plan.edits.of(node).is_some() || plan.edits.is_gone(&unit.upper, node) {
            continue;
        }
        // All names of the file, or its content would still be there.
        let names = names.get(&unit.upper.inode(node)).map_or_else(|| vec![node], Clone::clone);
        let remark = match stays(unit, secret, &names, &is_named) {
            Some(why) => {
                let reason = format!("{}: {} stays: {why}", secret.secret.description, unit.shown(node));
                Remark::Declined(Decline { layer: Some(secret.layer), reason, stays: names })
            }
            None => Remark::Found(finding(secret, names)),
        };
        // Without the wish there is one thing to be said: that there could be one.
        if unit.options.remove_secrets || secret.is_removable() {
            remarks.push(remark);
        }
    }
    remarks
}

/// The path that a container sees a secret at.
fn seen(unit: &ImageUnit<'_>, secret: &ShippedSecret) -> Option<Node> {
    let node = unit.upper.find(&secret.path).filter(|_| secret.hidden_by.is_none())?;
    let is_it = unit.upper.kind(node) == Kind::File && unit.upper.attributes(node).digest == secret.digest;
    (is_it && unit.upper.origin(node).layer == secret.layer).then_some(node)
}

/// Why a file with these names stays; none where it may go.
fn stays(
    unit: &ImageUnit<'_>,
    secret: &ShippedSecret,
    names: &[Node],
    is_named: &dyn Fn(&Node) -> bool,
) -> Option<String> {
    let owner = names.iter().find_map(|node| unit.owner(*node));
    let package = owner.and_then(|(database, at)| unit.packages().ok()?.get(database)?.packages.get(at));
    if !secret.is_removable() {
        Some("it is a part of the file, which holds other things as well".to_owned())
    } else if !unit.options.remove_secrets {
        Some("--remove-secrets takes it away".to_owned())
    } else if secret.secret.confidence == Confidence::Low {
        Some("it looks made up, as among tests, examples and documents".to_owned())
    } else if names.iter().any(|node| !unit.is_own(*node)) {
        Some("a base layer ships it, which stays as it is (--squash-all merges it)".to_owned())
    } else if let Some(package) = package {
        Some(format!("the package {} has it", package.name))
    } else if names.iter().any(is_named) {
        Some("the image's settings or the scripts that they name name it".to_owned())
    } else {
        None
    }
}

fn finding(secret: &ShippedSecret, names: Vec<Node>) -> Finding {
    let fix = Fix { edit: Edit::Change(names.iter().map(|node| (*node, Changed::Gone)).collect()), claim: Claim::Gone };
    Finding {
        what: secret.secret.description.clone(),
        help:
            "have it mounted by RUN --mount=type=secret, or put it into a stage that is not shipped; whoever had the \
               image before has it"
                .to_owned(),
        files: names.len(),
        bytes: secret.bytes,
        ..Finding::of(secret.layer, fix)
    }
}
