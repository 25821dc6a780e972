//! Which instructions of a stage can change places, by their text and by what RUN instructions were seen to do.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jettison_ir::source::{Context, Entry, SourceUnit};
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::expand;
use jettison_syntax::ignore::matches_pattern;
use jettison_syntax::path::parts;
use jettison_syntax::view::Stage;

use super::copies::{self, Copied, Source};
use super::effects::{self, Effects, overlap};
use super::places::{exists, lineage, name, parent};
use super::{bases, moves};

/// Why two instructions stay in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tie {
    /// A sentence without its full stop.
    pub(crate) reason: String,
    /// Whether a trace could tell that it is no tie at all.
    pub(crate) is_open: bool,
}

/// What the instructions of a stage touch.
pub(crate) struct Ties<'u, 'a> {
    unit: &'u SourceUnit<'a>,
    effects: BTreeMap<usize, Result<Effects, String>>,
    landings: BTreeMap<usize, Result<Landing, String>>,
    /// What was asked for before: commands that touched thousands of files are compared once.
    known: RefCell<BTreeMap<(usize, usize), Result<(), Tie>>>,
}

/// Where COPY or ADD writes.
struct Landing {
    /// The paths at or below which it does. Folders above them are made where they are missing.
    paths: Vec<String>,
    /// The paths at or below which it may write when the context holds other files.
    reach: Vec<String>,
    /// Whether the working directory decides.
    is_relative: bool,
    /// `--chown`, which also those folders get.
    owner: Option<String>,
}

/// Folders that are links in many images.
const OFTEN_LINKS: [&str; 8] = ["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/var/lock", "/var/run"];

fn tie(reason: impl Into<String>) -> Result<(), Tie> {
    Err(Tie { reason: reason.into(), is_open: false })
}

impl<'u, 'a> Ties<'u, 'a> {
    /// Reads the instructions of a stage.
    pub(crate) fn of(unit: &'u SourceUnit<'a>, stage: &Stage) -> Self {
        let links: Vec<String> =
            effects::links(unit, stage.instructions.clone()).into_iter().map(|(_, path)| path).collect();
        let (mut touched, mut landings) = (BTreeMap::new(), BTreeMap::new());
        for at in stage.instructions.clone() {
            match unit.kind(at) {
                Kind::Run => {
                    let known = effects::known(unit, at);
                    touched.insert(at, known.map(|effects| Effects { links: links.clone(), ..effects }));
                }
                Kind::Copy | Kind::Add => drop(landings.insert(at, landing(unit, at))),
                _ => {}
            }
        }
        Self { unit, effects: touched, landings, known: RefCell::default() }
    }

    /// Whether two instructions mean the same in either order. The first one stands before the second one.
    pub(crate) fn between(&self, earlier: usize, later: usize) -> Result<(), Tie> {
        let known = self.known.borrow().get(&(earlier, later)).cloned();
        known.unwrap_or_else(|| {
            let tie = self.compare(earlier, later);
            self.known.borrow_mut().insert((earlier, later), tie.clone());
            tie
        })
    }

    fn compare(&self, earlier: usize, later: usize) -> Result<(), Tie> {
        let (a, b) = (self.unit.kind(earlier), self.unit.kind(later));
        for kind in [a, b] {
            if kind == Kind::Onbuild || !(kind == Kind::Run || moves::is_movable(kind)) {
                return tie(format!("nothing is moved across {}", kind.keyword()));
            }
        }
        self.by_variables(earlier, later)?;
        if moves::is_setting(a) || moves::is_setting(b) {
            let is_program = |kind| matches!(kind, Kind::Cmd | Kind::Entrypoint);
            return match a == b || (is_program(a) && is_program(b)) {
                true => tie("the later one of two such settings holds"),
                false => Ok(()),
            };
        }
        match (a, b) {
            (Kind::Run, Kind::Run) => self.runs(earlier, later),
            (Kind::Run, Kind::Workdir) => self.run_and_directory(earlier, later),
            (Kind::Workdir, Kind::Run) => self.run_and_directory(later, earlier),
            (Kind::Run, Kind::Copy | Kind::Add) => self.run_and_copy(earlier, later),
            (Kind::Copy | Kind::Add, Kind::Run) => self.run_and_copy(later, earlier),
            (Kind::Workdir, Kind::Workdir) => tie("one directory counts from the other one"),
            (Kind::Workdir, Kind::Copy | Kind::Add) => self.directory_and_copy(earlier, later),
            (Kind::Copy | Kind::Add, Kind::Workdir) => self.directory_and_copy(later, earlier),
            (Kind::Copy | Kind::Add, Kind::Copy | Kind::Add) => self.copies(earlier, later),
            _ => Ok(()),
        }
    }

