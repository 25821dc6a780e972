//! The text of a stage of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jettison_image::Config;
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Instruction, Kind};
use jettison_syntax::editor::{Edited, Editor};
use jettison_syntax::shell::quote;
use jettison_syntax::view::{Outline, Stage};

use super::layout::{Copy, Layout};
use super::settings;
use super::{Foundation, Image, Unfit, Wish};
use crate::driver::Selection;
use crate::rewrite::{Fixes, Source, rewrite};

/// Longer lines of sources are broken.
const WIDTH: usize = 100;

/// Names for the stage that was the last, in order of preference.
const NAMES: [&str; 4] = ["build", "builder", "build-stage", "everything"];

/// The Dockerfile with the stage behind its last one, which gets another name: the new stage takes its own, so that
/// `--target` finds what ships.
pub(super) fn write(
    tree: &Dockerfile,
    image: &Image<'_, '_>,
    layout: &Layout,
    foundation: Foundation,
    wish: &Wish<'_>,
) -> Result<(String, Edited), Unfit> {
    let outline = Outline::of(tree);
    let chain = settings::chain(&outline);
    let (Some(root), Some(last)) = (chain.first(), chain.last()) else { return Err(Unfit::NoStage) };
    let name = free_name(&outline, wish.taken).ok_or(Unfit::NoStage)?;
    let kept = settings::kept(tree, &chain, image.config)?;
    let mut text = String::from("# Only what the command and the smoke commands were seen to use.\n");
    let own_name = own_name(tree, last);
    let own = own_name.map(|(_, name)| format!(" AS {name}")).unwrap_or_default();
    match foundation {
        Foundation::Base => {
            let _ = writeln!(text, "FROM {}{own}", from(tree, &tree.instructions[root.from]));
        }
        Foundation::Scratch => {
            let _ = writeln!(text, "FROM scratch{own}");
        }
    }
    let user = image.base_config.and_then(user).filter(|_| foundation == Foundation::Base);
    if layout.needs_commands() {
        if user.is_some() {
            text.push_str("USER 0\n");
        }
        let _ = writeln!(text, "RUN {}", commands(layout).join(" \\\n    && "));
    }
    for copy in &layout.copies {
        let _ = writeln!(text, "{}", copy_text(copy, name));
    }
    if let (Foundation::Scratch, Some(base)) = (foundation, image.base_config) {
        for line in settings::of_base(base, image.config, &kept, tree.escape)? {
            let _ = writeln!(text, "{line}");
        }
    }
    if let Some(user) = user.filter(|_| layout.needs_commands() && !settings::has(&kept, Kind::User)) {
        let _ = writeln!(text, "USER {user}");
    }
    for instruction in kept {
        let _ = writeln!(text, "{instruction}");
    }
    let mut editor = Editor::new(tree);
    let stage = polished(&editor.in_own_style(&text), tree.escape, wish);
    let old = &tree.instructions[last.from];
    let named = match (own_name, &old.body.arguments) {
        (Some((span, _)), _) => editor.replace(span, name),
        (None, Arguments::Words(words)) if let Some(word) = words.last() => {
            let end = old.logical.source_span(*word).end;
            editor.replace(jettison_syntax::Span { start: end, end }, &format!(" AS {name}"))
        }
        _ => return Err(Unfit::NoStage),
    };
    let end = jettison_syntax::Span::new(tree.text().len(), tree.text().len());
    let gap = if tree.text().ends_with('\n') { "\n" } else { "\n\n" };
    named.and_then(|()| editor.replace(end, &format!("{gap}{stage}"))).map_err(|_| Unfit::NoStage)?;
    Ok((stage, editor.finish()))
}

/// The stage as the passes write it: what stood apart in the stages before may now go together. They see nothing but the
/// stage, so that they change nothing else.
fn polished(text: &str, escape: char, wish: &Wish<'_>) -> String {
    let directive = if escape == '\\' { String::new() } else { format!("# escape={escape}\n") };
    let source = Source { tree: Dockerfile::parse(format!("{directive}{text}")), context: None, observations: None };
    let selection = Selection { withdrawn: Vec::new(), limit: None, ..wish.selection.clone() };
    let rewritten = rewrite(source, wish.options, &selection, Fixes::Applied, &mut |_| {});
    let text = rewritten.tree.text();
    text.strip_prefix(directive.as_str()).unwrap_or(text).to_owned()
}

