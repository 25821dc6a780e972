//! The images of podman and buildah: given as an archive, and taken, by their own commands.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::sandbox::outside;

/// Why podman's or buildah's images could not be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ContainersError {
    #[error("neither podman nor buildah is installed")]
    Missing,
    #[error("{program} cannot be started")]
    Start {
        program: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{program} does not {what}: {message}")]
    Failed { program: &'static str, what: String, message: String },
}

impl ContainersError {
    /// What the user could do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing => Some("Debian has them in the packages podman and buildah".to_owned()),
            Self::Start { .. } => None,
            Self::Failed { program, .. } => Some(format!("`{program} images` lists those that it has")),
        }
    }
}

/// The programs that know the images, the one that is asked first first.
const PROGRAMS: [&str; 2] = ["podman", "buildah"];

/// Whether podman or buildah is installed.
#[must_use]
pub fn are_installed() -> bool {
    PROGRAMS.iter().any(|program| run(program, &["--version"]).is_ok())
}

/// Whether there is an image of this name; not, where neither program is installed.
#[must_use]
pub fn has(name: &str) -> bool {
    PROGRAMS.iter().any(|program| {
        let arguments: &[&str] =
            if *program == "podman" { &["image", "exists", name] } else { &["inspect", "--type", "image", name] };
        run(program, arguments).is_ok_and(|output| output.status.success())
    })
}

/// Whether an image has a manifest of OCI's with annotations, which an archive of docker's cannot hold.
fn is_annotated(program: &str, name: &str) -> bool {
    let arguments: &[&str] = if program == "podman" {
        &[
            "image",
            "inspect",
            "--format",
            "{{.ManifestType}} {{range $name, $value := .Annotations}}\"annotations\"{{end}}",
            name,
        ]
    } else {
        &["inspect", "--type", "image", "--format", "{{.Manifest}}", name]
    };
    let said = run(program, arguments).map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.contains("application/vnd.oci.image.manifest.v1+json") && said.contains("\"annotations\"")
}

/// Writes an image to a file: as an archive of docker's, which is written faster; one with annotations as OCI's.
///
/// # Errors
/// Where there is no such image, neither program is installed, or the file cannot be written.
pub fn save(name: &str, to: &Path) -> Result<(), ContainersError> {
    let to = to.display().to_string();
    let place = |format: &str| format!("{format}:{to}");
    let places = ["docker-archive", "oci-archive"].map(place);
    first(&format!("give the image {name}"), |program| match (program, is_annotated(program, name)) {
        // Podman's --uncompressed says of such layers that they are compressed.
        ("podman", true) => vec!["save", "--quiet", "--format", "oci-archive", "--output", &to, name],
        ("podman", false) => vec!["save", "--quiet", "--format", "docker-archive", "--output", &to, name],
        (_, is_annotated) => vec!["push", "--quiet", name, &places[usize::from(is_annotated)]],
    })
}

/// Takes an archive in; the images in it bring their names.
///
/// # Errors
/// Where neither program is installed, or the archive is not taken.
pub fn load(from: &Path) -> Result<(), ContainersError> {
    let place = format!("docker-archive:{}", from.display());
    // `podman load` guesses what an archive is, and drops HEALTHCHECK where it guesses OCI.
    first("take the image", |_| vec!["pull", "--quiet", &place])
}

/// Runs the first program that is installed.
fn first<'a>(what: &str, arguments: impl Fn(&str) -> Vec<&'a str>) -> Result<(), ContainersError> {
    for program in PROGRAMS {
        let output = match run(program, &arguments(program)) {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ContainersError::Start { program, source }),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason is given");
        let message = last.trim_start_matches("Error: ").trim().to_owned();
        return Err(ContainersError::Failed { program, what: what.to_owned(), message });
    }
    Err(ContainersError::Missing)
}

fn run(program: &str, arguments: &[&str]) -> std::io::Result<Output> {
    let mut command = Command::new(program);
    if let Some((user, group)) = outside() {
        // As `buildah unshare` says it: the images are this user's and not root's, and the namespace is there already.
        command.env("_CONTAINERS_USERNS_CONFIGURED", "done");
        command.env("_CONTAINERS_ROOTLESS_UID", user.to_string()).env("_CONTAINERS_ROOTLESS_GID", group.to_string());
    }
    command.args(arguments).stdin(Stdio::null()).output()
}