    /// ENV and ARG, and what their variables mean to others.
    fn by_variables(&self, earlier: usize, later: usize) -> Result<(), Tie> {
        let unit = self.unit;
        let sets = |at: usize| matches!(unit.kind(at), Kind::Env | Kind::Arg);
        if sets(earlier) && sets(later) {
            if unit.kind(earlier) == Kind::Env && unit.kind(later) == Kind::Env {
                return tie("images list variables in their order");
            }
            let (a, b) = (moves::names(unit, earlier), moves::names(unit, later));
            if a.iter().any(|name| b.contains(name)) {
                return tie("both set the same variable");
            }
        }
        for (setter, other) in [(earlier, later), (later, earlier)] {
            if !sets(setter) {
                continue;
            }
            let names = moves::names(unit, setter);
            if names.iter().any(|name| name.contains('$')) {
                return tie("the name of a variable depends on another one");
            }
            if let Some(name) = self.reads(other, &names) {
                return tie(format!("it reads ${name}"));
            }
        }
        Ok(())
    }

    /// The variable of those that an instruction may read.
    fn reads(&self, at: usize, names: &[String]) -> Option<String> {
        let unit = self.unit;
        let references = expand::references(unit.tree.line(unit.instruction(at)), unit.tree.escape);
        let in_line = names.iter().find(|name| references.iter().any(|reference| reference.name == **name));
        if in_line.is_some() || unit.kind(at) != Kind::Run {
            return in_line.cloned();
        }
        names
            .iter()
            .find(|name| self.effects[&at].as_ref().map_or(true, |known| known.stands_against_variable(name).is_some()))
            .cloned()
    }

    fn effects(&self, run: usize) -> Result<&Effects, Tie> {
        self.effects[&run]
            .as_ref()
            .map_err(|reason| Tie { reason: reason.clone(), is_open: self.unit.observed(run).is_none() })
    }

    fn landing(&self, copy: usize) -> Result<&Landing, Tie> {
        self.landings[&copy].as_ref().map_err(|reason| Tie { reason: reason.clone(), is_open: false })
    }

    /// What no text tells: two commands change places only where both were watched.
    fn runs(&self, one: usize, other: usize) -> Result<(), Tie> {
        match (self.unit.observed(one), self.unit.observed(other)) {
            (Some(one), Some(other)) => one.stands_against_command(other).map_or(Ok(()), tie),
            _ => Err(Tie {
                reason: "whether it needs what the command before it did is not known".to_owned(),
                is_open: true,
            }),
        }
    }

    fn run_and_directory(&self, run: usize, directory: usize) -> Result<(), Tie> {
        let effects = self.effects(run)?;
        if effects.uses_directory {
            return tie("the command depends on its directory");
        }
        if !bases::is_root(self.unit, directory) {
            return tie("WORKDIR is not known to run as root");
        }
        let Some(path) = moves::workdir(self.unit, directory) else { return tie("its directory is not known") };
        if let Some(reason) = effects.stands_against_path(&path) {
            return tie(reason);
        }
        self.folders_above(&path, run, directory)
    }

    fn run_and_copy(&self, run: usize, copy: usize) -> Result<(), Tie> {
        let (effects, landing) = (self.effects(run)?, self.landing(copy)?);
        if moves::names_an_owner(self.unit.instruction(copy)) && effects.may_make_owners() {
            return tie("its owner may be made by the command");
        }
        if let Some(reason) = landing.reach.iter().find_map(|path| effects.stands_against_path(path)) {
            return tie(reason);
        }
        landing.reach.iter().try_for_each(|path| self.folders_above(path, run, copy))
    }

    /// Whether a command can do without the folders that `maker` makes above a path, and makes none of them itself.
    fn folders_above(&self, path: &str, run: usize, maker: usize) -> Result<(), Tie> {
        let effects = self.effects(run)?;
        let before = lineage(self.unit, run.min(maker));
        // What the command needs for other reasons stays above it.
        let is_needed =
            |landing: &Landing| landing.reach.iter().any(|path| effects.stands_against_path(path).is_some());
        let others = self.landings.range(..run).filter(|(at, _)| **at != maker);
        let needed: Vec<usize> =
            others.filter(|(_, landing)| landing.as_ref().is_ok_and(is_needed)).map(|(at, _)| *at).collect();
        let mut folder = parent(path);
        while !exists(self.unit, folder, &before) && !exists(self.unit, folder, &needed) {
            if let Some(reason) = effects.stands_against_path(folder) {
                return tie(format!("{folder} is made there, and {reason}"));
            }
            folder = parent(folder);
        }
        Ok(())
    }

    fn directory_and_copy(&self, directory: usize, copy: usize) -> Result<(), Tie> {
        let landing = self.landing(copy)?;
        if landing.is_relative {
            return tie("its destination counts from the working directory");
        }
        let Some(path) = moves::workdir(self.unit, directory) else { return tie("its directory is not known") };
        if let Some(own) = landing.paths.iter().find(|own| overlap(own, &path)) {
            return tie(format!("{own} and the directory {path} lie in each other"));
        }
        if landing.owner.is_some() { self.has_folders(landing, directory.min(copy)) } else { self.is_plain(landing) }
    }

