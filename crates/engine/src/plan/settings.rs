//! The instructions that change settings, and the one place that tells instructions apart.

use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::expand::Lexer;
use jettison_syntax::path;
use serde_json::{Value, json};

use super::error::{PlanErrorKind, value};
use super::global;
use super::model::{Step, StepKind};
use super::mount::join;
use super::planner::Planner;
use super::state::{Place, State};
use super::values::{duration, is_signal, ports, quoted_list, show_duration};

/// A step of an instruction.
pub(super) fn step(place: Place<'_>, text: String, history: String, state: &State, kind: StepKind) -> Step {
    let instruction = place.instruction;
    Step { lines: instruction.lines, span: instruction.span.range(), text, history, user: state.user(), kind }
}

impl Planner<'_> {
    /// Reads an instruction; none where it does nothing but for later stages.
    pub(super) fn step(
        &self,
        place: Place<'_>,
        stage: usize,
        state: &mut State,
    ) -> Result<Option<Step>, PlanErrorKind> {
        let kind = place.body().kind;
        let history = match kind {
            Kind::Run => return self.run(place, stage, state).map(Some),
            Kind::Copy | Kind::Add => return self.copy(place, stage, state).map(Some),
            Kind::Onbuild => {
                remember_trigger(place, state);
                return Ok(None);
            }
            Kind::Workdir => return workdir(place, state).map(Some),
            Kind::Env | Kind::Label => pairs(place, state)?,
            Kind::Arg => self.argument(place, state)?,
            Kind::User => {
                let user = place.expand(text(place), state)?;
                state.settings.set("User", json!(user));
                format!("USER {user}")
            }
            Kind::Cmd | Kind::Entrypoint => command(place, state),
            Kind::Expose => expose(place, state)?,
            Kind::Volume => volume(place, state)?,
            Kind::Healthcheck => health(place, state)?,
            Kind::Shell => {
                let words = json_words(&place.body().arguments);
                state.settings.set("Shell", json!(words));
                format!("SHELL [{}]", words.join(" "))
            }
            Kind::Stopsignal => {
                let signal = place.expand(text(place), state)?;
                if !is_signal(&signal) {
                    return Err(value("signal", &signal, "it is a number or a name such as SIGTERM"));
                }
                state.settings.set("StopSignal", json!(signal));
                format!("STOPSIGNAL {signal}")
            }
            Kind::Maintainer => {
                state.settings.0.insert("author".to_owned(), json!(text(place)));
                format!("MAINTAINER {}", text(place))
            }
            Kind::From | Kind::Unknown => return Ok(None),
        };
        let shown = shown(place);
        Ok(Some(step(place, shown, history, state, StepKind::Settings)))
    }

    fn argument(&self, place: Place<'_>, state: &mut State) -> Result<String, PlanErrorKind> {
        let Arguments::Words(words) = &place.body().arguments else { return Ok("ARG".to_owned()) };
        let mut history = "ARG".to_owned();
        for word in words {
            let word = word.of(place.line());
            let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if name.is_empty() {
                return Err(PlanErrorKind::Combination("ARG names can not be blank".to_owned()));
            }
            let found = match (self.options.build_args.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(place.expand(default, state)?),
                (None, None) => global::get(&self.globals, name).map(str::to_owned),
            };
            history.push_str(&format!(" {name}"));
            if let Some(found) = &found {
                global::set(&mut state.env, name, found);
                history.push_str(&format!("={found}"));
            }
            state.arguments.push((name.to_owned(), found));
        }
        Ok(history)
    }
}

/// The instruction on one line as written, its keyword in upper case.
fn shown(place: Place<'_>) -> String {
    let rest = place.line()[place.body().keyword.end as usize..].trim_end();
    format!("{}{rest}", place.body().kind.keyword())
}

fn text<'a>(place: Place<'a>) -> &'a str {
    place.body().rest.of(place.line())
}

fn json_words(arguments: &Arguments) -> Vec<String> {
    match arguments {
        Arguments::Json(words) => words.iter().map(|word| word.value.clone()).collect(),
        _ => Vec::new(),
    }
}

fn remember_trigger(place: Place<'_>, state: &mut State) {
    let mut trigger = text(place).to_owned();
    for heredoc in &place.instruction.heredocs {
        trigger.push('\n');
        trigger.push_str(&super::run::content(place, heredoc));
        trigger.push_str(&heredoc.name);
    }
    let mut triggers = state.settings.list("OnBuild");
    triggers.push(trigger);
    state.settings.set("OnBuild", json!(triggers));
}

fn workdir(place: Place<'_>, state: &mut State) -> Result<Step, PlanErrorKind> {
    let written = place.expand(text(place), state)?;
    let folder = path::clean(&join(&state.workdir, &written));
    let shown = place.shown(place.line().trim(), &Lexer::new(place.escape), state);
    state.workdir.clone_from(&folder);
    state.settings.set("WorkingDir", json!(folder));
    let kind = if folder == "/" { StepKind::Settings } else { StepKind::Workdir(folder.clone()) };
    Ok(step(place, shown, format!("WORKDIR {folder}"), state, kind))
}

