//! RUN: a command in a sandbox over the stage's tree.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use super::error::StepError;
use super::execute::Cx;
use super::keys;
use super::mounts::Mounted;
use super::output::StepConsole;
use super::step::{Doing, Kept, Made};
use crate::events::Event;
use crate::ids::Ids;
use crate::plan::{FileMountKind, Run};
use crate::sandbox::{self, Limits, Spec, Status, Watch, users};
use crate::snapshot::Workspace;

/// The host name that steps see, as BuildKit has it.
pub(super) const HOSTNAME: &str = "buildkitsandbox";

impl Cx<'_> {
    pub(crate) fn run(&self, doing: &mut Doing<'_>, run: &Run) -> Result<Kept, StepError> {
        let mut sources = Vec::new();
        for mount in &run.mounts {
            if let FileMountKind::Bind { from, source } = &mount.kind {
                sources.push(self.mount_content(doing, from, source)?);
            }
        }
        let key = keys::run(doing.state.id, run, &sources, &doing.stage.platform);
        self.cached(doing, (key, doing.state.parents()), self.request.trace, |doing| self.make_run(doing, run))
    }

    fn make_run(&self, doing: &mut Doing<'_>, run: &Run) -> Result<Made, StepError> {
        super::platform::check(&doing.stage.platform)?;
        let waiting = Instant::now();
        let _slot = self.slots.take();
        doing.waited += waiting.elapsed();
        self.check_stopped()?;
        let work = self.session.cache.work()?;
        let folders = self.folders(doing.state)?;
        let workspace = self.session.snapshotter.workspace(&folders, work.path())?;
        let user = users::find(workspace.root(), &run.user)?;
        let mounted = self.mount(doing, run)?;
        let mut env: Vec<Vec<u8>> = Vec::new();
        let home = ("HOME".to_owned(), String::from_utf8_lossy(&user.home).into_owned());
        let has = |name: &str| run.env.iter().any(|(own, _)| own == name);
        let made_up = [home].into_iter().filter(|(name, _)| !has(name));
        for (name, value) in run.env.iter().cloned().chain(made_up).chain(run.unkeyed_env.iter().cloned()) {
            env.push([name.as_bytes(), b"=", value.as_bytes()].concat());
        }
        env.extend(mounted.env.iter().cloned());
        let mut spec = Spec {
            root: workspace.root().to_owned(),
            argv: run.argv.iter().map(|word| word.clone().into_bytes()).collect(),
            env,
            workdir: run.workdir.clone().into_bytes(),
            user,
            mounts: mounted.mounts.clone(),
            network: run.network,
            hostname: HOSTNAME.to_owned(),
            extra_hosts: self.request.extra_hosts.clone(),
            ids: self.session.ids,
            shm_size: self.request.shm_size,
            terminal: false,
        };
        let console = StepConsole::new(doing.vertex, self.observer);
        let watch = watch(self.request.trace, self.session.ids);
        let limits = Limits { timeout: self.request.timeout, cancel: self.cancel.clone() };
        let ended = sandbox::run(&spec, watch, &console, &limits);
        doing.output = console.last();
        let ended = ended?;
        match ended.status {
            Status::Exited(0) => {}
            Status::Cancelled => return Err(StepError::Cancelled),
            status => {
                if self.request.debug_shell {
                    self.debug_shell(&mut spec);
                }
                let folder = self.session.cache.folder();
                let full = is_full(folder).then(|| folder.to_owned());
                return Err(StepError::Failed { status, timeout: self.request.timeout, full });
            }
        }
        self.finish(workspace, mounted, work, &ended)
    }

    fn finish(
        &self,
        workspace: Workspace,
        mounted: Mounted,
        work: crate::cache::Work,
        ended: &sandbox::Ended,
    ) -> Result<Made, StepError> {
        drop(mounted);
        let layer = workspace.finish(&HashMap::new(), &ended.owners)?;
        let snapshot = self.session.cache.adopt(work, &layer, ended.trace.as_ref())?;
        Ok(Made { snapshot: Some(snapshot) })
    }

    /// A shell in the tree as the failed command left it, on the user's terminal.
    fn debug_shell(&self, spec: &mut Spec) {
        spec.argv = vec![b"/bin/sh".to_vec()];
        spec.terminal = true;
        self.observer.hear(Event::DebugShell { is_open: true });
        let limits = Limits { timeout: None, cancel: self.cancel.clone() };
        // With one id the shell's user is one only as long as somebody says so.
        let ended = sandbox::run(spec, watch(false, self.session.ids), &NoConsole, &limits);
        self.observer.hear(Event::DebugShell { is_open: false });
        if let Err(error) = ended {
            // The command's own failure is what the build ends with.
            self.observer.hear(Event::Warning { message: format!("there is no shell to look with: {error}") });
        }
    }
}

/// What has to be watched while a command runs.
pub(super) fn watch(is_traced: bool, ids: Ids) -> Watch {
    match (is_traced, ids) {
        (false, Ids::Many) => Watch::Nothing,
        (true, Ids::Many) => Watch::Trace,
        (false, Ids::One) => Watch::Owners,
        (true, Ids::One) => Watch::TraceAndOwners,
    }
}

/// A terminal shows by itself what is written to it.
struct NoConsole;

impl sandbox::Console for NoConsole {
    fn write(&self, _is_error: bool, _bytes: &[u8]) {}
}

/// Whether hardly anything fits on the disk of a folder. What a command makes of that is often not its reason.
fn is_full(folder: &Path) -> bool {
    const HARDLY: u64 = 256 << 10;
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < HARDLY)
}
