//! Saying which secret is meant without saying it.

/// The first characters, four at most and never more than a quarter, and the length: enough to know a token again
/// by its prefix, too little to guess the rest.
pub(super) fn shown(secret: &[u8]) -> String {
    let text = String::from_utf8_lossy(secret);
    let length = text.chars().count();
    let first: String =
        text.chars().take((length / 4).min(4)).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    let unit = if length == 1 { "character" } else { "characters" };
    format!("{first}… ({length} {unit})")
}

/// A file of which no character is shown.
pub(super) fn file(size: usize) -> String {
    format!("({size} bytes)")
}
