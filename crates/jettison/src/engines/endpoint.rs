//! Where Docker's engine is, as the docker command finds it: `DOCKER_HOST`, the context, the usual sockets; and the
//! files for TLS that belong to each.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jettison_image::Digest;
use jettison_store::daemon::Tls;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Usage;
use crate::plugin::Engine;

/// Where the engine listens unless it was told otherwise.
const USUAL: &str = "unix:///var/run/docker.sock";

/// An engine's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: String,
    /// How it is spoken to by TCP, where that is encrypted.
    pub(super) tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    current_context: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The user's engine.
pub(super) fn of_user() -> Result<Endpoint> {
    let none = Engine::default();
    find(super::TOLD.get().unwrap_or(&none), &variable)
}

/// Whether somebody said where the engine is.
pub(super) fn is_told() -> bool {
    super::TOLD.get().is_some() || of_user().map_or(true, |endpoint| endpoint.address != USUAL)
}

/// Whether there may be an engine: it listens on no socket that is not there.
pub(super) fn is_there() -> bool {
    of_user().is_ok_and(|Endpoint { address, .. }| !address.starts_with("unix://") || is_socket(&address))
}

fn is_socket(address: &str) -> bool {
    address.strip_prefix("unix://").is_some_and(|path| Path::new(path).exists())
}

/// The engine by what the docker command was told, and by the environment.
fn find(told: &Engine, variable: &dyn Fn(&str) -> Option<String>) -> Result<Endpoint> {
    let settings = variable("DOCKER_CONFIG").map(PathBuf::from);
    let settings = settings.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")));
    let at = |address| Endpoint { address, tls: asked_for(told, settings.as_deref(), variable) };
    let of_context = |named| settings.as_deref().map_or(Ok(None), |folder| of_context(folder, named));
    if let Some(host) = &told.host {
        return Ok(at(host.clone()));
    }
    if told.context.is_none()
        && let Some(host) = variable("DOCKER_HOST")
    {
        return Ok(at(host));
    }
    if let Some(endpoint) = of_context(told.context.clone().or_else(|| variable("DOCKER_CONTEXT")))? {
        return Ok(endpoint);
    }
    let own = variable("XDG_RUNTIME_DIR").map(|folder| format!("unix://{folder}/docker.sock"));
    let usual_is_there = is_socket(USUAL);
    Ok(at(own.filter(|own| !usual_is_there && is_socket(own)).unwrap_or_else(|| USUAL.to_owned())))
}

/// TLS as docker's options and the environment ask for it: `DOCKER_TLS_VERIFY` has the engine's certificate checked,
/// `DOCKER_TLS` alone has not, and the files are in `DOCKER_CERT_PATH` or beside docker's settings.
fn asked_for(told: &Engine, settings: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Option<Tls> {
    let verifies = told.tls_verify.unwrap_or_else(|| variable("DOCKER_TLS_VERIFY").is_some());
    let is_on = told.tls.unwrap_or_else(|| variable("DOCKER_TLS").is_some());
    if !is_on && !verifies && told.tls_verify.is_none() {
        return None;
    }
    let folder = variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| settings.map(Path::to_owned));
    let folder = folder.unwrap_or_default();
    let mut tls = of_folder(&folder, !verifies);
    // Without the authority nothing could be verified: that the file is missing must be said.
    let usual = verifies.then(|| folder.join("ca.pem"));
    tls.authority = told.authority.as_ref().map(PathBuf::from).or(usual);
    if told.certificate.is_some() || told.key.is_some() {
        let file = |told: &Option<String>, usual| told.as_ref().map_or_else(|| folder.join(usual), PathBuf::from);
        tls.identity = Some((file(&told.certificate, "cert.pem"), file(&told.key, "key.pem")));
    }
    Some(tls)
}

/// TLS by the files of a folder.
fn of_folder(folder: &Path, trusts_anyone: bool) -> Tls {
    let file = |name| Some(folder.join(name)).filter(|path| path.exists());
    let is_known = file("cert.pem").is_some() || file("key.pem").is_some();
    let identity = is_known.then(|| (folder.join("cert.pem"), folder.join("key.pem")));
    Tls { authority: file("ca.pem"), identity, trusts_anyone }
}

