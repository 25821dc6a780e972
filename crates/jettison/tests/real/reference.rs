//! The parser against the reference parser (BuildKit's, through the Python module `dockerfile`) on changed real files:
//! the same verdict and the same instructions.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use jettison_syntax::dockerfile::{Dockerfile, stood_for};
use serde_json::Value;

use crate::python;

#[path = "../../../syntax/tests/reference/data.rs"]
#[allow(dead_code)] // Files only: the reference itself is at hand here.
mod data;
#[path = "../../../syntax/tests/mutation/mod.rs"]
mod mutation;
#[path = "../../../syntax/tests/reference/seen.rs"]
mod seen;

use mutation::{Mutation, SNIPPETS, mutated};

/// What the reference makes of each text: a JSON string a line in, a description a line out.
const PROGRAM: &str = r#"
import dockerfile, json, sys
def described(command):
    heredocs = [{"name": h.name, "fd": h.file_descriptor, "content": h.content} for h in command.heredocs]
    return {"cmd": command.cmd, "sub": command.sub_cmd, "json": command.json, "start": command.start_line,
            "end": command.end_line, "flags": command.flags, "value": command.value, "heredocs": heredocs}
for line in sys.stdin:
    try:
        answer = {"cmds": [described(command) for command in dockerfile.parse_string(json.loads(line))]}
    except dockerfile.GoParseError as error:
        answer = {"error": str(error)}
    except UnicodeDecodeError:
        answer = {"unreadable": "the module cuts characters in two"}
    print(json.dumps(answer), flush=True)
"#;

/// The reference's answers, in the order of the texts.
fn answers(texts: &[String]) -> Vec<Value> {
    let mut child = Command::new(python::program("python3"))
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for text in texts {
                let line = serde_json::to_string(text).expect("JSON") + "\n";
                if input.write_all(line.as_bytes()).is_err() {
                    // It ended early, which the number of answers shows.
                    return;
                }
            }
        });
        let answers = output.lines().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON")).collect();
        let status = child.wait().expect("Python ends");
        assert!(status.success(), "Python ended with {status}");
        answers
    })
}

/// SplitMix64 (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn index(&mut self) -> usize {
        (self.next() >> 16) as usize
    }
}

fn changed(files: &[Vec<u8>], count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let one = |_| {
        let original = files[random.index() % files.len()].clone();
        let mutations: Vec<Mutation> =
            (0..1 + random.index() % 4).map(|_| Mutation::of(random.next(), random.index(), random.index())).collect();
        // Neither zero bytes nor characters that stand for bytes here get through the module as they are.
        let text = String::from_utf8_lossy(&mutated(original, &mutations)).replace('\0', "0");
        // Its version has no directive `check`.
        text.replace(|c| stood_for(c).is_some(), "").replace("check=", "other=")
    };
    (0..count).map(one).collect()
}

fn compare(texts: &[String]) {
    let answers = answers(texts);
    assert_eq!(answers.len(), texts.len(), "an answer for each text");
    let mut verdicts: BTreeMap<bool, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (text, answer) in texts.iter().zip(&answers).filter(|(_, answer)| answer.get("unreadable").is_none()) {
        *verdicts.entry(answer.get("error").is_none()).or_default() += 1;
        let tree = Dockerfile::parse(text.as_str());
        wrong.extend(seen::difference(&tree, answer).map(|difference| format!("{difference}\n{text:?}\n")));
    }
    assert!(verdicts.values().all(|count| *count > texts.len() / 100), "both verdicts are met: {verdicts:?}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// The seed of the changes: another one looks elsewhere.
fn seed() -> u64 {
    std::env::var("JETTISON_SEED").map_or(1, |seed| seed.parse().expect("a number"))
}

#[test]
fn changed_real_files_are_what_the_reference_makes_of_them() {
    let files: Vec<Vec<u8>> = data::dockerfiles().into_values().filter(|bytes| bytes.len() < 16_384).collect();
    compare(&changed(&files, 6_000, seed()));
}

#[test]
fn changed_snippets_are_what_the_reference_makes_of_them() {
    let files: Vec<Vec<u8>> = SNIPPETS.iter().map(|text| text.as_bytes().to_vec()).collect();
    compare(&changed(&files, 20_000, seed()));
}
