//! The settings of the images that a Dockerfile makes, as far as its text tells: a change to the file must keep them.

use std::collections::BTreeMap;

use jettison_syntax::dockerfile::{Arguments, Dockerfile, Kind};
use jettison_syntax::view::{Outline, Setting};

/// What a stage's image says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Image {
    base: String,
    user: Setting,
    workdir: Setting,
    shell: Vec<String>,
    environment: Vec<(String, Option<String>)>,
    labels: BTreeMap<String, String>,
    ports: Vec<String>,
    volumes: Vec<String>,
    /// CMD, ENTRYPOINT, HEALTHCHECK, STOPSIGNAL, MAINTAINER: the last of each.
    single: BTreeMap<Kind, String>,
    triggers: Vec<String>,
}

/// Whether two Dockerfiles make images with the same settings: all stages where both have as many, else the last one.
pub(crate) fn agree(before: &Dockerfile, after: &Dockerfile) -> bool {
    let (mut a, mut b) = (images(before), images(after));
    if a.len() != b.len() {
        a.drain(..a.len().saturating_sub(1));
        b.drain(..b.len().saturating_sub(1));
        // Numbers of stages may have changed with their count.
        for image in a.iter_mut().chain(&mut b) {
            image.base.clear();
            image.triggers.iter_mut().for_each(String::clear);
        }
    }
    a == b
}

fn images(tree: &Dockerfile) -> Vec<Image> {
    let outline = Outline::of(tree);
    let ends = outline.stages.iter().map(|stage| {
        let end = stage.instructions.end;
        let mut image = Image { base: stage.reference.clone(), ..Image::default() };
        for at in stage.instructions.clone() {
            image.take(tree, at);
        }
        let settings = &outline.ends[stage.index];
        image.user = settings.user.clone();
        image.workdir = settings.workdir.clone();
        image.shell = settings.shell.argv.to_vec();
        let scope = outline.scope(tree, end);
        let environment = scope.iter().filter(|(_, variable)| variable.is_env);
        image.environment = environment.map(|(name, variable)| (name.to_owned(), variable.value.clone())).collect();
        image.ports.sort();
        image.ports.dedup();
        image
    });
    ends.collect()
}

impl Image {
    fn take(&mut self, tree: &Dockerfile, at: usize) {
        let instruction = &tree.instructions[at];
        let line = tree.line(instruction);
        let body = &instruction.body;
        let rest = body.rest.of(line).to_owned();
        let words = match &body.arguments {
            Arguments::Words(words) => words.iter().map(|word| word.of(line).to_owned()).collect(),
            Arguments::Json(strings) => strings.iter().map(|string| string.value.clone()).collect(),
            _ => Vec::new(),
        };
        match body.kind {
            Kind::Label => {
                if let Arguments::Pairs { pairs, .. } = &body.arguments {
                    let pairs =
                        pairs.iter().map(|pair| (pair.name.of(line).to_owned(), pair.value.of(line).to_owned()));
                    self.labels.extend(pairs);
                }
            }
            Kind::Expose => self.ports.extend(words),
            Kind::Volume => self.volumes.extend(words),
            Kind::Onbuild => self.triggers.push(rest),
            Kind::Cmd | Kind::Entrypoint | Kind::Stopsignal | Kind::Maintainer => {
                self.single.insert(body.kind, rest);
            }
            Kind::Healthcheck => {
                let flags = body.flags.iter().map(|flag| format!("{} ", flag.text)).collect::<String>();
                self.single.insert(body.kind, flags + &rest);
            }
            _ => {}
        }
    }
}
