//! The small values of `jettison build`'s flags, as docker build spells them.

use std::collections::BTreeMap;
use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jettison_engine::build::Secret;

use crate::error::Usage;

/// The fields of docker's comma-separated lists, `"` quoting a field that holds commas.
pub(crate) fn fields(text: &str) -> Result<Vec<(String, Option<String>)>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(last) = fields.last_mut() else { break };
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => last.push('"'),
            '"' if quoted || last.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => last.push(c),
        }
    }
    if quoted {
        return Err(Usage::new(format!("{text:?} has a quote that does not end")).into());
    }
    let split = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_lowercase(), Some(value.to_owned())),
        None => (field.trim().to_lowercase(), None),
    };
    Ok(fields.into_iter().map(split).collect())
}

/// `NAME=VALUE` of a flag that needs both.
pub(crate) fn pair(flag: &str, text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Usage::new(format!("{flag} {text:?} is not NAME=VALUE")).into()),
    }
}

/// `--build-arg`: one without a value has the environment's, and is left out where that has none either.
pub(crate) fn build_args(texts: &[String]) -> Result<BTreeMap<String, String>> {
    let mut arguments = BTreeMap::new();
    for text in texts {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), env::var(text).ok()),
        };
        if name.is_empty() {
            return Err(Usage::new(format!("--build-arg {text:?} has no name")).into());
        }
        match value {
            Some(value) => arguments.insert(name.to_owned(), value),
            None => arguments.remove(name),
        };
    }
    Ok(arguments)
}

/// `--secret`: from a file, or from a variable. Where neither is named, the variable of the secret's own name if there
/// is one, else the file of that name.
pub(crate) fn secret(text: &str) -> Result<(String, Secret)> {
    let (mut id, mut source, mut variable, mut kind) = (None, None, None, None);
    for (key, value) in fields(text)? {
        let place = match key.as_str() {
            "id" => &mut id,
            "src" | "source" => &mut source,
            "env" => &mut variable,
            "type" => &mut kind,
            _ => return Err(Usage::new(format!("--secret has no field {key:?}")).into()),
        };
        *place = value.filter(|value| !value.is_empty());
    }
    let Some(id) = id else {
        return Err(Usage::new(format!("--secret {text:?} has no id")).with_hint("id=NAME,src=FILE").into());
    };
    match kind.as_deref() {
        None | Some("file") => {}
        Some("env") => variable = variable.or_else(|| source.take()),
        Some(other) => return Err(Usage::new(format!("--secret {id}: there is no type {other:?}")).into()),
    }
    if variable.is_none() && source.is_none() {
        let is_set = kind.as_deref() != Some("file") && env::var_os(&id).is_some();
        if is_set || kind.as_deref() == Some("env") {
            variable = Some(id.clone());
        }
    }
    if let Some(variable) = variable {
        use std::os::unix::ffi::OsStringExt as _;
        let value = env::var_os(&variable)
            .ok_or_else(|| Usage::new(format!("--secret {id}: the variable {variable} is not set")))?;
        return Ok((id, Secret::Value(value.into_vec())));
    }
    let path = PathBuf::from(source.unwrap_or_else(|| id.clone()));
    if !path.is_file() {
        return Err(Usage::new(format!("--secret {id}: there is no file {}", path.display())).into());
    }
    Ok((id, Secret::File(path)))
}

/// `--ssh`: an agent's socket; the user's own where none is named.
pub(crate) fn ssh(text: &str) -> Result<(String, PathBuf)> {
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, Some(PathBuf::from(socket))),
        None => (text, env::var_os("SSH_AUTH_SOCK").map(PathBuf::from)),
    };
    let Some(socket) = socket else {
        let message = format!("--ssh {id}: no agent runs, for SSH_AUTH_SOCK is not set");
        return Err(Usage::new(message).with_hint(format!("--ssh {id}=SOCKET names one")).into());
    };
    let is_socket = |path: &PathBuf| {
        use std::os::unix::fs::FileTypeExt as _;
        std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
    };
    if !is_socket(&socket) {
        let message = format!("--ssh {id}: {} is no agent's socket", socket.display());
        let hint = "keys are given by an agent: ssh-agent and ssh-add";
        return Err(Usage::new(message).with_hint(hint).into());
    }
    Ok((id.to_owned(), socket))
}

/// `--add-host`: `NAME:IP` or `NAME=IP`, an IPv6 address with or without brackets.
pub(crate) fn host(text: &str) -> Result<(String, String)> {
    let usage = || Usage::new(format!("--add-host {text:?} is not NAME:IP or NAME=IP"));
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(usage)?;
    if address == "host-gateway" {
        let hint = "steps share this machine's network: 127.0.0.1 is it";
        return Err(Usage::new("--add-host: host-gateway is not supported").with_hint(hint).into());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if name.is_empty() || name.contains(char::is_whitespace) || bare.parse::<IpAddr>().is_err() {
        return Err(usage().into());
    }
    Ok((name.to_owned(), bare.to_owned()))
}

/// A number of bytes of memory: docker's units are binary.
pub(crate) fn memory_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size such as 64m");
    let lower = text.to_lowercase();
    let trimmed = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (digits, factor) = match trimmed.char_indices().next_back() {
        Some((at, 'k')) => (&trimmed[..at], 1 << 10),
        Some((at, 'm')) => (&trimmed[..at], 1 << 20),
        Some((at, 'g')) => (&trimmed[..at], 1 << 30),
        _ => (trimmed, 1),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// A duration as Go writes it (`90s`, `1h30m`, `500ms`); a bare number counts seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 90s or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_length = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let (unit, next) = rest[digits..].split_at(unit_length);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(millis).ok_or_else(wrong)?;
        sum = sum.checked_add(Duration::from_millis(part)).ok_or_else(wrong)?;
        rest = next;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}

/// `--cache-from` and `--cache-to`: a folder.
pub(crate) fn cache_folder(flag: &str, text: &str, place: &str) -> Result<PathBuf> {
    let all = fields(text)?;
    let get = |key: &str| all.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.clone());
    let kind = get("type").unwrap_or_else(|| "registry".to_owned());
    if kind != "local" {
        let message = format!("{flag}: caches of type {kind} are not supported");
        return Err(Usage::new(message).with_hint(format!("use {flag} type=local,{place}=DIR")).into());
    }
    // All steps are written, which is what docker calls max.
    let is_max = |key: &str| flag == "--cache-to" && key == "mode" && get(key).as_deref() == Some("max");
    if let Some((key, _)) = all.iter().find(|(key, _)| key != "type" && key != place && !is_max(key)) {
        return Err(Usage::new(format!("{flag}: type=local has no option {key:?}")).into());
    }
    match get(place).filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => Err(Usage::new(format!("{flag} {text:?} names no folder")).with_hint(format!("{place}=DIR")).into()),
    }
}

