//! Input that is damaged: cut, changed, incomplete, contradicting itself.

use std::fs;

use jettison_image::Digest;
use serde_json::{Value, json};

use crate::image::{HERE, Image};
use crate::place::{Dialect, Files, Layout, Member, Packing, blob_of, docker_archive, gzip};
use crate::refused::Scene;
use crate::run::{Folder, run};

fn docker() -> Files {
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain)
}

/// The app in a layout with the names of its manifest, config and layers.
fn layout(packing: Packing) -> (Files, String, String, Vec<String>) {
    let mut layout = Layout::default();
    let mut found = None;
    let manifest = layout.image_with(&Image::app(), packing, Dialect::Oci, |manifest| {
        let layers: Vec<String> = manifest["layers"].as_array().expect("layers").iter().map(blob_of).collect();
        found = Some((blob_of(&manifest["config"]), layers));
    });
    layout.tag(&manifest, "1");
    let (config, layers) = found.expect("a manifest");
    (layout.files(), blob_of(&manifest), config, layers)
}

/// An image of one layer whose blob is given, with a manifest that is true to it.
fn of_blob(tar: &[u8], media_type: &str, blob: &[u8]) -> Files {
    let config = Image::of_tars(vec![tar.to_vec()]).config;
    let mut layout = Layout::default();
    let config = layout.blob("application/vnd.oci.image.config.v1+json", &config);
    let layer = layout.blob(media_type, blob);
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string();
    let manifest = layout.blob("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    layout.tag(&manifest, "1");
    layout.files()
}

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

#[test]
fn archives_that_are_cut() {
    let scene = Scene::new();
    let whole = layout(Packing::Gzip).0;
    for (transport, files) in [("docker-archive", docker()), ("oci-archive", whole)] {
        let bytes = files.tar();
        let place = scene.place(transport, &files);
        let path = scene.folder.at("in");
        let dumped = run(&format!("dump {place}")).ok().out;
        for length in (1..bytes.len()).step_by(bytes.len() / 60 + 1) {
            fs::write(&path, &bytes[..length]).expect("writes");
            let ran = run(&format!("dump {place}"));
            if ran.code == Some(0) {
                // Only the padding and the blocks that mark the end were lost.
                assert!(ran.out == dumped && length + 2 * 512 + 511 >= bytes.len(), "{transport} {length}");
            } else {
                ran.fails(3, &[&path]);
            }
        }
        let digits = bytes.windows(9).position(|bytes| bytes == b"diff_ids\"").expect("a config");
        fs::write(&path, &bytes[..digits]).expect("writes");
        scene.refuses(&place, &[&path, "the archive is damaged", "in the middle of a member at offset"]);
    }
}

#[test]
fn packed_archives_that_are_damaged() {
    let scene = Scene::new();
    let files = docker();
    let place = scene.place("docker-archive", &files);
    let path = scene.folder.at("in");
    for packing in [Packing::Gzip, Packing::Members, Packing::Zstd, Packing::Framed] {
        let packed = packing.pack(&files.tar());
        fs::write(&path, &packed).expect("writes");
        run(&format!("weigh {place}")).ok();
        let mut changed = packed.clone();
        changed[packed.len() / 2] ^= 0x40;
        for bytes in [&packed[..packed.len() / 2], &packed[..packed.len() - 1]] {
            fs::write(&path, bytes).expect("writes");
            scene.refuses(&place, &[&path, "unpack"]);
        }
        // zstd without checksums unpacks to something else, which then has another digest.
        fs::write(&path, &changed).expect("writes");
        scene.refuses(&place, &[&path]);
    }
}

#[test]
fn layers_that_are_cut() {
    let scene = Scene::new();
    let tar = &Image::app().layers[0];
    // In the content of /bin/sh: a folder, a PAX header with its record, the file's header, then 6000 bytes.
    let cut = &tar[..512 * 4 + 1000];
    let parts = ["cannot be read", "bin/sh", "the archive ends in the middle of a member at offset 3048"];
    for packing in [Packing::Plain, Packing::Gzip, Packing::Members, Packing::Zstd, Packing::Framed] {
        let image = Image::of_tars(vec![cut.to_vec()]);
        let files = Layout::of(&image, packing, "1").files();
        scene.refuses(&scene.place("oci", &files), &parts);
        scene.refuses(&scene.place("oci-archive", &files), &parts);
        scene.refuses(&scene.place("docker-archive", &docker_archive(&[(&image, &["a:1"])], packing)), &parts);
    }
    // In the header after it.
    let image = Image::of_tars(vec![tar[..512 * 4 + 6144 + 100].to_vec()]);
    let files = Layout::of(&image, Packing::Gzip, "1").files();
    scene.refuses(&scene.place("oci", &files), &["bin/sh", "at offset 8292"]);
}

#[test]
fn packed_layers_that_are_cut() {
    let scene = Scene::new();
    let tar = Image::app().layers.concat();
    let tar = &tar[..tar.len() - tar.len() % 512];
    for (packing, suffix) in
        [(Packing::Gzip, "+gzip"), (Packing::Members, "+gzip"), (Packing::Zstd, "+zstd"), (Packing::Framed, "+zstd")]
    {
        let blob = packing.pack(tar);
        for length in [blob.len() / 2, blob.len() - 1, 20] {
            let files = of_blob(tar, &format!("{TAR}{suffix}"), &blob[..length]);
            let name = format!("blobs/sha256/{}", Digest::of(&blob[..length]).hex());
            scene
                .refuses(&scene.place("oci", &files), &[&scene.folder.at("in"), &name, "cannot be unpacked at offset"]);
        }
        // With the manifest of the whole blob.
        let (mut files, _, _, layers) = layout(packing);
        let blob = files.bytes(&layers[1]);
        blob.truncate(blob.len() / 2);
        scene.refuses(&scene.place("oci", &files), &[&layers[1]]);
    }
}

#[test]
fn bytes_behind_a_packed_layer() {
    let scene = Scene::new();
    let tar = &Image::app().layers[1];
    for (packing, suffix) in [(Packing::Gzip, "+gzip"), (Packing::Zstd, "+zstd")] {
        let blob = [packing.pack(tar), b"garbage".to_vec()].concat();
        let files = of_blob(tar, &format!("{TAR}{suffix}"), &blob);
        scene.refuses(&scene.place("oci", &files), &["cannot be unpacked at offset"]);
    }
}

#[test]
fn every_byte_of_a_blob_counts() {
    let scene = Scene::new();
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        let (files, _, _, layers) = layout(packing);
        let place = scene.place("oci", &files);
        let path = scene.folder.at(&format!("in/{}", layers[1]));
        let blob = fs::read(&path).expect("a blob");
        for at in (0..blob.len()).step_by(blob.len() / 30 + 1).chain([blob.len() - 1]) {
            let mut changed = blob.clone();
            changed[at] ^= 0x10;
            fs::write(&path, changed).expect("writes");
            run(&format!("weigh {place}")).fails(3, &[&layers[1]]);
        }
    }
}

