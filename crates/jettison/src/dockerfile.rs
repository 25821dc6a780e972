//! Finding and reading a Dockerfile as a command line names it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jettison_report::refusal;
use jettison_syntax::dockerfile::{Dockerfile, decode};

use crate::error::{Refused, UNREADABLE, Unbuilt, Usage};

/// The names that builders look for, in order.
const NAMES: [&str; 3] = ["Dockerfile", "dockerfile", "Containerfile"];

/// The most bytes of a Dockerfile. Real ones have a few thousand; what has more is no Dockerfile.
const MOST_BYTES: u64 = 64 << 20;

/// Where a Dockerfile is, and its build context.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its path; none for stdin.
    pub(crate) path: Option<PathBuf>,
    /// The folder of its build context, where there is one.
    pub(crate) context: Option<PathBuf>,
}

impl Located {
    /// What `jettison rewrite [CONTEXT] [-f FILE]` names.
    pub(crate) fn of(context: Option<&Path>, file: Option<&Path>) -> Result<Self> {
        let stdin = Path::new("-");
        if file == Some(stdin) || (file.is_none() && context == Some(stdin)) {
            let context = context.filter(|context| *context != stdin).map(Path::to_owned);
            return Ok(Self { path: None, context });
        }
        match (context, file) {
            (None, Some(file)) => Ok(Self { path: Some(file.to_owned()), context: Some(folder_of(file)) }),
            (Some(context), Some(file)) => {
                if !context.is_dir() {
                    let message = format!("the context {} is no folder", context.display());
                    return Err(Usage::new(message).into());
                }
                let inside = context.join(file);
                if !file.exists() && inside.exists() {
                    // As with `docker build`, whose users get this wrong as well.
                    let message = format!("there is no {}", file.display());
                    let hint = format!("-f counts from here, not from the context: -f {}", inside.display());
                    return Err(Usage::new(message).with_hint(hint).into());
                }
                Ok(Self { path: Some(file.to_owned()), context: Some(context.to_owned()) })
            }
            (context, None) => {
                let context = context.unwrap_or(Path::new("."));
                let metadata = fs::metadata(context).with_context(|| format!("cannot read {}", context.display()))?;
                if !metadata.is_dir() {
                    return Ok(Self { path: Some(context.to_owned()), context: Some(folder_of(context)) });
                }
                let found = NAMES.iter().map(|name| below(context, name)).find(|path| path.is_file());
                let path = found.ok_or_else(|| {
                    let message = format!("{} has neither a Dockerfile nor a Containerfile", context.display());
                    let hint = "-f FILE names one that is called otherwise or lies elsewhere".to_owned();
                    Unbuilt { message, hint: Some(hint), code: UNREADABLE }
                })?;
                Ok(Self { path: Some(path), context: Some(context.to_owned()) })
            }
        }
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> String {
        self.path.as_deref().map_or_else(|| "<stdin>".to_owned(), named)
    }
}

/// A path as text; bytes that are no UTF-8 are kept.
pub(crate) fn named(path: &Path) -> String {
    decode(path.as_os_str().as_bytes().to_vec())
}

/// A path below a folder, without the `./` that nobody writes.
fn below(folder: &Path, name: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Reads a Dockerfile; stdin where there is no path.
pub(crate) fn read(path: Option<&Path>) -> Result<Dockerfile> {
    let Some(path) = path else {
        let bytes = bounded(io::stdin().lock()).context("cannot read stdin")?;
        return Ok(Dockerfile::from_bytes(bytes));
    };
    let shown = path.display();
    if path.is_dir() {
        bail!("cannot read {shown}: it is a folder, not a Dockerfile");
    }
    let bytes = File::open(path).and_then(bounded).with_context(|| format!("cannot read {shown}"))?;
    Ok(Dockerfile::from_bytes(bytes))
}

fn bounded(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 64 MiB, which no Dockerfile has"));
    }
    Ok(bytes)
}

/// An error where builders refuse the Dockerfile: the first of what is wrong with it.
pub(crate) fn accept(name: &str, tree: &Dockerfile) -> Result<()> {
    let Some(error) = tree.errors.first() else { return Ok(()) };
    let meant = error.kind.meant().map(|meant| format!("did you mean {meant}?"));
    let more = match tree.errors.len() {
        1 => None,
        count => Some(format!("`jettison lint` shows all {count} errors of the file")),
    };
    Err(Refused { text: refusal(name, tree.text(), error), hint: meant.or(more) }.into())
}
