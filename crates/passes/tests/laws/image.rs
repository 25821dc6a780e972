//! The cases of passes on images, under their laws.

use std::collections::HashMap;
use std::io::{self, Write};

use jettison_image::changes::{Changes, Contents, Part};
use jettison_image::history::Source;
use jettison_image::text::{ImageText, LayerText};
use jettison_image::tree::Cause;
use jettison_image::{Base, Config, Digest, Kind, Layer, Limits, Node, Tree, history};
use jettison_ir::{
    Claim, Claimed, Confidence, Edit, ImageOptions, ImageUnit, Level, Pass, Plan, ReadContent, Run, Secret,
    ShippedSecret, Verdict, with_edits,
};
use jettison_passes::{Outcome, PASSES, Selection, assumptions, run};
use jettison_verify::{Reads, Side, judge};

use crate::pages::{self, PageCase};

/// A case of a page: what goes in, what comes out, what is said.
struct Case {
    name: String,
    before: String,
    options: ImageOptions,
    secrets: Secrets,
    fixed: Option<String>,
    findings: String,
    declined: Option<String>,
}

/// The cases of a page.
fn cases(pass: &Pass) -> Vec<Case> {
    let block = |case: &PageCase, kind| case.block(kind).map(|block| block.text.clone());
    pages::cases(pass, "layers")
        .iter()
        .map(|case| Case {
            name: case.name.clone(),
            before: block(case, "layers").expect("a case starts with its layers"),
            options: options(&block(case, "options").unwrap_or_default()),
            secrets: secrets(&block(case, "secrets").unwrap_or_default()),
            fixed: block(case, "fixed"),
            findings: block(case, "findings").unwrap_or_default(),
            declined: block(case, "declined"),
        })
        .collect()
}

/// The options of a case, one a line, as on the command line.
fn options(text: &str) -> ImageOptions {
    let mut options = ImageOptions::default();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        match name {
            "--keep" => options.keep.push(value.parse().expect("a pattern")),
            "--keep-locale" => options.keep_locales.push(value.to_owned()),
            "--purge" => options.purge.push(value.to_owned()),
            "--virtual" => options.virtuals.push(value.to_owned()),
            "--purge-configuration" => options.purge_configuration = true,
            "--drop-compiled-python" => options.drop_compiled_python = true,
            "--remove-secrets" => options.remove_secrets = true,
            other => panic!("there is no option {other}"),
        }
    }
    options
}

/// What files hold of secrets, by path.
type Secrets = HashMap<Vec<u8>, Vec<Secret>>;

/// The secrets of a case: path, rule, confidence, and `whole` or `part`, each on a line. They are stated, so that a page
/// holds nothing that looks like one.
fn secrets(text: &str) -> Secrets {
    let mut secrets = Secrets::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [path, rule, confidence, extent] = words[..] else { panic!("{line:?} states no secret") };
        let secret = Secret {
            rule: rule.to_owned(),
            description: rule.replace('-', " "),
            line: None,
            redacted: "… (20 characters)".to_owned(),
            confidence: match confidence {
                "low" => Confidence::Low,
                "medium" => Confidence::Medium,
                "high" => Confidence::High,
                other => panic!("there is no confidence {other}"),
            },
            is_whole_file: match extent {
                "whole" => true,
                "part" => false,
                other => panic!("a secret is a whole file or a part of one, not {other}"),
            },
        };
        secrets.entry(path.trim_start_matches('/').as_bytes().to_vec()).or_default().push(secret);
    }
    secrets
}

/// An image built from a case, with its bytes.
#[derive(Clone)]
pub(crate) struct Image {
    config: Config,
    tars: Vec<Vec<u8>>,
    layers: Vec<Layer>,
    secrets: Secrets,
}

impl Image {
    pub(crate) fn of(text: &str) -> Self {
        let text: ImageText = text.parse().expect("a case is valid text");
        let tars = text.tars().expect("a case states its contents");
        let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
        let config = text.config(&diff_ids).expect("a case has a config");
        Self { config, layers: read(&tars), tars, secrets: Secrets::new() }
    }

    pub(crate) fn unit(&self, options: ImageOptions) -> ImageUnit<'_> {
        let base = Base::from_history(&self.config, self.layers.len());
        let unit = ImageUnit::new(&self.config, &self.layers, base, 1).expect("a case's layers make a tree");
        let in_file = |path: &[u8], _| self.secrets.get(path).map_or(&[][..], Vec::as_slice);
        let secrets = ShippedSecret::all(&unit.upper, in_file);
        unit.with(Some(self), options).with_secrets(secrets)
    }
}

