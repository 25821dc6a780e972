//! Every real Dockerfile of the corpus is planned or refused for a reason; nothing panics.

#[path = "../../syntax/tests/reference/data.rs"]
#[allow(dead_code)] // Files only: the other half is for those that compare.
mod data;

use std::collections::{BTreeMap, BTreeSet};

use jettison_engine::plan::{Base, Bases, BasesError, Options, PlanErrorKind, Settings, plan};
use jettison_engine::sandbox::Network;
use jettison_image::Platform;
use jettison_syntax::dockerfile::{Dockerfile, Kind};
use serde_json::json;

struct Alpine;

impl Bases for Alpine {
    fn settings(
        &mut self,
        reference: &str,
        platform: &Platform,
        _: (u32, u32),
    ) -> Result<(Base, Settings), BasesError> {
        let document = json!({
            "architecture": platform.architecture, "os": platform.os,
            "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"], "WorkingDir": "/"},
        });
        let document = document.as_object().cloned().unwrap_or_default();
        Ok((Base::Image(reference.to_owned()), Settings(document)))
    }

    fn is_context(&self, _: &str) -> bool {
        false
    }

    fn is_folder(&self, _: &str) -> bool {
        false
    }
}

/// A short name of why a file is refused.
fn reason(kind: &PlanErrorKind) -> String {
    match kind {
        PlanErrorKind::Syntax(_) => "syntax".to_owned(),
        PlanErrorKind::Expand(_) => "expansion".to_owned(),
        PlanErrorKind::BlankBase(_) => "blank base".to_owned(),
        PlanErrorKind::Value { what, .. } => format!("value of {what}"),
        PlanErrorKind::Unsupported(_) => "unsupported".to_owned(),
        other => other.to_string(),
    }
}

#[test]
fn every_real_file_is_planned_or_refused_for_a_reason() {
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let options = Options {
        build_args: BTreeMap::new(),
        target: None,
        platform: platform.clone(),
        build_platform: platform,
        labels: BTreeMap::new(),
        default_network: Network::Host,
    };
    let (mut planned, mut refused) = (0, BTreeMap::<String, Vec<String>>::new());
    for (path, bytes) in data::dockerfiles() {
        let tree = Dockerfile::from_bytes(bytes);
        match plan(&tree, &options, &mut Alpine) {
            Ok(plan) => {
                planned += 1;
                let froms = tree.instructions.iter().filter(|one| one.body.kind == Kind::From).count();
                assert_eq!(plan.stages.len(), froms, "{path}");
                for run in plan.stages.iter().flat_map(|stage| &stage.steps) {
                    assert!(!run.text.is_empty() && !run.history.is_empty(), "{path}");
                }
            }
            Err(error) => {
                assert_eq!(tree.is_valid(), !matches!(error.kind, PlanErrorKind::Syntax(_)), "{path}");
                refused.entry(reason(&error.kind)).or_default().push(format!("{path}:{}: {error}", error.lines.0));
            }
        }
    }
    for (reason, files) in &refused {
        println!("{:5} {reason}", files.len());
        for file in files.iter().take(6) {
            println!("        {file}");
        }
    }
    println!("{planned} planned");
    assert!(planned > 6_500, "only {planned} files were planned: {:?}", refused.keys().collect::<BTreeSet<_>>());
}
