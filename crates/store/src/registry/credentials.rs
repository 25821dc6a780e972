//! Who asks a registry: nobody in particular, or the user that Docker or Podman know.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential, get_podman_credential};

use crate::remote::RemoteError;

/// Under which key Docker keeps the default registry's login.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";

/// Where credentials come from.
#[derive(Clone, Default)]
pub enum Credentials {
    /// What `docker login` or `podman login` left (`config.json` in `$DOCKER_CONFIG` or `~/.docker`, its
    /// helpers, Podman's `auth.json`); without any, nobody in particular.
    #[default]
    User,
    /// Nobody in particular.
    Anonymous,
    /// These.
    Given {
        /// The user.
        user: String,
        /// The password or access token.
        password: String,
    },
}

/// What is shown to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// Nothing.
    Nobody,
    Password {
        user: String,
        password: String,
    },
    /// What a login at a token server left, good for tokens.
    IdentityToken(String),
}

impl Login {
    /// The value of the header that shows a password.
    pub(super) fn basic(&self) -> Option<String> {
        let Self::Password { user, password } = self else { return None };
        Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }
}

/// Passwords are not for messages.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "User",
            Self::Anonymous => "Anonymous",
            Self::Given { .. } => "Given",
        })
    }
}

impl Credentials {
    /// What is shown to a registry, as the user names it, where a repository of it is asked for.
    pub(super) fn for_repository(&self, registry: &str, repository: &str) -> Result<Login, RemoteError> {
        match self {
            Self::Anonymous => Ok(Login::Nobody),
            Self::Given { user, password } => Ok(Login::Password { user: user.clone(), password: password.clone() }),
            Self::User => of_user(registry, repository),
        }
    }
}

fn of_user(registry: &str, repository: &str) -> Result<Login, RemoteError> {
    let keys = match registry {
        "docker.io" => vec![DEFAULT_KEY.to_owned(), "docker.io".to_owned(), "index.docker.io".to_owned()],
        other => vec![other.to_owned(), format!("https://{other}"), format!("https://{other}/v1/")],
    };
    // Podman also keeps logins for a part of a registry; the nearest counts (containers-auth.json(5)).
    let parts = repository.match_indices('/').map(|(at, _)| &repository[..at]).chain([repository]);
    let mut nearest: Vec<String> = parts.map(|part| format!("{registry}/{part}")).collect();
    nearest.reverse();
    nearest.extend(keys.iter().cloned());
    let mut failed = None;
    type Find = fn(&str) -> Result<DockerCredential, CredentialRetrievalError>;
    for (find, keys) in [(get_credential as Find, &keys), (get_podman_credential as Find, &nearest)] {
        for key in keys {
            match find(key) {
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    return Ok(Login::Password { user, password });
                }
                Ok(DockerCredential::IdentityToken(token)) => return Ok(Login::IdentityToken(token)),
                Err(error) => failed = failed.or_else(|| reason(&error)),
            }
        }
    }
    match failed {
        Some(reason) => Err(RemoteError::Credentials { host: registry.to_owned(), reason }),
        None => Ok(Login::Nobody),
    }
}

/// Why credentials that are there cannot be had; `None` where there are none. What a helper prints stays
/// out of messages: it may be secret.
fn reason(error: &CredentialRetrievalError) -> Option<String> {
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::ConfigReadError => None,
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. }
            if [stdout, stderr].iter().any(|text| text.contains("credentials not found")) =>
        {
            None
        }
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            Some(format!("the helper docker-credential-{helper} fails"))
        }
        other => Some(other.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Tells the child which registry to look up; it prints what it finds.
    const ASKED: &str = "JETTISON_TEST_REGISTRY";

    /// Runs itself with another environment: that of this process is shared by its threads.
    fn found(config: Option<&str>, registry: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(config) = config {
            std::fs::write(folder.path().join("config.json"), config).expect("writes");
        }
        let output = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "registry::credentials::tests::the_users_login_is_found", "--nocapture"])
            .env(ASKED, registry)
            .env("DOCKER_CONFIG", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("REGISTRY_AUTH_FILE")
            .output()
            .expect("runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn the_users_login_is_found() {
        use std::io::Write as _;
        if let Ok(registry) = std::env::var(ASKED) {
            let text = match Credentials::User.for_repository(&registry, "team/app") {
                Ok(Login::Password { user, password }) => format!("found {user} {password}"),
                Ok(Login::IdentityToken(token)) => format!("found token {token}"),
                Ok(Login::Nobody) => "found nobody".to_owned(),
                Err(error) => format!("found error: {error}"),
            };
            writeln!(std::io::stdout(), "{text}").expect("writes");
            return;
        }
        // user:secret and hub:key
        let config = r#"{"auths":{"localhost:5000":{"auth":"dXNlcjpzZWNyZXQ="},
            "https://index.docker.io/v1/":{"auth":"aHViOmtleQ=="},"broken":{"auth":"!"},
            "token":{"identitytoken":"x"}},"credHelpers":{"helped":"jettison-test-missing"}}"#;
        for (registry, expected) in [
            ("localhost:5000", "found user secret"),
            ("docker.io", "found hub key"),
            ("ghcr.io", "found nobody"),
            ("broken", "found error: the credentials for broken cannot be used"),
            ("token", "found token x"),
            ("helped", "found error: the credentials for helped cannot be used"),
        ] {
            let text = found(Some(config), registry);
            assert!(text.contains(expected), "{registry}: {text}");
        }
        assert!(found(None, "localhost:5000").contains("found nobody"));
    }
}
