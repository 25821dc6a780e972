//! The laws over every real Dockerfile of the corpus, at every level, and the table of what the passes make of them.
//!
//! The table is `bench/corpus.md`; `cargo xtask corpus` writes it.

#[path = "../../../syntax/tests/reference/data.rs"]
#[allow(dead_code)] // Files only: the other half is for those that compare.
mod data;
mod laws;
mod pairs;
mod table;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jettison_ir::Level;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_syntax::dockerfile::Dockerfile;

use table::Table;

/// What is rewritten to what: the columns of the table.
const FORMS: [(&str, Level, Goal); 4] = [
    ("-O1", Level::O1, Goal::Release),
    ("-O2", Level::O2, Goal::Release),
    ("-Os", Level::Os, Goal::Release),
    ("development", Level::O2, Goal::Development),
];

fn options(form: usize) -> SourceOptions {
    let (_, level, goal) = FORMS[form];
    SourceOptions { level, goal, style: RunStyle::Operators, denied: Vec::new() }
}

/// Looks at one file in all forms; the laws that it breaks are added to `broken`.
fn look(path: &str, bytes: &[u8], table: &mut Table, broken: &mut Vec<String>) {
    let tree = Dockerfile::from_bytes(bytes.to_vec());
    if !tree.is_valid() {
        table.invalid += 1;
        return;
    }
    table.valid += 1;
    for (form, (name, ..)) in FORMS.iter().enumerate() {
        let options = options(form);
        match std::panic::catch_unwind(|| laws::rewritten(tree.clone(), &options)) {
            Ok(outcome) => {
                broken.extend(laws::broken(&tree, &outcome, &options).map(|law| format!("{path} {name}: {law}")));
                table.add(form, &tree, &outcome.result);
            }
            Err(_) => broken.push(format!("{path} {name}: a pass panics")),
        }
    }
}

#[test]
fn every_real_file_keeps_the_laws_and_the_table_is_as_committed() {
    let files: Vec<(String, Vec<u8>)> = data::dockerfiles().into_iter().collect();
    assert!(files.len() > 7_000, "only {} files", files.len());
    let next = AtomicUsize::new(0);
    let total = Mutex::new((Table::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut table, mut broken) = (Table::default(), Vec::new());
                while let Some((path, bytes)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    look(path, bytes, &mut table, &mut broken);
                }
                let mut total = total.lock().expect("no thread panics");
                total.0.join(table);
                total.1.append(&mut broken);
            });
        }
    });
    let (table, mut broken) = total.into_inner().expect("no thread panics");
    let text = table.markdown();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/corpus.md");
    if std::env::var_os("JETTISON_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the table is written");
    }
    broken.sort();
    assert!(broken.is_empty(), "{} broken laws:\n{}", broken.len(), broken[..broken.len().min(60)].join("\n"));
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "bench/corpus.md is not what the passes do: `cargo xtask corpus` writes it. Now:\n{text}"
    );
}
