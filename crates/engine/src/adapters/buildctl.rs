//! BuildKit: `buildctl build` with the Dockerfile frontend, to an OCI archive.

use std::ffi::OsString;
use std::path::Path;

use super::{AdapterError, Arguments, Order, Recipe};

/// The names that builders look for, in order.
const NAMES: [&str; 3] = ["Dockerfile", "dockerfile", "Containerfile"];

pub(super) fn recipe(order: &Order, address: Option<&str>, archive: &Path) -> Result<Recipe, AdapterError> {
    let mut build = Arguments::default();
    build.flag("--addr", address).word("build").flag("--progress", Some("plain"));
    build.flag("--frontend", Some("dockerfile.v0"));
    places(order, &mut build);
    let mut option = |name: &str, value: Option<String>| {
        build.flag("--opt", value.map(|value| format!("{name}={value}")));
    };
    option("target", order.target.clone());
    option("platform", order.platform.clone());
    order.build_args.iter().for_each(|(name, value)| option(&format!("build-arg:{name}"), Some(value.clone())));
    order.labels.iter().for_each(|(name, value)| option(&format!("label:{name}"), Some(value.clone())));
    let hosts: Vec<String> = order.hosts.iter().map(|(name, address)| format!("{name}={address}")).collect();
    option("add-hosts", (!hosts.is_empty()).then(|| hosts.join(",")));
    option("force-network-mode", order.network.clone());
    option("shm-size", order.shm_size.map(|size| size.to_string()));
    option("image-resolve-mode", order.pull.then(|| "pull".to_owned()));
    // Without stages, the frontend's `no-cache` is all of them.
    option(
        "no-cache",
        (order.no_cache || !order.no_cache_stages.is_empty()).then(|| match order.no_cache {
            true => String::new(),
            false => order.no_cache_stages.join(","),
        }),
    );
    for (name, value) in &order.contexts {
        if value.contains("://") {
            build.flag("--opt", Some(format!("context:{name}={value}")));
        } else {
            build.flag("--opt", Some(format!("context:{name}=local:{name}")));
            build.flag("--local", Some(format!("{name}={value}")));
        }
    }
    for secret in &order.secrets {
        build.flag("--secret", Some(secret));
    }
    for ssh in &order.ssh {
        build.flag("--ssh", Some(ssh));
    }
    let mut output = OsString::from("type=oci,dest=");
    output.push(archive);
    build.flag("--output", Some(output));
    let steps = vec![build.into_invocation("buildctl")];
    Ok(Recipe { steps, cleanup: None, is_docker_archive: false })
}

/// The context and the Dockerfile: folders are sent, addresses are BuildKit's to fetch.
fn places(order: &Order, build: &mut Arguments) {
    let is_remote = !Path::new(&order.context).exists();
    let local = |name: &str, folder: &Path| {
        let mut value = OsString::from(format!("{name}="));
        value.push(folder);
        value
    };
    let context = Path::new(&order.context);
    if is_remote {
        build.flag("--opt", Some(format!("context={}", order.context)));
    } else {
        build.flag("--local", Some(local("context", context)));
    }
    let (folder, name) = match &order.file {
        Some(file) => {
            let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            (parent.unwrap_or(Path::new(".")), name.unwrap_or_default())
        }
        None => {
            let found = NAMES.into_iter().find(|name| context.join(name).is_file());
            (context, found.unwrap_or(NAMES[0]).to_owned())
        }
    };
    if !is_remote {
        build.flag("--local", Some(local("dockerfile", folder)));
    }
    build.flag("--opt", Some(format!("filename={name}")));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, order};
    use super::*;

    #[test]
    fn flags_become_the_frontends_options() {
        let folder = tempfile::tempdir().expect("a folder");
        let context = folder.path().display().to_string();
        let mut order = Order { context: context.clone(), ..order() };
        order.contexts.push(("d".to_owned(), "/data".to_owned()));
        let recipe = recipe(&order, Some("tcp://b:1"), Path::new("/a.tar")).expect("a recipe");
        let expected = format!(
            "buildctl --addr tcp://b:1 build --progress plain --frontend dockerfile.v0 --local context={context} \
             --local dockerfile=src --opt filename=D --opt target=x --opt platform=linux/arm64 --opt build-arg:A=1 \
             --opt label:l=v --opt add-hosts=h=::1 --opt force-network-mode=none --opt shm-size=64 \
             --opt image-resolve-mode=pull --opt no-cache= --opt context:c=docker-image://alpine \
             --opt context:d=local:d --local d=/data --secret id=s,src=f --ssh default --output type=oci,dest=/a.tar"
        );
        assert_eq!(line(&recipe.steps[0]), expected);
    }

    #[test]
    fn addresses_are_fetched_by_buildkit() {
        let order = Order { context: "https://example.invalid/x.git".to_owned(), ..Order::default() };
        let recipe = recipe(&order, None, Path::new("/a.tar")).expect("a recipe");
        let line = line(&recipe.steps[0]);
        assert!(line.contains("--opt context=https://example.invalid/x.git --opt filename=Dockerfile"), "{line}");
        assert!(!line.contains("--local") && !line.contains("--addr"), "{line}");
    }
}
