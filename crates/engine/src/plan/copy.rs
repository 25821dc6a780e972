//! COPY and ADD.

use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::expand::Lexer;
use jettison_syntax::path;

use super::error::{PlanErrorKind, value};
use super::model::{Copy, CopySource, Owner, Step, StepKind};
use super::mount::join;
use super::planner::Planner;
use super::run::{content, stripped};
use super::state::{Place, State};

/// What is copied where, expanded.
struct Words {
    sources: Vec<String>,
    heredocs: Vec<(String, Vec<u8>)>,
    destination: String,
}

impl Planner<'_> {
    pub(super) fn copy(&self, place: Place<'_>, stage: usize, state: &mut State) -> Result<Step, PlanErrorKind> {
        let is_add = place.body().kind == Kind::Add;
        let keyword = place.body().kind.keyword();
        let from = match place.flag("from")?.filter(|from| !from.is_empty()) {
            None => CopySource::Context,
            Some(from) => {
                let plain = Lexer::new(place.escape).process_word(from, &|_| None).map_err(|error| error.kind)?.value;
                if plain != from {
                    let message = "variable expansion is not supported for --from, define a new stage with FROM \
                                   using ARG from global scope as a workaround";
                    return Err(PlanErrorKind::Combination(message.to_owned()));
                }
                self.source(from, stage, true)?
            }
        };
        let expanded = |name: &str| -> Result<Option<String>, PlanErrorKind> {
            let text = place.flag(name)?.map(|text| place.expand(text, state)).transpose()?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let (chown, chmod, checksum) = (expanded("chown")?, expanded("chmod")?, expanded("checksum")?);
        if let Some(chmod) = &chmod {
            check_mode(chmod)?;
        }
        let exclude = place.all("exclude")?.into_iter().map(|text| place.expand(text, state));
        let exclude = exclude.collect::<Result<Vec<_>, _>>()?;
        let parents = place.switch("parents")?.unwrap_or(false);
        let words = words(place, state)?;
        check_sources(&words.sources, is_add, checksum.is_some())?;
        let mut history = keyword.to_owned();
        if parents {
            history.push_str(" --parents");
        }
        for (name, text) in [("chown", &chown), ("chmod", &chmod)] {
            if let Some(text) = text {
                history.push_str(&format!(" --{name}={text}"));
            }
        }
        let sources = words.sources.iter().cloned();
        for source in sources.chain(words.heredocs.iter().map(|(name, _)| format!("<<{name}"))) {
            history.push_str(&format!(" {source}"));
        }
        history.push_str(&format!(" {} # buildkit", words.destination));
        let copy = Copy {
            is_add,
            from,
            destination: destination(&words.destination, &state.workdir),
            sources: words.sources,
            heredocs: words.heredocs,
            chown: chown.map(|text| owner(&text)).transpose()?,
            chmod,
            link: place.switch("link")?.unwrap_or(false),
            parents,
            exclude,
            checksum,
            keep_git_dir: place.switch("keep-git-dir")?.unwrap_or(false),
            unpack: place.switch("unpack")?,
        };
        let text = place.shown(place.line().trim(), &Lexer::new(place.escape), state);
        Ok(super::settings::step(place, text, history, state, StepKind::Copy(copy)))
    }
}