#[test]
fn a_changed_byte_is_found_or_makes_no_difference() {
    let scene = Scene::new();
    for (transport, files) in [("docker-archive", docker()), ("oci-archive", layout(Packing::Gzip).0)] {
        let place = scene.place(transport, &files);
        let path = scene.folder.at("in");
        let (bytes, dumped) = (files.tar(), run(&format!("dump {place}")).ok().out);
        let mut found = 0;
        for at in (0..bytes.len()).step_by(bytes.len() / 150 + 1) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            fs::write(&path, changed).expect("writes");
            let ran = run(&format!("dump {place}"));
            if ran.code == Some(0) {
                assert_eq!(ran.out, dumped, "{transport}: byte {at}");
            } else {
                ran.fails(3, &[&path]);
                found += 1;
            }
        }
        assert!(found > 50, "{transport}: {found}");
    }
}

#[test]
fn headers_with_a_wrong_checksum() {
    let scene = Scene::new();
    let mut tar = Image::app().layers[0].clone();
    tar[512 + 130] ^= 1;
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        let files = Layout::of(&Image::of_tars(vec![tar.clone()]), packing, "1").files();
        scene.refuses(&scene.place("oci", &files), &["after entry \"bin\"", "checksum does not match at offset 512"]);
    }
    let files = docker();
    let place = scene.place("docker-archive", &files);
    let mut bytes = files.tar();
    bytes[512 * 2 + 100] ^= 1;
    fs::write(scene.folder.at("in"), bytes).expect("writes");
    scene.refuses(&place, &["the archive is damaged", "checksum does not match at offset 1024"]);
}

