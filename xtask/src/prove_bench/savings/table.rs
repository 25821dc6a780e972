//! The table of savings as text that stays the same where the images do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Row;

/// All of `savings.snap`.
pub(super) fn text(rows: &[Row]) -> String {
    let mut out = String::from(
        "What `jettison optimize` leaves of images at each level, written by `cargo xtask savings`. Counted are the layers above\n\
         the base, which stays as it is: their number, their bytes unpacked and as they are shipped (packed by gzip), in kB of\n\
         1000 bytes, and the paths that a container sees in the whole image. -O0 is the image as its Dockerfile is written. Below\n\
         stands what each pass saved at -Os, unpacked; a pass that is not named found nothing.\n\
         Images marked `moving` have packages of Debian, PyPI or npm as they were on the day of the run, so that their numbers\n\
         move with these; of the others only the shipped bytes vary a little, as files are made at other times.\n",
    );
    for row in rows {
        let moving = if row.is_pinned { "" } else { ", moving" };
        let _ = writeln!(out, "\n{} on {} ({}{moving})", row.name, row.base, kilobytes(row.base_unpacked));
        let _ = writeln!(out, "  {:5} {:>6} {:>14} {:>14} {:>8}", "level", "layers", "unpacked", "shipped", "paths");
        for size in &row.sizes {
            let (unpacked, stored) = (kilobytes(size.unpacked), kilobytes(size.stored));
            let _ =
                writeln!(out, "  {:5} {:>6} {unpacked:>14} {stored:>14} {:>8}", size.level, size.layers, size.paths);
        }
        for (pass, saved) in row.sizes.last().map(|size| size.passes.as_slice()).unwrap_or_default() {
            let _ = writeln!(out, "    {pass:24} {:>14}", signed(*saved));
        }
    }
    out.push_str(&sums(rows));
    out
}

/// All of them together.
fn sums(rows: &[Row]) -> String {
    let mut out = String::from("\nall of them\n");
    // `-Os` comes after the digits in the alphabet as well.
    let mut levels: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut passes: BTreeMap<&str, i64> = BTreeMap::new();
    for row in rows {
        for size in &row.sizes {
            let sum = levels.entry(size.level.as_str()).or_default();
            *sum = (sum.0 + size.unpacked, sum.1 + size.stored);
        }
        for (pass, saved) in row.sizes.last().map(|size| size.passes.as_slice()).unwrap_or_default() {
            *passes.entry(pass).or_default() += saved;
        }
    }
    for (level, (unpacked, stored)) in levels {
        let _ = writeln!(out, "  {level:5} {:>6} {:>14} {:>14}", "", kilobytes(unpacked), kilobytes(stored));
    }
    for (pass, saved) in passes {
        let _ = writeln!(out, "    {pass:24} {:>14}", signed(saved));
    }
    out
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1000.0)
}

fn signed(bytes: i64) -> String {
    format!("{:+.1} kB", -(bytes as f64) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::*;

    #[test]
    fn rows_and_sums_have_all_levels() {
        let size = |level: &str, unpacked, saved: i64| Size {
            level: level.to_owned(),
            layers: 2,
            unpacked,
            stored: unpacked / 2,
            paths: 7,
            passes: vec![("package-caches".to_owned(), saved)],
        };
        let sizes = vec![size("-O0", 5_000_000, 0), size("-Os", 1_000_000, 4_000_000)];
        let row = Row { name: "app".to_owned(), base: "base:1".to_owned(), sizes, ..Row::default() };
        let text = text(&[row.clone(), row]);
        for line in [
            "app on base:1 (0.0 kB, moving)",
            "  -Os        2      1000.0 kB       500.0 kB        7",
            "    package-caches               -4000.0 kB",
            "  -O0              10000.0 kB      5000.0 kB",
            "    package-caches               -8000.0 kB",
        ] {
            assert!(text.lines().any(|one| one == line), "{line:?} is missing in\n{text}");
        }
    }
}
