//! Layers made for pulling: what changes changes its own layer and the topmost, and no other.

use std::fmt::Write as _;

use crate::image::Image;
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};
use crate::written::{Written, WrittenImage, check_canonical};

/// A release: packages of dpkg with their versions, Python distributions with theirs, and an application.
#[derive(Clone)]
struct Release {
    base: &'static str,
    packages: Vec<(String, u32)>,
    distributions: Vec<(String, u32)>,
    /// Bytes of each file of a package or distribution.
    size: usize,
    application: &'static str,
    /// The time of the folders that every installation touches.
    time: u32,
}

impl Release {
    fn first() -> Self {
        let named = |prefix: &str| (0..8).map(|at| (format!("{prefix}{at}"), 1)).collect();
        Self {
            base: "os",
            packages: named("lib"),
            distributions: named("dist"),
            size: 700_000,
            application: "1",
            time: 1,
        }
    }

    fn image(&self) -> Image {
        let time = self.time;
        let mut text = format!(
            "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1 \"ADD rootfs.tar /\"\n d 0755 0:0 /etc\n \
             f 0644 0:0 \"{}\" /etc/os\n d 0755 0:0 /usr\n d 0755 0:0 /usr/lib\nempty \"CMD [\\\"sh\\\"]\"\n\
             layer 2 \"RUN apt-get install\"\n d 0755 0:0 @{time} /usr/lib\n",
            self.base
        );
        let mut status = String::new();
        for (name, version) in &self.packages {
            let _ = write!(
                status,
                "Package: {name}\\nStatus: install ok installed\\nArchitecture: all\\nVersion: {version}\\n\\n"
            );
            let _ = writeln!(text, " d 0755 0:0 /usr/lib/{name}");
            let _ = writeln!(text, " f 0644 0:0 {}*\"{name}-{version} \" /usr/lib/{name}/data", self.size);
            let list = format!("/.\\n/usr\\n/usr/lib\\n/usr/lib/{name}\\n/usr/lib/{name}/data\\n/opt/of-{name}\\n");
            let _ = writeln!(text, " f 0644 0:0 \"{version}\" /opt/of-{name}");
            let _ = writeln!(text, " f 0644 0:0 \"{list}\" /var/lib/dpkg/info/{name}.list");
        }
        let _ = writeln!(text, " f 0644 0:0 \"{status}\" /var/lib/dpkg/status");
        let site = "/usr/local/lib/python3.11/site-packages";
        let _ = writeln!(text, "layer 3 \"RUN pip install\"\n d 0755 0:0 @{time} {site}");
        for (name, version) in &self.distributions {
            let _ = writeln!(text, " f 0644 0:0 {}*\"{name}-{version} \" {site}/{name}/code.py", self.size);
            let _ = writeln!(text, " f 0644 0:0 \"{version}\" {site}/{name}-{version}.dist-info/METADATA");
        }
        let _ = writeln!(text, "layer 4 \"COPY app\"\n d 0755 0:0 @{time} /app");
        let _ = writeln!(text, " f 0644 0:0 \"{}\" /app/main\n f 0644 0:0 9000*\"same\" /app/other", self.application);
        Image::of(&text)
    }
}

fn optimized(folder: &Folder, release: &Release, options: &str) -> WrittenImage {
    let image = release.image();
    Layout::of(&image, Packing::Plain, "1").files().to_archive(folder.at("in"));
    let line = format!("optimize oci-archive:{0}/in -o oci-archive:{0}/out -O1 --compression none", folder.at(""));
    run(&format!("{line} --layers auto {options}")).ok();
    let written = Written::at(folder.at("out")).image();
    assert_eq!(written.seen(), image.seen());
    written.tars.iter().for_each(|tar| check_canonical(tar));
    written
}

/// How many layers of an image were not in another one.
fn changed(before: &WrittenImage, after: &WrittenImage) -> usize {
    let before = before.layer_digests();
    after.layer_digests().iter().filter(|digest| !before.contains(digest)).count()
}

#[test]
fn what_changes_changes_its_own_layer_and_the_topmost() {
    let folder = Folder::new();
    let first = optimized(&folder, &Release::first(), "");
    // The base, two bins and more, the application, the top.
    assert!((5..=25).contains(&first.tars.len()), "{}", first.tars.len());
    let next = Release { time: 2, ..Release::first() };
    assert_eq!(changed(&first, &optimized(&folder, &next, "")), 1, "folders have other times");
    let with = |change: &dyn Fn(&mut Release)| {
        let mut release = next.clone();
        change(&mut release);
        changed(&first, &optimized(&folder, &release, ""))
    };
    assert_eq!(with(&|release| release.application = "2"), 2, "the application");
    assert_eq!(with(&|release| release.packages[3].1 = 2), 2, "a package is upgraded");
    assert_eq!(with(&|release| release.distributions[5].1 = 2), 2, "a distribution is upgraded");
    assert_eq!(with(&|release| drop(release.packages.remove(2))), 2, "a package is removed");
    assert_eq!(with(&|release| release.packages.insert(2, ("new".to_owned(), 1))), 2, "a package is added");
    assert_eq!(with(&|release| release.packages.reverse()), 1, "the database has another order");
}

