//! The cases of passes on images, under their laws.

use std::io::{self, Write};

use jettison_image::changes::{Changes, Contents};
use jettison_image::text::{ImageText, LayerText};
use jettison_image::tree::Cause;
use jettison_image::{Base, Config, Digest, Layer, Limits, Tree, history};
use jettison_ir::{ImageUnit, Level, Pass, Plan, Run};
use jettison_passes::{Outcome, PASSES, Selection, run};
use jettison_verify::{Side, judge};

use crate::pages::{self, PageCase};

/// A case of a page: what goes in, what comes out, what is said.
struct Case {
    name: String,
    before: String,
    fixed: Option<String>,
    findings: String,
}

/// The cases of a page.
fn cases(pass: &Pass) -> Vec<Case> {
    let block = |case: &PageCase, kind| case.block(kind).map(|block| block.text.clone());
    pages::cases(pass, "layers")
        .iter()
        .map(|case| Case {
            name: case.name.clone(),
            before: block(case, "layers").expect("a case starts with its layers"),
            fixed: block(case, "fixed"),
            findings: block(case, "findings").unwrap_or_default(),
        })
        .collect()
}

/// An image built from a case, with its bytes.
struct Image {
    config: Config,
    tars: Vec<Vec<u8>>,
    layers: Vec<Layer>,
}

impl Image {
    fn of(text: &str) -> Self {
        let text: ImageText = text.parse().expect("a case is valid text");
        let tars = text.tars().expect("a case states its contents");
        let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
        let config = text.config(&diff_ids).expect("a case has a config");
        Self { config, layers: read(&tars), tars }
    }

    fn unit(&self) -> ImageUnit<'_> {
        let base = Base::from_history(&self.config, self.layers.len());
        ImageUnit::new(&self.config, &self.layers, base, 1).expect("a case's layers make a tree")
    }
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
    let changes = Changes::between(&unit.lower, &unit.upper);
    let base = unit.base.layers;
    let Some(parts) = plan.parts(&changes) else {
        return Image { config: image.config.clone(), tars: image.tars.clone(), layers: image.layers.clone() };
    };
    let mut tars = image.tars[..base].to_vec();
    for part in &parts {
        let mut tar = Vec::new();
        changes.write(part, &mut InMemory(&image.tars), &mut tar).expect("writes to memory");
        assert_eq!(tar.len() as u64, changes.size(part), "the size is known before");
        tars.push(tar);
    }
    let sources: Vec<Vec<usize>> = parts.iter().map(|part| part.layers.clone()).collect();
    let history = history::merged(&image.config, image.layers.len(), base, &sources);
    let diff_ids = tars.iter().map(|tar| Digest::of(tar)).collect();
    Image { config: image.config.with_layers(diff_ids, history), layers: read(&tars), tars }
}

fn optimized(image: &Image, selection: &Selection) -> (Outcome, Image) {
    let unit = image.unit();
    let changes = Changes::between(&unit.lower, &unit.upper);
    let outcome = run(&unit, &changes, selection, &mut |_| {});
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
    let line = |finding: &jettison_ir::Finding| match (finding.cause, finding.hidden_by) {
        (Some(of), Some(by)) => {
            let (shipped, files) = (finding.shipped_by + 1, finding.files);
            let plural = if files == 1 { "" } else { "s" };
            let (by, bytes) = (by + 1, finding.bytes);
            format!(
                "{}: {files} file{plural}, {bytes} bytes, shipped by layer {shipped}, hidden by layer {by}\n",
                cause(of)
            )
        }
        _ => format!("layer {} is one too many\n", finding.shipped_by + 1),
    };
    outcome.findings.iter().map(|(_, finding)| line(finding)).collect()
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
    let before = Image::of(&case.before);
    let (outcome, after) = optimized(&before, &only(pass));
    let expected = case.fixed.as_ref().map_or_else(|| read(&before.tars), |fixed| Image::of(fixed).layers);
    assert_eq!(entries(&after.layers), entries(&expected), "{name}: fixed");
    assert_eq!(findings(&outcome), case.findings, "{name}: findings");
    for selection in [only(pass), Selection::of(Level::O1)] {
        let (outcome, after) = optimized(&before, &selection);
        let kept = before.unit().base.layers;
        assert_eq!(before.tars[..kept], after.tars[..kept], "{name}: kept layers are the same bytes");
        let (again, twice) = optimized(&after, &selection);
        assert!(again.findings.is_empty(), "{name}: a second run proposes nothing, not {:?}", again.findings);
        assert_eq!(after.tars, twice.tars, "{name}: a second run changes nothing");
        assert_eq!(after.tars, optimized(&before, &selection).1.tars, "{name}: reproducible");
        let saved: i64 = outcome.acted.iter().map(|acted| acted.saved).sum();
        assert_eq!(saved, own_bytes(&before) - own_bytes(&after), "{name}: what is reported is what is saved");
        assert!(saved >= 0, "{name}: cost not worse");
        let (old, new) = (Tree::of(&before.layers).expect("a tree"), Tree::of(&after.layers).expect("a tree"));
        let verdict = judge(
            Side { tree: &old, config: &before.config },
            Side { tree: &new, config: &after.config },
            &outcome.claims,
        );
        assert!(verdict.is_equal(), "{name}: {:?}", verdict.differences);
    }
    for selection in [
        Selection { only: vec![pass.name.to_owned()], ..Selection::of(Level::O0) },
        Selection { skip: vec![pass.name.to_owned()], ..only(pass) },
        Selection { limit: Some(0), ..only(pass) },
    ] {
        assert!(optimized(&before, &selection).0.findings.is_empty(), "{name}: silent below its level or when skipped");
    }
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
