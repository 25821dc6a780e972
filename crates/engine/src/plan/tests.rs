//! Whole files and what is planned for them.

use std::collections::BTreeMap;

use jettison_syntax::dockerfile::Dockerfile;
use serde_json::{Value, json};

use super::*;

/// Every image is like Alpine's; `fixed` is a folder, `swapped` an image of another name, `parent` has triggers.
struct Fake;

impl Bases for Fake {
    fn settings(
        &mut self,
        reference: &str,
        platform: &Platform,
        _: (u32, u32),
    ) -> Result<(Base, Settings), BasesError> {
        if reference == "missing" {
            return Err(BasesError("no such image".into()));
        }
        let mut document = json!({
            "architecture": platform.architecture, "os": platform.os, "x": 1,
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Volumes": null, "Odd": true},
        });
        if reference == "parent" {
            document["config"]["OnBuild"] = json!(["RUN one", "COPY --from=tools /a /b", "ENV T=1"]);
        }
        let Value::Object(document) = document else { unreachable!() };
        Ok((Base::Image(reference.to_owned()), Settings(document)))
    }

    fn is_context(&self, name: &str) -> bool {
        matches!(name, "fixed" | "swapped")
    }

    fn is_folder(&self, name: &str) -> bool {
        name == "fixed"
    }
}

fn options() -> Options {
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    Options {
        build_args: BTreeMap::new(),
        target: None,
        platform: platform.clone(),
        build_platform: platform,
        labels: BTreeMap::new(),
        default_network: Network::Host,
    }
}

fn planned(text: &str, options: &Options) -> Plan {
    plan(&Dockerfile::parse(text), options, &mut Fake).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    plan(&Dockerfile::parse(text), &options(), &mut Fake).expect_err(text).to_string()
}

/// The target's steps of the lines behind `FROM a`.
fn steps(text: &str) -> Vec<Step> {
    let mut plan = planned(&format!("FROM a\n{text}\n"), &options());
    plan.stages.swap_remove(plan.target).steps
}

