//! `jettison images` and `jettison rmi`: the local images, as docker's users list and remove them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use jettison_report::{bytes, table};
use jettison_store::{ImageName, Listed, LocalStore};
use serde_json::{Value, json};

use super::FAILED;
use crate::cli::{Format, Images, RemoveImages};
use crate::error::Usage;
use crate::folders;
use crate::printer::Printer;

/// Blobs that were written so lately may be about to be named by a build or a pull.
const GRACE: Duration = Duration::from_secs(3600);

pub(crate) fn list(args: &Images, printer: &Printer) -> Result<ExitCode> {
    let folder = folders::images(&args.place.find()?);
    // Nothing is made where nothing is asked for.
    let images = if folder.is_dir() { LocalStore::open(&folder)?.images()? } else { Vec::new() };
    match args.format {
        Format::Human => printer.result(&shown(&images))?,
        Format::Json => {
            let all: Vec<Value> = images.iter().map(as_json).collect();
            printer.result(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(image: &Listed) -> Value {
    json!({ "names": image.names, "id": image.id, "manifest": image.descriptor.digest, "bytes": image.bytes })
}

fn shown(images: &[Listed]) -> String {
    let row = |name: &str, image: &Listed| vec![name.to_owned(), image.id.short(), bytes(image.bytes)];
    let rows = images.iter().flat_map(|image| {
        let none = image.names.is_empty().then(|| row("<none>", image));
        image.names.iter().map(|name| row(name, image)).chain(none).collect::<Vec<_>>()
    });
    table(&["name", "image ID", "stored"], &[2], rows.collect()) + "\n"
}

/// Removes what can be removed, and complains of the rest.
pub(crate) fn remove(args: &RemoveImages, printer: &Printer) -> Result<ExitCode> {
    let store = LocalStore::open(&folders::images(&args.place.find()?))?;
    let mut text = String::new();
    let mut code = ExitCode::SUCCESS;
    for image in &args.images {
        match remove_one(&store, image) {
            Ok(said) => text.push_str(&said),
            Err(error) => {
                printer.error(&error);
                code = ExitCode::from(FAILED);
            }
        }
    }
    store.collect(GRACE)?;
    printer.result(&text)?;
    Ok(code)
}

fn remove_one(store: &LocalStore, text: &str) -> Result<String> {
    let name = text.strip_prefix("local:").unwrap_or(text);
    let name = ImageName::or_id(name).map_err(|error| Usage::new(format!("{error}")))?;
    let Some(removed) = store.remove(&name)? else {
        let error = Usage::new(format!("no local image is called {text}"));
        return Err(error.with_hint("`jettison images` lists them").into());
    };
    // As docker has it.
    let mut said: String = removed.names.iter().map(|name| format!("Untagged: {name}\n")).collect();
    said.extend(removed.image.map(|id| format!("Deleted: {id}\n")));
    Ok(said)
}
