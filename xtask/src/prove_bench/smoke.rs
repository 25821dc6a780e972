//! Running a project's smoke commands in an image, by the engine itself: each is a step of a build upon that image, so that
//! it has the image's user, working directory and variables, and what it prints is taken out at the end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::tool::{Subject, Tool, remove};

/// Where commands and what they print lie in the image, while it is tried.
const PLACE: &str = "/.smoke";

/// What each command prints and how it ends, in an image of the local store.
pub(super) fn run(tool: &Tool, cache: &Path, image: &str, commands: &[String], work: &Path) -> Result<Vec<String>> {
    let (context, out) = (work.join("smoke"), work.join("smoke-out"));
    remove(&context);
    remove(&out);
    let scripts = context.join("tree").join(PLACE.trim_start_matches('/'));
    fs::create_dir_all(&scripts)?;
    let mut text = format!("FROM {image} AS tried\nCOPY tree /\n");
    for (number, command) in commands.iter().enumerate() {
        fs::write(scripts.join(number.to_string()), format!("{command}\n"))?;
        let (script, said) = (format!("{PLACE}/{number}"), format!("{PLACE}/{number}.said"));
        // In a shell of its own, which may end as it likes.
        text += &format!("RUN --network=none sh {script} > {said} 2>&1; echo \"exit $?\" >> {said}\n");
    }
    text += &format!("FROM scratch\nCOPY --from=tried {PLACE} /\n");
    // The image's user writes there, whoever that is.
    fs::set_permissions(&scripts, fs::Permissions::from_mode(0o777))?;
    let dockerfile = context.join("Dockerfile");
    fs::write(&dockerfile, text)?;
    let more = ["-o".to_owned(), format!("type=local,dest={}", out.display())];
    tool.build(Subject { cache, dockerfile: &dockerfile, context: &context }, "-O0", &more)
        .context("the smoke commands")?;
    let said = |number: usize| {
        let path = out.join(format!("{number}.said"));
        let bytes = fs::read(&path).with_context(|| format!("{} was not written", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    (0..commands.len()).map(said).collect()
}