fn words(place: Place<'_>, state: &State) -> Result<Words, PlanErrorKind> {
    let needs = || PlanErrorKind::Combination("at least one source and the destination are needed".to_owned());
    let (mut sources, mut heredocs) = (Vec::new(), Vec::new());
    let destination = match &place.body().arguments {
        Arguments::Json(words) => {
            let (last, others) = words.split_last().ok_or_else(needs)?;
            for word in others {
                sources.push(place.expand(&word.value, state)?);
            }
            place.expand(&last.value, state)?
        }
        Arguments::Words(words) => {
            let (last, others) = words.split_last().ok_or_else(needs)?;
            let announced = &place.instruction.heredocs;
            if announced.iter().any(|heredoc| heredoc.word.contains(*last)) {
                let message = format!("{} cannot accept a heredoc as a destination", place.body().kind.keyword());
                return Err(PlanErrorKind::Combination(message));
            }
            for word in others {
                match announced.iter().find(|heredoc| heredoc.word == *word) {
                    Some(heredoc) => {
                        let mut data = content(place, heredoc);
                        if heredoc.strips_tabs {
                            data = stripped(&data);
                        }
                        if heredoc.expands {
                            let lexer = Lexer { plain_quotes: true, ..Lexer::new('\\') };
                            let known = |name: &str| state.variable(name);
                            data = lexer.process_word(&data, &known).map_err(|error| error.kind)?.value;
                        }
                        heredocs.push((heredoc.name.clone(), jettison_syntax::dockerfile::encode(&data)));
                    }
                    None => sources.push(place.expand(word.of(place.line()), state)?),
                }
            }
            place.expand(last.of(place.line()), state)?
        }
        _ => return Err(needs()),
    };
    Ok(Words { sources, heredocs, destination })
}

fn check_sources(sources: &[String], is_add: bool, has_checksum: bool) -> Result<(), PlanErrorKind> {
    let refuse = |message: &str| Err(PlanErrorKind::Combination(message.to_owned()));
    if !is_add && sources.iter().any(|source| is_git(source)) {
        return refuse("source can't be a git ref for COPY");
    }
    if !is_add && sources.iter().any(|source| is_url(source)) {
        return refuse("source can't be a URL for COPY");
    }
    match sources {
        _ if !has_checksum => Ok(()),
        [only] if is_url(only) || is_git(only) => Ok(()),
        [_] => refuse("checksum requires HTTP(S) or Git sources"),
        _ => refuse("checksum can't be specified for multiple sources"),
    }
}

fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Whether a source is a git repository by its form alone.
fn is_git(source: &str) -> bool {
    let path = source.split(['#', '?']).next().unwrap_or_default();
    let user = source.split_once('@').map(|(user, rest)| (user, rest.contains(':')));
    source.starts_with("git://")
        || source.starts_with("ssh://")
        || source.starts_with("git@")
        || (is_url(source) && path.ends_with(".git"))
        || user.is_some_and(|(user, host)| host && !user.contains(['/', ':']) && path.ends_with(".git"))
}

/// The destination absolute, with the slash that says it is a folder.
fn destination(written: &str, workdir: &str) -> String {
    let is_folder = written.is_empty() || written == "." || written.ends_with('/') || written.ends_with("/.");
    let clean = path::clean(&join(workdir, written));
    if is_folder && clean != "/" { format!("{clean}/") } else { clean }
}

fn owner(text: &str) -> Result<Owner, PlanErrorKind> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    if group.is_some_and(|group| group.contains(':')) {
        return Err(value("chown parameter", text, "it is USER or USER:GROUP"));
    }
    let group = group.filter(|group| !group.is_empty()).map(str::to_owned);
    // Without a name BuildKit leaves the owner as it is in the context: root.
    let user = if user.is_empty() { "0" } else { user };
    Ok(Owner { user: user.to_owned(), group })
}

/// Octal up to 7777, or symbolic as `chmod` takes it.
fn check_mode(text: &str) -> Result<(), PlanErrorKind> {
    let wrong = || value("chmod parameter", text, "it should be an octal string between 0 and 07777, or symbolic");
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).map(drop).ok_or_else(wrong);
    }
    for clause in text.split(',') {
        let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
        let is_valid = rest.starts_with(['+', '-', '='])
            && rest.chars().all(|c| matches!(c, '+' | '-' | '=' | 'r' | 'w' | 'x' | 'X' | 's' | 't' | 'u' | 'g' | 'o'));
        if !is_valid {
            return Err(wrong());
        }
    }
    Ok(())
}
