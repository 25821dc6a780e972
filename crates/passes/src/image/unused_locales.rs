//! Finds texts in languages that nobody set up.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::languages::{Language, Languages};
use crate::analysis::image::python;
use crate::analysis::image::rules::{self, Rule};
use crate::analysis::image::waste::{Finder, decline};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "texts-in-other-languages-are-not-shown",
    holds: "programs speak English and the languages that the image's settings name",
}];

pub(crate) const PASS: Pass = Pass {
    name: "unused-locales",
    summary: "texts of programs in languages that neither the image nor --keep-locale names",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("unused_locales.md"),
    aliases: &[],
    run: Run::Image(run),
};

/// Python packages that answer in the language of who asks, and fail where the texts of one that they were told of are
/// not there.
const FOR_EVERYBODY: [&str; 4] = ["django", "babel", "flask_babel", "wtforms"];

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let languages = Languages::of(unit);
    let finder = Finder::new(unit, plan);
    if languages.are_all {
        return Vec::new();
    }
    let sources = rules::of(PASS.name).flat_map(|rule| finder.remarks_of(rule, finder.find(rule)));
    let mut remarks: Vec<Remark> = sources.collect();
    let mut texts =
        Texts { unit, languages, catalogues: BTreeSet::new(), packages: BTreeSet::new(), pages: BTreeSet::new() };
    texts.find();
    for (what, found) in [("texts of programs", texts.catalogues), ("manual pages", texts.pages)] {
        remarks.extend(finder.remarks_of(&rule(what), may_go(&finder, found)));
    }
    let found = may_go(&finder, texts.packages);
    match FOR_EVERYBODY.iter().find(|name| python::has_package(unit, plan, name)) {
        Some(name) if !found.is_empty() => {
            let reason =
                format!("texts of Python packages: {name} is there, which answers in the language of who asks");
            remarks.push(decline(None, reason));
        }
        _ => remarks.extend(finder.remarks_of(&rule("texts of Python packages"), found)),
    }
    remarks
}

fn rule(what: &'static str) -> Rule {
    let what = match what {
        "manual pages" => "manual pages in languages that are not set up",
        "texts of programs" => "texts of programs in languages that are not set up",
        _ => "texts of Python packages in languages that are not set up",
    };
    let help =
        "leave them out when packages are installed: `path-exclude /usr/share/locale/*` in `/etc/dpkg/dpkg.cfg.d`, \
                `%_install_langs en` in `/etc/rpm/macros`"
            .to_owned();
    Rule { pass: PASS.name, what, help, is_of_packages: true, ..Rule::default() }
}

fn may_go(finder: &Finder<'_, '_>, found: BTreeSet<Node>) -> BTreeSet<Node> {
    found.into_iter().filter(|node| finder.may_go(*node)).collect()
}

struct Texts<'t, 'a> {
    unit: &'t ImageUnit<'a>,
    languages: Languages,
    catalogues: BTreeSet<Node>,
    packages: BTreeSet<Node>,
    pages: BTreeSet<Node>,
}

impl Texts<'_, '_> {
    fn find(&mut self) {
        let tree = &self.unit.upper;
        for node in tree.walk() {
            match tree.kind(node) {
                Kind::Directory => self.note_folder(node),
                Kind::File if is_qt_catalogue(self.unit, node) && self.is_other(qt_language(tree.name(node))) => {
                    self.catalogues.insert(node);
                }
                _ => {}
            }
        }
    }

    /// Whether a name is that of a language that does not stay.
    fn is_other(&self, name: &[u8]) -> bool {
        let language = name.to_str().ok().and_then(Language::of);
        language.is_some_and(|language| !self.languages.keep(&language))
    }

    /// Notes what is in a folder named like a language.
    fn note_folder(&mut self, node: Node) {
        let tree = &self.unit.upper;
        if !self.is_other(tree.name(node)) {
            return;
        }
        let path = tree.path(node);
        let above = path.rsplit_once_str("/").map_or(&b""[..], |(above, _)| above);
        let children = tree.children(node);
        let has_folder = |start: &[u8]| {
            children.iter().any(|child| tree.kind(*child) == Kind::Directory && tree.name(*child).starts_with(start))
        };
        if above.ends_with(b"share/locale") && has_folder(b"LC_") {
            self.take(node, &|_| true, Found::Catalogues);
        } else if above.ends_with(b"share/man") && has_folder(b"man") {
            self.take(node, &|_| true, Found::Pages);
        } else if is_of_python(&path) {
            let is_catalogue = |name: &[u8]| name.ends_with(b".mo") || name.ends_with(b".po");
            let messages = children.into_iter().filter(|child| tree.name(*child) == b"LC_MESSAGES");
            for messages in messages.collect::<Vec<_>>() {
                self.packages.insert(node);
                self.take(messages, &is_catalogue, Found::Packages);
            }
        }
    }

    /// Takes a folder with all in it; of files those whose names are meant.
    fn take(&mut self, node: Node, is_meant: &dyn Fn(&[u8]) -> bool, found: Found) {
        let tree = &self.unit.upper;
        let out = match found {
            Found::Catalogues => &mut self.catalogues,
            Found::Packages => &mut self.packages,
            Found::Pages => &mut self.pages,
        };
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            if tree.kind(node) == Kind::Directory || is_meant(tree.name(node)) {
                out.insert(node);
            }
            stack.extend(tree.children(node));
        }
    }
}

#[derive(Clone, Copy)]
enum Found {
    Catalogues,
    Packages,
    Pages,
}

/// Whether a path is one of an installed Python package.
fn is_of_python(path: &[u8]) -> bool {
    path.contains_str("/site-packages/") || path.contains_str("/dist-packages/")
}

/// Whether a file is a catalogue of Qt among those of Qt or of a program of the system: those that lie elsewhere may be all
/// that an application has.
fn is_qt_catalogue(unit: &ImageUnit<'_>, node: Node) -> bool {
    let tree = &unit.upper;
    if !tree.name(node).ends_with(b".qm") {
        return false;
    }
    let path = tree.path(node);
    path.starts_with(b"usr/") && (path.contains_str("/translations/") || path.contains_str("/locale/"))
}

/// The part of the name of Qt's catalogue that says the language: `de` of `qtbase_de.qm`, `pt_BR` of `qt_help_pt_BR.qm`.
fn qt_language(name: &[u8]) -> &[u8] {
    let stem = name.strip_suffix(b".qm").unwrap_or(name);
    let is_language = |end: &&[u8]| {
        let letters = end.split_once_str("_").map_or(*end, |(language, _)| language);
        letters.len() == 2 && end.to_str().ok().and_then(Language::of).is_some()
    };
    stem.find_iter("_").map(|at| &stem[at + 1..]).find(is_language).unwrap_or_default()
}
