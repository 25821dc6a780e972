//! How many layers a Dockerfile's image has above its base, as far as the text tells.

use std::collections::HashSet;

use jettison_syntax::dockerfile::{Arguments, Dockerfile, Kind};
use jettison_syntax::path::absolute;
use jettison_syntax::view::{Origin, Outline, Scope};

/// Layers that hold files; settings such as ENV and CMD make none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Whether there is a base whose layers come first.
    pub has_base: bool,
    /// Those that BuildKit makes: one for each RUN, COPY, ADD, and for each WORKDIR but `/`.
    pub buildkit: usize,
    /// Those that the classic builder makes: a WORKDIR counts only where it makes the folder.
    pub classic: usize,
}

/// Folders that nearly every base has.
const USUAL: [&str; 17] = [
    "/", "/bin", "/dev", "/etc", "/home", "/lib", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys",
    "/tmp", "/usr", "/var",
];

impl Layers {
    /// The layers of the last stage, and of those that it is based on.
    #[must_use]
    pub fn of(tree: &Dockerfile) -> Self {
        let outline = Outline::of(tree);
        let mut layers = Self { has_base: false, buildkit: 0, classic: 0 };
        let mut chain = Vec::new();
        let mut next = outline.stages.last();
        while let Some(stage) = next {
            chain.push(stage);
            layers.has_base = !matches!(stage.base, Origin::Scratch);
            next = match stage.base {
                Origin::Stage(below) => outline.stages.get(below),
                _ => None,
            };
        }
        let usual = if layers.has_base { &USUAL[..] } else { &USUAL[..1] };
        let mut folders: HashSet<String> = usual.iter().map(|folder| (*folder).to_owned()).collect();
        for at in chain.iter().rev().flat_map(|stage| stage.instructions.clone()) {
            let kind = tree.instructions[at].body.kind;
            match kind {
                Kind::Run | Kind::Copy | Kind::Add => {
                    layers.buildkit += 1;
                    layers.classic += 1;
                    if kind != Kind::Run
                        && let Some(target) = target(tree, &outline, at)
                    {
                        remember(&mut folders, &target);
                    }
                }
                Kind::Workdir => match folder(tree, &outline, at) {
                    Some(folder) => {
                        layers.buildkit += usize::from(folder != "/");
                        layers.classic += usize::from(!folders.contains(&folder));
                        remember(&mut folders, &folder);
                    }
                    None => {
                        layers.buildkit += 1;
                        layers.classic += 1;
                    }
                },
                _ => {}
            }
        }
        layers
    }
}

/// A folder exists from now on, and those above it.
fn remember(folders: &mut HashSet<String>, path: &str) {
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
    folders.extend(ends.map(|end| path[..end].to_owned()));
}

/// The working directory that a WORKDIR sets, where it is known.
fn folder(tree: &Dockerfile, outline: &Outline, at: usize) -> Option<String> {
    let instruction = &tree.instructions[at];
    let Arguments::Text(span) = instruction.body.arguments else { return None };
    absolute(&expanded(tree, outline, at, tree.part(instruction, span))?, outline.settings[at].workdir.known())
}

/// What COPY or ADD writes to, where it is known.
fn target(tree: &Dockerfile, outline: &Outline, at: usize) -> Option<String> {
    let instruction = &tree.instructions[at];
    let word = match &instruction.body.arguments {
        Arguments::Words(words) => tree.part(instruction, *words.last()?).to_owned(),
        Arguments::Json(words) => words.last()?.value.clone(),
        _ => return None,
    };
    absolute(&expanded(tree, outline, at, &word)?, outline.settings[at].workdir.known())
}

/// A word as it stands before an instruction. Variables are looked up only where there are any: that takes a walk over
/// the stage.
fn expanded(tree: &Dockerfile, outline: &Outline, at: usize, word: &str) -> Option<String> {
    let scope = if word.contains('$') { outline.scope(tree, at) } else { Scope::default() };
    scope.expand(word, tree.escape)
}

#[cfg(test)]
mod tests {
    use jettison_syntax::dockerfile::Dockerfile;

    use super::Layers;

    fn check(text: &str, expected: (bool, usize, usize)) {
        let Layers { has_base, buildkit, classic } = Layers::of(&Dockerfile::parse(text));
        assert_eq!((has_base, buildkit, classic), expected, "{text}");
    }

    #[test]
    fn what_changes_files_makes_a_layer() {
        check("FROM a\nENV a=b\nRUN b\nCOPY a b\nADD c d\nUSER x\nCMD y\n", (true, 3, 3));
        check("FROM scratch\nCOPY a /\n", (false, 1, 1));
        check("FROM a\n", (true, 0, 0));
    }

    #[test]
    fn working_directories_make_one_where_they_make_a_folder() {
        check("FROM a\nWORKDIR /\nWORKDIR /x\nWORKDIR /x\nWORKDIR y\nWORKDIR ..\n", (true, 4, 2));
        check("FROM a\nWORKDIR /tmp\n", (true, 1, 0));
        check("FROM scratch\nWORKDIR /tmp\n", (false, 1, 1));
        check("FROM a\nCOPY . /app/src\nWORKDIR /app\n", (true, 2, 1));
        check("FROM a\nENV D=/d\nWORKDIR $D\nWORKDIR /d\n", (true, 2, 1));
        check("FROM a\nWORKDIR $D\n", (true, 1, 1));
        check("FROM a\nWORKDIR x\nWORKDIR /\n", (true, 1, 1));
    }

    #[test]
    fn stages_count_where_the_last_one_is_based_on_them() {
        check("FROM a AS b\nRUN c\nFROM d\nCOPY --from=b /e /f\n", (true, 1, 1));
        check("FROM a AS b\nRUN c\nWORKDIR /w\nFROM b\nWORKDIR /w\nRUN d\n", (true, 4, 3));
    }
}
