//! rpm's databases of Berkeley DB without packages that jettison took out: Berkeley DB itself finds them whole, with the same
//! entries but for these, and writes on in them; and rpm says of them what it says of its own database after `rpm --erase`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use jettison_image::packages::edit::forget;

use crate::erased::{PACKAGES, PLACE, built, change, edit};
use crate::tools::{folder, run, text};

/// Keys with their values, in the order in which they are read.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// How a database is made.
#[derive(Clone, Copy, Debug)]
struct Making {
    kind: &'static str,
    page: usize,
    /// The order of bytes as Berkeley DB has it: 1234 or 4321.
    order: u32,
}

impl Making {
    fn number(self, number: u32) -> [u8; 4] {
        if self.order == 1234 { number.to_le_bytes() } else { number.to_be_bytes() }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).expect("text"), 16).expect("a byte")).collect()
}

/// Has Berkeley DB put pairs into a database, which is made where it is not there.
fn load(file: &Path, making: Making, pairs: &[(Vec<u8>, Vec<u8>)]) {
    let Making { kind, page, order } = making;
    let mut dump = format!("VERSION=3\nformat=bytevalue\ntype={kind}\n");
    if !file.exists() {
        dump += &format!("db_pagesize={page}\ndb_lorder={order}\n");
    }
    dump += "HEADER=END\n";
    for (key, value) in pairs {
        dump += &format!(" {}\n {}\n", hex(key), hex(value));
    }
    let from = file.with_extension("dump");
    fs::write(&from, dump + "DATA=END\n").expect("a file");
    run("db5.3_load", &["-f", text(&from), text(file)]);
    fs::remove_file(from).expect("a file");
}

/// What a database says of itself, and its pairs; it is whole.
fn dump(file: &Path) -> (String, Pairs) {
    assert_eq!(run("db5.3_verify", &["-q", text(file)]), "", "{}", file.display());
    let dump = run("db5.3_dump", &[text(file)]);
    let (head, rest) = dump.split_once("HEADER=END\n").expect("a head");
    let lines: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix(' ')).collect();
    (head.to_owned(), lines.chunks(2).map(|two| (bytes(two[0]), bytes(two[1]))).collect())
}

/// The same, in an order that does not depend on pages.
fn sorted(file: &Path) -> Pairs {
    let mut pairs = dump(file).1;
    pairs.sort();
    pairs
}

/// A header with a name and some text: for each tag its number, its type, its place and its count, then the values.
fn header(name: &str, length: usize) -> Vec<u8> {
    let data = format!("{name}\0{}\0", "x".repeat(length));
    let length = |length: usize| u32::try_from(length).expect("small");
    let numbers = [2, length(data.len()), 1000, 6, 0, 1, 1004, 6, length(name.len() + 1), 1];
    [numbers.map(u32::to_be_bytes).concat(), data.into_bytes()].concat()
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).expect("a file").len()
}

fn set(making: Making, members: &[(u32, u32)]) -> Vec<u8> {
    members.iter().flat_map(|(package, place)| [making.number(*package), making.number(*place)]).flatten().collect()
}

/// An index of so many keys: some are long, some begin alike for long, and some sets are long.
fn index(making: Making, keys: u32, gone: &BTreeSet<u32>) -> Pairs {
    let mut pairs = Pairs::new();
    for at in 0..keys {
        let more = match at % 50 {
            7 if making.kind == "btree" => 3000,
            8 => 90,
            other => other as usize,
        };
        let key = match at % 50 {
            // Each is the beginning of the next one.
            9 => b"p".repeat(at as usize / 50 + 1),
            _ => [format!("/{}/key {at}", at % 7).as_bytes(), &b"k".repeat(more)].concat(),
        };
        let members = if at % 97 == 5 { 900 } else { at % 4 + 1 };
        let members = (0..members).map(|place| ((at * 31 + place * 17) % COUNT + 1, place));
        let members: Vec<(u32, u32)> = members.filter(|(package, _)| !gone.contains(package)).collect();
        if !members.is_empty() {
            pairs.push((key, set(making, &members)));
        }
    }
    pairs.sort();
    pairs
}

/// How many packages there are.
const COUNT: u32 = 450;

/// rpm's last number, and headers that lie in pages together or have some of their own.
fn headers(making: Making) -> Pairs {
    let key = |package: u32| making.number(package).to_vec();
    let packages = (1..=COUNT).map(|package| {
        let length = [0, 40, 700, 5000, 30_000][package as usize % 5];
        (key(package), header(&format!("package-{package}"), length))
    });
    [(key(0), key(COUNT + 7))].into_iter().chain(packages).collect()
}

