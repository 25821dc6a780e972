//! `jettison weigh`: what is in an image, and what of it nobody can see.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jettison_image::changes::Changes;
use jettison_image::packages::Packages;
use jettison_ir::{ImageUnit, Level, PackagesWeight, Weight};
use jettison_passes::Selection;
use jettison_report::{
    PackagesReport, Saving, SecretsReport, WeighReport, packages_human, packages_json, secrets_human, secrets_json,
    weigh_human, weigh_json,
};
use jettison_store::{Encoding, PlainContents, Unpack, measure};

use crate::base;
use crate::cli::{Format, Weigh};
use crate::installed::{Installed, installed};
use crate::load::{Loaded, left_out, load_watched, open_one};
use crate::optimizer::{OwnBytes, growth, link_notes, own_encoding};
use crate::printer::Printer;
use crate::progress::Stage;
use crate::secrets::{self, SecretWatch};

pub(crate) fn run(args: &Weigh, printer: &Printer) -> Result<ExitCode> {
    let (opened, image) = open_one(&args.image, &args.read)?;
    let mut notes = Vec::new();
    let base = base::find(&args.base, &args.image, &image, &args.read, &mut notes)?;
    // Databases of packages lie in the base as well.
    let by_package = args.by.waste().is_none();
    let from = if by_package { 0 } else { base.layers };
    let unpack = (by_package || !args.no_measure).then(|| Unpack {
        first: from,
        later: false,
        seen_only: false,
        folder: std::env::temp_dir(),
    });
    let watch = SecretWatch::new()?;
    let loaded = load_watched(&args.image, image, &args.read, unpack, &args.read.scans(), printer, Some(&watch))?;
    let unit = ImageUnit::new(&loaded.image.config, loaded.layers(), base, 1)
        .with_context(|| format!("{} cannot be weighed", args.image))?;
    notes.extend(left_out(&opened));
    notes.extend(loaded.notes());
    notes.extend(link_notes(&unit.upper));
    notes.extend(watch.notes(&loaded.image.config));
    let found = secrets::find(&watch, &unit.upper);
    let weight = Weight::of(&unit, &loaded.stored_sizes());
    let installed = if by_package { installed(&loaded, &unit.upper) } else { Installed::default() };
    if args.format == Format::Json {
        // The text says so where it says what could be read.
        notes.extend(installed.notes());
    }
    // What is not shown is not measured.
    let measures = !args.no_measure && (!by_package || args.format == Format::Json);
    let saving = saving(measures, &loaded, &unit, printer)?;
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
    match (args.by.waste(), args.format) {
        (None, format) => packages(&report, &unit, &installed, (format, args.rows), printer)?,
        (Some(_), Format::Json) => {
            let mut value = weigh_json(&report);
            value["secrets"] = secrets_json(&found, &unit.instructions);
            printer.json(&value)?;
        }
        (Some(by), Format::Human) => {
            let (width, rows) = (printer.width(), args.rows);
            let secrets = SecretsReport { secrets: &found, instructions: &unit.instructions, width, rows };
            printer.result(&(weigh_human(&report, by, width, rows) + &secrets_human(&secrets)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The report by packages.
fn packages(
    report: &WeighReport<'_>,
    unit: &ImageUnit<'_>,
    installed: &Installed,
    (format, rows): (Format, usize),
    printer: &Printer,
) -> Result<()> {
    let (databases, unread) = (&installed.databases[..], &installed.unread[..]);
    let graphs: Vec<_> = databases.iter().map(Packages::graph).collect();
    let weight = PackagesWeight::of(unit, databases);
    let packages = PackagesReport { databases, unread, graphs: &graphs, weight: &weight };
    match format {
        Format::Json => {
            let mut all = weigh_json(report);
            all["packages"] = packages_json(&packages);
            printer.json(&all)?;
        }
        Format::Human => printer.result(&packages_human(report, &packages, printer.width(), rows))?,
    }
    Ok(())
}

/// What `-O1` would save. Unpacked it follows from the layers' sizes; stored it takes packing them.
fn saving(measures: bool, loaded: &Loaded, unit: &ImageUnit<'_>, printer: &Printer) -> Result<Saving> {
    let changes = Changes::between(&unit.lower, &unit.upper);
    let outcome = jettison_passes::run(unit, &changes, &Selection::of(Level::O1), &mut |_| {})?;
    let base = unit.base.layers;
    let before = OwnBytes {
        stored: loaded.scanned[base..].iter().map(|layer| layer.stored_size).sum(),
        unpacked: unit.own().iter().map(|layer| layer.size).sum(),
    };
    let (layers, unpacked) = outcome.plan.own_size(unit, &changes);
    let mut after = OwnBytes { stored: unpacked, unpacked };
    let mut encoding = own_encoding(loaded, base);
    match outcome.plan.parts(&changes) {
        Some(parts) if encoding.is_some_and(|encoding| encoding != Encoding::NONE) && measures => {
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
