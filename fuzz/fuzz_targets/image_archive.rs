//! Any bytes as an image archive: reading them gives an image or an error, and never a panic.

#![no_main]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use jettison_image::{Limits, Tree};
use jettison_store::{Reference, Scans, Scope, Wanted, open_file, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = Path::new("fuzz.tar");
    let limits = Limits { layer_bytes: 1 << 20, layer_entries: 10_000 };
    for name in ["docker-archive:fuzz.tar", "oci-archive:fuzz.tar", "fuzz.tar"] {
        let Ok(reference) = name.parse::<Reference>() else { continue };
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(data).and_then(|()| file.seek(SeekFrom::Start(0))).expect("writes");
        let Ok(opened) = open_file(path, file, &reference, &Wanted::All, limits) else { continue };
        for image in &opened.images {
            let scope = Scope { limits, unpack: None };
            if let Ok((_, layers)) = scan(path, image, &scope, &Scans::default(), &()) {
                let _ = Tree::of(layers.iter().map(|layer| &**layer));
            }
        }
    }
});