impl ReadContent for Image {
    fn read(&self, layer: usize, offset: u64, length: u64) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        self.tars.get(layer)?.get(start..start + usize::try_from(length).ok()?).map(<[u8]>::to_vec)
    }
}

/// The content of a file of an image's tree.
pub(crate) fn content(image: &Image, tree: &Tree<'_>, node: Node) -> Option<Vec<u8>> {
    let origin = tree.origin(node);
    let (_, entry) = tree.entry(origin).filter(|(_, entry)| entry.kind == Kind::File)?;
    image.read(origin.layer, entry.data_offset, entry.size)
}

fn read(tars: &[Vec<u8>]) -> Vec<Layer> {
    tars.iter().map(|tar| Layer::read(&tar[..], Limits::default()).expect("a layer")).collect()
}

struct InMemory<'a>(&'a [Vec<u8>]);

impl Contents for InMemory<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        let start = usize::try_from(offset).expect("small");
        out.write_all(&self.0[layer][start..][..usize::try_from(length).expect("small")])
    }
}

/// The image that a plan leads to, written.
fn carry_out(image: &Image, unit: &ImageUnit<'_>, plan: &Plan) -> Image {
    let base = unit.base.layers;
    let parts = with_edits(unit, &plan.edits, |changes, edits| {
        let parts = plan.parts(changes)?;
        let written = parts.iter().map(|part| {
            let mut tar = Vec::new();
            let mut plain = InMemory(&image.tars);
            let mut contents = edits.contents(image.tars.len(), &mut plain);
            changes.write(part, &mut contents, &mut tar).expect("writes to memory");
            assert_eq!(tar.len() as u64, changes.size(part), "the size is known before");
            tar
        });
        let written: Vec<Vec<u8>> = written.collect();
        Some((parts, written))
    });
    let Some((parts, written)) = parts.expect("the edits go together") else {
        return image.clone();
    };
    let tars: Vec<Vec<u8>> = image.tars[..base].iter().cloned().chain(written).collect();
    let sources: Vec<Source> = parts.iter().map(Part::source).collect();
    let history = history::merged(&image.config, image.layers.len(), base, &sources);
    let diff_ids = tars.iter().map(|tar| Digest::of(tar)).collect();
    let config = image.config.with_layers(diff_ids, history);
    Image { config, layers: read(&tars), tars, secrets: image.secrets.clone() }
}

pub(crate) fn optimized(image: &Image, options: &ImageOptions, selection: &Selection) -> (Outcome, Image) {
    let unit = image.unit(options.clone());
    let changes = Changes::between(&unit.lower, &unit.upper);
    let outcome = run(&unit, &changes, selection, &mut |_| {}).expect("the edits go together");
    let after = carry_out(image, &unit, &outcome.plan);
    (outcome, after)
}

fn only(pass: &Pass) -> Selection {
    Selection { only: vec![pass.name.to_owned()], ..Selection::of(pass.level) }
}

fn findings(outcome: &Outcome) -> String {
    let cause = |cause| match cause {
        Cause::Overwritten => "overwritten",
        Cause::MetadataOnly => "metadata-only copy",
        Cause::Deleted => "deleted",
        Cause::Opaque => "hidden by an opaque folder",
        Cause::TypeChanged => "hidden by a type change",
    };
    let line = |finding: &jettison_ir::Finding| {
        let (layer, files, bytes) = (finding.shipped_by + 1, finding.files, finding.bytes);
        let plural = if files == 1 { "" } else { "s" };
        match (finding.cause, finding.hidden_by) {
            (Some(of), Some(by)) => format!(
                "{}: {files} file{plural}, {bytes} bytes, shipped by layer {layer}, hidden by layer {}\n",
                cause(of),
                by + 1
            ),
            _ if finding.what.is_empty() => format!("layer {layer} is one too many\n"),
            _ => format!("{}: {files} file{plural}, {bytes} bytes, shipped by layer {layer}\n", finding.what),
        }
    };
    outcome.findings.iter().map(|made| line(&made.finding)).collect()
}

/// What a pass left alone, a line each.
pub(crate) fn declined(outcome: &Outcome) -> String {
    outcome.declines.iter().map(|(_, decline)| format!("{}\n", decline.reason)).collect()
}

/// A layer's entries as text, without its instruction: fixed layers are named by the history's own tests.
fn entries(layers: &[Layer]) -> Vec<String> {
    layers.iter().map(|layer| LayerText::of(layer).to_string()).collect()
}

fn own_bytes(image: &Image) -> i64 {
    let base = Base::from_history(&image.config, image.layers.len()).layers;
    image.tars[base..].iter().map(|tar| tar.len().cast_signed() as i64).sum()
}