#[test]
fn documents_that_are_no_json() {
    let scene = Scene::new();
    for (name, text) in [
        ("manifest.json", "{"),
        ("manifest.json", "{}"),
        ("manifest.json", "[{\"Config\":1}]"),
        ("manifest.json", "\u{fffd}"),
        ("manifest.json", "[{\"Config\":\"x.json\",\"Layers\":[1]}]"),
    ] {
        let mut files = docker();
        *files.bytes(name) = text.as_bytes().to_vec();
        scene.refuses(
            &scene.place("docker-archive", &files),
            &[&scene.folder.at("in"), "manifest.json is not valid", "line 1"],
        );
    }
    for text in ["", "[]", "{\"schemaVersion\":2}", "{\"schemaVersion\":2,\"manifests\":[{}]}", "nonsense"] {
        let mut files = layout(Packing::Gzip).0;
        *files.bytes("index.json") = text.as_bytes().to_vec();
        scene.refuses(&scene.place("oci", &files), &[&scene.folder.at("in"), "index.json is not valid"]);
    }
    // Documents below the index, each with the digest that it has.
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in ["{", "[]", "{\"schemaVersion\":2,\"layers\":[]}", &deep] {
        let mut layout = Layout::default();
        let manifest = layout.blob("application/vnd.oci.image.manifest.v1+json", text.as_bytes());
        layout.tag(&manifest, "1");
        let place = scene.place("oci", &layout.files());
        scene.refuses(&place, &[&format!("{} is not valid", blob_of(&manifest))]);
    }
    for text in [
        "",
        "[]",
        "{\"rootfs\":{}}",
        "{\"rootfs\":{\"diff_ids\":[\"x\"]}}",
        "{\"rootfs\":{\"diff_ids\":[]},\"history\":1}",
        &deep,
    ] {
        let image = Image { config: text.as_bytes().to_vec(), layers: Vec::new() };
        let config = format!("blobs/sha256/{} is not valid", Digest::of(text.as_bytes()).hex());
        scene.refuses(&scene.place("oci", &Layout::of(&image, Packing::Gzip, "1").files()), &[&config]);
        let config = format!("{}.json is not valid", Digest::of(text.as_bytes()).hex());
        scene.refuses(
            &scene.place("docker-archive", &docker_archive(&[(&image, &["a:1"])], Packing::Plain)),
            &[&config],
        );
    }
}

#[test]
fn digests_that_do_not_match() {
    let scene = Scene::new();
    let (_, manifest, config, layers) = layout(Packing::Plain);
    for name in [&manifest, &config, &layers[2]] {
        let mut files = layout(Packing::Plain).0;
        let bytes = files.bytes(name);
        let before = Digest::of(bytes);
        // Another digit, or another letter of a file: valid, of the same size, and not what was named.
        let content = bytes.windows(14).position(|bytes| bytes == b"programprogram");
        let at = content.or_else(|| bytes.iter().rposition(|&byte| byte == b'1' || byte == b'0'));
        bytes[at.expect("a digit")] ^= 1;
        let after = Digest::of(bytes);
        for transport in ["oci", "oci-archive"] {
            let place = scene.place(transport, &files);
            scene.refuses(&place, &[&scene.folder.at("in"), name, &before.to_string(), &after.to_string()]);
        }
    }
    let mut files = docker();
    let config = format!("{}.json", Digest::of(&Image::app().config).hex());
    *files.bytes(&config) = [&Image::app().config[..], b" "].concat();
    scene.refuses(&scene.place("docker-archive", &files), &[&config, "not the sha256:"]);
}

#[test]
fn a_damaged_layout_beside_a_manifest_json() {
    let scene = Scene::new();
    for part in ["manifest", "config", "layer"] {
        let mut layout = Layout::default();
        let manifest = layout.image(&Image::app(), Packing::Gzip, Dialect::Oci);
        layout.tag(&manifest, "app:1");
        layout.docker(&manifest, &["app:1"]);
        let mut files = layout.files();
        let (_, _, config, layers) = self::layout(Packing::Gzip);
        let name = match part {
            "manifest" => blob_of(&manifest),
            "config" => config,
            _ => layers[3].clone(),
        };
        let bytes = files.bytes(&name);
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        scene.refuses(&scene.place("docker-archive", &files), &[&name]);
    }
}

