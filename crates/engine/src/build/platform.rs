//! Which platforms this machine can run programs of.

use std::fs;

use jettison_image::Platform;
use serde_json::Map;

use super::error::StepError;

/// This machine's own.
pub(crate) fn own() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "x86" => ("386", None),
        "aarch64" => ("arm64", None),
        "arm" => ("arm", Some("v7".to_owned())),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant, rest: Map::new() }
}

/// Programs of other machines need an emulator that the kernel knows.
pub(crate) fn check(platform: &Platform) -> Result<(), StepError> {
    let wanted = platform.architecture.as_str();
    let own = own();
    // A 64-bit x86 kernel runs 32-bit programs by itself.
    let is_native = own.architecture == wanted || (own.architecture == "amd64" && wanted == "386");
    let emulator = match wanted {
        "amd64" => "qemu-x86_64",
        "386" => "qemu-i386",
        "arm64" => "qemu-aarch64",
        "loong64" => "qemu-loongarch64",
        other => &format!("qemu-{other}"),
    };
    let registered = format!("/proc/sys/fs/binfmt_misc/{emulator}");
    let is_emulated = fs::read_to_string(registered).is_ok_and(|text| text.starts_with("enabled"));
    if is_native || is_emulated {
        return Ok(());
    }
    Err(StepError::Platform { platform: platform.to_string() })
}
