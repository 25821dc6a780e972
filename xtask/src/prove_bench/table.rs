//! The results as Markdown: what is saved on the whole, then tables with a row a project.

use std::fmt::Write as _;

use super::measured::{FORMS, Measured, Proven, STAGE, Size};
use crate::bench::table::machine;

/// A load that the build of the bench itself leaves behind.
const QUIET: f64 = 1.5;
/// The best mean saving of a Dockerfile that was published so far, in MB and percent of an image.
const PUBLISHED: (f64, f64) = (48.0, 4.6);
/// A proof that finds a build of the original in the cache takes at most so many times that build's time.
const PROOF: f64 = 2.5;

/// A whole run.
pub(super) struct Results<'r> {
    /// Processes that were running or waiting for the disk before the first build, on average over a minute.
    pub(super) load: f64,
    pub(super) quick: bool,
    pub(super) version: String,
    pub(super) rows: &'r [Measured],
}

/// All of `prove.md`.
pub(super) fn markdown(results: &Results<'_>) -> String {
    let mut out = String::from("# Proven rewrites of real projects\n\n");
    let measured: Vec<&Measured> = results.rows.iter().filter(|row| row.failure.is_none()).collect();
    let _ = writeln!(out, "`cargo xtask bench-prove` on {}, {}.", machine(), results.version);
    if results.load > QUIET {
        let _ = writeln!(out, "**The machine was not quiet: a load of {:.1} before the first build.**", results.load);
    }
    let _ = writeln!(
        out,
        "{} projects (`bench/projects`), with packages from PyPI, npm and Debian, and gems that they build, upon base \
         images made of Debian's packages (`bench/bases`), of Alpine and of busybox. Each is built as it is written, and in \
         its proven form at each level, and with a final stage that has what its smoke commands use; images are built at the level of \
         the rewriting (`-Os` at `-O2`). Bytes are unpacked (10^6 a MB), \"packed\" by gzip: of the own layers, also where a \
         final stage leaves the base away. Behaviour is what the project's smoke commands print and how they end, in the \
         image of the original and in that of the proven form.\n",
        results.rows.len()
    );
    if measured.is_empty() {
        out.push_str("None was measured to the end.\n\n");
    } else {
        summary(&mut out, results, &measured);
        sizes(&mut out, &measured);
        proofs(&mut out, &measured);
    }
    withdrawn(&mut out, &measured);
    for wrong in results.rows.iter().filter_map(Measured::wrong) {
        let _ = writeln!(out, "- **went wrong**: {wrong}");
    }
    out
}

impl Measured {
    /// Bytes of the whole image, unpacked.
    fn image(&self, size: Size) -> f64 {
        let base = if size.is_on_base { self.base_unpacked } else { 0 };
        (base + size.unpacked) as f64
    }

