//! RUN: its command, its environment, its flags.

use jettison_syntax::dockerfile::{Arguments, Heredoc};
use jettison_syntax::expand::Lexer;

use super::error::{PlanErrorKind, value};
use super::global::{self, PROXIES};
use super::model::{FileMountKind, Run, Step, StepKind};
use super::planner::Planner;
use super::state::{Place, State};
use crate::sandbox::Network;

/// Where the file of a heredoc with `#!` is mounted (BuildKit, `dispatchRun`).
const SCRIPTS: &str = "/dev/pipes/";

impl Planner<'_> {
    pub(super) fn run(&self, place: Place<'_>, stage: usize, state: &mut State) -> Result<Step, PlanErrorKind> {
        let network = match place.flag("network")?.unwrap_or("default") {
            "default" => self.options.default_network,
            "none" => Network::None,
            "host" => Network::Host,
            other => return Err(value("network mode", other, "it can be default, none or host")),
        };
        match place.flag("security")?.unwrap_or("sandbox") {
            "sandbox" => {}
            "insecure" => return Err(PlanErrorKind::Unsupported("RUN --security=insecure".to_owned())),
            other => return Err(value("security mode", other, "it can be sandbox")),
        }
        if place.body().flag("device").is_some() {
            return Err(PlanErrorKind::Unsupported("RUN --device".to_owned()));
        }
        let mut agents = 0;
        let mounts = place.all("mount")?.into_iter();
        let mounts = mounts.map(|text| self.mount(text, place, stage, state, &mut agents));
        let mounts = mounts.collect::<Result<Vec<_>, _>>()?;
        let (argv, script, summary) = command(place, state);
        let history = history(&argv, state);
        let mut shown = state.clone();
        for mount in &mounts {
            if let FileMountKind::Secret { env: Some(name), .. } = &mount.kind {
                global::set(&mut shown.env, name, "****");
            }
        }
        let lexer = Lexer { raw_quotes: true, keep_unset: true, ..Lexer::new(place.escape) };
        let text = format!("{}{summary}", place.line().trim());
        let text = place.shown(&text, &lexer, &shown);
        let run = Run {
            argv,
            env: state.env.clone(),
            unkeyed_env: self.proxies(state),
            workdir: state.workdir.clone(),
            user: state.user(),
            network,
            mounts,
            script,
        };
        Ok(super::settings::step(place, text, format!("RUN {history} # buildkit"), state, StepKind::Run(run)))
    }

    /// The proxies among the build arguments, in both cases, but for what an ARG or ENV sets.
    fn proxies(&self, state: &State) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for name in PROXIES {
            let given = self.options.build_args.iter().rfind(|(given, _)| given.eq_ignore_ascii_case(name));
            for (name, value) in given.into_iter().flat_map(|(_, v)| [(name.to_string(), v), (name.to_lowercase(), v)])
            {
                if state.variable(&name).is_none() {
                    found.push((name, value.clone()));
                }
            }
        }
        found
    }
}

/// The text of a heredoc.
pub(super) fn content(place: Place<'_>, heredoc: &Heredoc) -> String {
    heredoc.body.of(place.tree.text()).to_owned()
}

/// The same without the tabs that begin its lines.
pub(super) fn stripped(text: &str) -> String {
    text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

/// The command, the file that it is where that is a script, and what is shown of a heredoc.
fn command(place: Place<'_>, state: &State) -> (Vec<String>, Option<(String, String)>, String) {
    if let Arguments::Json(words) = &place.body().arguments {
        return (words.iter().map(|word| word.value.clone()).collect(), None, String::new());
    }
    let rest = place.body().rest;
    let text = rest.of(place.line());
    let heredocs = &place.instruction.heredocs;
    match heredocs.first() {
        None => (state.with_shell(text), None, String::new()),
        // The heredoc is the whole command: its text is run.
        Some(first) if first.word == rest => {
            let data = content(place, first);
            let mut lines = data.trim().lines();
            let more = if data.trim().contains('\n') { "..." } else { "" };
            let summary = format!(" ({}{more})", lines.next().unwrap_or_default());
            let data = if first.strips_tabs { stripped(&data) } else { data };
            if data.starts_with("#!") {
                let path = format!("{SCRIPTS}{}", first.name);
                return (state.with_shell(&path), Some((path, data)), summary);
            }
            (state.with_shell(&data), None, summary)
        }
        Some(_) => {
            let mut script = text.to_owned();
            for heredoc in heredocs {
                script.push('\n');
                script.push_str(&content(place, heredoc));
                script.push_str(&heredoc.name);
            }
            (state.with_shell(&script), None, String::new())
        }
    }
}

/// The command with the arguments in scope before it.
fn history(argv: &[String], state: &State) -> String {
    let mut arguments: Vec<(&str, String)> = Vec::new();
    for (name, declared) in &state.arguments {
        let value = state.variable(name).or_else(|| declared.clone()).unwrap_or_default();
        match arguments.iter_mut().find(|(have, _)| have == name) {
            Some(have) => have.1 = value,
            None => arguments.push((name, value)),
        }
    }
    let mut words = Vec::new();
    if !arguments.is_empty() {
        words.push(format!("|{}", arguments.len()));
        words.extend(arguments.iter().map(|(name, value)| format!("{name}={value}")));
    }
    words.extend(argv.iter().cloned());
    words.join(" ")
}
