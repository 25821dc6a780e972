//! The keys under which results of steps are kept: everything that a result depends on, and nothing else.

use jettison_image::{Digest, Platform};
use serde::Serialize;

use crate::plan::{Copy, FileMount, FileMountKind, Run};

/// Changes when a new version's results differ from those of earlier ones.
const VERSION: u32 = 1;

/// The state of nothing: what `FROM scratch` starts with.
pub(crate) fn scratch() -> Digest {
    of(&("scratch", VERSION))
}

/// The state of a base image: the chain of its layers.
pub(crate) fn base(diff_ids: &[Digest]) -> Digest {
    let texts: Vec<String> = diff_ids.iter().map(Digest::to_string).collect();
    of(&("base", VERSION, texts))
}

/// The state after RUN. `sources` are the contents of its bind mounts, in their order.
pub(crate) fn run(parent: Digest, run: &Run, sources: &[Digest], platform: &Platform) -> Digest {
    // Secrets, agents and cache mounts are not keyed, but where they are is.
    let mounts: Vec<&FileMount> = run.mounts.iter().collect();
    let described: Vec<_> = mounts
        .iter()
        .map(|mount| match &mount.kind {
            FileMountKind::Bind { source, .. } => ("bind", mount.target.as_str(), source.as_str(), mount.read_only),
            FileMountKind::Cache { id, .. } => ("cache", mount.target.as_str(), id.as_str(), mount.read_only),
            FileMountKind::Tmpfs { .. } => ("tmpfs", mount.target.as_str(), "", mount.read_only),
            FileMountKind::Secret { id, .. } => ("secret", mount.target.as_str(), id.as_str(), mount.read_only),
            FileMountKind::Ssh { id, .. } => ("ssh", mount.target.as_str(), id.as_str(), mount.read_only),
        })
        .collect();
    let sources: Vec<String> = sources.iter().map(Digest::to_string).collect();
    let network = run.network == crate::sandbox::Network::None;
    of(&(
        ("run", VERSION, parent.to_string(), platform.to_string()),
        (&run.argv, &run.env, &run.workdir, &run.user, network),
        (described, sources, &run.script),
    ))
}

/// The state after COPY and ADD: `content` is that of what is copied. A linked copy without names to look up
/// depends on nothing below it, but its state does.
pub(crate) fn copy(parent: Digest, copy: &Copy, content: Digest) -> Digest {
    of(&("copy", VERSION, parent.to_string(), copied(copy), content.to_string()))
}

/// What a linked copy's layer depends on.
pub(crate) fn linked(copy: &Copy, content: Digest) -> Digest {
    of(&("linked", VERSION, copied(copy), content.to_string()))
}

/// What of a copy matters beside the content: not where it came from.
fn copied(copy: &Copy) -> impl Serialize + '_ {
    (
        (copy.is_add, &copy.destination, &copy.chown, &copy.chmod, copy.link, copy.parents),
        (copy.unpack, copy.keep_git_dir),
    )
}

/// A selection of files from the tree that these snapshots are: where its content's digest is kept.
pub(crate) fn selection(tree: Digest, snapshots: &[String], copy: &Copy) -> Digest {
    of(&("selection", VERSION, tree.to_string(), snapshots, &copy.sources, copied(copy), &copy.exclude))
}

/// The state after WORKDIR.
pub(crate) fn workdir(parent: Digest, path: &str, user: &str) -> Digest {
    of(&("workdir", VERSION, parent.to_string(), path, user))
}

fn of(value: &impl Serialize) -> Digest {
    // Tuples, texts and numbers always print.
    Digest::of(&serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use jettison_image::Digest;

    use crate::plan::Run;
    use crate::sandbox::Network;

    fn run() -> Run {
        Run {
            argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), "make".to_owned()],
            env: vec![("PATH".to_owned(), "/bin".to_owned())],
            unkeyed_env: vec![],
            workdir: "/".to_owned(),
            user: String::new(),
            network: Network::Host,
            mounts: vec![],
            script: None,
        }
    }

    #[test]
    fn a_key_changes_with_everything_it_depends_on() {
        let platform = "linux/amd64".parse().expect("a platform");
        let key = |run: &Run| super::run(super::scratch(), run, &[], &platform);
        let one = run();
        let changed: [fn(&mut Run); 5] = [
            |run| run.argv[2].push('x'),
            |run| run.env[0].1.push('x'),
            |run| run.workdir.push('x'),
            |run| run.user.push('x'),
            |run| run.network = Network::None,
        ];
        for change in changed {
            let mut other = run();
            change(&mut other);
            assert_ne!(key(&one), key(&other));
        }
        let mut proxied = run();
        proxied.unkeyed_env.push(("HTTP_PROXY".to_owned(), "x".to_owned()));
        assert_eq!(key(&one), key(&proxied));
        let source = Digest::of(b"x");
        assert_ne!(key(&one), super::run(super::scratch(), &one, &[source], &platform));
        assert_ne!(key(&one), super::run(super::base(&[source]), &one, &[], &platform));
    }
}
