//! Writing a built image to the places that were asked for. A place changes only where the verdict is `equal`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jettison_engine::build::BuiltLayer;
use jettison_engine::snapshot::{SnapshotContents, write_tar};
use jettison_image::changes::{Changes, Contents, Cut};
use jettison_image::tar::END;
use jettison_image::{Descriptor, Digest, Layer, Limits, Tree, media};
use jettison_ir::Verdict;
use jettison_store::{Output, PlainContents, Reference, Scans, Scope, Transport, Unpack, Wanted, open, scan};
use jettison_verify::{Side, compare};

use super::outputs::{Kind, Place, Target};
use super::place::is_real_root;
use super::released::{self, Ingredients, LayerRecords, Record, Records};
use super::results::{Product, Summary};
use super::write::{AllContents, Image, OwnLayers, Release, Wish, Written, base_scans};
use crate::printer::Printer;
use crate::progress::Stage;

/// Own layers that lie in the cache.
pub(crate) struct InCache(pub(crate) Vec<BuiltLayer>);

impl OwnLayers for InCache {
    fn write_tar(&self, layer: usize, out: &mut dyn Write) -> io::Result<()> {
        let missing = || io::Error::other(format!("there is no own layer {}", layer + 1));
        let own = self.0.get(layer).ok_or_else(missing)?;
        write_tar(&own.layer, &own.folder, out)
    }

    fn contents(&self) -> Box<dyn Contents + '_> {
        let layers = self.0.iter().map(|own| (own.layer.clone(), own.folder.clone()));
        Box::new(SnapshotContents::new(layers.collect()))
    }
}

/// The local images, as far as writing goes.
pub(crate) trait Images {
    /// Their folder: an OCI layout.
    fn reference(&self) -> Reference;
    /// The names in full, as the local images are listed by.
    fn full(&self, names: &[String]) -> Result<Vec<String>>;
    /// Gives names to an image that is there, or lists it without one; `needed` are its blobs.
    fn tag(&self, names: &[String], manifest: &Descriptor, needed: &[Digest]) -> Result<()>;
}

/// Where things are written, and how.
pub(crate) struct Export<'e> {
    pub(crate) cache: &'e Path,
    pub(crate) images: &'e dyn Images,
    pub(crate) wish: Wish<'e>,
    /// Names of `--tag`, each with its tag.
    pub(crate) names: &'e [String],
    pub(crate) printer: &'e Printer,
}

/// What came of all outputs.
pub(crate) struct Exported<'i> {
    pub(crate) products: Vec<Product>,
    pub(crate) notes: Vec<String>,
    pub(crate) declines: Vec<String>,
    /// What was planned, where anything had to be written.
    pub(crate) release: Option<Release<'i>>,
}

impl Exported<'_> {
    pub(crate) fn is_equal(&self) -> bool {
        self.products.iter().all(|product| product.verdict.is_equal())
    }
}

