//! `jettison weigh`: what is in an image, and what of it nobody can see.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jettison_image::changes::Changes;
use jettison_ir::{ImageUnit, Level, Weight};
use jettison_passes::Selection;
use jettison_report::{Saving, SecretsReport, WeighReport, secrets_human, secrets_json, weigh_human, weigh_json};
use jettison_store::{Encoding, PlainContents, Scans, measure};

use crate::base;
use crate::cli::{Format, Weigh};
use crate::load::{Loaded, load_watched, open_one};
use crate::optimizer::{OwnBytes, growth, link_notes, own_encoding};
use crate::printer::Printer;
use crate::progress::Stage;
use crate::secrets::{self, SecretWatch};

pub(crate) fn run(args: &Weigh, printer: &Printer) -> Result<ExitCode> {
    let (opened, image) = open_one(&args.image, &args.read)?;
    let mut notes = Vec::new();
    let base = base::find(&args.base, &args.image, &image, args.read.limits(), &mut notes)?;
    let unpack = (!args.no_measure).then(|| (base.layers, std::env::temp_dir()));
    let watch = SecretWatch::new()?;
    let loaded = load_watched(&args.image, image, &args.read, unpack, &Scans::default(), printer, Some(&watch))?;
    let unit = ImageUnit::new(&loaded.image.config, loaded.layers(), base, 1)
        .with_context(|| format!("{} cannot be weighed", args.image))?;
    notes.extend(loaded.notes(&opened));
    notes.extend(link_notes(&unit.upper));
    notes.extend(watch.notes());
    let found = secrets::find(&watch, &unit.upper);
    let weight = Weight::of(&unit, &loaded.stored_sizes());
    let saving = saving(args, &loaded, &unit, printer)?;
    let digest = match &loaded.image.stored_manifest {
        Some((_, descriptor)) => descriptor.digest,
        None => loaded.image.manifest.config.digest,
    };
    let report = WeighReport {
        image: &opened.names.first().cloned().unwrap_or_else(|| args.image.to_string()),
        platform: loaded.image.config.platform().to_string(),
        digest: digest.short(),
        base_layers: unit.base.layers,
        base: unit.base.evidence.to_string(),
        weight: &weight,
        saving,
        notes: &notes,
    };
    match args.format {
        Format::Json => {
            let mut value = weigh_json(&report);
            value["secrets"] = secrets_json(&found, &unit.instructions);
            printer.json(&value)?;
        }
        Format::Human => {
            let (width, rows) = (printer.width(), args.rows);
            let secrets = SecretsReport { secrets: &found, instructions: &unit.instructions, width, rows };
            printer.result(&(weigh_human(&report, args.by.into(), width, rows) + &secrets_human(&secrets)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `-O1` would save. Unpacked it follows from the layers' sizes; stored it takes packing them.
fn saving(args: &Weigh, loaded: &Loaded, unit: &ImageUnit<'_>, printer: &Printer) -> Result<Saving> {
    let changes = Changes::between(&unit.lower, &unit.upper);
    let outcome = jettison_passes::run(unit, &changes, &Selection::of(Level::O1), &mut |_| {});
    let base = unit.base.layers;
    let before = OwnBytes {
        stored: loaded.scanned[base..].iter().map(|layer| layer.stored_size).sum(),
        unpacked: unit.own().iter().map(|layer| layer.size).sum(),
    };
    let (layers, unpacked) = outcome.plan.own_size(unit, &changes);
    let mut after = OwnBytes { stored: unpacked, unpacked };
    let mut encoding = own_encoding(loaded, base);
    match outcome.plan.parts(&changes) {
        Some(parts) if encoding.is_some_and(|encoding| encoding != Encoding::NONE) && !args.no_measure => {
            let stage = Stage::start(printer, "measuring -O1", unpacked);
            after.stored = 0;
            for part in &parts {
                let mut contents = PlainContents::new(&loaded.scanned, &stage);
                let fill = |out: &mut dyn Write| changes.write(part, &mut contents, out);
                after.stored += measure(encoding.unwrap_or(Encoding::NONE), fill)?;
            }
            stage.end();
        }
        // What is not packed is not measured; plain layers need no packing.
        Some(_) if encoding != Some(Encoding::NONE) => encoding = None,
        _ => {}
    }
    let own = unit.own().len();
    if outcome.acted.is_empty() || growth(before, after, encoding.is_some()).is_some() {
        return Ok(Saving { layers: (own, own), unpacked: 0, stored: None });
    }
    let saved = |before: u64, after: u64| before.cast_signed() - after.cast_signed();
    Ok(Saving {
        layers: (own, layers),
        unpacked: saved(before.unpacked, after.unpacked),
        stored: encoding.map(|_| saved(before.stored, after.stored)),
    })
}
