//! The engine's request, out of the command line.

use std::collections::BTreeMap;
use std::env;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::Result;
use jettison_engine::build::{Request, Secret};
use jettison_engine::sandbox::Network;
use jettison_image::Platform;
use jettison_ir::Level;
use jettison_store::Transport;

use super::context::{Contexts, Source};
use super::outputs::{Kind, Place, Target};
use super::pushing;
use super::report::{Wanted, is_included};
use super::values::{build_args, cache_folder, host, pair, secret, ssh, tagged};
use crate::cli::{Build, CacheArgs, ImageArgs, InputArgs, NetworkArg, StepArgs};
use crate::engines;
use crate::error::{UNREADABLE, Unbuilt, Usage};
use crate::load::this_platform;

/// What the arguments say beyond the request.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) targets: Vec<Target>,
    /// `--tag`, each with its tag.
    pub(crate) names: Vec<String>,
    pub(crate) cache_to: Vec<PathBuf>,
    /// `--report`.
    pub(crate) reports: Vec<Wanted>,
}

/// Checks what can be told from the arguments alone, before anything is read.
pub(crate) fn check(args: &Build) -> Result<Checked> {
    if args.run.debug_shell && !std::io::stdin().is_terminal() {
        return Err(Usage::new("--debug-shell needs a terminal on stdin").into());
    }
    if args.prove && args.level == Level::O0 {
        let hint = "-O2 --prove builds the release form; -O0 builds the file as it is";
        return Err(Usage::new("--prove has nothing to prove at -O0").with_hint(hint).into());
    }
    if !args.prove && args.level == Level::Os {
        let hint =
            "-Os --prove --smoke CMD leaves out what the build needs and neither the image's command nor CMD uses";
        return Err(Usage::new("-Os leaves packages out by proof only").with_hint(hint).into());
    }
    let names: Vec<String> = args.tags.iter().map(|name| tagged(name)).collect::<Result<_>>()?;
    let mut targets: Vec<Target> =
        args.results.outputs.iter().map(|text| Target::parse(text)).collect::<Result<_>>()?;
    let push = args.results.push.then_some(Transport::Registry);
    let mut goes_to: Vec<Transport> = push.into_iter().chain(args.results.load.then(engines::for_loading)).collect();
    if !goes_to.is_empty() && !targets.is_empty() {
        let hint = "-o type=registry pushes and -o type=docker loads as well as other outputs";
        return Err(Usage::new("--push or --load and --output both say where the image goes").with_hint(hint).into());
    }
    targets.extend(goes_to.drain(..).map(|to| Target { goes_to: Some(to), ..Target::store() }));
    if targets.is_empty() {
        targets.push(Target::store());
    }
    targets.iter().try_for_each(|target| pushing::check(target, &names))?;
    let reports: Vec<Wanted> =
        args.results.report.iter().map(|text| Wanted::parse(text, args.results.format)).collect::<Result<_>>()?;
    let mut to_stdout = targets.iter().filter(|target| target.is_stdout()).count();
    let printed = reports.iter().filter(|report| report.is_stdout()).count();
    // A report that the JSON holds is not printed by itself.
    to_stdout += if is_included(args, &reports) { printed - 1 } else { printed };
    let prints = args.results.format == crate::cli::Format::Json;
    if to_stdout > 1 || (to_stdout == 1 && prints) {
        let error = Usage::new("only one thing can be written to the standard output");
        let hint = "--report=FORMAT,dest=FILE writes a report to a file";
        return Err(if printed > 0 { error.with_hint(hint) } else { error }.into());
    }
    if targets.iter().any(Target::is_stdout) && std::io::stdout().is_terminal() {
        let hint = "name a file by dest=FILE, or have the output go to a pipe";
        return Err(Usage::new("an archive is not written to a terminal").with_hint(hint).into());
    }
    let is_image = |target: &Target| !matches!(target.kind, Kind::Folder(_) | Kind::Tar(_));
    let wants_id = args.results.iidfile.is_some() || args.results.metadata_file.is_some();
    if wants_id && !targets.iter().any(is_image) {
        let hint = "add an output that is one, as in -o type=oci,dest=FILE";
        return Err(Usage::new("--iidfile and --metadata-file name an image, and no output is one")
            .with_hint(hint)
            .into());
    }
    has_folders(args, &targets, &reports)?;
    let cache_to = args.cache_to.iter().map(|text| cache_folder("--cache-to", text, "dest")).collect::<Result<_>>()?;
    Ok(Checked { targets, names, cache_to, reports })
}