/// Makes a database, takes packages out of it, and has Berkeley DB look at it.
fn check(headers: (Making, &Pairs), indexes: Making, gone: &BTreeSet<u32>) {
    let folder = folder();
    let root = folder.path().join("root");
    let at = |name: &str| root.join(&PLACE[1..]).join(name);
    fs::create_dir_all(at("")).expect("a folder");
    let (making, headers) = headers;
    let left = headers.iter().filter(|(key, _)| !gone.iter().any(|package| *key == making.number(*package)));
    let databases = [
        ("Packages", making, headers.clone(), left.cloned().collect()),
        ("Basenames", indexes, index(indexes, 4000, &BTreeSet::new()), index(indexes, 4000, gone)),
        ("Name", indexes, index(indexes, 40, &BTreeSet::new()), index(indexes, 40, gone)),
        ("Obsoletename", indexes, Pairs::new(), Pairs::new()),
    ];
    for (name, making, pairs, _) in &databases {
        load(&at(name), *making, pairs);
    }
    fs::write(at("__db.001"), "in memory").expect("a file");
    let before = databases.each_ref().map(|(name, ..)| (dump(&at(name)).0, size(&at(name))));
    let removed: Vec<String> = gone.iter().map(|package| format!("package-{package}")).collect();
    edit(&root, &removed.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!at("__db.001").exists());
    for ((name, making, _, mut expected), (settings, length)) in databases.into_iter().zip(before) {
        let (case, file) = (format!("{name} of {making:?}, {} gone", gone.len()), at(name));
        let (settings_now, found) = dump(&file);
        // How many entries there are is said of hashes.
        let others =
            |settings: &str| settings.split_inclusive('\n').filter(|line| !line.starts_with("h_n")).collect::<String>();
        assert_eq!(others(&settings_now), others(&settings), "{case}");
        assert!(making.kind == "hash" || found == expected, "{case}: trees are in the order of their keys");
        expected.sort();
        assert!(sorted(&file) == expected, "{case}");
        assert!(size(&file) <= length, "{case}");
        let said = run("db5.3_stat", &["-d", text(&file)]);
        assert!(said.contains("\n0\tNumber of pages on the free list\n"), "{case}: {said}");
        // Berkeley DB finds each key, and so none is there twice when all are put into it again; and it goes on with it:
        // pages are split, buckets doubled.
        load(&file, making, &expected);
        assert!(sorted(&file) == expected, "{case}: after the same was put into it");
        let more =
            (0..2000u32).map(|at| (format!("more {}", at * 7919 % 2000).into_bytes(), vec![7; at as usize % 300]));
        let more: Pairs = more.collect();
        load(&file, making, &more);
        expected.extend(more);
        expected.sort();
        assert!(sorted(&file) == expected, "{case}: after more was put into it");
    }
}

#[test]
fn berkeley_db_finds_what_is_left_whole() {
    let [one, most, all]: [fn(u32) -> bool; 3] = [|at| at == 5, |at| at % 3 != 0, |_| true];
    for (page, order, kind, is_gone) in [
        (4096, 1234, "btree", one),
        (4096, 1234, "btree", most),
        (4096, 1234, "btree", all),
        (4096, 4321, "btree", most),
        (512, 1234, "btree", most),
        (512, 4321, "hash", most),
        (8192, 1234, "hash", one),
        (8192, 1234, "hash", all),
        (65536, 4321, "btree", most),
    ] {
        let making = Making { kind: "hash", page, order };
        let gone = (1..=COUNT).filter(|at| is_gone(*at)).collect();
        check((making, &headers(making)), Making { kind, ..making }, &gone);
    }
}

/// Prints what rpm's database of SQLite has as it would be in ones of Berkeley DB: a line a table with its name, then lines
/// with keys and values.
const CONVERT: &str = "
import sqlite3, struct, sys
database = sqlite3.connect(sys.argv[1])
def as_bytes(key):
    if isinstance(key, int): return struct.pack('<I', key)
    # rpm has a zero for a name that is empty.
    return (key.encode() if isinstance(key, str) else bytes(key)) or b'\\0'
print('= Packages')
print(bytes(4).hex())
print(struct.pack('<I', database.execute('select max(hnum) from Packages').fetchone()[0] or 0).hex())
for number, blob in database.execute('select hnum, blob from Packages'):
    print(struct.pack('<I', number).hex())
    print(blob.hex())
