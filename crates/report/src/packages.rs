//! What an image weighs by package, and why each package is there.

use std::fmt::Write as _;

use bstr::ByteSlice as _;
use jettison_image::packages::{Because, Graph, Package, Packages, Reason, Step, Tie};
use jettison_ir::{Bytes, PackageWeight, PackagesWeight};
use serde_json::{Value, json};

use crate::style::{FAINT, HEADING, styled};
use crate::text::{bytes, count, grouped, one_line, table};
use crate::weigh::WeighReport;

/// An image's packages and what they weigh.
#[derive(Clone, Debug)]
pub struct PackagesReport<'r> {
    /// The databases that could be read.
    pub databases: &'r [Packages],
    /// What is wrong with those that could not be, each with the file and what of it.
    pub unread: &'r [String],
    /// The ties of each of them.
    pub graphs: &'r [Graph],
    /// The bytes.
    pub weight: &'r PackagesWeight,
}

impl<'r> PackagesReport<'r> {
    fn package(&self, row: &PackageWeight) -> &'r Package {
        &self.databases[row.database].packages[row.package]
    }
}

/// The report for people. `width` is that of the terminal, `rows` the most packages, and the most folders, that are listed.
#[must_use]
pub fn packages_human(report: &WeighReport<'_>, packages: &PackagesReport<'_>, width: usize, rows: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}  {}", styled(HEADING, report.image), report.platform, report.digest);
    let _ = writeln!(out, "base: {} ({})\n", count(report.base_layers, "layer"), report.base);
    let (of_packages, of_none) = packages.weight.sums();
    if packages.databases.is_empty() && packages.unread.is_empty() {
        let _ = writeln!(out, "packages: none, there is no database of dpkg, apk, rpm or pacman");
    }
    for problem in packages.unread {
        let _ = writeln!(out, "packages: not told apart, their database cannot be read: {problem}");
    }
    for database in packages.databases {
        let (count, place) = (count(database.packages.len(), "package"), database.place.escape_bytes());
        let _ = writeln!(out, "{}: {count}, as /{place} says", database.manager);
    }
    if !packages.databases.is_empty() {
        let listed: Vec<Vec<String>> =
            packages.weight.packages.iter().take(rows).map(|row| package_row(packages, row, width)).collect();
        let headings = ["bytes", "own", "files", "package", "version", "why it is there"];
        let _ = writeln!(out, "{}", table(&headings, &[0, 1, 2], listed) + &more(packages.weight.packages.len(), rows));
        let _ = writeln!(out, "{}\n", sum("in packages", of_packages));
    }
    if of_none.files > 0 {
        let folder_row = |(folder, bytes): &(Vec<u8>, Bytes)| {
            let mut row = numbers(*bytes);
            row.push(format!("/{}", folder.escape_bytes()));
            row
        };
        let listed = packages.weight.rest.iter().take(rows).map(folder_row).collect();
        let listed = table(&["bytes", "own", "files", "of no package, in"], &[0, 1, 2], listed);
        let _ = writeln!(out, "{}", listed + &more(packages.weight.rest.len(), rows));
    }
    let _ = writeln!(out, "{}", sum("of no package", of_none));
    let wasted = report.weight.wasted();
    if wasted > 0 {
        let _ = writeln!(out, "\nwaste: {} that no container sees come on top (--by layer)", bytes(wasted));
    }
    for note in report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn more(all: usize, rows: usize) -> String {
    match all.saturating_sub(rows) {
        0 => String::new(),
        left => styled(FAINT, &format!("\n … and {left} more (--rows, --format json)")),
    }
}

fn sum(what: &str, sum: Bytes) -> String {
    let own = if sum.own > 0 { format!(", {} of it in own layers", bytes(sum.own)) } else { String::new() };
    format!("{what}: {} in {}{own}", bytes(sum.all), count(sum.files, "file"))
}

fn numbers(sum: Bytes) -> Vec<String> {
    let own = if sum.own == 0 { "-".to_owned() } else { bytes(sum.own) };
    vec![bytes(sum.all), own, grouped(sum.files)]
}

fn package_row(report: &PackagesReport<'_>, row: &PackageWeight, width: usize) -> Vec<String> {
    let package = report.package(row);
    let mut cells = numbers(row.bytes);
    let name = name(&report.databases[row.database], row.package);
    let used = 40 + name.chars().count() + package.version.chars().count();
    cells.extend([one_line(&name, 60), one_line(&package.version, 40)]);
    cells.push(shortened(why(report, row), width.saturating_sub(used).max(40)));
    cells
}

/// A chain in one line: where it is too long, what is before its end is left out, since both ends tell the most.
fn shortened(mut chain: Vec<String>, width: usize) -> String {
    let written = |chain: &[String]| chain.iter().map(|step| format!("← {step}")).collect::<Vec<_>>().join(" ");
    let mut line = written(&chain);
    while line.chars().count() > width && chain.len() > 2 {
        let is_cut = chain[chain.len() - 2] == "…";
        if is_cut && chain.len() == 3 {
            break;
        }
        let before_end = chain.len() - 2 - usize::from(is_cut);
        chain.splice(before_end..chain.len() - 1, ["…".to_owned()]);
        line = written(&chain);
    }
    one_line(&line, width)
}

