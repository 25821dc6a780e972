//! What the cache answers, and what two builds at once make of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use crate::site::{Site, names};

#[test]
fn keys_are_of_what_matters() {
    let site = Site::new();
    let base = "FROM alpine:3.20\nARG UNUSED\nRUN echo first\nARG USED\nCOPY file /file\nRUN echo \"value $USED\"\n";
    site.write("file", "one");
    site.dockerfile(&format!("{base}RUN echo last\n"));
    let steps = ["echo first", "COPY file", "RUN echo \"value", "echo last"];
    let check = |more: &[&str], expected: [bool; 4]| {
        let said = site.build(more).expect(0, &[]);
        let cached: Vec<bool> = steps.iter().map(|step| said.is_cached(step)).collect();
        assert_eq!(cached, expected, "{}", said.err);
    };
    check(&[], [false; 4]);
    check(&[], [true; 4]);
    // The time of a file does not matter.
    let file = site.path("context/file");
    let earlier = SystemTime::now() - Duration::from_secs(1_000_000);
    File::options().write(true).open(&file).expect("opens").set_modified(earlier).expect("sets");
    check(&[], [true; 4]);
    // Its content does, and its mode.
    site.write("file", "two");
    check(&[], [true, false, false, false]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("sets");
    check(&[], [true, false, false, false]);
    // A build argument counts from where it is declared.
    check(&["--build-arg", "USED=1"], [true, true, false, false]);
    check(&["--build-arg", "USED=1"], [true; 4]);
    // The last line alone.
    site.dockerfile(&format!("{base}RUN echo last of all\n"));
    check(&["--build-arg", "USED=1"], [true, true, true, false]);
    check(&["--build-arg", "USED=1", "--no-cache"], [false; 4]);
    check(&["--build-arg", "USED=1"], [true; 4]);
}

#[test]
fn stages_are_built_anew_by_name() {
    let site = Site::new();
    site.dockerfile(
        "FROM alpine:3.20 AS one\nRUN echo of one > /1\nFROM alpine:3.20 AS two\nRUN echo of two > /2\nCOPY --from=one /1 /1\n",
    );
    site.build(&[]).expect(0, &[]);
    let said = site.build(&["--no-cache-filter", "one"]).expect(0, &[]);
    assert!(!said.is_cached("of one") && said.is_cached("of two"), "{}", said.err);
}

#[test]
fn an_exported_cache_serves_an_empty_one() {
    let site = Site::new();
    site.write("file", "content");
    site.dockerfile("FROM alpine:3.20\nCOPY file /file\nRUN date +%s%N > /when\n");
    let exported = site.path("exported").display().to_string();
    let (to, from) = (format!("type=local,dest={exported}"), format!("type=local,src={exported}"));
    let (first, second) = (site.path("first.tar"), site.path("second.tar"));
    let tar = |path: &std::path::Path| format!("type=tar,dest={}", path.display());
    site.build(&["--cache-to", &to, "-o", &tar(&first)]).expect(0, &[]);
    let other = site.path("other").display().to_string();
    let base = format!("alpine:3.20=oci:{}:docker.io/library/alpine:3.20", site.path("cache/images").display());
    let arguments = ["--cache-dir", &other, "--build-context", &base, "--cache-from", &from, "-o", &tar(&second)];
    let said = site.build(&arguments).expect(0, &[]);
    assert!(said.is_cached("COPY file") && said.is_cached("RUN date"), "{}", said.err);
    assert_eq!(fs::read(first).expect("reads"), fs::read(second).expect("reads"));
    // What came is passed on as it is, and traces with it.
    let (third, passed) = (site.path("third").display().to_string(), site.path("passed").display().to_string());
    let trace = site.path("trace").display().to_string();
    site.build(&["--no-cache", "--trace", "--cache-to", &to]).expect(0, &[]);
    let to = format!("type=local,dest={passed},mode=max");
    let (more, trace) = (["--build-context", &base, "--cache-from", &from], format!("--trace={trace}"));
    let said = site.build(&[&["--cache-dir", &third, "--cache-to", &to, &trace][..], &more].concat()).expect(0, &[]);
    assert!(said.is_cached("COPY file") && said.is_cached("RUN date"), "{}", said.err);
    let trace: serde_json::Value = serde_json::from_slice(&fs::read(&trace[8..]).expect("reads")).expect("JSON");
    let run = trace["steps"].as_array().expect("steps").iter().find(|step| step["step"] != "COPY file /file");
    assert!(run.is_some_and(|step| step["cached"] == true && step["trace"]["written"].is_array()), "{trace}");
    let blobs = |folder: &str| names(&std::path::Path::new(folder).join("blobs/sha256"));
    assert_eq!(blobs(&passed), blobs(&exported));
    assert_eq!(fs::read(format!("{passed}/index.json")).ok(), fs::read(format!("{exported}/index.json")).ok());
    // One that is not there yet is no reason to fail; a folder that holds something else is, before anything runs.
    site.build(&["--cache-from", "type=local,src=/no/such"]).expect(0, &["WARNING: --cache-from /no/such"]);
    let said = site.build(&["--no-cache", "--cache-to", "type=local,dest=."]).expect(3, &["is not a cache"]);
    assert!(!said.err.contains("RUN"), "{}", said.err);
}

#[test]
fn a_damaged_cache_is_refused_and_the_own_stays_whole() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN head -c 2000 /dev/urandom > /random\nRUN echo second > /second\n");
    let exported = site.path("exported");
    site.build(&["--cache-to", &format!("type=local,dest={}", exported.display())]).expect(0, &[]);
    let from = format!("type=local,src={}", exported.display());
    let base = format!("alpine:3.20=oci:{}:docker.io/library/alpine:3.20", site.path("cache/images").display());
    let largest =
        names(&exported.join("blobs/sha256")).into_iter().map(|name| exported.join("blobs/sha256").join(name));
    let largest = largest.max_by_key(|path| fs::metadata(path).expect("is there").len()).expect("a blob");
    let whole = fs::read(&largest).expect("reads");
    let mut other = whole.clone();
    other[1000] ^= 1;
    // Cut off, changed, far larger than it says, and not there.
    let bomb = zstd::encode_all(std::io::repeat(0).take(50 << 20), 1).expect("packs");
    for damaged in [Some(&whole[..500]), Some(&other), Some(&bomb), None] {
        match damaged {
            Some(bytes) => fs::write(&largest, bytes).expect("writes"),
            None => fs::remove_file(&largest).expect("removes"),
        }
        let cache = site.path("other").display().to_string();
        let arguments = ["--cache-dir", &cache, "--build-context", &base];
        let said = site.build(&[&arguments[..], &["--cache-from", &from]].concat()).expect(1, &["is damaged", "blob"]);
        assert!(said.err.contains(&exported.display().to_string()), "{}", said.err);
        assert!(names(&site.path("other/work")).is_empty() && names(&site.path("other/steps")).len() < 2);
        site.build(&arguments).expect(0, &["verdict: equal"]);
        fs::remove_dir_all(site.path("other")).expect("removes");
    }
}

