//! Who asks a registry: nobody in particular, or the user that Docker or Podman know.

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential, get_podman_credential};
use oci_client::secrets::RegistryAuth;

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
    /// What is shown to a registry, as the user names it.
    pub(super) fn for_registry(&self, registry: &str) -> Result<RegistryAuth, RemoteError> {
        match self {
            Self::Anonymous => Ok(RegistryAuth::Anonymous),
            Self::Given { user, password } => Ok(RegistryAuth::Basic(user.clone(), password.clone())),
            Self::User => of_user(registry),
        }
    }
}

fn of_user(registry: &str) -> Result<RegistryAuth, RemoteError> {
    let keys = match registry {
        "docker.io" => vec![DEFAULT_KEY.to_owned(), "docker.io".to_owned(), "index.docker.io".to_owned()],
        other => vec![other.to_owned(), format!("https://{other}"), format!("https://{other}/v1/")],
    };
    let mut failed = None;
    for find in [get_credential, get_podman_credential] {
        for key in &keys {
            match find(key) {
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    return Ok(RegistryAuth::Basic(user, password));
                }
                Ok(DockerCredential::IdentityToken(_)) => {
                    let reason = "an identity token stands for them, which is not supported".to_owned();
                    return Err(RemoteError::Credentials { host: registry.to_owned(), reason });
                }
                Err(error) => failed = failed.or_else(|| reason(&error)),
            }
        }
    }
    match failed {
        Some(reason) => Err(RemoteError::Credentials { host: registry.to_owned(), reason }),
        None => Ok(RegistryAuth::Anonymous),
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
            let text = match Credentials::User.for_registry(&registry) {
                Ok(RegistryAuth::Basic(user, password)) => format!("found {user} {password}"),
                Ok(_) => "found nobody".to_owned(),
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
            ("token", "found error: the credentials for token cannot be used"),
            ("helped", "found error: the credentials for helped cannot be used"),
        ] {
            let text = found(Some(config), registry);
            assert!(text.contains(expected), "{registry}: {text}");
        }
        assert!(found(None, "localhost:5000").contains("found nobody"));
    }
}