/// An image's name with its tag, `latest` where none is given.
pub(crate) fn tagged(name: &str) -> Result<String> {
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, "latest"),
    };
    let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let is_path = !path.is_empty()
        && !path.contains('@')
        && path.split('/').all(|part| !part.is_empty())
        && last.chars().all(is_word)
        && path.chars().all(|c| is_word(c.to_ascii_lowercase()) || "/:[]".contains(c));
    let is_tag = !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|c| is_word(c.to_ascii_lowercase()));
    if is_path && is_tag {
        return Ok(format!("{path}:{tag}"));
    }
    let hint = "a name is of lower-case letters, digits, and . _ - between them, as in registry.example/team/app:v1";
    Err(Usage::new(format!("{name:?} is no name for an image")).with_hint(hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_as_docker_splits_them() {
        let all = fields(r#"type=oci,"dest=a,b",tar"#).expect("parses");
        let expected = [("type", Some("oci")), ("dest", Some("a,b")), ("tar", None)];
        let shown: Vec<(&str, Option<&str>)> =
            all.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(shown, expected);
        assert!(fields("\"open").is_err());
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "s", "1x", "-1s", "1h-", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!((memory_size("64m"), memory_size("1GiB"), memory_size("7b")), (Ok(64 << 20), Ok(1 << 30), Ok(7)));
        assert!(memory_size("m").is_err() && memory_size("1t").is_err());
    }

    #[test]
    fn hosts() {
        assert_eq!(host("db:10.0.0.1").expect("parses"), ("db".to_owned(), "10.0.0.1".to_owned()));
        assert_eq!(host("db=[::1]").expect("parses"), ("db".to_owned(), "::1".to_owned()));
        assert_eq!(host("db:::1").expect("parses").1, "::1");
        for bad in ["db", "db:x", ":1.2.3.4", "a b=1.2.3.4", "db:host-gateway"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_without_a_value_are_the_environments() {
        let path = env::var("PATH").expect("a PATH");
        let texts = ["A=1", "PATH", "JETTISON_NOT_SET_ANYWHERE", "A=x=y"].map(str::to_owned);
        let arguments = build_args(&texts).expect("parses");
        assert_eq!(arguments.get("A").map(String::as_str), Some("x=y"));
        assert_eq!(arguments.get("PATH"), Some(&path));
        assert_eq!(arguments.len(), 2);
        assert!(build_args(&["=x".to_owned()]).is_err());
    }

    #[test]
    fn secrets_come_from_files_and_variables() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = format!("id=key,src={}", file.path().display());
        assert!(matches!(secret(&text), Ok((id, Secret::File(path))) if id == "key" && path == file.path()));
        let path = env::var("PATH").expect("a PATH").into_bytes();
        for text in ["id=x,env=PATH", "type=env,id=x,src=PATH", "id=PATH", "type=env,id=PATH"] {
            assert!(matches!(secret(text), Ok((_, Secret::Value(value))) if value == path), "{text}");
        }
        for bad in ["src=/etc/passwd", "id=x,src=/no/such", "id=x,env=JETTISON_NOT_SET", "id=x,mode=1", "id=x,type=y"] {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn caches_of_other_types_are_refused_by_name() {
        let folder = cache_folder("--cache-from", "type=local,src=/x", "src").expect("parses");
        assert_eq!(folder, PathBuf::from("/x"));
        for (bad, part) in [("user/app", "registry"), ("type=gha", "gha"), ("type=inline", "inline")] {
            let error = cache_folder("--cache-from", bad, "src").expect_err(bad).to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(cache_folder("--cache-to", "type=local,dest=/x,mode=max", "dest").is_ok());
        for bad in ["type=local,dest=/x,mode=min", "type=local,src=/x"] {
            assert!(cache_folder("--cache-to", bad, "dest").is_err(), "{bad}");
        }
        assert!(cache_folder("--cache-to", "type=local", "dest").is_err());
    }

    #[test]
    fn names_have_tags() {
        assert_eq!(tagged("app").expect("a name"), "app:latest");
        assert_eq!(tagged("host:5000/team/app").expect("a name"), "host:5000/team/app:latest");
        assert_eq!(tagged("app:V1.2_x").expect("a name"), "app:V1.2_x");
        for bad in ["", "App", "app:", ":v1", "a//b", "app:-x", "app@sha256:00", "a b"] {
            assert!(tagged(bad).is_err(), "{bad}");
        }
    }
}