/// A package's name, with its architecture where another one has the same.
fn name(packages: &Packages, at: usize) -> String {
    let package = &packages.packages[at];
    let same = packages.named(&package.name).into_iter().any(|other| {
        let other = &packages.packages[other];
        other.name == package.name && other.architecture != package.architecture
    });
    let twin = same || packages.position(&package.name) != Some(at);
    if twin { format!("{}:{}", package.name, package.architecture) } else { package.name.clone() }
}

/// `libfoo`, `app`, `asked for`: from the package on.
fn why(report: &PackagesReport<'_>, row: &PackageWeight) -> Vec<String> {
    let packages = &report.databases[row.database];
    let chain = report.graphs[row.database].why(row.package);
    let mut out = Vec::new();
    for (step, next) in chain.iter().zip(chain[1..].iter().map(Some).chain([None])) {
        let Some(next) = next else {
            out.push(end(packages, step));
            continue;
        };
        let mut ties = Vec::new();
        if let Because::Edge(tie, capability) = &step.because {
            match tie {
                Tie::Depends => {}
                Tie::Recommends => ties.push("recommends".to_owned()),
                Tie::Supplements => ties.push("goes with".to_owned()),
            }
            // What it goes with is the other one's.
            if capability.name != packages.packages[step.package].name && *tie != Tie::Supplements {
                ties.push(capability.name.clone());
            }
        }
        let ties = if ties.is_empty() { String::new() } else { format!(" ({})", ties.join(" ")) };
        out.push(format!("{}{ties}", name(packages, next.package)));
    }
    out
}

/// What a chain ends with.
fn end(packages: &Packages, step: &Step) -> String {
    let package = &packages.packages[step.package];
    match step.because {
        Because::Asked if packages.is_group(package) => "asked for as a group",
        Because::Asked => "asked for",
        Because::System => "part of the system",
        // Where the database never says who was asked for, that nothing needs it is all there is to know.
        Because::Unneeded if package.reason == Reason::Unknown => "nothing else needs it",
        Because::Unneeded => "left over: nothing needs it any more",
        Because::Circle | Because::Edge(..) => "only what needs it itself",
    }
    .to_owned()
}

/// The report for programs.
#[must_use]
pub fn packages_json(report: &PackagesReport<'_>) -> Value {
    let (of_packages, of_none) = report.weight.sums();
    let databases: Vec<Value> = report
        .databases
        .iter()
        .map(|database| {
            json!({
                "manager": database.manager.to_string(), "place": format!("/{}", database.place.escape_bytes()),
                "packages": database.packages.len(),
            })
        })
        .collect();
    let folders: Vec<Value> = report
        .weight
        .rest
        .iter()
        .map(|(folder, bytes)| {
            json!({
                "folder": format!("/{}", folder.escape_bytes()), "files": bytes.files, "bytes": bytes.all,
                "own": bytes.own,
            })
        })
        .collect();
    let sum = |sum: Bytes| json!({ "files": sum.files, "bytes": sum.all, "own": sum.own });
    json!({
        "databases": databases,
        "packages": report.weight.packages.iter().map(|row| package_json(report, row)).collect::<Vec<_>>(),
        "no_package": folders,
        "sums": { "packages": sum(of_packages), "no_package": sum(of_none) },
    })
}

fn package_json(report: &PackagesReport<'_>, row: &PackageWeight) -> Value {
    let (packages, graph, package) =
        (&report.databases[row.database], &report.graphs[row.database], report.package(row));
    let chain: Vec<Value> = graph
        .why(row.package)
        .iter()
        .map(|step| {
            let (because, by) = match &step.because {
                Because::Asked => ("asked", None),
                Because::System => ("system", None),
                Because::Unneeded => ("unneeded", None),
                Because::Circle => ("circle", None),
                Because::Edge(tie, by) => (tie_name(*tie), Some(&by.name)),
            };
            json!({ "package": name(packages, step.package), "because": because, "by": by })
        })
        .collect();
    let needed_by: Vec<Value> = graph
        .needed_by(row.package)
        .iter()
        .map(|edge| json!({ "package": name(packages, edge.package), "tie": tie_name(edge.tie), "by": edge.capability.name }))
        .collect();
    let reason = match package.reason {
        Reason::Asked => "asked",
        Reason::Needed => "needed",
        Reason::Unknown => "unknown",
    };
    json!({
        "manager": packages.manager.to_string(), "name": package.name, "version": package.version,
        "architecture": package.architecture, "section": package.section, "priority": package.priority,
        "essential": package.is_essential, "reason": reason, "group": packages.is_group(package),
        "files": row.bytes.files, "bytes": row.bytes.all, "own": row.bytes.own, "database_bytes": package.size,
        "why": chain, "needed_by": needed_by,
    })
}

fn tie_name(tie: Tie) -> &'static str {
    match tie {
        Tie::Depends => "depends",
        Tie::Recommends => "recommends",
        Tie::Supplements => "supplements",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_chains_keep_both_ends() {
        let chain = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
        let long = chain(&["binutils", "dpkg-dev", "build-essential", "app", "asked for"]);
        assert_eq!(shortened(long.clone(), 80), "← binutils ← dpkg-dev ← build-essential ← app ← asked for");
        assert_eq!(shortened(long.clone(), 55), "← binutils ← dpkg-dev ← build-essential ← … ← asked for");
        assert_eq!(shortened(long.clone(), 40), "← binutils ← dpkg-dev ← … ← asked for");
        assert_eq!(shortened(long, 12), "← binutils…");
        assert_eq!(shortened(chain(&["asked for"]), 40), "← asked for");
    }
}