#[test]
fn two_builds_at_once_share_what_they_make() {
    let site = Site::new();
    let runs = site.path("runs");
    fs::create_dir(&runs).expect("a folder");
    site.dockerfile("FROM alpine:3.20\nRUN sleep 0.5; date +%s%N > /when\n");
    site.write("Other", "FROM alpine:3.20\nRUN sleep 0.2; echo other > /other\n");
    let words = |tar: &str, file: &str| {
        ["build", "--progress", "plain", "--offline", "-f", file, "-o", &format!("type=tar,dest={tar}"), "."]
            .map(str::to_owned)
    };
    let start = |tar: &str, file: &str| {
        let tar = site.path(tar).display().to_string();
        let words = words(&tar, file);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.jettison(&words).stderr(std::process::Stdio::piped()).spawn().expect("runs")
    };
    let children = [start("a.tar", "Dockerfile"), start("b.tar", "Dockerfile"), start("c.tar", "Other")];
    // Meanwhile everything that is not used is removed, again and again.
    for _ in 0..4 {
        site.run(&["cache", "prune", "--all"]).expect(0, &[]);
    }
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        done += usize::from(said.contains("RUN sleep 0.5") && said.contains("#2 DONE"));
    }
    assert_eq!(done, 1, "the step that both have ran {done} times");
    assert_eq!(fs::read(site.path("a.tar")).expect("reads"), fs::read(site.path("b.tar")).expect("reads"));
    assert_eq!(site.work(), [""; 0]);
}

