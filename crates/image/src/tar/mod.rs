//! Tar archives as layers use them: a reader for every dialect that engines read, and a writer of one.
//!
//! The reader is our own because a layer's errors must name the offset, because times before 1970 and
//! nanoseconds must survive, and because ustar, GNU, PAX and V7 headers mix within one layer; no
//! library tried does all of these (ARCHITECTURE.md, "Libraries").

mod pax;
mod read;
mod sparse;
mod write;

pub use read::{Member, MemberType, Reader, TarError, TarErrorKind};
pub use sparse::Extent;
pub use write::{END, HeaderSpec, blob_header, header, padding, sparse_header};

/// The unit of a tar: headers are one block, contents are padded to whole blocks.
pub const BLOCK: usize = 512;

/// A time in seconds and nanoseconds since 1970, before it where negative. The nanoseconds always
/// count upwards: -0.25 s is second -1 and 750,000,000 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mtime {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

impl std::fmt::Display for Mtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.seconds, self.nanos) {
            (seconds, 0) => write!(f, "{seconds}"),
            (seconds @ 0.., nanos) => write!(f, "{seconds}.{}", fraction(nanos)),
            // The decimal text counts downwards below zero, as PAX records do.
            (-1, nanos) => write!(f, "-0.{}", fraction(1_000_000_000 - nanos)),
            (seconds, nanos) => write!(f, "{}.{}", seconds + 1, fraction(1_000_000_000 - nanos)),
        }
    }
}

fn fraction(nanos: u32) -> String {
    format!("{nanos:09}").trim_end_matches('0').to_owned()
}

impl Mtime {
    /// Reads a decimal such as `1700000000.123456789` or `-1.5`. Digits beyond nanoseconds are cut.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|c| c.is_ascii_digit()) {
            return None;
        }
        // With its sign: the least number of seconds has no positive counterpart.
        let seconds: i64 = if negative { format!("-{whole}").parse() } else { whole.parse() }.ok()?;
        let nanos: u32 = format!("{part:0<9}")[..9].parse().ok()?;
        Some(match (negative, nanos) {
            (false, _) | (true, 0) => Self { seconds, nanos },
            (true, _) => Self { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000 - nanos },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Mtime;

    #[test]
    fn times_round_trip_on_both_sides_of_1970() {
        for (text, seconds, nanos) in [
            ("0", 0, 0),
            ("1700000000.123456789", 1_700_000_000, 123_456_789),
            ("1.5", 1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-0.25", -1, 750_000_000),
            ("-315619200", -315_619_200, 0),
            ("-9223372036854775808", i64::MIN, 0),
            ("-9223372036854775807.75", i64::MIN, 250_000_000),
            ("9223372036854775807.999999999", i64::MAX, 999_999_999),
        ] {
            let time = Mtime { seconds, nanos };
            assert_eq!(Mtime::parse(text.as_bytes()), Some(time), "{text}");
            assert_eq!(time.to_string(), text);
        }
        assert_eq!(Mtime::parse(b"1.0000000019"), Some(Mtime { seconds: 1, nanos: 1 }));
        assert_eq!(Mtime::parse(b"-9223372036854775808.5"), None);
        assert_eq!(Mtime::parse(b"x"), None);
        assert_eq!(Mtime::parse(b""), None);
    }
}
