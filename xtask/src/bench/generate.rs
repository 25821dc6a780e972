//! Generated images: the same bytes on every machine, from a seed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::archive::{Layer, LayerWriter, Metadata};
use super::content::{Content, Random};
use super::images::Shape;

/// Writes the layers of `shape`, lowest first, into `folder`.
pub(crate) fn layers(shape: &Shape, folder: &Path) -> Result<Vec<Layer>> {
    match *shape {
        Shape::Files { files, bytes, layers, churn } => many_files(folder, files, bytes, layers, churn),
        Shape::Whiteouts { files, bytes, whiteouts } => with_whiteouts(folder, files, bytes, whiteouts),
        Shape::Huge { files, size } => huge_files(folder, files, size),
        Shape::Host { .. } => bail!("an image of this machine's files is not generated"),
    }
}

/// A file that a running container would see.
#[derive(Debug, Clone)]
struct Live {
    path: PathBuf,
    seed: u64,
    size: u64,
    metadata: Metadata,
}

/// What has been shipped so far, and what the next files will be.
struct Stack<'a> {
    folder: &'a Path,
    random: Random,
    sizes: Vec<u64>,
    shipped: usize,
    live: Vec<Live>,
    layers: Vec<Layer>,
}

impl<'a> Stack<'a> {
    fn new(folder: &'a Path, files: u64, bytes: u64) -> Self {
        let mut random = Random::new(files ^ bytes);
        let weights: Vec<u64> = (0..files).map(|_| random.size_weight()).collect();
        let sum: u64 = weights.iter().sum();
        let sizes = weights.iter().map(|weight| (u128::from(*weight) * u128::from(bytes) / u128::from(sum)) as u64);
        Self { folder, random, sizes: sizes.collect(), shipped: 0, live: Vec::new(), layers: Vec::new() }
    }

    fn layer(&self, created_by: &str) -> Result<LayerWriter> {
        LayerWriter::create(self.folder.join(format!("layer-{}.tar", self.layers.len())), created_by.to_owned())
    }

    fn finish(&mut self, layer: LayerWriter) -> Result<()> {
        self.layers.push(layer.finish()?);
        Ok(())
    }

    /// A seed of its own for each file shipped, and the size drawn for it.
    fn next_file(&mut self) -> (u64, u64) {
        let size = self.sizes[self.shipped];
        self.shipped += 1;
        (self.shipped as u64, size)
    }

    /// Ships a new file below `top`; one in fifty comes with a symbolic link, one in a hundred with a second name.
    fn add(&mut self, layer: &mut LayerWriter, top: &str) -> Result<()> {
        let (seed, size) = self.next_file();
        let extension = ["txt", "py", "so", "json", "o"][self.random.below(5) as usize];
        let folder = format!("{top}/package-{:03}/part-{:02}", seed / 400, seed / 25 % 16);
        let path = PathBuf::from(format!("{folder}/file-{seed:06}.{extension}"));
        let metadata = Metadata::mode(if extension == "so" { 0o755 } else { 0o644 });
        layer.file(&path, metadata, size, Content::new(seed, size))?;
        if seed.is_multiple_of(50) {
            let target = PathBuf::from(format!("file-{seed:06}.{extension}"));
            layer.symlink(&Path::new(&folder).join(format!("link-{seed:06}")), Metadata::mode(0o777), &target)?;
        }
        if seed % 100 == 1 {
            // A file of two names is not churned: what a peer makes of that case is a test's matter, not the bench's.
            return layer.hard_link(&Path::new(&folder).join(format!("name-{seed:06}")), metadata, &path);
        }
        self.live.push(Live { path, seed, size, metadata });
        Ok(())
    }

    /// Removes `count` random live files that were there before `below`, and returns them in the order of their paths.
    fn take(&mut self, count: u64, below: &mut usize) -> Vec<Live> {
        let mut taken = Vec::new();
        for _ in 0..count.min(*below as u64) {
            let index = self.random.below(*below as u64) as usize;
            *below -= 1;
            self.live.swap(index, *below);
            taken.push(self.live.remove(*below));
        }
        taken.sort_by(|a, b| a.path.cmp(&b.path));
        taken
    }

