//! `RUN --mount`: its fields, what each type takes, what is left out.

use jettison_syntax::path;

use super::error::{PlanErrorKind, value};
use super::model::{CacheSharing, CopySource, FileMount, FileMountKind};
use super::planner::Planner;
use super::state::{Place, State};
use super::values::{boolean, size};

/// The fields as written, before the type says what they mean.
#[derive(Default)]
struct Fields {
    kind: String,
    from: String,
    source: String,
    target: String,
    id: String,
    env: Option<String>,
    sharing: Option<CacheSharing>,
    read_only: Option<bool>,
    required: bool,
    size: u64,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// The fields of a comma-separated line, quotes as in CSV.
fn split(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(mut behind) = rest.strip_prefix('"') {
            loop {
                let end = behind.find('"')?;
                field.push_str(&behind[..end]);
                behind = &behind[end + 1..];
                match behind.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        behind = more;
                    }
                    None => break,
                }
            }
            rest = behind;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            if field.contains('"') {
                return None;
            }
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// What `from=` of a mount names; none where there is none.
pub(super) fn source_of(mount: &str) -> Option<String> {
    let is_from = |field: &String| field.split_once('=').is_some_and(|(key, _)| key.eq_ignore_ascii_case("from"));
    let field = split(mount)?.into_iter().rfind(is_from)?;
    field.split_once('=').map(|(_, name)| name.to_owned()).filter(|name| !name.is_empty())
}

fn read(text: &str, place: Place<'_>, state: &State) -> Result<Fields, PlanErrorKind> {
    let fields = split(text).filter(|_| !text.is_empty());
    let fields = fields.ok_or_else(|| value("mount", text, "it is no list of fields with commas"))?;
    let mut found = Fields { kind: "bind".to_owned(), ..Fields::default() };
    for field in &fields {
        let (key, written) = field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        let key = key.to_ascii_lowercase();
        let is_keyed = matches!(found.kind.as_str(), "secret" | "ssh");
        let unexpected =
            || PlanErrorKind::Combination(format!("unexpected key '{key}' for mount type '{}'", found.kind));
        let Some(written) = written else {
            match key.as_str() {
                "readonly" | "ro" => found.read_only = Some(true),
                "readwrite" | "rw" => found.read_only = Some(false),
                "required" if is_keyed => found.required = true,
                "required" => return Err(unexpected()),
                _ => return Err(value("mount field", field, "it must be a key=value pair")),
            }
            continue;
        };
        if key == "from" && written.find('$').is_some_and(|at| at + 1 < written.len()) {
            let message = "'from' doesn't support variable expansion, define alias stage instead";
            return Err(PlanErrorKind::Combination(message.to_owned()));
        }
        let text = place.expand(written, state)?;
        let wrong = |wanted: &str| value(format!("mount {key}"), &text, wanted);
        let flag = || boolean(&text).ok_or_else(|| wrong("it can be true or false"));
        let number = |radix| u32::from_str_radix(&text, radix).ok().filter(|_| !text.starts_with('+'));
        match key.as_str() {
            "type" => {
                found.kind = text.to_ascii_lowercase();
                if !["bind", "cache", "tmpfs", "secret", "ssh"].contains(&found.kind.as_str()) {
                    return Err(wrong("it can be bind, cache, tmpfs, secret or ssh"));
                }
            }
            "from" => found.from = text,
            "source" | "src" => found.source = text,
            "target" | "dst" | "destination" => found.target = text,
            "readonly" | "ro" => found.read_only = Some(flag()?),
            "readwrite" | "rw" => found.read_only = Some(!flag()?),
            "required" if is_keyed => found.required = flag()?,
            "size" if found.kind == "tmpfs" => {
                found.size = size(&text).ok_or_else(|| wrong("it is a number with a unit, as in 64m"))?;
            }
            "required" | "size" => return Err(unexpected()),
            "id" => found.id = text,
            "env" => found.env = Some(text),
            "sharing" => {
                found.sharing = Some(match text.to_ascii_lowercase().as_str() {
                    "shared" => CacheSharing::Shared,
                    "private" => CacheSharing::Private,
                    "locked" => CacheSharing::Locked,
                    _ => return Err(wrong("it can be shared, private or locked")),
                });
            }
            "mode" => found.mode = Some(number(8).ok_or_else(|| wrong("it is an octal number"))?),
            "uid" => found.uid = Some(number(10).ok_or_else(|| wrong("it is a number"))?),
            "gid" => found.gid = Some(number(10).ok_or_else(|| wrong("it is a number"))?),
            _ => return Err(value("mount key", &key, format!("unexpected key in '{field}'"))),
        }
    }
    check(&found)?;
    Ok(found)
}

fn check(fields: &Fields) -> Result<(), PlanErrorKind> {
    let kind = fields.kind.as_str();
    let refuse = |message: String| Err(PlanErrorKind::Combination(message));
    if matches!(kind, "bind" | "tmpfs") {
        for (name, given) in [("mode", fields.mode), ("uid", fields.uid), ("gid", fields.gid)] {
            if given.is_some() {
                return refuse(format!("{name} not allowed for {kind:?} type mounts"));
            }
        }
    }
    if fields.sharing.is_some() && kind != "cache" {
        return refuse(format!("invalid cache sharing set for {kind} mount"));
    }
    if fields.env.is_some() && kind != "secret" {
        return refuse(format!("env not allowed for {kind:?} type mounts"));
    }
    if kind == "secret" {
        if !fields.from.is_empty() {
            return refuse("secret mount should not have a from".to_owned());
        }
        if fields.source.is_empty() && fields.target.is_empty() && fields.id.is_empty() {
            return refuse("invalid secret mount. one of source, target required".to_owned());
        }
        if !fields.source.is_empty() && !fields.id.is_empty() {
            return refuse("both source and id can't be set".to_owned());
        }
    }
    if kind == "ssh" && !fields.source.is_empty() {
        return refuse("ssh does not support source".to_owned());
    }
    Ok(())
}

impl Planner<'_> {
    /// Reads one `--mount`; `ssh` counts those of agents before it.
    pub(super) fn mount(
        &self,
        text: &str,
        place: Place<'_>,
        stage: usize,
        state: &State,
        ssh: &mut usize,
    ) -> Result<FileMount, PlanErrorKind> {
        let fields = read(text, place, state)?;
        let owner = (fields.uid.unwrap_or(0), fields.gid.unwrap_or(0));
        let absolute = |target: &str| path::clean(&join(&state.workdir, target));
        let base = |text: &str| path::parts(text).last().map_or_else(String::new, |part| (*part).to_owned());
        let source = path::clean(&fields.source);
        let is_writable = matches!(fields.kind.as_str(), "cache" | "tmpfs");
        let read_only = fields.read_only.unwrap_or(!is_writable);
        let mut target = absolute(&fields.target);
        let kind = match fields.kind.as_str() {
            "secret" => {
                let id = [&fields.id, &fields.source].into_iter().find(|id| !id.is_empty()).cloned();
                let id = id.unwrap_or_else(|| base(&fields.target));
                let is_file = fields.env.is_none() || !fields.target.is_empty();
                if fields.target.is_empty() {
                    target = format!("/run/secrets/{}", base(&id));
                }
                let (mode, (uid, gid)) = (fields.mode.unwrap_or(0o400), owner);
                FileMountKind::Secret { id, env: fields.env, is_file, required: fields.required, mode, uid, gid }
            }
            "ssh" => {
                if fields.target.is_empty() {
                    target = format!("/run/buildkit/ssh_agent.{ssh}");
                }
                *ssh += 1;
                let id = if fields.id.is_empty() { "default".to_owned() } else { fields.id };
                let (mode, (uid, gid)) = (fields.mode.unwrap_or(0o600), owner);
                FileMountKind::Ssh { id, required: fields.required, mode, uid, gid }
            }
            _ if target == "/" => {
                return Err(value("mount target", &target, "something has to be named that is not the root"));
            }
            "tmpfs" => FileMountKind::Tmpfs { size: fields.size },
            "cache" => {
                let is_empty = fields.from.is_empty() || fields.from == "scratch";
                let from = if is_empty { None } else { Some((self.source(&fields.from, stage, false)?, source)) };
                // BuildKit takes the target as written, cleaned.
                let own = if fields.target.is_empty() { target.clone() } else { clean_written(&fields.target) };
                let id = if fields.id.is_empty() { own } else { fields.id };
                let sharing = fields.sharing.unwrap_or(CacheSharing::Shared);
                let (mode, (uid, gid)) = (fields.mode.unwrap_or(0o755), owner);
                FileMountKind::Cache { id, sharing, from, mode, uid, gid }
            }
            _ => {
                let is_context = fields.from.is_empty();
                let from = if is_context { CopySource::Context } else { self.source(&fields.from, stage, false)? };
                FileMountKind::Bind { from, source }
            }
        };
        Ok(FileMount { target, kind, read_only })
    }
}

fn clean_written(text: &str) -> String {
    let clean = path::clean(text);
    if text.starts_with('/') { clean } else { clean[1..].to_owned() }
}

/// A path in a folder, unless it is absolute.
pub(super) fn join(folder: &str, text: &str) -> String {
    if text.starts_with('/') { text.to_owned() } else { format!("{folder}/{text}") }
}