#[test]
fn layers_say_what_they_hold() {
    let folder = Folder::new();
    let image = optimized(&folder, &Release::first(), "");
    let entries = image.config["history"].as_array().expect("a history");
    let comments: Vec<&str> = entries.iter().filter_map(|entry| entry["comment"].as_str()).collect();
    assert_eq!(comments.len(), image.tars.len() - 1, "{comments:?}");
    // Each package and distribution in one of them, the application and what always changes in their own.
    for (at, comment) in comments.iter().enumerate() {
        let own = match comments.len() - at {
            1 => "databases, caches and folders",
            2 => "/app",
            _ => "",
        };
        assert!(comment.contains(": ") && comment.contains(own), "{comments:?}");
    }
    let weighed = run(&format!("weigh oci-archive:{} --no-measure", folder.at("out"))).ok().out;
    assert!(weighed.contains("/app: COPY app") && weighed.contains("databases, caches and folders"), "{weighed}");
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let folder = Folder::new();
    let once = optimized(&folder, &Release::first(), "");
    for options in ["", "-O1", "-O2 --compression none"] {
        let line = format!("optimize oci-archive:{0}/out -o oci-archive:{0}/again --layers auto", folder.at(""));
        let ran =
            run(&format!("{line} --compression none {options}").replace("none -O2 --compression none", "none -O2"));
        let ran = ran.ok();
        assert!(ran.out.contains("passes: none had anything to do"), "{}", ran.out);
        assert_eq!(Written::at(folder.at("again")).image().digest, once.digest);
    }
}

#[test]
fn a_small_image_is_one_layer() {
    let folder = Folder::new();
    let small = optimized(&folder, &Release { size: 1000, ..Release::first() }, "");
    assert_eq!(small.tars.len(), 2);
}

#[test]
fn the_previous_image_says_where_things_stay() {
    let folder = Folder::new();
    let first = optimized(&folder, &Release::first(), "");
    std::fs::rename(folder.at("out"), folder.at("first")).expect("renamed");
    let previous = format!("--previous oci-archive:{}", folder.at("first"));
    let same = optimized(&folder, &Release::first(), &previous);
    assert_eq!(same.digest, first.digest, "the same is the same");
    // Far more of it: by the rule there would be other bins.
    let mut next = Release { time: 2, ..Release::first() };
    next.packages.extend((0..30).map(|at| (format!("more{at}"), 1)));
    let by_rule = optimized(&folder, &next, "");
    let by_previous = optimized(&folder, &next, &previous);
    assert_eq!(by_previous.tars.len(), first.tars.len());
    assert_ne!(by_rule.tars.len(), first.tars.len());
    // What was upgraded stays in its layer, and with it all else does.
    let mut next = Release { time: 2, ..Release::first() };
    next.packages[3].1 = 2;
    next.size = 700_000;
    assert_eq!(changed(&first, &optimized(&folder, &next, &previous)), 2);
}

#[test]
fn the_previous_image_may_stand_on_another_base() {
    let folder = Folder::new();
    let first = optimized(&folder, &Release { base: "before its upgrade", ..Release::first() }, "");
    std::fs::rename(folder.at("out"), folder.at("first")).expect("renamed");
    // Far more of it: by the rule there would be other bins.
    let mut next = Release { time: 2, ..Release::first() };
    next.packages.extend((0..30).map(|at| (format!("more{at}"), 1)));
    let by_rule = optimized(&folder, &next, "");
    let line = format!("optimize oci-archive:{0}/in -o oci-archive:{0}/new -O1 --compression none", folder.at(""));
    let ran = run(&format!("{line} --layers auto --previous oci-archive:{}", folder.at("first"))).ok();
    assert!(ran.out.contains("has another base than this image, whose layers end at 1"), "{}", ran.out);
    let by_previous = Written::at(folder.at("new")).image();
    assert_eq!(by_previous.tars.len(), first.tars.len());
    assert_ne!(by_rule.tars.len(), first.tars.len());
}

#[test]
fn a_previous_image_that_says_nothing_is_told() {
    let folder = Folder::new();
    let by_rule = optimized(&folder, &Release::first(), "");
    let other = Image::of(
        "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"COPY a /\"\n f 0644 0:0 \"a\" /a\n\
         layer 2 \"COPY b /\"\n f 0644 0:0 \"b\" /b\nlayer 3 \"COPY c /\"\n f 0644 0:0 \"c\" /c\n",
    );
    Layout::of(&other, Packing::Plain, "1").files().to_archive(folder.at("other"));
    let line = format!("optimize oci-archive:{0}/in -o oci-archive:{0}/new -O1 --compression none", folder.at(""));
    let ran = run(&format!("{line} --layers auto --previous oci-archive:{}", folder.at("other"))).ok();
    assert!(ran.out.contains("has another base, which cannot be told"), "{}", ran.out);
    assert_eq!(Written::at(folder.at("new")).image().digest, by_rule.digest);
}

#[test]
fn an_image_made_without_the_rule_can_be_the_previous_one() {
    let folder = Folder::new();
    let image = Release::first().image();
    Layout::of(&image, Packing::Plain, "1").files().to_archive(folder.at("plain"));
    let previous = format!("--previous oci-archive:{}", folder.at("plain"));
    let once = optimized(&folder, &Release::first(), &previous);
    let mut next = Release { time: 2, application: "2", ..Release::first() };
    next.distributions[1].1 = 2;
    let again = optimized(&folder, &next, &previous);
    assert_eq!(once.tars.len(), image.layers.len());
    assert_eq!(again.tars.len(), image.layers.len());
    assert!(changed(&once, &again) <= 3, "the packages did not change");
}

#[test]
fn previous_without_auto_is_refused() {
    run("optimize oci:a -o oci:b --previous oci:c")
        .fails(2, &["--previous is for layers that are made for pulling", "--layers auto"]);
    run("optimize a -o b --layers automatic").fails(2, &["--layers", "or auto"]);
}
