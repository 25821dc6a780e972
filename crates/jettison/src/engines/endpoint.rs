//! Where Docker's engine is, as the docker command finds it: `DOCKER_HOST`, the context, the usual sockets.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use serde::Deserialize;
use serde_json::Value;

/// Where the engine listens unless it was told otherwise.
const USUAL: &str = "unix:///var/run/docker.sock";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    current_context: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address of the user's engine.
pub(super) fn of_user() -> String {
    let settings = variable("DOCKER_CONFIG").map(PathBuf::from);
    let settings = settings.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")));
    let context = || settings.as_deref().and_then(|folder| of_context(folder, variable("DOCKER_CONTEXT")));
    if let Some(told) = super::TOLD.get() {
        let named = || of_context(settings.as_deref()?, told.context.clone());
        if let Some(address) = told.host.clone().or_else(|| told.context.as_ref().and_then(|_| named())) {
            return address;
        }
    }
    variable("DOCKER_HOST").or_else(context).unwrap_or_else(|| {
        let own = variable("XDG_RUNTIME_DIR").map(|folder| format!("unix://{folder}/docker.sock"));
        let usual_is_there = is_socket(USUAL);
        own.filter(|own| !usual_is_there && is_socket(own)).unwrap_or_else(|| USUAL.to_owned())
    })
}

/// Whether somebody said where the engine is.
pub(super) fn is_told() -> bool {
    super::TOLD.get().is_some() || of_user() != USUAL
}

/// Whether there may be an engine: it listens on no socket that is not there.
pub(super) fn is_there() -> bool {
    let address = of_user();
    !address.starts_with("unix://") || is_socket(&address)
}

fn is_socket(address: &str) -> bool {
    address.strip_prefix("unix://").is_some_and(|path| Path::new(path).exists())
}

/// The address that a context names; `default` names none.
fn of_context(folder: &Path, named: Option<String>) -> Option<String> {
    let of_settings = || {
        let bytes = fs::read(folder.join("config.json")).ok()?;
        serde_json::from_slice::<Settings>(&bytes).ok()?.current_context
    };
    let context = named.or_else(of_settings).filter(|context| context != "default")?;
    // The docker command keeps a context under the digest of its name.
    let place = folder.join("contexts/meta").join(Digest::of(context.as_bytes()).hex()).join("meta.json");
    let value: Value = serde_json::from_slice(&fs::read(place).ok()?).ok()?;
    value.pointer("/Endpoints/docker/Host").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_says_where_its_engine_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let meta = folder.path().join("contexts/meta").join(Digest::of(b"far").hex());
        fs::create_dir_all(&meta).expect("makes a folder");
        let context = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2375"}}}"#;
        fs::write(meta.join("meta.json"), context).expect("writes");
        assert_eq!(of_context(folder.path(), None), None);
        assert_eq!(of_context(folder.path(), Some("far".to_owned())).as_deref(), Some("tcp://far:2375"));
        assert_eq!(of_context(folder.path(), Some("default".to_owned())), None);
        assert_eq!(of_context(folder.path(), Some("none".to_owned())), None);
        fs::write(folder.path().join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).expect("writes");
        assert_eq!(of_context(folder.path(), None).as_deref(), Some("tcp://far:2375"));
    }
}