tables = [name for name, in database.execute(\"select name from sqlite_master where type = 'table'\")]
for table in tables:
    if table == 'Packages' or table.startswith('sqlite'): continue
    print('= ' + table)
    sets = {}
    for key, number, place in database.execute(f'select key, hnum, idx from \"{table}\" order by rowid'):
        sets.setdefault(as_bytes(key), []).append(struct.pack('<II', number, place))
    for key, members in sorted(sets.items()):
        print(key.hex())
        print(b''.join(members).hex())
";

/// The tables of a root's database of SQLite, as Berkeley DB would have them.
fn tables(root: &Path) -> BTreeMap<String, Pairs> {
    let file = root.join(&PLACE[1..]).join("rpmdb.sqlite");
    let printed = run("python3", &["-c", CONVERT, text(&file)]);
    let tables = printed.split("= ").filter(|table| !table.is_empty()).map(|table| {
        let (name, rest) = table.split_once('\n').expect("a name");
        let lines: Vec<&str> = rest.lines().collect();
        (name.to_owned(), lines.chunks(2).map(|two| (bytes(two[0]), bytes(two[1]))).collect())
    });
    tables.collect()
}

/// What rpm says, which can only read databases of Berkeley DB.
fn asked(root: &Path, question: &[&str]) -> (bool, String, String) {
    let mut command = std::process::Command::new("rpm");
    let output = command.arg("--root").arg(root).args(["--dbpath", PLACE]).args(question).output().expect("rpm");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn rpm_says_of_berkeley_db_what_it_says_of_its_own() {
    let folder = folder();
    let files = built(folder.path());
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("a folder");
    let install: Vec<&str> = files.iter().map(String::as_str).collect();
    run("rpm", &[&["--root", text(&base), "--dbpath", PLACE, "--install"], &install[..]].concat());
    for (case, gone) in [&["tool"][..], &["other"], &["tool", "lib1"]].into_iter().enumerate() {
        let [theirs, ours] = ["theirs", "ours"].map(|name| folder.path().join(format!("{name}-{case}")));
        for copy in [&theirs, &ours] {
            run("cp", &["-a", text(&base), text(copy)]);
        }
        let tables_before = tables(&ours);
        assert!(tables_before.len() > 15 && tables_before["Packages"].len() == PACKAGES.len() + 1, "{tables_before:?}");
        let place = ours.join(&PLACE[1..]);
        fs::remove_dir_all(&place).expect("a folder");
        fs::create_dir(&place).expect("a folder");
        for (name, pairs) in &tables_before {
            let kind = if name == "Packages" { "hash" } else { "btree" };
            load(&place.join(name), Making { kind, page: 4096, order: 1234 }, pairs);
        }
        run("rpm", &[&["--root", text(&theirs), "--dbpath", PLACE, "--erase"], gone].concat());
        edit(&ours, gone);
        let mut expected = tables(&theirs);
        // rpm does not give a number again.
        let last = tables_before["Packages"][0].clone();
        expected.get_mut("Packages").expect("headers")[0] = last;
        for (name, pairs) in &mut expected {
            pairs.sort();
            assert!(sorted(&place.join(name)) == *pairs, "{gone:?} {name}");
        }
        let read_only = ["--define", "_db_backend bdb_ro"];
        for question in [
            &["-qa"][..],
            &["-Va"],
            &["-qal"],
            &["-qa", "--provides"],
            &["-q", "--whatprovides", "capability"],
            &["-q", "--whatrequires", "lib1"],
            &["-qf", "/usr/lib/lib1.so"],
            &["-qf", "/usr/share/other/a-name-of-some-length-777"],
            &["-qi", "lib1", "tool", "other"],
        ] {
            let sort = |(is_well, said, complaints): (bool, String, String)| {
                let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
                lines.sort();
                (is_well, lines, complaints)
            };
            let answer = sort(asked(&ours, &[&read_only[..], question].concat()));
            assert_eq!(answer, sort(asked(&theirs, question)), "{gone:?} {question:?}");
        }
        if gone == ["tool"] {
            left_out(&ours, &place, &expected["Packages"]);
        }
    }
}

/// Has a file count as left out; headers stay as long as they are, and nothing else changes.
fn left_out(root: &Path, place: &Path, before: &Pairs) {
    let asked = |question: &[&str]| asked(root, &[&["--define", "_db_backend bdb_ro"], question].concat()).1;
    assert_eq!(asked(&["-q", "--state", "lib1"]).matches("normal").count(), 3);
    let file = BTreeSet::from([b"usr/lib/lib1.so".to_vec()]);
    change(root, |tree, content, packages| forget(tree, content, packages, &BTreeSet::new(), &file));
    fs::remove_file(root.join("usr/lib/lib1.so")).expect("a file");
    let states = asked(&["-q", "--state", "lib1"]);
    assert!(states.contains("not installed /usr/lib/lib1.so\n") && states.matches("normal").count() == 2, "{states}");
    assert_eq!(asked(&["-V", "lib1"]), "");
    let after = sorted(&place.join("Packages"));
    let differing = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert_eq!((differing.count(), after.len()), (1, before.len()));
}
