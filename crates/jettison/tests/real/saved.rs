//! The final tree and the config document of an image in a docker-archive, read by other code than jettison's own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::tools::{folder, run, text};
use crate::tree::{self, Tree};

/// Reads archives. The trees of layers that several images have are kept, as a base is in nearly all of them.
#[derive(Default)]
pub(crate) struct Reader {
    layers: Mutex<HashMap<String, Arc<Tree>>>,
}

impl Reader {
    /// The tree, and the config document, of the archive's only image.
    pub(crate) fn read(&self, archive: &Path) -> (Tree, Value) {
        let folder = folder();
        run("tar", &["-xf", text(archive), "-C", text(folder.path())]);
        let json = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(folder.path().join(name)).expect("a document")).expect("JSON")
        };
        let manifest = json("manifest.json");
        assert_eq!(manifest.as_array().map(Vec::len), Some(1), "one image: {manifest}");
        let config = json(manifest[0]["Config"].as_str().expect("a name"));
        let diff_ids = config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
        let layers = manifest[0]["Layers"].as_array().cloned().unwrap_or_default();
        assert_eq!(layers.len(), diff_ids.len());
        let mut tree = Tree::new();
        for (layer, diff_id) in layers.iter().zip(&diff_ids) {
            let name = layer.as_str().expect("a name");
            let layer = self.layer(&folder.path().join(name), diff_id.as_str().expect("a digest"));
            lay(&mut tree, &layer);
        }
        (tree, config)
    }

    fn layer(&self, path: &Path, diff_id: &str) -> Arc<Tree> {
        if let Some(tree) = self.layers.lock().expect("no worker panicked").get(diff_id) {
            return Arc::clone(tree);
        }
        let tree = Arc::new(tree::read(path));
        // Only a base is worth its place in memory.
        if tree.len() > 100 {
            self.layers.lock().expect("no worker panicked").insert(diff_id.to_owned(), Arc::clone(&tree));
        }
        tree
    }
}

/// Lays a layer over a tree, as the image specification says: whiteouts first.
fn lay(tree: &mut Tree, layer: &Tree) {
    for path in layer.keys() {
        let (parent, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(parent, name)| (parent, name));
        let within = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        if name == ".wh..wh..opq" {
            remove_below(tree, parent);
        } else if let Some(name) = name.strip_prefix(".wh.").filter(|name| !name.starts_with(".wh.")) {
            tree.remove(&within(name));
            remove_below(tree, &within(name));
        }
    }
    for (path, seen) in layer {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh.")) {
            continue;
        }
        if !seen.starts_with("d ") {
            remove_below(tree, path);
        }
        tree.insert(path.clone(), seen.clone());
    }
}

fn remove_below(tree: &mut Tree, folder: &str) {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    tree.retain(|path, _| !path.starts_with(&prefix));
}

/// The tree of a layer's tar that is packed by gzip.
pub(crate) fn of_gzip(packed: &Path) -> Tree {
    let folder = folder();
    let plain = folder.path().join("layer.tar");
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(BufReader::new(File::open(packed).expect("the tar")))
        .read_to_end(&mut content)
        .expect("gzip");
    fs::write(&plain, content).expect("writes");
    tree::read(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[(&str, &str)]) -> Tree {
        paths.iter().map(|(path, seen)| ((*path).to_owned(), (*seen).to_owned())).collect()
    }

    #[test]
    fn layers_lie_as_the_specification_says() {
        let mut below =
            tree(&[("a", "d 0"), ("a/b", "f 1"), ("a/c", "f 2"), ("d", "d 0"), ("d/e", "f 3"), ("g", "d 0")]);
        let above = tree(&[
            ("a", "d 9"),
            ("a/.wh.b", "f"),
            ("d", "d 0"),
            ("d/.wh..wh..opq", "f"),
            ("d/n", "f 4"),
            ("g", "f 5"),
        ]);
        lay(&mut below, &above);
        assert_eq!(below, tree(&[("a", "d 9"), ("a/c", "f 2"), ("d", "d 0"), ("d/n", "f 4"), ("g", "f 5")]));
    }
}