    /// What a size saves against the image of the original at -O0: MB, percent of the image, packed MB.
    fn saving(&self, size: Size) -> [f64; 3] {
        let saved = self.image(self.plain) - self.image(size);
        let packed = self.plain.packed as f64 - size.packed as f64;
        [saved / 1e6, 100.0 * saved / self.image(self.plain).max(1.0), packed / 1e6]
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The means, and the goals.
fn summary(out: &mut String, results: &Results<'_>, rows: &[&Measured]) {
    out.push_str("| form | own layers | own bytes | own bytes packed | saved a file | of the image | packed |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|\n");
    let mut line = |name: &str, of: &dyn Fn(&Measured) -> Size| {
        let layers = mean(rows.iter().map(|row| of(row).layers as f64));
        let own = mean(rows.iter().map(|row| of(row).unpacked as f64 / 1e6));
        let packed = mean(rows.iter().map(|row| of(row).packed as f64 / 1e6));
        let saved = [0, 1, 2].map(|part| mean(rows.iter().map(|row| row.saving(of(row))[part])));
        let saved = format!("{:.1} MB | {:.1} % | {:.1} MB", saved[0], saved[1], saved[2]);
        let _ = writeln!(out, "| {name} | {layers:.1} | {own:.1} MB | {packed:.1} MB | {saved} |");
    };
    line("as written, `build -O0`", &|row| row.plain);
    line("as written, `build -O1`", &|row| row.built[0]);
    line("as written, `build -O2`", &|row| row.built[1]);
    for wish in FORMS.map(|form| form.wish) {
        let proven = |row: &Measured| row.at(wish).map_or(row.plain, |proven| proven.plain);
        line(&format!("proven, `{wish}`, as other builders make it"), &proven);
        line(&format!("proven, `{wish}`"), &|row| row.at(wish).map_or(row.plain, |proven| proven.size));
    }
    out.push('\n');
    if results.quick {
        out.push_str("Three small projects: goals are not judged.\n\n");
        return;
    }
    let best = |wish: &str, part: usize| {
        let at = |row: &&Measured| row.at(wish).map_or(0.0, |proven| row.saving(proven.size)[part]);
        mean(rows.iter().map(at))
    };
    let same = rows.iter().filter(|row| row.proven.iter().all(|proven| proven.other.is_none())).count();
    let [cached, cold] = ratios(rows);
    out.push_str("| goal | measured | |\n|---|--:|---|\n");
    let verdict = |is_met: bool| if is_met { "met" } else { "**not met**" };
    for (part, published, unit) in [(0, PUBLISHED.0, "MB"), (1, PUBLISHED.1, "% of the image")] {
        for wish in ["-Os", STAGE] {
            let saved = best(wish, part);
            let _ = writeln!(
                out,
                "| `{wish}`: more than the published mean saving a file, {published} {unit} | {saved:.1} | {} |",
                verdict(saved > published)
            );
        }
    }
    let _ = writeln!(out, "| equal behaviour | {same} of {} | {} |", rows.len(), verdict(same == rows.len()));
    let _ = writeln!(
        out,
        "| a proof at -O2 with a build of the original in the cache: below {PROOF} times that build | {cached:.2} on \
         average, {cold:.2} without it | {} |\n",
        verdict(cached < PROOF)
    );
}

/// The time of proofs in proportion to one build, with an earlier build and without, on average.
fn ratios(rows: &[&Measured]) -> [f64; 2] {
    let cached = rows.iter().filter_map(|row| Some(row.at("-O2")?.seconds / row.seconds));
    let cold = rows.iter().map(|row| row.cold / row.seconds);
    [mean(cached), mean(cold)]
}

fn sizes(out: &mut String, rows: &[&Measured]) {
    out.push_str(
        "## Layers and bytes\n\nOwn layers and their bytes unpacked; of proven forms also the layers that other builders \
         make of them. What is saved is of the whole image.\n\n",
    );
    out.push_str("| project | base | image | `-O0` | `-O1` | `-O2` | proven `-O1` | proven `-O2` | proven `-Os` ");
    let _ = write!(out, "| `{STAGE}` | saved at `-O2` | at `-Os` | at `{STAGE}` | same behaviour |\n|---|---|");
    out.push_str("--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n");
    for row in rows {
        let cell = |size: Size| format!("{}: {:.1} MB", size.layers, size.unpacked as f64 / 1e6);
        // From as many layers as other builders make of that text to as many as are shipped.
        let both = |proven: &Proven| format!("{} → {}", proven.plain.layers, cell(proven.size));
        let proven = |wish: &str| row.at(wish).map_or("–".to_owned(), both);
        let saved = |wish: &str| {
            let saving = row.at(wish).map(|proven| row.saving(proven.size));
            saving.map_or("–".to_owned(), |[megabytes, percent, _]| format!("{megabytes:.1} MB, {percent:.1} %"))
        };
        let same = if row.proven.iter().all(|proven| proven.other.is_none()) { "yes" } else { "**no**" };
        let cells = [
            row.name.clone(),
            row.base.clone(),
            format!("{:.1} MB", row.image(row.plain) / 1e6),
            cell(row.plain),
            cell(row.built[0]),
            cell(row.built[1]),
            proven("-O1"),
            proven("-O2"),
            proven("-Os"),
            proven(STAGE),
            saved("-O2"),
            saved("-Os"),
            saved(STAGE),
            format!("{same} ({})", row.smoke),
        ];
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out.push('\n');
}

fn proofs(out: &mut String, rows: &[&Measured]) {
    out.push_str(
        "## Proofs\n\n\"Build\" is one build at -O0 from nothing but the base image; the proofs' times are in ",
    );
    out.push_str("proportion to it. The others find in the cache what that of -O2 built. ");
    let _ = writeln!(out, "Numbers that stand together are of -O1, -O2, -Os and {STAGE}.\n");
    out.push_str("| project | build | `-O2` after it | `-O2` from nothing | builds | changes ");
    out.push_str("| withdrawn | paths | excused |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for row in rows {
        let each = |of: &dyn Fn(&Proven) -> usize| {
            let values: Vec<String> = row.proven.iter().map(|proven| of(proven).to_string()).collect();
            values.join(", ")
        };
        let timed = row.at("-O2").map_or("–".to_owned(), |proven| format!("{:.2}×", proven.seconds / row.seconds));
        let cells = [
            row.name.clone(),
            format!("{:.1} s", row.seconds),
            timed,
            format!("{:.2}×", row.cold / row.seconds),
            each(&|proven| usize::try_from(proven.builds).unwrap_or_default()),
            each(&|proven| proven.changes),
            each(&|proven| proven.withdrawn.len()),
            row.at("-O2").map_or("–".to_owned(), |proven| proven.paths.to_string()),
            each(&|proven| proven.excused),
        ];
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let [cached, cold] = ratios(rows);
    let _ = writeln!(out, "| **mean** | | **{cached:.2}×** | **{cold:.2}×** | | | | | |\n");
}

/// What was refuted, so that readers see what proofs are for.
fn withdrawn(out: &mut String, rows: &[&Measured]) {
    let mut lines = String::new();
    for (row, proven) in rows.iter().flat_map(|row| row.proven.iter().map(move |proven| (row, proven))) {
        for refuted in &proven.withdrawn {
            let _ = writeln!(lines, "- {}, {}: {}", row.name, proven.wish, refuted.replace(['\n', '|'], " "));
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "## Changes that were taken back\n\n{lines}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Measured {
        let size = |unpacked| Size { layers: 3, packed: unpacked / 2, unpacked, is_on_base: true };
        let proven = |wish: &str, unpacked| Proven {
            wish: wish.to_owned(),
            size: size(unpacked),
            plain: size(unpacked),
            seconds: 3.0,
            ..Proven::default()
        };
        Measured {
            name: "app".to_owned(),
            base_unpacked: 60_000_000,
            plain: size(40_000_000),
            built: [size(40_000_000); 2],
            seconds: 2.0,
            cold: 4.0,
            proven: vec![
                proven("-O1", 40_000_000),
                proven("-O2", 30_000_000),
                proven("-Os", 20_000_000),
                Proven { size: Size { is_on_base: false, ..size(10_000_000) }, ..proven(STAGE, 10_000_000) },
            ],
            ..Measured::default()
        }
    }

    #[test]
    fn savings_are_of_the_whole_image() {
        let row = row();
        assert_eq!(row.at("-Os").map(|proven| row.saving(proven.size)), Some([20.0, 20.0, 10.0]));
        assert_eq!(row.at(STAGE).map(|proven| row.saving(proven.size)), Some([90.0, 90.0, 15.0]));
        let text = markdown(&Results { load: 0.0, quick: false, version: String::new(), rows: &[row] });
        for part in ["| 20.0 MB | 20.0 % | 10.0 MB |", "10.0 MB, 10.0 % | 20.0 MB, 20.0 %", "1.50 on average, 2.00"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn other_behaviour_is_shown() {
        let mut row = row();
        row.proven[1].other = Some("app: \"1\" → \"2\"".to_owned());
        let text = markdown(&Results { load: 0.0, quick: false, version: String::new(), rows: &[row] });
        assert!(text.contains("0 of 1 | **not met**") && text.contains("went wrong"), "{text}");
    }
}