fn pairs(place: Place<'_>, state: &mut State) -> Result<String, PlanErrorKind> {
    let is_env = place.body().kind == Kind::Env;
    let mut history = place.body().kind.keyword().to_owned();
    let Arguments::Pairs { pairs, .. } = &place.body().arguments else { return Ok(history) };
    // All values of one instruction see the variables from before it.
    let expand = |span: jettison_syntax::Span| place.expand(span.of(place.line()), state);
    let set = pairs.iter().map(|pair| Ok((expand(pair.name)?, expand(pair.value)?)));
    let set = set.collect::<Result<Vec<_>, PlanErrorKind>>()?;
    for (name, value) in set {
        history.push_str(&format!(" {name}={value}"));
        if is_env {
            global::set(&mut state.env, &name, &value);
            state.settings.set_env(&name, &value);
        } else {
            state.settings.insert("Labels", &name, json!(value));
        }
    }
    Ok(history)
}

fn command(place: Place<'_>, state: &mut State) -> String {
    let words = match &place.body().arguments {
        Arguments::Json(_) => json_words(&place.body().arguments),
        _ => state.with_shell(text(place)),
    };
    let keyword = place.body().kind.keyword();
    if place.body().kind == Kind::Cmd {
        state.settings.set("Cmd", json!(words));
        // BuildKit sets it for every platform; readers other than Windows do not look at it.
        state.settings.set("ArgsEscaped", json!(true));
        state.has_cmd = true;
    } else {
        state.settings.set("Entrypoint", json!(words));
        if !state.has_cmd {
            state.settings.set("Cmd", Value::Null);
        }
    }
    format!("{keyword} {}", quoted_list(&words))
}

fn expose(place: Place<'_>, state: &mut State) -> Result<String, PlanErrorKind> {
    let Arguments::Words(spans) = &place.body().arguments else { return Ok("EXPOSE []".to_owned()) };
    let mut words: Vec<&str> = spans.iter().map(|span| span.of(place.line())).collect();
    words.sort_unstable();
    let mut all = Vec::new();
    for word in words {
        let known = |name: &str| state.variable(name);
        for word in Lexer::new(place.escape).process_words(word, &known).map_err(|error| error.kind)? {
            all.extend(ports(&word)?);
        }
    }
    for port in &all {
        state.settings.insert("ExposedPorts", port, json!({}));
    }
    Ok(format!("EXPOSE [{}]", all.join(" ")))
}

fn volume(place: Place<'_>, state: &mut State) -> Result<String, PlanErrorKind> {
    let words = match &place.body().arguments {
        Arguments::Words(words) => words.iter().map(|word| word.of(place.line()).to_owned()).collect(),
        arguments => json_words(arguments),
    };
    let mut volumes = Vec::new();
    for word in words {
        let volume = place.expand(word.trim(), state)?;
        if volume.is_empty() {
            return Err(PlanErrorKind::Combination("VOLUME specified can not be an empty string".to_owned()));
        }
        state.settings.insert("Volumes", &volume, json!({}));
        volumes.push(volume);
    }
    Ok(format!("VOLUME [{}]", volumes.join(" ")))
}

fn health(place: Place<'_>, state: &mut State) -> Result<String, PlanErrorKind> {
    let Arguments::Health { kind, command } = &place.body().arguments else {
        return Err(PlanErrorKind::Combination("HEALTHCHECK requires at least one argument".to_owned()));
    };
    if kind.of(place.line()).eq_ignore_ascii_case("none") {
        if let Some(flag) = place.body().flags.first() {
            return Err(PlanErrorKind::Combination(format!("unknown flag: {} of HEALTHCHECK NONE", flag.name())));
        }
        state.settings.set("Healthcheck", json!({"Test": ["NONE"]}));
        return Ok(health_history(&["NONE".to_owned()], [0; 4], 0));
    }
    let mut test = vec!["CMD".to_owned()];
    match &**command {
        Arguments::Text(span) => test = vec!["CMD-SHELL".to_owned(), span.of(place.line()).to_owned()],
        arguments => test.extend(json_words(arguments)),
    }
    if test.len() < 2 {
        return Err(PlanErrorKind::Combination("missing command after HEALTHCHECK CMD".to_owned()));
    }
    let mut times = [0; 4];
    for (time, name) in times.iter_mut().zip(["interval", "timeout", "start-period", "start-interval"]) {
        let Some(given) = place.flag(name)?.filter(|given| !given.is_empty()) else { continue };
        let wrong = |wanted| value(name, given, wanted);
        *time = duration(given).ok_or_else(|| wrong("it is a duration such as 1m30s"))?;
        if *time != 0 && *time < 1_000_000 {
            return Err(wrong("it cannot be less than 1ms"));
        }
    }
    let retries = match place.flag("retries")?.filter(|given| !given.is_empty()) {
        None => 0,
        Some(given) => {
            let number = given.parse::<i32>().ok().filter(|number| *number >= 0);
            number.ok_or_else(|| value("retries", given, "it is a number that is not negative"))?
        }
    };
    let mut document = json!({ "Test": test });
    let fields = ["Interval", "Timeout", "StartPeriod", "StartInterval"].into_iter().zip(times);
    for (field, number) in fields.chain([("Retries", i64::from(retries))]).filter(|(_, number)| *number != 0) {
        document[field] = json!(number);
    }
    state.settings.set("Healthcheck", document);
    Ok(health_history(&test, times, retries))
}

/// As Go's `%+v` shows the structure.
fn health_history(test: &[String], times: [i64; 4], retries: i32) -> String {
    let [interval, timeout, start_period, start_interval] = times.map(show_duration);
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{interval} Timeout:{timeout} StartPeriod:{start_period} \
         StartInterval:{start_interval} Retries:{retries}}}",
        test.join(" ")
    )
}
