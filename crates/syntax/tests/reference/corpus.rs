//! Every file of the corpus: the same instructions, flags, words, heredocs and lines, and the same verdict.

use jettison_syntax::dockerfile::Dockerfile;

use crate::{data, seen};

#[test]
fn every_real_file_is_what_the_reference_makes_of_it() {
    let files = data::dockerfiles();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for expected in data::json_lines("corpus/expected.jsonl.zst") {
        let path = expected["file"].as_str().expect("a path").trim_start_matches("dockerfiles/dev/");
        let bytes = &files[path];
        let tree = Dockerfile::from_bytes(bytes.clone());
        compared += 1;
        if tree.bytes() != *bytes {
            wrong.push(format!("{path}: its bytes do not come back"));
        }
        wrong.extend(seen::difference(&tree, &expected).map(|difference| format!("{path}: {difference}")));
    }
    assert!(compared > 7_000, "only {compared} files were compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}