#[test]
fn the_cache_tells_its_size_and_is_emptied() {
    let site = Site::new();
    site.dockerfile(
        "FROM alpine:3.20\nRUN --mount=type=cache,target=/c head -c 3000000 /dev/zero > /c/x; echo made > /m\n",
    );
    site.build(&["-t", "app"]).expect(0, &[]);
    let size = |part: &str, key: &str| {
        let said = site.run(&["cache", "du", "--format", "json"]).expect(0, &[]);
        let value: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        value[part][key].as_u64().expect("a number")
    };
    assert!(size("steps", "count") >= 1 && size("mounts", "bytes") >= 3_000_000 && size("bases", "count") == 1);
    let human = site.run(&["cache", "du"]).expect(0, &[]).out;
    assert!(human.contains("results of steps") && human.contains("just now"), "{human:?}");
    let all = site.run(&["cache", "du", "--verbose"]).expect(0, &[]).out;
    assert_eq!(
        all.matches("\n").count() - human.matches("\n").count(),
        6,
        "a base, a step, a mount and their head: {all}"
    );
    let kept = site.run(&["cache", "prune", "--older-than", "1h"]).expect(0, &[]).out;
    assert!(kept.contains("removed 0 results"), "{kept}");
    let removed = site.run(&["cache", "prune", "--all"]).expect(0, &[]).out;
    assert!(removed.contains("1 cache mounts"), "{removed}");
    assert_eq!((size("steps", "count"), size("mounts", "count"), size("bases", "count")), (0, 0, 0));
    // The images that have names stay, and the next build works.
    site.run(&["weigh", "local:app"]).expect(0, &[]);
    let said = site.build(&["-t", "app"]).expect(0, &[]);
    assert!(!said.is_cached("echo made"), "{}", said.err);
    assert!(!names(&site.path("cache/snapshots")).is_empty());
}

/// What a pull that broke off leaves: blobs that no image names. Fresh ones may be about to be named.
#[test]
fn blobs_that_no_image_needs_go_once_they_are_old() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN touch /x\n");
    site.build(&["-t", "app"]).expect(0, &[]);
    let blobs = site.path("cache/images/blobs/sha256");
    let before = names(&blobs);
    let (old, fresh) = (blobs.join("0".repeat(64)), blobs.join("1".repeat(64)));
    fs::write(&old, "old").expect("writes");
    fs::write(&fresh, "fresh").expect("writes");
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    fs::File::options().write(true).open(&old).and_then(|file| file.set_modified(yesterday)).expect("a time");
    let removed = site.run(&["cache", "prune"]).expect(0, &[]).out;
    assert!(removed.contains("removed 1 blobs"), "{removed}");
    assert!(!old.exists() && fresh.exists());
    assert_eq!(names(&blobs).len(), before.len() + 1);
    site.run(&["weigh", "local:app"]).expect(0, &[]);
}

