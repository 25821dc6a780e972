//! `jettison build`: an image from a Dockerfile.

use std::process::ExitCode;

use anyhow::Result;
use jettison_engine::ids::Ids;
use jettison_engine::sandbox::Host;

use crate::building;
use crate::building::embedded::Embedded;
use crate::building::engines::{self, Choice};
use crate::building::request::check;
use crate::cli::Build;
use crate::printer::Printer;

/// `host` is what this process may do, where it was asked for.
pub(crate) fn run(args: &Build, host: Option<&Host>, printer: &Printer) -> Result<ExitCode> {
    let checked = check(args)?;
    let choice = Choice::of(args.results.engine.as_deref())?;
    let cache = args.cache.place.find()?;
    match choice {
        Choice::Embedded => {
            let ids = host.map_or(Ids::Many, |host| host.ids);
            let engine = Embedded::open(&cache, args.cache.snapshotter, ids)?;
            building::run::run(args, &checked, &engine, &cache, printer)
        }
        Choice::Other(engine) => engines::other(&engine, args, &checked, &cache, printer),
    }
}