impl Export<'_> {
    /// Writes all of them. The image is read and planned only where something has to be written.
    pub(crate) fn all<'i>(
        &self,
        of: &Ingredients<'_>,
        read: impl Fn() -> Result<Image<'i>>,
        targets: &[Target],
    ) -> Result<Exported<'i>> {
        let mut exported = Exported { products: Vec::new(), notes: Vec::new(), declines: Vec::new(), release: None };
        for target in targets.iter().filter(|target| target.kind != Kind::Nothing) {
            if let Some(product) = self.reused(of, target)? {
                exported.products.push(product);
                continue;
            }
            if exported.release.is_none() {
                let planned = Release::plan(read()?, self.wish, self.printer)?;
                exported.notes.clone_from(&planned.notes);
                exported.declines = planned.declines();
                exported.release = Some(planned);
            }
            let Some(release) = &exported.release else { continue };
            let product = self.one(release, of, target)?;
            exported.products.push(product);
        }
        Ok(exported)
    }

    fn names_of<'n>(&'n self, target: &'n Target) -> &'n [String] {
        if target.names.is_empty() { self.names } else { &target.names }
    }

    /// An image that was written to the local images before, from the same and in the same way.
    fn reused(&self, of: &Ingredients<'_>, target: &Target) -> Result<Option<Product>> {
        let asks_to_see = self.wish.verify_each || self.wish.passes.print_after.is_some();
        if target.kind != Kind::Store || asks_to_see {
            return Ok(None);
        }
        let key = released::key(of, &self.wish, target.encoding());
        let Some((record, manifest)) = self.records().find(key) else { return Ok(None) };
        let names = self.names_of(target);
        let size = record.summary.manifest_size;
        let descriptor = Descriptor::new(media::OCI_MANIFEST, record.manifest, size);
        let mut needed: Vec<Digest> = manifest.layers.iter().map(|layer| layer.digest).collect();
        needed.extend([manifest.config.digest, record.manifest]);
        self.images.tag(&self.images.full(names)?, &descriptor, &needed)?;
        let verdict = Verdict { paths: record.summary.paths, ..Verdict::default() };
        Ok(Some(Product {
            place: place_of_image(names, record.summary.config),
            names: names.to_vec(),
            image: Some((record.manifest, record.summary)),
            layers: manifest.layers.iter().map(|layer| layer.size).collect(),
            reused: true,
            verdict,
            notes: Vec::new(),
            acted: Vec::new(),
        }))
    }

    fn records(&self) -> Records {
        Records::of(self.cache, &self.images.reference().path)
    }

    fn one(&self, release: &Release<'_>, of: &Ingredients<'_>, target: &Target) -> Result<Product> {
        match &target.kind {
            // It is not asked for: see `all`.
            Kind::Nothing => Ok(tree_product(String::new(), Verdict::default(), Vec::new())),
            Kind::Store => self.store(release, of, target),
            Kind::Image(transport, Place::Path(path)) => self.image(release, of, target, *transport, path),
            Kind::Image(transport, Place::Stdout) => {
                let folder = tempfile::tempdir_in(self.cache).context("cannot write in the cache's folder")?;
                let path = folder.path().join("image");
                let product = self.image(release, of, target, *transport, &path)?;
                if product.verdict.is_equal() {
                    to_stdout(&path)?;
                }
                Ok(Product { place: "-".to_owned(), ..product })
            }
            Kind::Tar(Place::Path(path)) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let (file, verdict) = self.tree(release, folder)?;
                if verdict.is_equal() {
                    let written = || format!("cannot write {}", path.display());
                    file.persist(path).map_err(|error| error.error).with_context(written)?;
                    set_usual_mode(path).with_context(written)?;
                }
                Ok(tree_product(path.display().to_string(), verdict, Vec::new()))
            }
            Kind::Tar(Place::Stdout) => {
                let (file, verdict) = self.tree(release, self.cache)?;
                if verdict.is_equal() {
                    to_stdout(file.path())?;
                }
                Ok(tree_product("-".to_owned(), verdict, Vec::new()))
            }
            Kind::Folder(folder) => {
                let (file, verdict) = self.tree(release, self.cache)?;
                let mut notes = Vec::new();
                if verdict.is_equal() {
                    let is_new = fs::symlink_metadata(folder).is_err();
                    notes = unpack(file.path(), folder).inspect_err(|_| {
                        // Half a tree is no result; what stood in a folder before is the user's.
                        if is_new {
                            let _ = fs::remove_dir_all(folder);
                        }
                    })?;
                }
                Ok(tree_product(folder.display().to_string(), verdict, notes))
            }
        }
    }

    fn store(&self, release: &Release<'_>, of: &Ingredients<'_>, target: &Target) -> Result<Product> {
        let names = self.names_of(target);
        let reference = self.images.reference();
        let full = self.images.full(names)?;
        let mut product = self.write(release, of, target, &reference, &full)?;
        product.names = names.to_vec();
        if let Some((manifest, summary)) = &product.image {
            product.place = place_of_image(names, summary.config);
            if product.verdict.is_equal() {
                let key = released::key(of, &self.wish, target.encoding());
                self.records().keep(key, &Record { manifest: *manifest, summary: summary.clone() });
            }
        }
        Ok(product)
    }

    fn image(
        &self,
        release: &Release<'_>,
        of: &Ingredients<'_>,
        target: &Target,
        transport: Transport,
        path: &Path,
    ) -> Result<Product> {
        let reference = Reference { transport: Some(transport), path: path.to_owned(), selector: None };
        self.write(release, of, target, &reference, self.names_of(target))
    }

    /// Writes an image, reads it back, has it judged, and puts it in its place.
    fn write(
        &self,
        release: &Release<'_>,
        of: &Ingredients<'_>,
        target: &Target,
        reference: &Reference,
        names: &[String],
    ) -> Result<Product> {
        let total = release.image.layers().map(|layer| layer.size).sum();
        let stage = Stage::start(self.printer, format!("writing {}", reference.path.display()), total);
        let mut output = Output::create(reference, Transport::OciArchive)?;
        let records = self.records();
        let blobs = LayerRecords { records: &records, own: of.own };
        let written = release.write(&mut output, target.encoding(), &blobs, &stage)?;
        stage.end();
        output.finish(names, None)?;
        let manifest = Descriptor::of(media::OCI_MANIFEST, &written.done.manifest_bytes);
        self.read_back(release, &written, &output, manifest.digest)?;
        let verdict = release.judge(&written)?;
        if verdict.is_equal() {
            output.publish(&())?;
        }
        let summary = summary(release, &written, &manifest, verdict.paths);
        Ok(Product {
            place: reference.path.display().to_string(),
            names: names.to_vec(),
            image: Some((manifest.digest, summary)),
            layers: written.done.manifest.layers.iter().map(|layer| layer.size).collect(),
            reused: false,
            verdict,
            notes: written.notes,
            acted: written.acted.iter().map(|acted| (acted.name, acted.saved)).collect(),
        })
    }

    /// Reads what was written as anyone would: manifest, config, and every blob's digest.
    fn read_back(&self, release: &Release<'_>, written: &Written, output: &Output, manifest: Digest) -> Result<()> {
        let unreadable = "the written image cannot be read back";
        let scans = Scans::default();
        if let Some(base) = release.image.base {
            scans.remember(&base_scans(base), &base.layers);
        }
        written.own.iter().for_each(|(scan, layer)| scans.remember_read_back(scan, layer));
        let mut staged = output.staged();
        if staged.transport == Some(Transport::DockerArchive) {
            // It is an OCI layout as well, which names the manifest.
            staged.transport = Some(Transport::OciArchive);
        }
        let wanted = Wanted::Platform(written.done.config.platform());
        staged.selector = Some(jettison_store::Selector::Digest(manifest));
        let images = open(&staged, &wanted, Limits::default()).context(unreadable)?.images;
        let image = images.first().context(unreadable)?;
        let scope = Scope { limits: Limits::default(), unpack: None };
        scan(&staged.path, image, &scope, &scans, &()).context(unreadable)?;
        Ok(())
    }

    /// Writes the final tree as one tar in `folder`, and compares it as it is read back.
    fn tree(&self, release: &Release<'_>, folder: &Path) -> Result<(tempfile::NamedTempFile, Verdict)> {
        let cannot = || format!("cannot write in {}", folder.display());
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
        let image = release.image;
        let mut plain = Vec::new();
        if let Some(base) = image.base {
            let scope = Scope {
                limits: Limits::default(),
                unpack: Some(Unpack { first: 0, later: false, seen_only: false, folder: self.cache.to_owned() }),
            };
            let name = Path::new(&base.name);
            (plain, _) = scan(name, &base.image, &scope, &Scans::default(), &())?;
        }
        let nothing = Tree::empty(image.layers().map(|layer| &**layer));
        let changes = Changes::between(&nothing, &release.unit.upper);
        let below = PlainContents::new(&plain, &());
        let mut contents = AllContents { base: plain.len(), below, own: image.files.contents() };
        let mut out = BufWriter::with_capacity(256 << 10, file.as_file_mut());
        match changes.cut(Cut::Ranges(1)).first() {
            Some(part) => changes.write(part, &mut contents, &mut out).with_context(cannot)?,
            None => out.write_all(&END).with_context(cannot)?,
        }
        out.flush().with_context(cannot)?;
        drop(out);
        let input = BufReader::new(File::open(file.path()).with_context(cannot)?);
        let layer = Layer::read(input, Limits { layer_bytes: u64::MAX, layer_entries: u32::MAX })
            .context("the written tree cannot be read back")?;
        let tree = Tree::of([&layer])?;
        let before = Side { tree: &release.unit.upper, config: image.config };
        Ok((file, compare(before, Side { tree: &tree, config: image.config })))
    }
}

