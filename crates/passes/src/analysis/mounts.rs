//! Mounts of RUN: whether the frontend of a Dockerfile knows them, and which a RUN has.

use jettison_ir::source::SourceUnit;
use jettison_syntax::path::clean;

use super::places::overlap;

/// Whether the frontend that a Dockerfile names knows `RUN --mount`. Without a name it is the builder's own, which does.
pub(crate) fn are_known(unit: &SourceUnit<'_>) -> bool {
    let frontend = unit.tree.directives.iter().find(|directive| directive.name == "syntax");
    frontend.is_none_or(|directive| is_recent(&directive.value))
}

/// Whether a frontend knows `RUN --mount`: Docker's own, from 1.2 on.
fn is_recent(frontend: &str) -> bool {
    let image = frontend.split('@').next().unwrap_or_default();
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    let Some(rest) = image.strip_prefix("docker/dockerfile") else { return false };
    let Some(tag) = rest.strip_prefix(':') else { return rest.is_empty() };
    let mut numbers = tag.split(['.', '-']);
    let minor = tag.strip_prefix("1.").map(|_| numbers.nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0u32));
    matches!(tag, "1" | "latest" | "labs" | "1-labs") || minor.is_some_and(|minor| minor >= 2)
}

/// Whether a RUN mounts something at a place, below it or above it; also where that is not known.
pub(crate) fn are_at(unit: &SourceUnit<'_>, at: usize, place: &str) -> bool {
    unit.instruction(at).body.flags.iter().filter(|flag| flag.name() == "mount").any(|flag| {
        let fields = flag.value().unwrap_or_default().split(',').filter_map(|field| field.split_once('='));
        let mut targets = fields.filter(|(key, _)| matches!(*key, "target" | "dst" | "destination"));
        targets.next().is_none_or(|(_, target)| target.contains('$') || overlap(place, &clean(target)))
    })
}

#[cfg(test)]
mod tests {
    use super::is_recent;

    #[test]
    fn frontends_from_1_2_on_know_mounts() {
        for image in ["docker/dockerfile", "docker/dockerfile:1", "docker.io/docker/dockerfile:1.4-labs"] {
            assert!(is_recent(image), "{image}");
        }
        assert!(is_recent("docker/dockerfile:1.10.0@sha256:00") && is_recent("docker/dockerfile:1.2"));
        for image in ["docker/dockerfile:1.0", "docker/dockerfile:1.1-experimental", "docker/dockerfile:experimental"] {
            assert!(!is_recent(image), "{image}");
        }
        assert!(!is_recent("example.com/other") && !is_recent("docker/dockerfile-upstream"));
    }
}
