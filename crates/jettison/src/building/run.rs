//! A build from its arguments to its last line, by whatever engine runs the steps.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jettison_engine::base::BaseError;
use jettison_engine::build::{Built, BuiltLayers, Cancel, Outcome, Probe, Probed, Request, Startup};
use jettison_engine::cache::check_export;
use jettison_engine::events::Observer;
use jettison_engine::plan::{PlanError, PlanErrorKind};
use jettison_engine::trace::Closure;
use jettison_image::Digest;
use jettison_ir::Pulling;
use jettison_report::lines_json;
use jettison_syntax::dockerfile::Dockerfile;
use serde_json::{Value, json};

use super::cancel::on_interrupt;
use super::context::{Contexts, Fetching, Source};
use super::export::{Export, Images, InCache};
use super::failure::{Failure, shell_hint};
use super::outputs::Kind;
use super::progress::Progress;
use super::proof::release_form;
use super::pushing;
use super::released::Ingredients;
use super::report::{self, Joined};
use super::request::{Checked, request};
use super::results::{Product, Report};
use super::write::{Image, Release, Wish};
use crate::cli::{Build, ColorWhen, Format, OutputArgs, ProgressArg, ReadArgs};
use crate::dockerfile;
use crate::error::{UNREADABLE, Unbuilt, Usage};
use crate::printer::Printer;
use crate::pulling::{Reading, pulling};

/// Runs the steps of builds.
pub(crate) trait Engine {
    /// Builds the target.
    fn build(&self, request: &Request, observer: &dyn Observer, cancel: &Cancel) -> Result<Built, Unfinished>;
    /// The local images.
    fn images(&self) -> &dyn Images;
    /// Runs a command in a built image, and throws away what it changes.
    fn probe(&self, built: &Built, probe: &Probe, request: &Request, cancel: &Cancel) -> Result<Probed>;
    /// What the image's own commands need to start.
    fn startup(&self, built: &Built) -> Result<Startup>;
    /// What files of a built image need to run, each for itself.
    fn needs(&self, built: &Built, files: &[Vec<u8>]) -> Result<Vec<Closure>>;
    /// What a build depends on, told without running a step; none where only the building tells.
    fn identify(
        &self,
        request: &Request,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Option<Digest>, Unfinished>;
    /// A small value that was kept in the cache.
    fn kept(&self, key: Digest) -> Option<Vec<u8>>;
    /// Keeps a small value in the cache.
    fn keep(&self, key: Digest, value: &[u8]) -> Result<()>;
    /// Writes what is at a URL to a file.
    fn download(&self, url: &str, to: &Path, cancel: &Cancel) -> Result<()>;
    /// Writes the steps that a build stands on to a folder that `--cache-from` reads.
    fn export_cache(&self, built: &Built, folder: &Path) -> Result<()>;
}

/// Why there is no image.
pub(crate) enum Unfinished {
    /// The Dockerfile cannot be built.
    Plan(Box<PlanError>),
    /// A step failed.
    Step(Box<Failed>),
    /// The user stopped it.
    Stopped,
    /// Anything else.
    Other(anyhow::Error),
}

/// A step that failed.
pub(crate) struct Failed {
    /// Its first and last line.
    pub(crate) lines: (u32, u32),
    /// The step as shown.
    pub(crate) text: String,
    /// The last that it wrote.
    pub(crate) output: Vec<u8>,
    /// Why, with its causes.
    pub(crate) error: anyhow::Error,
    /// Whether its command ran, so that there is a state to look into.
    pub(crate) ran: bool,
}

impl Failed {
    /// What failed, why, and the last line that it wrote.
    pub(crate) fn sentence(&self) -> String {
        let output = String::from_utf8_lossy(&self.output);
        let last = output.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(" ({})", jettison_report::one_line(line, 120))).unwrap_or_default();
        format!("{}: {:#}{last}", jettison_report::one_line(&self.text, 80), self.error)
    }
}

