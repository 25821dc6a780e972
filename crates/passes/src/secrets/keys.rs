//! Private keys: text as PEM, and the binary forms.

use bstr::ByteSlice as _;
use jettison_ir::{Confidence, Secret};

use super::redact;
use super::rules::Hit;

/// The rule that private keys are reported under.
pub(super) const RULE: &str = "private-key";

/// What OpenPGP's armour calls one.
const PGP: &str = "PGP PRIVATE KEY BLOCK";

/// A private key that the library found in a text. A file is a key as a whole if it holds nothing that somebody else
/// would need, such as the certificate that goes with it.
pub(super) fn secret(path: &[u8], content: &[u8], hit: &Hit, line: u32) -> Secret {
    let key = &content[hit.start..hit.end.min(content.len())];
    let is_encrypted = key.contains_str(b"ENCRYPTED") || content.contains_str(b"aes256-ctr");
    let label = key.lines().next().unwrap_or_default().trim_with(|c| c == '-').strip_prefix(b"BEGIN ").unwrap_or(b"");
    let label = label.split_str(b"-----").next().unwrap_or_default().to_str_lossy().to_lowercase();
    let label = label.replace("rsa", "RSA").replace("openssh", "OpenSSH").replace("pgp", "PGP");
    let words = if label.contains("private key") && label.len() < 40 { label } else { "private key".to_owned() };
    let is_account = content.contains_str(b"\"service_account\"");
    let is_alone = content.trim_start().starts_with(b"-----BEGIN") && !content.contains_str(b"BEGIN CERTIFICATE");
    Secret {
        rule: RULE.to_owned(),
        description: match (is_account, is_host_key(path)) {
            (true, _) => "key of a Google service account".to_owned(),
            (_, true) => format!("{words} of an SSH server, the same in every container"),
            _ => words,
        },
        line: Some(line),
        redacted: redact::file(key.len()),
        confidence: if is_encrypted { Confidence::Medium } else { Confidence::High },
        is_whole_file: is_alone || is_account && content.trim_start().starts_with(b"{"),
    }
}

/// The private keys of OpenPGP in a text, each from its first mark to its last (RFC 9580, 6.2), as long as a key is.
pub(super) fn of_pgp(content: &[u8]) -> Vec<Hit> {
    const SHORTEST: usize = 128;
    let (begin, end) = (format!("-----BEGIN {PGP}-----"), format!("-----END {PGP}-----"));
    let block = |start: usize| {
        let length = content[start..].find(&end)? + end.len();
        let is_line = start == 0 || content[start - 1] == b'\n';
        (is_line && length >= SHORTEST).then(|| Hit {
            rule: RULE.to_owned(),
            kind: RULE.to_owned(),
            confidence: Confidence::High,
            start,
            end: start + length,
        })
    };
    content.find_iter(&begin).filter_map(block).collect()
}

fn is_host_key(path: &[u8]) -> bool {
    path.starts_with(b"etc/ssh/ssh_host_")
}

/// Whether the byte at `offset` stands between the marks of a private key.
pub(super) fn covers(content: &[u8], offset: usize) -> bool {
    let before = &content[..offset.min(content.len())];
    let begin = before.rfind(b"PRIVATE KEY-----").max(before.rfind(b"PRIVATE KEY BLOCK-----"));
    begin.is_some_and(|at| before[..at].rfind(b"-----BEGIN") > before[..at].rfind(b"-----END"))
}

/// A DER sequence that starts with the version of PKCS#1, PKCS#8 or SEC1, which no certificate does.
pub(super) fn is_der(content: &[u8]) -> bool {
    let (Some(0x30), Some(&length)) = (content.first(), content.get(1)) else { return false };
    let header = match length {
        0x81 => 3,
        0x82 => 4,
        0..=0x7f => 2,
        _ => return false,
    };
    let Some(rest) = content.get(header..) else { return false };
    // PKCS#8: version 0 or 1 and an algorithm. PKCS#1: version 0 and a large number. SEC1: version 1 and the key.
    matches!(rest, [2, 1, 0 | 1, 0x30, ..] | [2, 1, 0, 2, ..] | [2, 1, 1, 4, ..])
}

/// A key store: Java's own formats by their marks, PKCS#12 by its version.
pub(super) fn is_store(content: &[u8]) -> bool {
    let is_java = content.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || content.starts_with(&[0xce, 0xce, 0xce, 0xce]);
    let rest = content.get(4..7).is_some_and(|version| version == [2, 1, 3]);
    is_java || content.starts_with(&[0x30, 0x82]) && rest
}