    fn copies(&self, one: usize, other: usize) -> Result<(), Tie> {
        let (a, b) = (self.landing(one)?, self.landing(other)?);
        let pairs = || a.paths.iter().flat_map(|own| b.paths.iter().map(move |other| (own, other)));
        if let Some((path, other)) = pairs().find(|(own, other)| overlap(own, other)) {
            return tie(if path == other {
                format!("both write {path}")
            } else {
                format!("both write {path}, {other}")
            });
        }
        let names_owner = |at| moves::names_an_owner(self.unit.instruction(at));
        let makes_owners = |landing: &Landing| {
            landing.paths.iter().any(|path| ["/etc/passwd", "/etc/group"].iter().any(|file| overlap(path, file)))
        };
        if (names_owner(one) && makes_owners(b)) || (names_owner(other) && makes_owners(a)) {
            return tie("the other one may make its owner");
        }
        self.is_plain(a)?;
        self.is_plain(b)?;
        if a.owner == b.owner {
            return Ok(());
        }
        self.has_folders(a, one.min(other))?;
        self.has_folders(b, one.min(other))
    }

    /// Whether no folder above is known to lead elsewhere.
    fn is_plain(&self, landing: &Landing) -> Result<(), Tie> {
        let made = self.effects.values().filter_map(|effects| effects.as_ref().ok()).flat_map(|effects| {
            let seen = effects.observed.iter().flat_map(|observed| observed.links.iter());
            effects.links.iter().chain(seen).map(String::as_str)
        });
        let links: Vec<&str> = made.chain(OFTEN_LINKS).collect();
        let is_below = |path: &str, link: &str| path.strip_prefix(link).is_some_and(|rest| rest.starts_with('/'));
        let link =
            landing.paths.iter().find_map(|path| links.iter().find(|link| is_below(path, link) || path == *link));
        link.map_or(Ok(()), |link| tie(format!("{link} may be a link")))
    }

    /// Whether the folders that it writes to are there before an instruction, so that nobody's order decides on them.
    fn has_folders(&self, landing: &Landing, before: usize) -> Result<(), Tie> {
        let lineage = lineage(self.unit, before);
        let missing = landing.paths.iter().map(|path| parent(path)).find(|folder| !exists(self.unit, folder, &lineage));
        missing.map_or(Ok(()), |folder| tie(format!("who makes {folder} decides on its owner")))
    }
}

/// Where a COPY or ADD writes, as exactly as its sources tell.
fn landing(unit: &SourceUnit<'_>, at: usize) -> Result<Landing, String> {
    let target = moves::target(unit, at)?;
    let instruction = unit.instruction(at);
    let known = ["chown", "chmod", "from", "link", "exclude", "checksum", "keep-git-dir"];
    if let Some(flag) = instruction.body.flags.iter().find(|flag| !known.contains(&flag.name())) {
        return Err(format!("--{} may write to other places", flag.name()));
    }
    let word = match &instruction.body.arguments {
        Arguments::Words(words) => words.last().map(|word| unit.tree.part(instruction, *word).to_owned()),
        Arguments::Json(strings) => strings.last().map(|string| string.value.clone()),
        _ => None,
    };
    let is_relative = word.and_then(|word| unit.expand(at, &word)).is_none_or(|word| !word.starts_with('/'));
    let owner = instruction.body.flag("chown").and_then(|flag| flag.value()).map(str::to_owned);
    let copied = copies::read(unit, at).filter(|_| unit.kind(at) == Kind::Copy);
    let is_pattern = |copied: &Copied| copied.sources.iter().any(|source| copied.kind(unit, source) == Source::Pattern);
    let has_patterns = copied.as_ref().is_none_or(is_pattern);
    let paths = copied.and_then(|copied| files(unit, &copied)).unwrap_or_else(|| vec![target.clone()]);
    let reach = if has_patterns { vec![target] } else { paths.clone() };
    Ok(Landing { paths, reach, is_relative, owner })
}

/// The files that a COPY makes, where all of its sources are known to be files of the context.
fn files(unit: &SourceUnit<'_>, copied: &Copied) -> Option<Vec<String>> {
    let context = unit.context.filter(|_| copied.from.is_none() && copied.into_folder)?;
    let mut paths = Vec::new();
    for source in &copied.sources {
        match copied.kind(unit, source) {
            Source::File => paths.push(name(source).to_owned()),
            Source::Pattern => paths.extend(matching(context, source)?),
            _ => return None,
        }
    }
    Some(paths.into_iter().map(|file| format!("{}/{file}", copied.target.trim_end_matches('/'))).collect())
}

/// The names of the files that a pattern stands for; none where it stands for anything else, or nothing.
fn matching(context: &Context, pattern: &str) -> Option<Vec<String>> {
    let pattern = parts(pattern).join("/");
    let found = context.files.iter().filter(|file| matches_pattern(&pattern, &file.path).unwrap_or(true));
    let names: Option<Vec<String>> =
        found.map(|file| (file.entry == Entry::File).then(|| name(&file.path).to_owned())).collect();
    names.filter(|names| !names.is_empty())
}
