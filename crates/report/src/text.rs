//! Numbers, names and tables in words.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// A size in decimal units, as `docker images` shows it: three digits at most before the unit.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    #[allow(clippy::cast_precision_loss)] // Three digits are shown.
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would round to 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A change in size, with its sign.
pub(crate) fn signed(change: i64) -> String {
    let size = bytes(change.unsigned_abs());
    if change < 0 { format!("-{size}") } else { size }
}

/// What share `part` is of `whole`.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let share = part as f64 * 100.0 / whole as f64;
    format!("{share:.1} %")
}

/// Text on one line, cut to `width` characters: instructions span lines and hold tabs.
#[must_use]
pub fn one_line(text: &str, width: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if line.chars().count() <= width {
        return line;
    }
    let mut cut: String = line.chars().take(width.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// A table without borders. Columns named in `right` are aligned to the right; no cell is wrapped.
pub fn table(headings: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(8)));
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `1 layer`, `2 layers`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", grouped(number)) }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_docker_shows_them() {
        for (count, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_999, "1.0 MB"),
            (7_800_000, "7.8 MB"),
            (2_000_000_000, "2.0 GB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(signed(-1500), "-1.5 kB");
    }

    #[test]
    fn instructions_fit_a_line() {
        assert_eq!(one_line("RUN a \\\n\t&& b", 20), "RUN a \\ && b");
        assert_eq!(one_line("RUN apt-get update", 8), "RUN apt…");
        assert_eq!(one_line("\u{1b}[31m", 8), "\u{fffd}[31m");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(1, "layer"), "1 layer");
        assert_eq!(count(1_234_567, "file"), "1,234,567 files");
    }
}