/// Builds and writes. `cache` is the cache's folder.
pub(crate) fn run(
    args: &Build,
    checked: &Checked,
    engine: &dyn Engine,
    cache: &Path,
    printer: &Printer,
) -> Result<ExitCode> {
    args.layers.check()?;
    let start = Instant::now();
    // A build that took an hour is not lost to a folder that cannot be written.
    checked.cache_to.iter().try_for_each(|folder| check_export(folder))?;
    let cancel = Cancel::default();
    let guard = on_interrupt(&cancel);
    let download = |url: &str, to: &Path| engine.download(url, to, &cancel);
    let offline = args.images.offline;
    let fetching = Fetching { folder: cache, offline, download: &download, cancel: &cancel };
    let read = || {
        let source = Source::read(&args.context, args.file.as_deref(), &fetching)?;
        Ok((source, Contexts::read(&args.inputs.build_contexts, &fetching)?))
    };
    // Whatever else fails where the user stops it, that is why.
    let (source, contexts) = read().map_err(|error| if cancel.is_cancelled() { stopped() } else { error })?;
    let original = request(args, &source, &contexts)?;
    let (request, form) = match args.prove {
        true => {
            let (request, form) = release_form(args, &original, engine, &cancel, printer)?;
            (request, Some(form))
        }
        false => (original.clone(), None),
    };
    let progress = Progress::start(args.results.progress, printer.is_quiet());
    let built = engine.build(&request, &progress, &cancel);
    progress.end();
    drop(guard);
    let built = match built {
        Ok(built) => built,
        Err(unfinished) => return Err(explain(unfinished, &request, !args.run.debug_shell, printer)),
    };
    for folder in &checked.cache_to {
        engine.export_cache(&built, folder)?;
    }
    if let Some(Some(file)) = &args.run.trace {
        write_traces(&built, file)?;
    }
    let mut notes = Vec::new();
    let pulling = pulled(args, &built, printer, &mut notes)?;
    let wish = Wish {
        level: args.level,
        layers: &args.layers,
        pulling: pulling.as_ref(),
        passes: &args.passes,
        verify_each: args.verify_each,
    };
    let silent = Printer::new(&OutputArgs { color: ColorWhen::Auto, quiet: true, verbose: false });
    let shows_more = !matches!(args.results.progress, ProgressArg::Rawjson | ProgressArg::Quiet);
    let export = Export {
        cache,
        images: engine.images(),
        wish,
        names: &checked.names,
        printer: if shows_more { printer } else { &silent },
    };
    let base = built.base.as_ref().map(|base| (base.name.as_str(), &base.image));
    let own = built.layer_digests()?;
    let layers = OnceCell::new();
    let read = || {
        if layers.get().is_none() {
            let BuiltLayers { base, own } = built.read()?;
            let _ = layers.set((base, InCache(own)));
        }
        let (base, files) = layers.get().context("the layers were not read")?;
        Ok(Image { base: base.as_ref(), own: &files.0, config: &built.config, files })
    };
    let mut exported = export.all(&Ingredients { base, own: &own, config: &built.config }, read, &checked.targets)?;
    exported.notes.extend(notes);
    if exported.is_equal() {
        pass_all_on(args, checked, engine.images(), &mut exported.products, export.printer)?;
    }
    let lines = if checked.reports.is_empty() || !exported.is_equal() {
        None
    } else {
        let release = exported.release.map_or_else(|| Release::plan(read()?, wish, &silent), Ok)?;
        let took = start.elapsed();
        let joined = Joined { args, original: &original, request: &request, form: form.as_ref(), built: &built, took };
        Some(joined.report(&release, &exported.products))
    };
    let cached = built.steps.iter().filter(|step| step.outcome == Outcome::Cached).count();
    let report = Report {
        level: args.level.to_string(),
        proof: form.and_then(|form| form.proof),
        lines: lines.as_ref().filter(|_| report::is_included(args, &checked.reports)).map(lines_json),
        products: exported.products,
        notes: exported.notes,
        declines: exported.declines,
        steps: (cached, built.steps.len()),
        took: start.elapsed(),
    };
    let has_stdout = checked.targets.iter().any(super::outputs::Target::is_stdout)
        || checked.reports.iter().any(report::Wanted::is_stdout);
    let code = finish(args, &report, has_stdout, printer)?;
    for wanted in &checked.reports {
        if let Some(lines) = &lines {
            wanted.show(args, lines, printer)?;
        }
    }
    Ok(code)
}

/// How own layers are made for pulling, if they are.
fn pulled(args: &Build, built: &Built, printer: &Printer, notes: &mut Vec<String>) -> Result<Option<Pulling>> {
    let base = built.base.as_ref().map(|base| base.image.config.diff_ids()).unwrap_or_default();
    let folder = tempfile::tempdir().context("no folder for temporary files")?;
    let read = ReadArgs {
        platform: args.inputs.platform.clone(),
        max_layer_size: None,
        cache_dir: args.cache.place.folder.clone(),
        registry: args.images.registry.clone(),
    };
    let reading = Reading { read: &read, scans: &read.scans(), folder: folder.path(), printer };
    pulling(&args.layers, base, &built.config.platform(), &reading, notes)
}

/// Has images go on to registries and engines; all of them were written and proven.
pub(crate) fn pass_all_on(
    args: &Build,
    checked: &Checked,
    images: &dyn Images,
    products: &mut [Product],
    printer: &Printer,
) -> Result<()> {
    let options = args.images.registry.options()?;
    let written = checked.targets.iter().filter(|target| target.kind != Kind::Nothing);
    for (target, product) in written.zip(products) {
        if let Some(to) = target.goes_to {
            pushing::pass_on(&images.reference(), product, to, &options, printer)?;
        }
    }
    Ok(())
}