/// The laws.
fn check(pass: &Pass, case: &Case) {
    let name = &case.name;
    let before = Image { secrets: case.secrets.clone(), ..Image::of(&case.before) };
    let options = &case.options;
    let (outcome, after) = optimized(&before, options, &only(pass));
    let expected = case.fixed.as_ref().map_or_else(|| read(&before.tars), |fixed| Image::of(fixed).layers);
    assert_eq!(entries(&after.layers).join("\n"), entries(&expected).join("\n"), "{name}: fixed");
    assert_eq!(findings(&outcome), case.findings, "{name}: findings");
    if let Some(expected) = &case.declined {
        assert_eq!(declined(&outcome), *expected, "{name}: declined");
    }
    for selection in [only(pass), Selection::of(pass.level)] {
        let (outcome, after) = optimized(&before, options, &selection);
        let kept = before.unit(options.clone()).base.layers;
        assert_eq!(before.tars[..kept], after.tars[..kept], "{name}: kept layers are the same bytes");
        let (again, twice) = optimized(&after, options, &selection);
        let found: Vec<_> = again.findings.iter().filter(|made| made.finding.fix.edit != Edit::Nothing).collect();
        assert!(found.is_empty(), "{name}: a second run proposes nothing, not {found:?}");
        assert_eq!(after.tars, twice.tars, "{name}: a second run changes nothing");
        assert_eq!(after.tars, optimized(&before, options, &selection).1.tars, "{name}: reproducible");
        let saved: i64 = outcome.acted.iter().map(|acted| acted.saved).sum();
        assert_eq!(saved, own_bytes(&before) - own_bytes(&after), "{name}: what is reported is what is saved");
        // Folders that no layer has an entry for get one where a layer is written anew.
        let (unit, blocks) = (before.unit(options.clone()), 512);
        let unlisted = unit.upper.walk().filter(|node| unit.upper.origin(*node).entry.is_none()).count();
        assert!(saved + blocks * i64::try_from(unlisted).expect("few") >= 0, "{name}: cost not worse");
        judge_holds(name, &before, &after, &outcome);
    }
    for selection in [
        Selection { only: vec![pass.name.to_owned()], ..Selection::of(Level::O0) },
        Selection { skip: vec![pass.name.to_owned()], ..only(pass) },
        Selection { limit: Some(0), ..only(pass) },
    ] {
        let findings = optimized(&before, options, &selection).0.findings;
        assert!(findings.is_empty(), "{name}: silent below its level or when skipped");
    }
    for assumption in assumptions(pass) {
        let selection = Selection { skip: vec![assumption.name.to_owned()], ..only(pass) };
        let findings = optimized(&before, options, &selection).0.findings;
        assert!(findings.is_empty(), "{name}: silent without {}", assumption.name);
    }
}

/// What a container sees of an image.
pub(crate) fn tree(image: &Image) -> Tree<'_> {
    Tree::of(&image.layers).expect("a tree")
}

/// What the judge says of a change for which these claims are made.
fn judged(before: &Image, after: &Image, claims: &[Claimed]) -> Verdict {
    let (old, new) = (tree(before), tree(after));
    let mut of_old = |node| content(before, &old, node);
    let mut of_new = |node| content(after, &new, node);
    let reads = Reads { before: &mut of_old, after: &mut of_new };
    let after = Side { tree: &new, config: &after.config };
    judge(Side { tree: &old, config: &before.config }, after, claims, Some(reads))
}

/// Whether the judge accepts a change.
pub(crate) fn judge_accepts(before: &Image, after: &Image, claims: &[Claimed]) -> bool {
    judged(before, after, claims).is_equal()
}

/// The judge accepts what was made, and nothing of it without the claims.
pub(crate) fn judge_holds(name: &str, before: &Image, after: &Image, outcome: &Outcome) {
    let verdict = judged(before, after, &outcome.claims);
    assert!(verdict.is_equal(), "{name}: {:?}", verdict.differences);
    let is_changed = outcome.claims.iter().any(|one| one.claim != Claim::NoDifference);
    assert_eq!(judged(before, after, &[]).is_equal(), !is_changed, "{name}: without claims each change is refused");
}

#[test]
fn every_case_holds_the_laws() {
    for pass in PASSES.iter().filter(|pass| matches!(pass.run, Run::Image(_))) {
        for case in cases(pass) {
            check(pass, &case);
        }
    }
}

#[test]
fn names_that_no_pass_has_are_refused() {
    let selection = Selection { skip: vec!["nothing".to_owned()], ..Selection::of(Level::O1) };
    assert_eq!(selection.check().expect_err("unknown").name, "nothing");
}