/// The place of a stage's name, and the name as it is written.
fn own_name<'t>(tree: &'t Dockerfile, stage: &Stage) -> Option<(jettison_syntax::Span, &'t str)> {
    let from = &tree.instructions[stage.from];
    let Arguments::Words(words) = &from.body.arguments else { return None };
    let [_, _, name] = words[..] else { return None };
    Some((from.logical.source_span(name), tree.part(from, name)))
}

/// What a FROM starts from, with its flags.
fn from(tree: &Dockerfile, from: &Instruction) -> String {
    let mut parts: Vec<&str> = from.body.flags.iter().map(|flag| tree.part(from, flag.span)).collect();
    if let Arguments::Words(words) = &from.body.arguments {
        parts.extend(words.first().map(|word| tree.part(from, *word)));
    }
    parts.join(" ")
}

fn free_name(outline: &Outline, taken: &[String]) -> Option<&'static str> {
    let is_taken = |name: &str| {
        outline.stages.iter().any(|stage| stage.name.as_deref() == Some(name) || stage.reference == name)
            || taken.iter().any(|taken| taken.eq_ignore_ascii_case(name))
    };
    NAMES.into_iter().find(|name| !is_taken(name))
}

/// The user of an image, where it is not root.
fn user(config: &Config) -> Option<&str> {
    let user = config.get("config")?.get("User")?.as_str()?;
    (!user.is_empty() && !["0", "root"].contains(&user.split(':').next().unwrap_or_default())).then_some(user)
}

/// What no COPY does, as shell commands.
fn commands(layout: &Layout) -> Vec<String> {
    let mut commands = Vec::new();
    let list = |paths: &[&str]| paths.iter().map(|path| quote(path)).collect::<Vec<_>>().join(" ");
    if !layout.removed.is_empty() {
        commands.push(format!("rm -rf {}", list(&layout.removed.iter().map(String::as_str).collect::<Vec<_>>())));
    }
    let new: Vec<&str> =
        layout.folders.iter().filter(|folder| folder.is_new).map(|folder| folder.path.as_str()).collect();
    if !new.is_empty() {
        commands.push(format!("mkdir -p {}", list(&new)));
    }
    let (mut owners, mut modes) = (BTreeMap::new(), BTreeMap::new());
    for folder in &layout.folders {
        if let Some(owner) = folder.owner {
            owners.entry(owner).or_insert_with(Vec::new).push(folder.path.as_str());
        }
        if let Some(mode) = folder.mode {
            modes.entry(mode).or_insert_with(Vec::new).push(folder.path.as_str());
        }
    }
    // A change of the owner takes set-id bits away.
    commands.extend(owners.iter().map(|((user, group), paths)| format!("chown {user}:{group} {}", list(paths))));
    commands.extend(modes.iter().map(|(mode, paths)| format!("chmod {mode:04o} {}", list(paths))));
    let mut of_links = BTreeMap::new();
    for link in &layout.links {
        let options = if link.replaces { "-sfn" } else { "-s" };
        commands.push(format!("ln {options} {} {}", quote(&link.target), quote(&link.path)));
        if let Some(owner) = link.owner {
            of_links.entry(owner).or_insert_with(Vec::new).push(link.path.as_str());
        }
    }
    commands.extend(of_links.iter().map(|((user, group), paths)| format!("chown -h {user}:{group} {}", list(paths))));
    commands
}

/// The programs that the commands are.
pub(super) fn programs(layout: &Layout) -> Vec<String> {
    let commands = commands(layout);
    let mut programs: Vec<String> =
        commands.iter().filter_map(|command| command.split(' ').next()).map(str::to_owned).collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

fn copy_text(copy: &Copy, from: &str) -> String {
    let mut start = format!("COPY --from={from}");
    if let Some((user, group)) = copy.owner {
        let _ = write!(start, " --chown={user}:{group}");
    }
    let words: Vec<&str> = copy.sources.iter().chain([&copy.destination]).map(String::as_str).collect();
    if words.iter().any(|word| word.contains(char::is_whitespace)) {
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        return format!("{start} [{}]", quoted.join(", "));
    }
    let line = format!("{start} {}", words.join(" "));
    if words.len() < 3 || line.len() <= WIDTH {
        return line;
    }
    format!("{start} \\\n    {}", words.join(" \\\n    "))
}
