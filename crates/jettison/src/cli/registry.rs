//! Arguments that say how registries are spoken to.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jettison_store::registry::{Credentials, Options};

use crate::error::Usage;

/// How registries are spoken to.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryArgs {
    /// The user and the password or access token [default: what docker login or podman login left]
    #[arg(long, value_name = "USER:PASSWORD")]
    pub(crate) creds: Option<String>,
    /// Trust the authorities in this file, in PEM, besides those whom this machine trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Vec<PathBuf>,
    /// Speak plain HTTP with registries; with those on this machine that is usual
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// A mirror that is asked before Docker Hub
    #[arg(long = "registry-mirror", value_name = "HOST")]
    pub(crate) mirrors: Vec<String>,
}

impl RegistryArgs {
    /// What is said to registries that are read from.
    pub(crate) fn options(&self) -> Result<Options> {
        let mut options = Options {
            mirrors: self.mirrors.clone(),
            credentials: self.creds.as_deref().map_or(Ok(Credentials::User), |text| given("--creds", text))?,
            plain_http: self.plain_http,
            ..Options::default()
        };
        for path in &self.tls_ca {
            options.trust(path)?;
        }
        Ok(options)
    }

    /// What is said to the registry that is written to, where it is told another password.
    pub(crate) fn options_for(&self, target: Option<&str>) -> Result<Options> {
        let options = self.options()?;
        Ok(match target {
            Some(text) => Options { credentials: given("--dest-creds", text)?, ..options },
            None => options,
        })
    }
}

fn given(flag: &str, text: &str) -> Result<Credentials> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Ok(Credentials::Given { user: user.to_owned(), password: password.to_owned() })
        }
        // The text itself may be a password.
        _ => Err(Usage::new(format!("{flag} is not USER:PASSWORD"))
            .with_hint("`docker login` keeps a password where no process list shows it")
            .into()),
    }
}