/// What is written at the end has a folder to be written to: a build that took an hour is not lost to a typing error.
fn has_folders(args: &Build, targets: &[Target], reports: &[Wanted]) -> Result<()> {
    let of_target = |target: &Target| match &target.kind {
        Kind::Image(_, Place::Path(path)) | Kind::Tar(Place::Path(path)) => Some(path.clone()),
        _ => None,
    };
    let results = &args.results;
    let files = [&results.iidfile, &results.metadata_file, args.run.trace.as_ref().unwrap_or(&None)];
    let files = files.into_iter().flatten().chain(reports.iter().filter_map(Wanted::file)).cloned();
    for path in targets.iter().filter_map(of_target).chain(files) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let message = format!("cannot write {}: there is no folder {}", path.display(), folder.display());
            return Err(Unbuilt { message, hint: None, code: UNREADABLE }.into());
        }
    }
    Ok(())
}

/// The parts of a command line that say what is built and how.
pub(crate) struct Asked<'a> {
    pub(crate) inputs: &'a InputArgs,
    pub(crate) steps: &'a StepArgs,
    pub(crate) images: &'a ImageArgs,
    pub(crate) cache: &'a CacheArgs,
    /// `--label`.
    pub(crate) labels: &'a [String],
}

/// The request of `jettison build`.
pub(crate) fn request(args: &Build, source: &Source, contexts: &Contexts) -> Result<Request> {
    let asked = Asked {
        inputs: &args.inputs,
        steps: &args.run.steps,
        images: &args.images,
        cache: &args.cache,
        labels: &args.labels,
    };
    let request = asked.request(source, contexts)?;
    Ok(Request { trace: args.run.trace.is_some(), debug_shell: args.run.debug_shell, ..request })
}

impl Asked<'_> {
    /// The request of a build that is not traced and opens no shell.
    pub(crate) fn request(&self, source: &Source, contexts: &Contexts) -> Result<Request> {
        let Self { inputs, steps, images, cache, labels } = self;
        let build_args = build_args(&inputs.build_args)?;
        let secrets: BTreeMap<String, Secret> = steps.secrets.iter().map(|text| secret(text)).collect::<Result<_>>()?;
        let cache_from = cache.from.iter().map(|text| cache_folder("--cache-from", text, "src"));
        let jobs = steps.jobs.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from);
        Ok(Request {
            dockerfile: source.dockerfile.clone(),
            dockerfile_name: source.name.clone(),
            context: source.context.clone(),
            contexts: contexts.named.clone(),
            source_date_epoch: source_date_epoch(&build_args)?,
            build_args,
            target: inputs.target.clone(),
            platform: platform(inputs.platform.as_deref())?,
            labels: labels.iter().map(|text| label(text)).collect::<Result<_>>()?,
            secrets,
            ssh: steps.ssh.iter().map(|text| ssh(text)).collect::<Result<_>>()?,
            extra_hosts: steps.hosts.iter().map(|text| host(text)).collect::<Result<_>>()?,
            network: match steps.network {
                NetworkArg::Default | NetworkArg::Host => Network::Host,
                NetworkArg::None => Network::None,
            },
            shm_size: steps.shm_size,
            no_cache: cache.no_cache,
            no_cache_stages: cache.no_cache_stages.clone(),
            pull: images.pull,
            offline: images.offline,
            registry: images.registry.options()?,
            cache_from: cache_from.collect::<Result<_>>()?,
            trace: false,
            timeout: steps.timeout,
            jobs,
            debug_shell: false,
        })
    }
}