#[test]
fn sizes_that_do_not_match() {
    let scene = Scene::new();
    let more = |size: &mut Value| *size = json!(size.as_u64().expect("a size") + 1);
    for part in ["manifest", "config", "layer"] {
        let mut layout = Layout::default();
        let mut name = String::new();
        let mut manifest = layout.image_with(&Image::app(), Packing::Gzip, Dialect::Oci, |manifest| {
            let descriptor = if part == "layer" { &mut manifest["layers"][2] } else { &mut manifest["config"] };
            name = blob_of(descriptor);
            if part != "manifest" {
                more(&mut descriptor["size"]);
            }
        });
        if part == "manifest" {
            name = blob_of(&manifest);
            more(&mut manifest["size"]);
        }
        layout.tag(&manifest, "1");
        let place = scene.place("oci", &layout.files());
        scene.refuses(&place, &[&scene.folder.at("in"), &name, "bytes, not the", "that its descriptor states"]);
    }
}

#[test]
fn files_that_are_missing() {
    let scene = Scene::new();
    let (_, manifest, config, layers) = layout(Packing::Gzip);
    for name in [&manifest, &config, &layers[0], &layers[3]] {
        let mut files = layout(Packing::Gzip).0;
        files.remove(name);
        for transport in ["oci", "oci-archive"] {
            scene.refuses(&scene.place(transport, &files), &[&format!("{}: {name} is missing", scene.folder.at("in"))]);
        }
    }
    let names: Vec<String> = docker().0.into_iter().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| name.ends_with("layer.tar") || name.ends_with(".json") && name.len() > 40) {
        let mut files = docker();
        files.remove(name);
        scene.refuses(&scene.place("docker-archive", &files), &[&format!("{name} is missing")]);
    }
}

#[test]
fn layers_that_are_links_to_nowhere() {
    let scene = Scene::new();
    for target in ["../none/layer.tar", "../../../../etc/passwd", "layer.tar", "/etc/passwd", "."] {
        let mut files = docker();
        let layer = files.0.iter_mut().find(|(name, _)| name.ends_with("layer.tar")).expect("a layer");
        layer.1 = Member::Symlink(target.to_owned());
        let name = layer.0.clone();
        scene.refuses(&scene.place("docker-archive", &files), &[&format!("{name} is missing")]);
    }
}

#[test]
fn media_types_that_the_bytes_do_not_bear_out() {
    let scene = Scene::new();
    let tar = &Image::app().layers[1];
    let packings = [("", Packing::Plain, "none"), ("+gzip", Packing::Gzip, "gzip"), ("+zstd", Packing::Framed, "zstd")];
    for (suffix, _, expected) in packings {
        for (_, packing, got) in packings.into_iter().filter(|(other, _, _)| *other != suffix) {
            let blob = packing.pack(tar);
            let name = format!("blobs/sha256/{}", Digest::of(&blob).hex());
            let files = of_blob(tar, &format!("{TAR}{suffix}"), &blob);
            let message = format!("{name} is {got}, but its media type says {expected}");
            scene.refuses(&scene.place("oci", &files), &[&message]);
        }
    }
    for media_type in ["application/octet-stream", "", "application/vnd.oci.image.layer.v1.tar+xz"] {
        let files = of_blob(tar, media_type, tar);
        scene.refuses(&scene.place("oci", &files), &[&format!("has the media type {media_type:?}")]);
    }
    let files = of_blob(tar, "application/vnd.in-toto+json", tar);
    scene.refuses(&scene.place("oci", &files), &["is no container image, but application/vnd.in-toto+json"]);
}

#[test]
fn numbers_of_layers_that_do_not_match() {
    let scene = Scene::new();
    let mut fewer = Image::app();
    fewer.layers.pop();
    let mut more = Image::app();
    more.layers.push(more.layers[0].clone());
    for (image, count) in [(fewer, 3), (more, 5)] {
        let message = format!("the manifest lists {count} layers, but the config has 4 diff IDs");
        scene.refuses(
            &scene.place("oci", &Layout::of(&image, Packing::Gzip, "1").files()),
            &[&scene.folder.at("in"), &message],
        );
        let files = docker_archive(&[(&image, &["app:1"])], Packing::Plain);
        scene.refuses(&scene.place("docker-archive", &files), &[&scene.folder.at("in"), &message]);
    }
}