/// Says how the build ended.
pub(crate) fn finish(args: &Build, report: &Report, has_stdout: bool, printer: &Printer) -> Result<ExitCode> {
    if report.is_equal() {
        report.write_files(args.results.iidfile.as_deref(), args.results.metadata_file.as_deref())?;
    }
    match args.results.format {
        Format::Json => printer.json(&report.json())?,
        Format::Human if args.results.progress != ProgressArg::Rawjson => {
            printer.say(&report.human(printer.is_verbose() || args.passes.remarks));
        }
        Format::Human => {}
    }
    if !report.is_equal() {
        let message = "nothing was written: the result would differ from what was built".to_owned();
        let hint = Some("this is a bug in jettison; please report it".to_owned());
        return Err(Unbuilt { message, hint, code: 1 }.into());
    }
    // The ID is what docker build -q prints; it must not stand in what was written to stdout.
    if let (true, false, Format::Human, Some((_, _, summary))) =
        (printer.is_quiet(), has_stdout, args.results.format, report.image())
    {
        printer.result(&format!("{}\n", summary.config))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn stopped() -> anyhow::Error {
    Unbuilt { message: "the build was stopped".to_owned(), hint: None, code: 130 }.into()
}

/// The error of a build that did not end well; what goes before it is printed. `hints` at a shell in the failed state.
pub(crate) fn explain(unfinished: Unfinished, request: &Request, hints: bool, printer: &Printer) -> anyhow::Error {
    let failed = match unfinished {
        Unfinished::Other(error) => return error,
        Unfinished::Plan(error) => return refused(*error, request, printer),
        Unfinished::Stopped => {
            return stopped();
        }
        Unfinished::Step(failed) => failed,
    };
    let failure = Failure {
        name: &request.dockerfile_name,
        dockerfile: &String::from_utf8_lossy(&request.dockerfile),
        lines: failed.lines,
        text: &failed.text,
        output: &failed.output,
    };
    // Also where the user wants no talk: it is the reason of the error.
    printer.complain(&failure.report());
    let message = format!("{}: {:#}", jettison_report::one_line(&failed.text, 80), failed.error);
    let hint = (failed.ran && hints).then(|| shell_hint(std::env::args()));
    Unbuilt { message, hint, code: 1 }.into()
}

/// What is wrong with a Dockerfile, and where.
fn refused(error: PlanError, request: &Request, printer: &Printer) -> anyhow::Error {
    let name = &request.dockerfile_name;
    if matches!(error.kind, PlanErrorKind::Syntax(_)) {
        let tree = Dockerfile::from_bytes(request.dockerfile.clone());
        if let Err(refused) = dockerfile::accept(name, &tree) {
            return refused;
        }
    }
    let lines = error.lines;
    if matches!(error.kind, PlanErrorKind::NoTarget { .. }) {
        return Usage::new(error.to_string()).into();
    }
    if lines.0 == 0 {
        return anyhow::Error::new(error).context(format!("{name} cannot be built"));
    }
    let text = String::from_utf8_lossy(&request.dockerfile);
    let failure = Failure { name, dockerfile: &text, lines, text: "", output: &[] };
    printer.complain(&failure.report());
    let hint = match &error.kind {
        PlanErrorKind::Base { source, .. } => source.0.downcast_ref().and_then(hint_for_base),
        _ => None,
    };
    let message = format!("{name}:{} cannot be built", lines.0);
    anyhow::Error::new(error).context(Unbuilt { message, hint, code: UNREADABLE })
}

/// What can be done where a base is missing.
fn hint_for_base(error: &BaseError) -> Option<String> {
    match error {
        BaseError::Offline { .. } => Some("without --offline it is fetched".to_owned()),
        BaseError::Remote(remote) => remote.hint(),
        BaseError::Store(store) => store.hint(),
        _ => None,
    }
}

/// What each RUN read and wrote, as JSON: names that are no text as `{"hex": "…"}`.
fn write_traces(built: &Built, file: &Path) -> Result<()> {
    let steps = built.steps.iter().map(|step| {
        Ok(json!({
            "stage": step.stage,
            "lines": [step.lines.0, step.lines.1],
            "step": step.text,
            "cached": step.outcome == Outcome::Cached,
            "trace": step.trace.as_deref().map(serde_json::to_value).transpose()?,
        }))
    });
    let value = json!({ "steps": steps.collect::<Result<Vec<Value>>>()? });
    let text = format!("{}\n", serde_json::to_string_pretty(&value)?);
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
