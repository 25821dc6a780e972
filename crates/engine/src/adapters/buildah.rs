//! Buildah: `buildah build`, then `buildah push` to an archive.

use std::ffi::OsString;
use std::path::Path;

use super::{AdapterError, Arguments, Order, Recipe, common_flags};

pub(super) fn recipe(order: &Order, tag: &str, archive: &Path) -> Result<Recipe, AdapterError> {
    if !order.no_cache_stages.is_empty() {
        return Err(AdapterError::Unsupported { engine: "buildah", flag: "--no-cache-filter".to_owned() });
    }
    let mut build = Arguments::of(&["build", "--layers", "--format", "oci", "--tag", tag]);
    common_flags(order, &mut build);
    build.word(&order.context);
    let mut place = OsString::from("oci-archive:");
    place.push(archive);
    let mut push = Arguments::of(&["push", tag]);
    push.word(place);
    let cleanup = Some(Arguments::of(&["rmi", tag]).into_invocation("buildah"));
    let steps = vec![build.into_invocation("buildah"), push.into_invocation("buildah")];
    Ok(Recipe { steps, cleanup, is_docker_archive: false })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, order};
    use super::*;

    #[test]
    fn flags_are_buildahs_own() {
        let recipe = recipe(&order(), "jettison:1", Path::new("/a.tar")).expect("a recipe");
        let lines: Vec<String> = recipe.steps.iter().chain(&recipe.cleanup).map(line).collect();
        assert_eq!(
            lines,
            [
                "buildah build --layers --format oci --tag jettison:1 --file src/D --target x --build-arg A=1 \
                 --build-context c=docker-image://alpine --platform linux/arm64 --label l=v --add-host h:::1 --network \
                 none --shm-size 64 --secret id=s,src=f --ssh default --no-cache --pull src",
                "buildah push jettison:1 oci-archive:/a.tar",
                "buildah rmi jettison:1",
            ]
        );
    }

    #[test]
    fn what_it_lacks_is_refused_by_name() {
        let order = Order { no_cache_stages: vec!["x".to_owned()], ..order() };
        let error = recipe(&order, "t", Path::new("/a")).expect_err("refused");
        assert!(error.to_string().contains("--no-cache-filter"));
    }
}