    /// Overwrites, re-ships with other permissions and deletes files of the layers below; returns how many it shipped.
    fn churn(&mut self, layer: &mut LayerWriter, budget: u64, percent: u64) -> Result<u64> {
        let mut below = self.live.len();
        let replaced = budget * percent / 100;
        let deleted = self.take(replaced / 20, &mut below);
        let overwritten = self.take(replaced * 3 / 5, &mut below);
        let changed = self.take(replaced - replaced * 3 / 5, &mut below);
        let shipped = (overwritten.len() + changed.len()) as u64;
        for mut live in overwritten {
            (live.seed, live.size) = self.next_file();
            layer.file(&live.path, live.metadata, live.size, Content::new(live.seed, live.size))?;
            self.live.push(live);
        }
        for mut live in changed {
            let _ = self.next_file();
            live.metadata.mode ^= 0o011;
            layer.file(&live.path, live.metadata, live.size, Content::new(live.seed, live.size))?;
            self.live.push(live);
        }
        for live in deleted {
            layer.whiteout(&live.path)?;
        }
        Ok(shipped)
    }
}

fn many_files(folder: &Path, files: u64, bytes: u64, layers: u64, churn: u64) -> Result<Vec<Layer>> {
    let mut stack = Stack::new(folder, files, bytes);
    let base = files * 2 / 5;
    let mut layer = stack.layer("ADD rootfs.tar /")?;
    for _ in 0..base {
        stack.add(&mut layer, "usr/share")?;
    }
    stack.finish(layer)?;
    for number in 1..layers {
        let budget = (files - base) * number / (layers - 1) - (files - base) * (number - 1) / (layers - 1);
        let mut layer = stack.layer(&format!("make step-{number}"))?;
        let replaced = stack.churn(&mut layer, budget, churn)?;
        for _ in replaced..budget {
            stack.add(&mut layer, "opt/app")?;
        }
        stack.finish(layer)?;
    }
    Ok(stack.layers)
}

fn with_whiteouts(folder: &Path, files: u64, bytes: u64, whiteouts: u64) -> Result<Vec<Layer>> {
    let mut stack = Stack::new(folder, files, bytes);
    let steps = [("ADD rootfs.tar /", "usr/share", 50), ("make install", "opt/app", 40), ("make data", "srv/data", 10)];
    for (created_by, top, percent) in steps {
        let mut layer = stack.layer(created_by)?;
        for _ in 0..files * percent / 100 {
            stack.add(&mut layer, top)?;
        }
        stack.finish(layer)?;
    }
    let mut layer = stack.layer("make clean")?;
    // Without this file the layer of the series' first point would be empty, and that is another case.
    layer.file(Path::new("var/log/clean.log"), Metadata::mode(0o644), 100, Content::new(0, 100))?;
    let mut below = stack.live.len();
    for live in stack.take(whiteouts, &mut below) {
        layer.whiteout(&live.path)?;
    }
    stack.finish(layer)?;
    Ok(stack.layers)
}

fn huge_files(folder: &Path, files: u64, size: u64) -> Result<Vec<Layer>> {
    let mut stack = Stack::new(folder, 100, 1_000_000);
    let mut layer = stack.layer("ADD rootfs.tar /")?;
    for _ in 0..100 {
        stack.add(&mut layer, "usr/share")?;
    }
    let model = |layer: &mut LayerWriter, number: u64, seed: u64| {
        let path = PathBuf::from(format!("opt/models/model-{number}.bin"));
        layer.file(&path, Metadata::mode(0o644), size, Content::new(seed, size))
    };
    model(&mut layer, 0, 1_000)?;
    stack.finish(layer)?;
    let upper = files - 2;
    for (created_by, range) in [("fetch a", 1..1 + upper / 2), ("fetch b", 1 + upper / 2..1 + upper)] {
        let mut layer = stack.layer(created_by)?;
        for number in range {
            model(&mut layer, number, 1_000 + number)?;
        }
        stack.finish(layer)?;
    }
    let mut layer = stack.layer("fetch c")?;
    model(&mut layer, 1, 2_000)?;
    stack.finish(layer)?;
    Ok(stack.layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_image_has_the_numbers_that_its_shape_states() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Shape::Files { files: 1_000, bytes: 100_000, layers: 4, churn: 10 };
        let layers = layers(&shape, folder.path()).unwrap();
        let links = 1 + layers.iter().map(|layer| layer.files).sum::<u64>() / 100;
        assert_eq!(layers.len(), 4);
        assert!((1_000..=1_000 + links).contains(&layers.iter().map(|layer| layer.files).sum()));
        assert_eq!(layers.iter().map(|layer| layer.whiteouts).sum::<u64>(), 3);
    }
}