pub(super) fn place_of_image(names: &[String], id: Digest) -> String {
    if names.is_empty() { id.short() } else { names.join(", ") }
}

fn tree_product(place: String, verdict: Verdict, notes: Vec<String>) -> Product {
    let (names, layers, acted) = (Vec::new(), Vec::new(), Vec::new());
    Product { place, names, image: None, layers, reused: false, verdict, notes, acted }
}

fn summary(release: &Release<'_>, written: &Written, manifest: &Descriptor, paths: usize) -> Summary {
    Summary {
        config: written.done.manifest.config.digest,
        manifest_size: manifest.size,
        base_layers: release.unit.base.layers,
        own_layers: written.own.len(),
        stored: written.done.manifest.layers.iter().map(|layer| layer.size).sum(),
        own_unpacked: written.own.iter().map(|(_, layer)| layer.size).sum(),
        plain_unpacked: release.image.plain_size(),
        paths,
    }
}

/// A temporary file is its owner's alone; a result has the mode that new files have.
fn set_usual_mode(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut beside = tempfile::Builder::new();
    beside.permissions(fs::Permissions::from_mode(0o666));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let usual = beside.tempfile_in(folder)?.as_file().metadata()?.permissions();
    fs::set_permissions(path, usual)
}

fn to_stdout(path: &Path) -> Result<()> {
    let mut file = File::open(path).context("cannot read what was written")?;
    let mut out = io::stdout().lock();
    match io::copy(&mut file, &mut out).and_then(|_| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Makes a folder below another. What stands in its way, links too, is taken away: nothing is written elsewhere.
fn make_folder(root: &Path, path: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for part in path.components() {
        let std::path::Component::Normal(name) = part else { continue };
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(_) => fs::remove_file(&at)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::create_dir(&at)?;
    }
    Ok(())
}

/// Unpacks a tree into a folder as BuildKit's local exporter does: files there are replaced, others stay. Owners are
/// kept where this is root alone, and devices and pipes are left out.
fn unpack(tar: &Path, folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    let mut archive = tar::Archive::new(BufReader::new(File::open(tar).with_context(cannot)?));
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(is_real_root());
    archive.set_overwrite(true);
    let mut left_out = BTreeSet::new();
    // Folders are given their times and modes last: some may not be written to.
    let mut folders = Vec::new();
    for entry in archive.entries().with_context(cannot)? {
        let mut entry = entry.with_context(cannot)?;
        let kind = entry.header().entry_type();
        if kind.is_block_special() || kind.is_character_special() || kind.is_fifo() {
            left_out.insert(PathBuf::from(entry.path().with_context(cannot)?));
        } else if kind.is_dir() {
            let path = entry.path().with_context(cannot)?.into_owned();
            make_folder(folder, &path).with_context(cannot)?;
            folders.push(entry);
        } else {
            entry.unpack_in(folder).with_context(cannot)?;
        }
    }
    for mut entry in folders.into_iter().rev() {
        entry.unpack_in(folder).with_context(cannot)?;
    }
    Ok(left_out.iter().map(|path| format!("left out: /{}, a device or pipe", path.display())).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jettison_ir::Level;

    use super::super::testing::{Folder, Tars, config, layers, tar};
    use super::*;
    use crate::cli::{ColorWhen, LayersArg, LayersArgs, OutputArgs, PassArgs};

    /// Three instructions: one writes, one overwrites and removes, one adds.
    fn tars() -> Vec<Vec<u8>> {
        let big = "x".repeat(4000);
        vec![
            tar(&[("a/", "", 0o755), ("a/big", &big, 0o644), ("a/old", "old", 0o600)]),
            tar(&[("a/", "", 0o755), ("a/.wh.big", "", 0o644), ("a/old", "new", 0o640)]),
            tar(&[("b", "b", 0o4755)]),
        ]
    }

    fn export(level: Level, cache: &Path, texts: &[&str], check: impl Fn(&Exported, &Folder)) {
        let tars = tars();
        let (own, config) = (layers(&tars), config(tars.len()));
        let files = Tars(tars);
        let image = Image { base: None, own: &own, config: &config, files: &files };
        let printer = Printer::new(&OutputArgs { color: ColorWhen::Never, quiet: true, verbose: false });
        let (passes, images) = (PassArgs::default(), Folder::below(cache));
        let layers = LayersArgs { layers: LayersArg::AtMost(1), previous: None };
        let wish = Wish { level, layers: &layers, pulling: None, passes: &passes, verify_each: true };
        let names = ["app:latest".to_owned()];
        let targets: Vec<Target> = texts.iter().map(|text| Target::parse(text).expect(text)).collect();
        let plain = Wish { verify_each: false, ..wish };
        let wish = if targets.iter().any(|target| target.kind == Kind::Store) { plain } else { wish };
        let export = Export { cache, images: &images, wish, names: &names, printer: &printer };
        let digests: Vec<Digest> = own.iter().map(|own| Digest::of(&own.layer.to_bytes())).collect();
        let of = Ingredients { base: None, own: &digests, config: &config };
        check(&export.all(&of, || Ok(image), &targets).expect("exports"), &images);
    }

    fn opened(text: &str) -> jettison_store::Opened {
        open(&text.parse().expect(text), &Wanted::All, Limits::default()).expect(text)
    }

    #[test]
    fn each_instruction_is_a_layer_at_the_lowest_level_and_one_above_it() {
        let cache = tempfile::tempdir().expect("a folder");
        let path = |name: &str| cache.path().join(name).display().to_string();
        let layout = |level: &str| format!("oci:{}", path(level));
        for (level, name, count) in [(Level::O0, "0", 3), (Level::O1, "1", 1), (Level::O2, "2", 1)] {
            let archive = format!("docker-archive:{}", path(&format!("{name}.tar")));
            export(level, cache.path(), &[&layout(name), &archive], |exported, _| {
                assert!(exported.products.iter().all(|product| product.verdict.is_equal()));
                assert_eq!(exported.notes.iter().any(|note| note.contains("-O2")), level == Level::O2);
            });
            let image = opened(&layout(name)).images.remove(0);
            assert_eq!(image.layers.len(), count, "{level}");
            assert_eq!(image.config.history().iter().filter(|entry| !entry.empty_layer).count(), count);
            assert_eq!(image.config.history().last().map(|entry| entry.instruction()), Some("CMD [\"x\"]"));
            let types: Vec<&str> = image.manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
            assert!(types.iter().all(|kind| kind.ends_with("tar+gzip")), "{types:?}");
            let archive = opened(&archive);
            assert_eq!(archive.names, ["app:latest"]);
            assert!(archive.images[0].manifest.layers.iter().all(|layer| layer.media_type.ends_with(".tar")));
        }
        let digest = |name: &str| opened(&layout(name)).images[0].stored_manifest.clone().map(|(_, d)| d.digest);
        assert_eq!(digest("1"), digest("2"));
    }

    #[test]
    fn a_second_build_of_the_same_writes_nothing() {
        let cache = tempfile::tempdir().expect("a folder");
        let mut digests = Vec::new();
        for reused in [false, true] {
            export(Level::O1, cache.path(), &["local:app", "local:other:v1"], |exported, images| {
                // The second name finds what the first wrote.
                assert_eq!(exported.products[0].reused, reused);
                assert!(exported.products[1].reused);
                assert_eq!(exported.products[1].names, ["other:v1"]);
                assert_eq!(images.tagged.borrow().len(), if reused { 2 } else { 1 });
            });
            let layout = opened(&format!("oci:{}:app:latest", cache.path().join("images").display()));
            digests.push(layout.images[0].stored_manifest.clone().map(|(_, d)| d.digest));
        }
        assert_eq!(digests[0], digests[1]);
        // Another level, and a blob that is gone, are no hits.
        export(Level::O0, cache.path(), &["local:app"], |exported, _| assert!(!exported.products[0].reused));
        for blob in fs::read_dir(cache.path().join("images/blobs/sha256")).expect("a folder") {
            fs::remove_file(blob.expect("an entry").path()).expect("removes");
        }
        export(Level::O1, cache.path(), &["local:app"], |exported, _| assert!(!exported.products[0].reused));
    }

    #[test]
    fn trees_are_written_whole() {
        let cache = tempfile::tempdir().expect("a folder");
        let out = cache.path().join("out");
        fs::create_dir_all(out.join("kept")).expect("makes a folder");
        // A link in the target must not lead the tree elsewhere.
        std::os::unix::fs::symlink(cache.path().join("elsewhere"), out.join("a")).expect("links");
        let tar = cache.path().join("tree.tar");
        let texts = [out.display().to_string(), format!("type=tar,dest={}", tar.display())];
        export(Level::O2, cache.path(), &[&texts[0], &texts[1]], |exported, _| {
            assert!(exported.products.iter().all(|product| product.verdict.is_equal() && product.image.is_none()));
        });
        assert_eq!(fs::read_to_string(out.join("a/old")).expect("reads"), "new");
        assert!(!out.join("a/big").exists() && !out.join("a/.wh.big").exists() && out.join("kept").is_dir());
        assert!(!cache.path().join("elsewhere").exists());
        let mode = fs::metadata(out.join("b")).expect("is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o4755);
        let layer = Layer::read(BufReader::new(File::open(&tar).expect("opens")), Limits::default()).expect("a tar");
        let paths: Vec<&[u8]> = layer.entries.iter().map(|entry| layer.path(entry)).collect();
        assert_eq!(paths, [&b"a"[..], b"a/old", b"b"]);
    }
}