fn run(step: &Step) -> &Run {
    match &step.kind {
        StepKind::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy(step: &Step) -> &Copy {
    match &step.kind {
        StepKind::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

fn config(text: &str) -> Value {
    let plan = planned(&format!("FROM a\n{text}\n"), &options());
    Value::Object(plan.stages[plan.target].settings.0.clone())["config"].clone()
}

#[test]
fn history_is_what_buildkit_writes() {
    for (text, history) in [
        ("ENV A=1 B=\"x y\"", "ENV A=1 B=x y"),
        ("ENV A one two", "ENV A=one two"),
        ("LABEL a=b", "LABEL a=b"),
        ("WORKDIR x/../y", "WORKDIR /y"),
        ("EXPOSE 81 80-81/udp", "EXPOSE [80/udp 81/udp 81/tcp]"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ("USER me", "USER me"),
        ("CMD a \"b\"", r#"CMD ["/bin/sh" "-c" "a \"b\""]"#),
        ("ENTRYPOINT [\"a\"]", r#"ENTRYPOINT ["a"]"#),
        ("SHELL [\"/bin/bash\", \"-c\"]", "SHELL [/bin/bash -c]"),
        ("STOPSIGNAL SIGQUIT", "STOPSIGNAL SIGQUIT"),
        (
            "HEALTHCHECK --interval=30s --retries=3 CMD curl x",
            "HEALTHCHECK {Test:[CMD-SHELL curl x] Interval:30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}",
        ),
        ("RUN make all", "RUN /bin/sh -c make all # buildkit"),
        ("RUN [\"a\", \"b\"]", "RUN a b # buildkit"),
        ("COPY --chown=1:2 a b /c/", "COPY --chown=1:2 a b /c/ # buildkit"),
        ("ADD --link x y", "ADD x y # buildkit"),
        ("MAINTAINER me", "MAINTAINER me"),
    ] {
        assert_eq!(steps(text)[0].history, history, "{text}");
    }
    let all = steps("ARG A=1\nARG B\nRUN x");
    assert_eq!(all[0].history, "ARG A=1");
    assert_eq!(all[2].history, "RUN |2 A=1 B= /bin/sh -c x # buildkit");
}

#[test]
fn settings_are_set_as_buildkit_sets_them() {
    assert_eq!(config("USER u")["Odd"], json!(true));
    assert_eq!(config("ENV PATH=/x A=1 B=$A")["Env"], json!(["PATH=/x", "A=1", "B="]));
    assert_eq!(config("ENTRYPOINT [\"a\"]")["Cmd"], Value::Null);
    assert_eq!(config("CMD [\"b\"]\nENTRYPOINT [\"a\"]")["Cmd"], json!(["b"]));
    assert_eq!(config("EXPOSE 80\nVOLUME /v")["ExposedPorts"], json!({"80/tcp": {}}));
    assert_eq!(config("VOLUME [\"/v\"]")["Volumes"], json!({"/v": {}}));
    assert_eq!(config("WORKDIR /a\nWORKDIR b")["WorkingDir"], json!("/a/b"));
    assert_eq!(
        config("HEALTHCHECK --timeout=1m CMD [\"x\"]")["Healthcheck"],
        json!({"Test": ["CMD", "x"], "Timeout": 60_000_000_000i64})
    );
    assert_eq!(config("HEALTHCHECK NONE")["Healthcheck"], json!({"Test": ["NONE"]}));
    assert_eq!(config("ONBUILD RUN x")["OnBuild"], json!(["RUN x"]));
    let keys = config("LABEL a=b\nUSER u\nCMD x");
    let keys: Vec<&String> = keys.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["User", "Env", "Cmd", "Labels", "ArgsEscaped", "Odd"]);
}

#[test]
fn arguments_have_their_scopes() {
    let mut options = options();
    options.build_args =
        [("B", "given"), ("http_proxy", "p"), ("X", "1")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    let plan = planned("ARG A=1\nARG B=$A\nFROM a:$B\nARG A\nARG C=${A}2\nARG TARGETARCH\nRUN x\n", &options);
    let stage = &plan.stages[0];
    assert_eq!(stage.base, Base::Image("a:given".to_owned()));
    let run = run(stage.steps.last().expect("a step"));
    let wanted = [("PATH", "/bin"), ("A", "1"), ("C", "12"), ("TARGETARCH", "amd64")];
    assert_eq!(run.env, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(run.unkeyed_env, [("HTTP_PROXY", "p"), ("http_proxy", "p")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(plan.warnings, ["one or more build-args [X] were not consumed"]);
}

#[test]
fn heredocs_are_run_as_buildkit_runs_them() {
    let script = |text: &str| run(&steps(text)[0]).argv.clone();
    assert_eq!(script("RUN <<EOF\na\nb\nEOF"), ["/bin/sh", "-c", "a\nb\n"]);
    assert_eq!(script("RUN <<-EOF\n\ta\n\tEOF"), ["/bin/sh", "-c", "a\n"]);
    assert_eq!(script("RUN python3 <<EOF\nx\nEOF"), ["/bin/sh", "-c", "python3 <<EOF\nx\nEOF"]);
    assert_eq!(script("RUN cat <<A <<B\n1\nA\n2\nB"), ["/bin/sh", "-c", "cat <<A <<B\n1\nA\n2\nB"]);
    let shebang = &steps("RUN <<EOF\n#!/bin/x\ny\nEOF")[0];
    assert_eq!(run(shebang).argv, ["/bin/sh", "-c", "/dev/pipes/EOF"]);
    assert_eq!(run(shebang).script, Some(("/dev/pipes/EOF".to_owned(), "#!/bin/x\ny\n".to_owned())));
    let files = steps("ENV V=1\nCOPY <<A <<\"B\" /d/\n$V \"q\"\nA\n$V\nB");
    let wanted = [("A", "1 \"q\"\n"), ("B", "$V\n")].map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()));
    assert_eq!(copy(&files[1]).heredocs, wanted);
}

#[test]
fn mounts_have_their_defaults() {
    let mount = |text: &str| run(&steps(&format!("WORKDIR /w\nRUN --mount={text} x"))[1]).mounts[0].clone();
    let bind = mount("target=t,from=busybox,source=s");
    assert_eq!((bind.target.as_str(), bind.read_only), ("/w/t", true));
    assert_eq!(
        bind.kind,
        FileMountKind::Bind { from: CopySource::Image("busybox".to_owned()), source: "/s".to_owned() }
    );
    let cache = mount("type=cache,target=/root/.cache");
    let FileMountKind::Cache { id, sharing, mode, from: None, .. } = cache.kind else { panic!("{cache:?}") };
    assert_eq!((id.as_str(), sharing, mode, cache.read_only), ("/root/.cache", CacheSharing::Shared, 0o755, false));
    assert_eq!(mount("type=tmpfs,target=/t,size=1k").kind, FileMountKind::Tmpfs { size: 1024 });
    let secret = mount("type=secret,id=dir/key,env=K");
    let FileMountKind::Secret { is_file: false, env: Some(_), required: false, .. } = secret.kind else { panic!() };
    assert_eq!(mount("type=secret,id=dir/key").target, "/run/secrets/key");
    assert_eq!(mount("type=ssh").target, "/run/buildkit/ssh_agent.0");
}

#[test]
fn stages_are_found_and_only_needed_ones_read() {
    let text = "FROM a AS Tools\nRUN t\nFROM missing AS no\nFROM a AS mid\nARG Q=1\nFROM mid\nCOPY --from=tools x /y\nCOPY --from=0 . z/\nCOPY --from=fixed / .\nRUN r\n";
    let plan = planned(text, &options());
    assert_eq!(plan.stages.iter().map(|stage| stage.is_needed).collect::<Vec<_>>(), [true, false, true, true]);
    let last = &plan.stages[3];
    assert_eq!(last.needs, [0, 2]);
    assert_eq!(copy(&last.steps[0]).from, CopySource::Stage(0));
    assert_eq!(copy(&last.steps[1]).destination, "/z/");
    assert_eq!(copy(&last.steps[2]).from, CopySource::Named("fixed".to_owned()));
    assert!(run(&last.steps[3]).env.contains(&("Q".to_owned(), "1".to_owned())));
    let mut options = options();
    options.target = Some("TOOLS".to_owned());
    assert_eq!(planned(text, &options).target, 0);
    let mut refused = |target: &str| {
        options.target = Some(target.to_owned());
        super::plan(&Dockerfile::parse(text), &options, &mut Fake).expect_err("no such stage").to_string()
    };
    for slip in ["tool", "tolos", "Toolz", "ttols"] {
        assert!(refused(slip).contains("did you mean tools?"), "{slip}");
    }
    assert!(!refused("other").contains("did you mean"));
}

#[test]
fn triggers_run_first_and_do_not_stay() {
    let plan = planned("FROM a AS tools\nRUN t\nFROM parent AS p\nONBUILD USER x\nFROM p\nRUN two\n", &options());
    let texts: Vec<&str> = plan.stages[1].steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(texts, ["RUN one", "COPY --from=tools /a /b", "ENV T=1"]);
    assert_eq!((plan.stages[1].needs.clone(), plan.stages[0].is_needed), (vec![0], true));
    assert_eq!(plan.stages[1].settings.list("OnBuild"), ["USER x"]);
    let texts: Vec<&str> = plan.stages[2].steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(texts, ["USER x", "RUN two"]);
    assert_eq!(plan.stages[2].settings.get("OnBuild"), None);
    assert_eq!(plan.stages[2].steps[0].lines, (5, 5));
}

#[test]
fn what_is_refused_is_named() {
    for (text, message) in [
        ("FROM a\nRUN --security=insecure x\n", "RUN --security=insecure is not supported"),
        ("FROM a\nRUN --device=x y\n", "RUN --device is not supported"),
        ("FROM a\nRUN --network=mine y\n", "invalid network mode \"mine\""),
        ("FROM --platform=windows/amd64 a\n", "windows/amd64 is not supported"),
        ("# syntax=foo/bar\nFROM a\n", "the frontend foo/bar"),
        ("FROM a AS x\nCOPY --from=x a b\n", "circular"),
        ("FROM a\nCOPY --from=y a b\nFROM a AS y\nFROM scratch\nCOPY --from=0 c d\n", "defined before"),
        ("FROM a\nCOPY --from=7 a b\n", "invalid stage index 7"),
        ("FROM a\nCOPY --from=$X a b\n", "expansion is not supported for --from"),
        ("FROM a\nEXPOSE 99999\n", "invalid port"),
        ("FROM a\nSTOPSIGNAL NO\n", "invalid signal"),
        ("FROM a\nCOPY --chmod=99 a b\n", "chmod"),
        ("FROM a\nRUN --mount=type=bogus,target=/x y\n", "bind, cache, tmpfs"),
        ("FROM a\nRUN --mount=type=bind,target=/x,uid=1 y\n", "uid not allowed"),
        ("FROM a\nHEALTHCHECK --interval=1 CMD x\n", "duration"),
        ("FROM $NOTHING\n", "should not be blank"),
        ("FROM missing\n", "the image missing cannot be used"),
        ("FROM a\nRNU x\nCOPYY a b\n", "RNU; there is no instruction COPYY"),
        ("FROM a\nCOPY https://x/y .\n", "URL for COPY"),
    ] {
        let found = refused(text);
        assert!(found.contains(message), "{text}: {found}");
    }
}
