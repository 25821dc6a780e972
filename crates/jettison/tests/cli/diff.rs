//! Two images as running containers see them.

use serde_json::json;

use crate::image::{APP, Image};
use crate::place::{Layout, Packing, docker_archive};
use crate::run::{Folder, run};

/// Two images, as arguments.
fn two(folder: &Folder, before: &Image, after: &Image) -> String {
    Layout::of(before, Packing::Gzip, "1").files().to_folder(folder.at("before"));
    docker_archive(&[(after, &["app:1"])], Packing::Plain).to_archive(folder.at("after"));
    format!("oci:{} docker-archive:{}", folder.at("before"), folder.at("after"))
}

/// The app with another of everything that can differ.
fn changed() -> Image {
    let text = APP
        .replace("d 0755 0:0  @1700000000  /bin", "d 1777 0:0  @1700000000  /bin")
        .replace("@1700000000.123456789  6000*\"sh\\n\"", "@1700000000.123456788  6000*\"sh\\n\"")
        .replace("f 0644 0:0  @1700000000  \"root:x:0:0\\n\"", "f 0644 5:6  @1700000000  \"root:x:0:0!\\n\"")
        .replace("-> ../etc/passwd", "-> ../etc/group")
        .replace(
            "  h /app/start => /app/run\nlayer 4",
            "  f 0755 7:8  @1700000001  5000*\"program\"  /app/start  user.note=\"z\"\nlayer 4",
        )
        .replace(
            "  w /etc/shadow\n",
            "  f 0600 0:0  \"new\"  /new\n  d 0755 0:0 /etc/dir\n  f 0600 0:0 \"\" /etc/dir/x\n",
        )
        .replace("\"Cmd\":[\"/app/run\"]", "\"Cmd\":[\"/app/other\"],\"User\":\"me\"")
        .replace(",\"x-unknown\":{\"a\":[1,null]}", "");
    Image::of(&text)
}

const LINES: &str = "\
~ /app/link  target: ../etc/passwd → ../etc/group
~ /app/run  hard links: 2 names → one name
~ /app/start  xattrs: user.note=x\\0y → user.note=z
~ /app/start  hard links: 2 names → one name
~ /bin  mode: 0755 → 1777
~ /bin/sh  mtime: 1700000000.123456789 → 1700000000.123456788
~ /etc/passwd  owner: 0:0 → 5:6
~ /etc/passwd  size: 11 → 12
~ /etc/passwd  content: sha256:BEFORE → sha256:AFTER
+ /etc/dir  directory
+ /etc/shadow  file of 900 bytes
+ /new  file of 3 bytes
~ setting config.Cmd  value: [\"/app/run\"] → [\"/app/other\"]
+ setting config.User  \"me\"
- setting x-unknown  {\"a\":[1,null]}
not equal: 15 differences (12 paths compared)
";

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn every_difference_is_a_line() {
    let folder = Folder::new();
    let ran = run(&format!("diff {}", two(&folder, &Image::app(), &changed())));
    assert_eq!(ran.code, Some(1));
    let digest = |text: &str| jettison_image::Digest::of(text.as_bytes()).hex();
    let lines = LINES.replace("BEFORE", &digest("root:x:0:0\n")).replace("AFTER", &digest("root:x:0:0!\n"));
    assert_eq!(sorted(&ran.out), sorted(&lines));
    assert_eq!(ran.err, "");
}

#[test]
fn the_other_way_round_added_is_removed() {
    let folder = Folder::new();
    let ran = run(&format!("diff {}", two(&folder, &changed(), &Image::app())));
    assert_eq!(ran.code, Some(1));
    for line in [
        "- /etc/dir  directory",
        "- /new  file of 3 bytes",
        "- setting config.User  \"me\"",
        "+ setting x-unknown  {\"a\":[1,null]}",
    ] {
        assert!(ran.out.lines().any(|other| other == line), "{line}\n{}", ran.out);
    }
}

#[test]
fn programs_get_json() {
    let folder = Folder::new();
    let arguments = two(&folder, &Image::app(), &changed());
    let ran = run(&format!("diff {arguments} --format json"));
    assert_eq!(ran.code, Some(1));
    let report = ran.json();
    let (before, after) = arguments.split_once(' ').expect("two");
    assert_eq!((&report["before"], &report["after"]), (&json!(before), &json!(after)));
    assert_eq!((&report["equal"], &report["paths"]), (&json!(false), &json!(12)));
    let differences = report["differences"].as_array().expect("differences");
    assert_eq!(differences.len(), 15);
    assert!(differences.contains(&json!({ "path": "/bin", "what": "mode", "before": "0755", "after": "1777" })));
    assert!(
        differences.contains(&json!({ "path": "/new", "what": "path", "before": null, "after": "file of 3 bytes" }))
    );
    assert!(
        differences.contains(&json!({ "setting": "config.User", "what": "value", "before": null, "after": "\"me\"" }))
    );
    let equal = run(&format!("diff {before} {before} --format json")).ok().json();
    assert_eq!((&equal["equal"], &equal["differences"]), (&json!(true), &json!([])));
}

#[test]
fn so_many_rows_are_listed_and_the_rest_counted() {
    let folder = Folder::new();
    let ran = run(&format!("diff {} --rows 4", two(&folder, &Image::app(), &changed())));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 6, "{}", ran.out);
    assert_eq!(lines[4], "… and 11 more (--rows, --format json)");
    assert_eq!(lines[5], "not equal: 15 differences (12 paths compared)");
}

#[test]
fn images_of_different_layers_and_history_may_be_equal() {
    let folder = Folder::new();
    let ran = run(&format!("diff {}", two(&folder, &Image::app(), &Image::app()))).ok();
    assert_eq!(ran.out, "equal: 9 paths and all settings are the same\n");
    run(&format!("optimize oci:{0}/before -o oci:{0}/out --squash-all --layers 1", folder.at(""))).ok();
    run(&format!("diff oci:{0}/before oci:{0}/out", folder.at(""))).ok();
}

#[test]
fn a_type_change_and_what_lies_below_it() {
    let folder = Folder::new();
    let text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n ";
    let before = Image::of(&format!("{text}d 0755 0:0 /x\n f 0644 0:0 \"\" /x/below"));
    let after = Image::of(&format!("{text}l 0755 0:0 /x -> y"));
    let ran = run(&format!("diff {}", two(&folder, &before, &after)));
    let expected = [
        "- /x/below  file of 0 bytes",
        "not equal: 3 differences (3 paths compared)",
        "~ /x  target:  → y",
        "~ /x  type: directory → symlink",
    ];
    assert_eq!(sorted(&ran.out), expected);
}

#[test]
fn names_that_no_terminal_should_see_raw() {
    let folder = Folder::new();
    let text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n f 0644 0:0 \"\" ";
    let before = Image::of(&format!("{text}/x"));
    let after = Image::of(&format!("{text}\"/\\x1b[31mred\\n\\xff\""));
    let ran = run(&format!("diff {}", two(&folder, &before, &after)));
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("+ /\\x1B[31mred\\n\\xFF  file of 0 bytes\n"), "{:?}", ran.out);
}

#[test]
fn one_image_that_cannot_be_read_fails_the_comparison() {
    let folder = Folder::new();
    let arguments = two(&folder, &Image::app(), &Image::app());
    let (before, _) = arguments.split_once(' ').expect("two");
    run(&format!("diff {before} oci:{}", folder.at("none"))).fails(3, &[&folder.at("none")]);
    run(&format!("diff oci:{} {before}", folder.at("none"))).fails(3, &[&folder.at("none")]);
}
