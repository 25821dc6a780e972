//! What holds for the whole file: directives, arguments before the first FROM, the build arguments that builders know.

use jettison_image::Platform;
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Kind};
use jettison_syntax::expand::Lexer;

use super::Options;
use super::error::{PlanError, PlanErrorKind, value};
use super::planner::at;
use super::values::boolean;

/// Arguments that every builder knows; proxies are given to commands without ARG.
pub(super) const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Build arguments that ask BuildKit for something this engine does not do, where they are true.
const UNSUPPORTED: &[&str] = &[
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM",
    "BUILDKIT_SBOM_SCAN_CONTEXT",
    "BUILDKIT_SBOM_SCAN_STAGE",
];

/// Build arguments that change what commands see in a way that this engine does not.
const REFUSED: &[&str] = &["BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS"];

/// Variables, each name once.
pub(super) type Variables = Vec<(String, String)>;

/// The value of a variable.
pub(super) fn get<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
}

/// Sets a variable; one that was there before moves to the end.
pub(super) fn set(variables: &mut Variables, name: &str, value: &str) {
    variables.retain(|(have, _)| have != name);
    variables.push((name.to_owned(), value.to_owned()));
}

/// The variables that FROM sees: those of platforms, and the ARGs before the first FROM in order.
pub(super) fn arguments(tree: &Dockerfile, options: &Options) -> Result<Variables, PlanError> {
    let mut variables = Vec::new();
    platform_arguments("BUILD", &options.build_platform, &mut variables);
    platform_arguments("TARGET", &options.platform, &mut variables);
    set(&mut variables, "TARGETSTAGE", options.target.as_deref().unwrap_or("default"));
    for (name, value) in &mut variables {
        if let Some(given) = options.build_args.get(name) {
            value.clone_from(given);
        }
    }
    let lexer = Lexer::new(tree.escape);
    for instruction in tree.instructions.iter().take_while(|instruction| instruction.body.kind != Kind::From) {
        let Arguments::Words(words) = &instruction.body.arguments else { continue };
        for word in words {
            let word = tree.part(instruction, *word);
            let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let found = match (options.build_args.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    let known = |name: &str| get(&variables, name).map(str::to_owned);
                    let expanded = lexer.process_word(default, &known);
                    Some(expanded.map_err(|error| at(instruction, PlanErrorKind::Expand(error.kind)))?.value)
                }
                (None, None) => None,
            };
            if let Some(found) = found {
                set(&mut variables, name, &found);
            }
        }
    }
    Ok(variables)
}

fn platform_arguments(prefix: &str, platform: &Platform, variables: &mut Variables) {
    let version = platform.rest.get("os.version").and_then(serde_json::Value::as_str).unwrap_or_default();
    let variant = platform.variant.as_deref().unwrap_or_default();
    let all = [
        ("PLATFORM", platform.to_string()),
        ("OS", platform.os.clone()),
        ("OSVERSION", version.to_owned()),
        ("ARCH", platform.architecture.clone()),
        ("VARIANT", variant.to_owned()),
    ];
    variables.extend(all.map(|(name, value)| (format!("{prefix}{name}"), value)));
}

/// Refuses frontends and build arguments that ask for what is not supported, and gives what the user should know.
pub(super) fn check(tree: &Dockerfile, options: &Options) -> Result<Vec<String>, PlanError> {
    let mut warnings = Vec::new();
    let nowhere = |kind| PlanError { kind, span: 0..0, lines: (0, 0) };
    for directive in &tree.directives {
        let line = u32::try_from(tree.position(directive.span.start).0).unwrap_or(u32::MAX);
        let here = |kind| PlanError { kind, span: directive.span.range(), lines: (line, line) };
        match directive.name.as_str() {
            "syntax" if !options.build_args.contains_key("BUILDKIT_SYNTAX") => {
                frontend(&directive.value).map_err(here)?
            }
            "check" if !options.build_args.contains_key("BUILDKIT_DOCKERFILE_CHECK") => {
                checks(&directive.value, &mut warnings).map_err(here)?;
            }
            _ => {}
        }
    }
    for (name, given) in &options.build_args {
        let is_on = !given.is_empty() && boolean(given) != Some(false);
        match name.as_str() {
            "BUILDKIT_SYNTAX" => frontend(given).map_err(nowhere)?,
            "BUILDKIT_DOCKERFILE_CHECK" => checks(given, &mut warnings).map_err(nowhere)?,
            name if UNSUPPORTED.contains(&name) && is_on || REFUSED.contains(&name) && !given.is_empty() => {
                return Err(nowhere(PlanErrorKind::Unsupported(format!("the build argument {name}={given}"))));
            }
            _ => {}
        }
    }
    Ok(warnings)
}

fn frontend(found: &str) -> Result<(), PlanErrorKind> {
    let image = found.split_whitespace().next().unwrap_or_default();
    let name = image.strip_prefix("docker.io/").unwrap_or(image);
    let name = name.split('@').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    if matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream") {
        return Ok(());
    }
    Err(PlanErrorKind::Unsupported(format!("the frontend {image} (only docker/dockerfile is)")))
}

fn checks(found: &str, warnings: &mut Vec<String>) -> Result<(), PlanErrorKind> {
    for part in found.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("skip" | "experimental", _)) => {}
            Some(("error", text)) => {
                let wanted = || value("check option error", text, "it can be true or false");
                if boolean(text).ok_or_else(wanted)? {
                    warnings.push("check=error=true has no effect: builder checks are not run here".to_owned());
                }
            }
            _ => return Err(value("check option", part, "it can be skip=, experimental= or error=")),
        }
    }
    Ok(())
}

/// Warns of build arguments that no ARG declares.
pub(super) fn unused(tree: &Dockerfile, options: &Options, warnings: &mut Vec<String>) {
    let mut unused: Vec<&str> = options.build_args.keys().map(String::as_str).collect();
    let known = ["SOURCE_DATE_EPOCH", "TARGETSTAGE"];
    unused.retain(|name| {
        let upper = name.to_ascii_uppercase();
        let suffix = name.strip_prefix("BUILD").or_else(|| name.strip_prefix("TARGET"));
        let is_platform = suffix.is_some_and(|s| matches!(s, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT"));
        !(PROXIES.contains(&upper.as_str()) || known.contains(name) || name.starts_with("BUILDKIT_") || is_platform)
    });
    for instruction in &tree.instructions {
        let body = instruction.body.effective();
        if let (Kind::Arg, Arguments::Words(words)) = (body.kind, &body.arguments) {
            let words: Vec<_> = words.iter().map(|word| tree.part(instruction, *word)).collect();
            unused.retain(|name| words.iter().all(|word| word.split('=').next() != Some(name)));
        }
    }
    if !unused.is_empty() {
        warnings.push(format!("one or more build-args [{}] were not consumed", unused.join(" ")));
    }
}