/// The engine that a context names; `default` names none.
fn of_context(folder: &Path, named: Option<String>) -> Result<Option<Endpoint>> {
    let of_settings = || {
        let bytes = fs::read(folder.join("config.json")).ok()?;
        serde_json::from_slice::<Settings>(&bytes).ok()?.current_context
    };
    let chosen = named.or_else(of_settings).filter(|context| !matches!(context.as_str(), "" | "default"));
    let Some(context) = chosen else { return Ok(None) };
    // The docker command keeps a context under the digest of its name.
    let id = Digest::of(context.as_bytes()).hex();
    let place = folder.join("contexts/meta").join(&id).join("meta.json");
    let value: Option<Value> = fs::read(place).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let endpoint = value.as_ref().and_then(|value| value.pointer("/Endpoints/docker"));
    let Some(address) = endpoint.and_then(|endpoint| endpoint.get("Host")).and_then(Value::as_str) else {
        let usage = Usage::new(format!("docker has no context {context:?} that says where an engine is"));
        return Err(usage.with_hint("`docker context ls` lists them").into());
    };
    let skips = endpoint.and_then(|endpoint| endpoint.get("SkipTLSVerify")).and_then(Value::as_bool);
    let tls = of_folder(&folder.join("contexts/tls").join(&id).join("docker"), skips.unwrap_or_default());
    Ok(Some(Endpoint { address: address.to_owned(), tls: Some(tls).filter(|tls| *tls != Tls::default()) }))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Docker's settings with the context `far`.
    fn settings(endpoint: &str) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let meta = folder.path().join("contexts/meta").join(Digest::of(b"far").hex());
        fs::create_dir_all(&meta).expect("makes a folder");
        let context = format!(r#"{{"Name":"far","Endpoints":{{"docker":{endpoint}}}}}"#);
        fs::write(meta.join("meta.json"), context).expect("writes");
        folder
    }

    fn plain(address: &str) -> Option<Endpoint> {
        Some(Endpoint { address: address.to_owned(), tls: None })
    }

    #[test]
    fn a_context_says_where_its_engine_is() {
        let folder = settings(r#"{"Host":"tcp://far:2375"}"#);
        let context = |named: Option<&str>| of_context(folder.path(), named.map(str::to_owned));
        assert_eq!(context(None).expect("none"), None);
        assert_eq!(context(Some("far")).expect("one"), plain("tcp://far:2375"));
        assert_eq!(context(Some("default")).expect("none"), None);
        assert!(context(Some("none")).expect_err("no such context").to_string().contains("\"none\""));
        fs::write(folder.path().join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).expect("writes");
        assert_eq!(context(None).expect("one"), plain("tcp://far:2375"));
    }

    #[test]
    fn a_context_has_its_own_files_for_tls() {
        let folder = settings(r#"{"Host":"tcp://far:2376","SkipTLSVerify":true}"#);
        let tls = |folder: &TempDir| {
            of_context(folder.path(), Some("far".to_owned())).expect("reads").expect("a context").tls
        };
        assert_eq!(tls(&folder), Some(Tls { trusts_anyone: true, ..Tls::default() }));
        let folder = settings(r#"{"Host":"tcp://far:2376","SkipTLSVerify":false}"#);
        let files = folder.path().join("contexts/tls").join(Digest::of(b"far").hex()).join("docker");
        fs::create_dir_all(&files).expect("makes a folder");
        fs::write(files.join("ca.pem"), "").expect("writes");
        assert_eq!(tls(&folder), Some(Tls { authority: Some(files.join("ca.pem")), ..Tls::default() }));
        fs::write(files.join("cert.pem"), "").expect("writes");
        let identity = Some((files.join("cert.pem"), files.join("key.pem")));
        assert_eq!(tls(&folder).expect("TLS").identity, identity, "that the key is missing is said later");
    }

    #[test]
    fn the_environment_comes_before_the_context_that_is_in_use() {
        let folder = settings(r#"{"Host":"tcp://far:1"}"#);
        fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).expect("writes");
        let config = folder.path().display().to_string();
        let engine = |host: Option<&str>, context: Option<&str>, environment: &[(&str, &str)]| {
            let (host, context) = (host.map(str::to_owned), context.map(str::to_owned));
            let told = Engine { host, context, ..Engine::default() };
            let variable = |name: &str| {
                let all = [("DOCKER_CONFIG", config.as_str())];
                let mut all = all.iter().chain(environment);
                all.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            find(&told, &variable).expect("an engine")
        };
        let host = ("DOCKER_HOST", "tcp://host:1");
        assert_eq!(engine(None, None, &[]).address, "tcp://far:1");
        assert_eq!(engine(None, None, &[("DOCKER_CONTEXT", "default")]).address, USUAL);
        assert_eq!(engine(None, None, &[host]).address, "tcp://host:1");
        assert_eq!(engine(None, Some("far"), &[host]).address, "tcp://far:1");
        assert_eq!(engine(Some("ssh://told"), None, &[host]).address, "ssh://told");
        // TLS by the environment is for engines that no context names.
        let verify = ("DOCKER_TLS_VERIFY", "1");
        assert_eq!(engine(None, None, &[verify]).tls, None);
        let tls = engine(None, None, &[host, verify]).tls.expect("TLS");
        assert_eq!(tls, Tls { authority: Some(folder.path().join("ca.pem")), ..Tls::default() });
        let tls = engine(None, None, &[host, verify, ("DOCKER_CERT_PATH", "/certs")]).tls.expect("TLS");
        assert_eq!(tls.authority.as_deref(), Some(Path::new("/certs/ca.pem")));
        let tls = engine(None, None, &[host, ("DOCKER_TLS", "1")]).tls.expect("TLS");
        assert_eq!(tls, Tls { trusts_anyone: true, ..Tls::default() });
    }

    #[test]
    fn options_of_docker_come_before_the_environment() {
        let tls = |told: Engine, environment: &str| {
            let told = Engine { host: Some("tcp://host:1".to_owned()), ..told };
            let variable =
                |name: &str| Some("/certs".to_owned()).filter(|_| environment.split(' ').any(|set| set == name));
            find(&told, &variable).expect("an engine").tls
        };
        let verifies = |told: Engine, environment: &str| tls(told, environment).map(|tls| !tls.trusts_anyone);
        let told = |tls, tls_verify| Engine { tls, tls_verify, ..Engine::default() };
        assert_eq!(verifies(told(None, None), ""), None);
        assert_eq!(verifies(told(Some(true), None), ""), Some(false));
        assert_eq!(verifies(told(None, Some(true)), ""), Some(true));
        assert_eq!(verifies(told(None, Some(false)), "DOCKER_TLS_VERIFY"), Some(false));
        assert_eq!(verifies(told(Some(false), None), "DOCKER_TLS"), None);
        let named = Engine { authority: Some("/a".to_owned()), key: Some("/k".to_owned()), ..told(None, Some(true)) };
        let identity = Some((PathBuf::from("/certs/cert.pem"), PathBuf::from("/k")));
        let expected = Tls { authority: Some(PathBuf::from("/a")), identity, trusts_anyone: false };
        assert_eq!(tls(named, "DOCKER_CERT_PATH"), Some(expected));
    }
}