#[test]
fn diff_ids_that_do_not_match() {
    let scene = Scene::new();
    let mut image = Image::app();
    image.layers.swap(1, 2);
    let [got, expected] = [1, 2].map(|at| Digest::of(&image.layers[at]).to_string());
    let message = format!("layer 2 unpacks to {got}, but the config's diff ID is {expected}");
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        scene.refuses(&scene.place("oci", &Layout::of(&image, packing, "1").files()), &[&message]);
        let files = docker_archive(&[(&image, &["app:1"])], packing);
        scene.refuses(&scene.place("docker-archive", &files), &[&message]);
    }
}

#[test]
fn what_is_no_image_at_all() {
    let scene = Scene::new();
    let path = scene.folder.at("in");
    for (bytes, message) in [
        (b"This is a letter, not an image.\n".repeat(100), "neither an image archive nor an OCI layout"),
        (b"short".to_vec(), "neither an image archive nor an OCI layout"),
        (Vec::new(), "neither an image archive nor an OCI layout"),
        (vec![0; 10_240], "neither an image archive nor an OCI layout"),
        (gzip(b"This is a letter, not an image.\n"), "neither an image archive nor an OCI layout"),
        (Image::app().layers[0].clone(), "neither an image archive nor an OCI layout"),
    ] {
        fs::write(&path, bytes).expect("writes");
        for transport in ["", "docker-archive:", "oci-archive:"] {
            scene.refuses(&format!("{transport}{path}"), &[&path, message]);
        }
        scene.refuses(&format!("oci:{path}"), &[&path, message]);
    }
    fs::remove_file(&path).expect("removes");
    for transport in ["", "docker-archive:", "oci-archive:", "oci:"] {
        scene.refuses(&format!("{transport}{path}"), &[&path, "No such file"]);
    }
    fs::create_dir(&path).expect("makes a folder");
    for name in [None, Some("oci-layout"), Some("letter")] {
        if let Some(name) = name {
            fs::write(format!("{path}/{name}"), "{}").expect("writes");
        }
        scene.refuses(&path, &[&path, "it has no index.json"]);
        scene.refuses(&format!("docker-archive:{path}"), &[&path, "it has no manifest.json"]);
    }
}

#[test]
fn images_that_list_nothing() {
    let scene = Scene::new();
    let mut files = docker();
    *files.bytes("manifest.json") = b"[]".to_vec();
    scene.refuses(&scene.place("docker-archive", &files), &["manifest.json lists no image"]);
    scene.refuses(&scene.place("oci", &Layout::default().files()), &["index.json lists no image"]);
}

#[test]
fn files_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let deny = |path: &str| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("sets the mode");
    docker().to_archive(folder.at("archive"));
    let (files, _, config, _) = layout(Packing::Gzip);
    files.to_folder(folder.at("layout"));
    deny(&folder.at("archive"));
    deny(&folder.at(&format!("layout/{config}")));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("sets the mode");
    for (place, name) in [("docker-archive:archive", "archive"), ("oci:layout", &format!("layout/{config}"))] {
        let line = format!("weigh {}", place.replace(':', &format!(":{}/", folder.path().display())));
        // Root may read everything.
        let is_root = fs::read(folder.at("archive")).is_ok();
        let ran = if is_root {
            let wrapper = "setpriv --reuid=65534 --regid=65534 --clear-groups";
            crate::run::finish(crate::run::jettison_under(wrapper, &line), &line)
        } else {
            run(&line)
        };
        ran.fails(3, &["cannot open", &folder.at(name), "Permission denied"]);
    }
    // A folder where a blob should be can be opened and not be read, by anybody.
    let scene = Scene::new();
    let (mut files, _, config, _) = layout(Packing::Gzip);
    files.remove(&config);
    files.add(format!("{config}/inside"), "");
    scene.refuses(&scene.place("oci", &files), &["in", "directory"]);
}

#[test]
fn an_image_for_no_machine_is_still_one() {
    // Nothing but what the specification asks for.
    let folder = Folder::new();
    let image = Image::of_tars(Vec::new()).with_config(|config| {
        config.as_object_mut().expect("an object").retain(|key, _| key == "rootfs");
    });
    Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    run(&format!("weigh oci:{}", folder.at("in"))).ok();
    run(&format!("optimize oci:{0}/in -o oci:{0}/out", folder.at(""))).ok();
    assert!(!HERE.is_empty());
}