fn platform(text: Option<&str>) -> Result<Platform> {
    let Some(text) = text else { return Ok(this_platform()) };
    if text.contains(',') {
        let hint = "build each platform by itself";
        return Err(Usage::new(format!("--platform {text}: several at once are not supported")).with_hint(hint).into());
    }
    // As containerd reads them: a system alone has this machine's architecture, an architecture alone is Linux's.
    let this = this_platform();
    let full = match text {
        "linux" => format!("linux/{}", this.architecture),
        "local" => this.to_string(),
        _ if text.contains('/') => text.to_owned(),
        architecture => format!("linux/{architecture}"),
    };
    full.parse().map_err(|error| Usage::new(format!("{error}")).into())
}

/// A label may have no value.
fn label(text: &str) -> Result<(String, String)> {
    if text.contains('=') { pair("--label", text) } else { pair("--label", &format!("{text}=")) }
}

/// The build argument's, else the environment's.
fn source_date_epoch(build_args: &BTreeMap<String, String>) -> Result<Option<i64>> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let text = build_args.get(NAME).cloned().or_else(|| env::var(NAME).ok()).filter(|text| !text.is_empty());
    let parsed = text
        .map(|text| text.parse::<i64>().map_err(|_| Usage::new(format!("{NAME}={text} is not a number of seconds"))));
    Ok(parsed.transpose()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn arguments(line: &str) -> Build {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Command::Build(args) = cli.command else { panic!("{line} is no build") };
        *args
    }

    #[test]
    fn docker_builds_flags_are_understood() {
        let args = arguments(
            "jettison build -f D -t app -t b:2 --target x --build-arg A=1 --platform linux/arm64 --label l=v \
             --add-host h:1.2.3.4 --network none --shm-size 1g --no-cache --no-cache-filter a,b --timeout 5m \
             --trace=t.json -O0 --layers 3 --skip split-layers -o out --progress plain .",
        );
        let source = Source::of_bytes(b"FROM scratch\n");
        let request = request(&args, &source, &Contexts::default()).expect("a request");
        assert_eq!(request.build_args.get("A").map(String::as_str), Some("1"));
        assert_eq!(request.platform.to_string(), "linux/arm64");
        assert_eq!(request.extra_hosts, [("h".to_owned(), "1.2.3.4".to_owned())]);
        assert_eq!((request.network, request.shm_size), (Network::None, 1 << 30));
        assert_eq!(request.no_cache_stages, ["a", "b"]);
        assert!(request.no_cache && request.trace && !request.pull);
        let checked = check(&args).expect("checks");
        assert_eq!(checked.names, ["app:latest", "b:2"]);
        let of = |text: &str| platform(Some(text)).expect(text).to_string();
        assert_eq!(
            (of("arm64"), of("aarch64"), of("linux/arm/v7")),
            ("linux/arm64".into(), "linux/arm64".into(), "linux/arm/v7".into())
        );
        assert_eq!((of("linux"), of("local")), (this_platform().to_string(), this_platform().to_string()));
    }

    #[test]
    fn what_comes_later_or_contradicts_itself_is_refused() {
        for (line, part) in [
            ("--push", "without a name"),
            ("-o type=registry", "without a name"),
            ("--push -t host/app -o out", "--push"),
            ("--load -o out", "--load"),
            ("-o - -o type=tar,dest=-", "standard output"),
            ("-o - --format json", "standard output"),
            ("-o out --iidfile x", "--iidfile"),
            ("--cache-to type=registry,ref=x", "registry"),
            ("-t App", "App"),
            ("--report=xml", "xml"),
            ("--report=json,src=x", "src"),
            ("--report=json,dest=", "dest"),
            ("--report -o -", "standard output"),
            ("--report --report=github", "standard output"),
            ("--report=human --format json", "standard output"),
            ("-O0 --prove", "-O0"),
            ("-Os", "by proof"),
        ] {
            let error = check(&arguments(&format!("jettison build {line} ."))).expect_err(line);
            assert!(error.is::<Usage>() && error.to_string().contains(part), "{line}: {error}");
        }
    }
}