/// Layers that a build writes are not synced: a machine that loses its power may cut one short.
#[test]
fn a_layer_that_was_cut_short_is_told_and_written_again() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN head -c 300000 /dev/zero > /x\n");
    site.build(&["-t", "app"]).expect(0, &[]);
    let blobs = site.path("cache/images/blobs/sha256");
    let size = |name: &String| fs::metadata(blobs.join(name)).expect("a blob").len();
    let layer = names(&blobs).into_iter().find(|name| (300_000..400_000).contains(&size(name))).expect("the layer");
    let whole = size(&layer);
    let file = fs::File::options().write(true).open(blobs.join(&layer)).expect("opens");
    file.set_len(whole / 2).expect("cuts");
    site.run(&["weigh", "local:app"]).expect(3, &[&layer]);
    site.build(&["-t", "app"]).expect(0, &[]);
    assert_eq!(size(&layer), whole);
    site.run(&["weigh", "local:app"]).expect(0, &[]);
}

#[test]
fn images_are_listed_and_removed_by_name_and_by_id() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN touch /x\n");
    let id = |said: crate::site::Said| said.err.split("image ID sha256:").nth(1).expect("an ID")[..12].to_owned();
    let first = id(site.build(&[]).expect(0, &[]));
    // The second time nothing is written, and it is the same image.
    assert_eq!(id(site.build(&[]).expect(0, &[])), first);
    let listed = || site.run(&["images"]).expect(0, &[]).out;
    let images = listed();
    assert!(images.contains("<none>") && images.contains(&first) && images.contains("alpine:3.20"), "{images}");
    site.run(&["weigh", &format!("local:{first}")]).expect(0, &[]);
    site.dockerfile(&format!("FROM {first}\nRUN test -e /x\n"));
    site.build(&["-t", "app"]).expect(0, &[]);
    fs::create_dir(site.path("context/app")).expect("a folder");
    let said = site.run(&["diff", "app", &first]);
    said.expect(2, &["holds no image", "local:app"]);
    site.run(&["diff", &first, &format!("local:{first}")]).expect(0, &[]);
    site.run(&["diff", "local:apq", &first]).expect(3, &["no local image is called apq:latest", "app:latest"]);
    let removed = site.run(&["rmi", "app", &first]).expect(0, &[]).out;
    assert!(
        removed.contains("Untagged: app:latest") && removed.contains(&format!("Deleted: sha256:{first}")),
        "{removed}"
    );
    let images = listed();
    assert!(!images.contains("app") && !images.contains(&first) && images.contains("alpine:3.20"), "{images}");
    site.run(&["rmi", "app"]).expect(1, &["no local image is called app"]);
}

#[test]
fn a_build_may_be_for_the_cache_only() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN touch /x\n");
    let before = names(&site.path("cache/images/blobs/sha256"));
    site.build(&["-o", "type=cacheonly"]).expect(0, &[]);
    assert_eq!(names(&site.path("cache/images/blobs/sha256")), before);
    assert!(site.build(&["-t", "app"]).expect(0, &[]).is_cached("touch /x"));
}

#[test]
fn two_fresh_builds_of_one_time_are_the_same_bytes() {
    let site = Site::new();
    site.write("file", "text");
    site.dockerfile(
        "FROM alpine:3.20\nARG SOURCE_DATE_EPOCH\nCOPY file /a/b/file\nWORKDIR /w\nRUN mkdir /d && touch -d @7 /d/x /d\n",
    );
    for level in ["-O0", "-O2"] {
        let outputs = ["one", "two"].map(|name| {
            let tar = site.path(&format!("{name}.tar"));
            let output = format!("type=oci,dest={}", tar.display());
            let words =
                ["--no-cache", level, "-t", "app", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-o", &output];
            site.build(&words).expect(0, &[]);
            fs::read(tar).expect("an image")
        });
        assert!(outputs[0] == outputs[1], "{level}: {} and {} bytes differ", outputs[0].len(), outputs[1].len());
        std::thread::sleep(Duration::from_millis(1100));
    }
}
