//! Docker: `docker build` with the builder inside, then `docker save`.

use std::path::Path;

use super::{AdapterError, Arguments, Invocation, Order, Recipe, common_flags};

pub(super) fn recipe(order: &Order, host: Option<&str>, tag: &str, archive: &Path) -> Result<Recipe, AdapterError> {
    let docker = |arguments: Arguments| {
        let mut invocation: Invocation = arguments.into_invocation("docker");
        invocation.environment.push(("DOCKER_BUILDKIT", "1".to_owned()));
        invocation.environment.extend(host.map(|host| ("DOCKER_HOST", host.to_owned())));
        invocation
    };
    let mut build = Arguments::of(&["build", "--tag", tag]);
    common_flags(order, &mut build);
    for stage in &order.no_cache_stages {
        build.flag("--no-cache-filter", Some(stage));
    }
    build.word(&order.context);
    let mut save = Arguments::of(&["save", "--output"]);
    save.word(archive).word(tag);
    let cleanup = Some(docker(Arguments::of(&["image", "rm", "--no-prune", tag])));
    Ok(Recipe { steps: vec![docker(build), docker(save)], cleanup, is_docker_archive: true })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, order};
    use super::*;

    #[test]
    fn flags_are_dockers_own() {
        let mut order = order();
        order.no_cache_stages = vec!["x".to_owned()];
        let recipe = recipe(&order, Some("tcp://h:1"), "jettison:1", Path::new("/a.tar")).expect("a recipe");
        let lines: Vec<String> = recipe.steps.iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "docker build --tag jettison:1 --file src/D --target x --build-arg A=1 --build-context \
                 c=docker-image://alpine --platform linux/arm64 --label l=v --add-host h:::1 --network none --shm-size \
                 64 --secret id=s,src=f --ssh default --no-cache --pull --no-cache-filter x src",
                "docker save --output /a.tar jettison:1",
            ]
        );
        let environment = &recipe.steps[1].environment;
        assert_eq!(*environment, [("DOCKER_BUILDKIT", "1".to_owned()), ("DOCKER_HOST", "tcp://h:1".to_owned())]);
        assert_eq!(recipe.cleanup.as_ref().map(line).as_deref(), Some("docker image rm --no-prune jettison:1"));
    }
}
