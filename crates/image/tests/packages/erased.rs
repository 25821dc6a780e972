//! Packages taken out of rpm's databases: SQLite itself says whether what is left of its own is whole.

use std::collections::BTreeSet;

use jettison_image::packages::edit::{Change, EditError, Edited, Rest, without};
use jettison_image::packages::read;
use jettison_image::{Digest, Node, Tree};
use rusqlite::{Connection, MAIN_DB};

use crate::berkeley::Order;
use crate::{File, Image, berkeley, ndb, sqlite, text};

/// Tables of rpm's database that say which packages have a name, a file, a sum.
const TABLES: [(&str, &str); 3] = [("Name", "TEXT"), ("Basenames", "TEXT"), ("Sigmd5", "BLOB")];

fn edit(image: &Image, gone: &[&str], rest: Rest) -> Result<Edited, EditError> {
    let tree = Tree::of([&image.layer]).expect("a tree");
    let mut content = |node: Node| image.contents.get(&tree.path(node)).cloned();
    let packages = read(&tree, &mut content).expect("a database").remove(0);
    let gone: BTreeSet<usize> = gone.iter().map(|name| packages.position(name).expect("a package")).collect();
    without(&tree, &mut content, &packages, &gone, rest)
}

/// What becomes of paths, as people read it; contents by their lengths.
fn shown(edited: &Edited) -> Vec<String> {
    let path = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let changes = edited.changes.iter().map(|(at, change)| match change {
        Change::Gone => format!("{} gone", path(at)),
        Change::Content(_) => format!("{} written", path(at)),
        Change::Target(target) => format!("{} -> {}", path(at), path(target)),
        Change::Moved(from) => format!("{} from {}", path(at), path(from)),
    });
    changes.collect()
}

/// rpm's database as SQLite writes it, with the numbers 1, 3, 5 and so on.
fn database(headers: &[Vec<u8>], page: usize) -> Vec<u8> {
    let mut made = Connection::open_in_memory().expect("a database");
    let mut statements = format!(
        "PRAGMA page_size = {page};
         CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL);"
    );
    for (table, kind) in TABLES {
        statements += &format!(
            "CREATE TABLE '{table}' (key '{kind}' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, \
             FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum));
             CREATE INDEX '{table}_key_idx' ON '{table}'(key ASC);
             CREATE INDEX '{table}_hnum_idx' ON '{table}'(hnum ASC);"
        );
    }
    made.execute_batch(&(statements + "BEGIN;")).expect("tables");
    for (at, header) in headers.iter().enumerate() {
        let number = at as i64 * 2 + 1;
        made.execute("INSERT INTO Packages VALUES (?1, ?2)", (number, header)).expect("a row");
        for (table, _) in TABLES {
            for entry in 0..at as i64 % 30 {
                // Some are so long that they go on in further pages.
                let key =
                    format!("{}-{}-{entry}", "k".repeat(if entry == 7 { 3000 } else { at % 60 }), at * 7919 % 101);
                let insert = format!("INSERT INTO '{table}' VALUES (?1, ?2, ?3)");
                made.execute(&insert, (&key, number, entry)).expect("a row");
            }
        }
    }
    // What people drop leaves free pages, and what is known of the tables a table of its own.
    made.execute_batch("COMMIT; CREATE TABLE scrap (a); DROP TABLE scrap; ANALYZE;").expect("statistics");
    made.serialize(MAIN_DB).expect("bytes").to_vec()
}

fn opened(bytes: &[u8]) -> Connection {
    let mut opened = Connection::open_in_memory().expect("a database");
    opened.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), false).expect("a database");
    opened
}

/// The rows that a query gives, each as one text.
fn rows(database: &Connection, query: &str) -> Vec<String> {
    let mut prepared = database.prepare(query).expect(query);
    let count = prepared.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..count).map(|at| format!("{:?}", row.get_ref(at).expect("a value")));
        Ok(values.collect::<Vec<_>>().join(" "))
    };
    prepared.query_map([], row).expect(query).map(|row| row.expect(query)).collect()
}

fn written<'e>(edited: &'e Edited, path: &str) -> &'e [u8] {
    match edited.changes.get(path.as_bytes()) {
        Some(Change::Content(content)) => content,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn sqlite_finds_what_is_left_whole() {
    let headers: Vec<Vec<u8>> = (0..60)
        .map(|at| {
            let (name, filling) = (format!("package-{at}"), "x".repeat(at * at * 4 % 9000));
            sqlite::header(&[(1000, sqlite::Tag::Text(&name)), (1004, sqlite::Tag::Text(&filling))])
        })
        .collect();
    let names: Vec<String> = (0..60).filter(|at| at % 3 == 1).map(|at| format!("package-{at}")).collect();
    for (page, gone) in [(4096, &names[..]), (512, &names[..]), (65536, &names[..1]), (1024, &[])] {
        let before = database(&headers, page);
        let image = Image::of(&[
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", File::Content(before.clone())),
            // rpm keeps an empty one.
            ("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", text("")),
        ]);
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        let edited = edit(&image, &gone, Rest::Keep).expect("an edit");
        if gone.is_empty() {
            assert_eq!(edited, Edited::default());
            continue;
        }
        assert_eq!(shown(&edited), ["usr/lib/sysimage/rpm/rpmdb.sqlite written"]);
        let after = written(&edited, "usr/lib/sysimage/rpm/rpmdb.sqlite");
        assert!(after.len() <= before.len() && after.len().is_multiple_of(page));
        let (before, after) = (opened(&before), opened(after));
        assert_eq!(rows(&after, "PRAGMA integrity_check"), [r#"Text([111, 107])"#], "{page}");
        assert_eq!(rows(&after, "PRAGMA foreign_key_check"), [""; 0]);
        assert_eq!(rows(&after, "PRAGMA freelist_count"), ["Integer(0)"]);
        let stay = "hnum % 2 = 1 AND ((hnum - 1) / 2) % 3 != 1";
        let stay = if gone.len() == 1 { "hnum != 3" } else { stay };
        for table in TABLES.map(|(table, _)| table).into_iter().chain(["Packages"]) {
            let all = format!("SELECT rowid, * FROM '{table}' ORDER BY rowid");
            let expected = rows(&before, &format!("SELECT rowid, * FROM '{table}' WHERE {stay} ORDER BY rowid"));
            assert_eq!(rows(&after, &all), expected, "{table}, {page}");
        }
        for unchanged in
            ["SELECT * FROM sqlite_sequence", "SELECT * FROM sqlite_stat1", "SELECT type, name, sql FROM sqlite_schema"]
        {
            assert_eq!(rows(&after, unchanged), rows(&before, unchanged));
        }
        let again = edit(&image, &gone, Rest::Keep).expect("an edit");
        assert_eq!(again, edited);
        // It can be written to, and numbers are not given twice.
        after.execute("INSERT INTO Packages (blob) VALUES (x'00')", ()).expect("a row");
        assert_eq!(after.last_insert_rowid(), 120);
        after.execute("DELETE FROM Basenames WHERE hnum < 100", ()).expect("rows");
        assert_eq!(rows(&after, "PRAGMA integrity_check"), [r#"Text([111, 107])"#]);
    }
}

#[test]
fn databases_of_sqlite_that_are_not_rpms_are_left_alone() {
    let header = sqlite::header(&[(1000, sqlite::Tag::Text("a"))]);
    let with = |statements: &str| {
        let mut made = opened(&database(&[header.clone(), sqlite::header(&[(1000, sqlite::Tag::Text("b"))])], 4096));
        made.execute_batch(statements).expect(statements);
        let bytes = made.serialize(MAIN_DB).expect("bytes").to_vec();
        let image = Image::of(&[("var/lib/rpm/rpmdb.sqlite", File::Content(bytes))]);
        edit(&image, &["a"], Rest::Keep).map(|_| ()).map_err(|error| error.to_string())
    };
    let problem = |problem: &str| Err(format!("/var/lib/rpm/rpmdb.sqlite: {problem}"));
    assert_eq!(with(""), Ok(()));
    assert_eq!(with("CREATE VIEW v AS SELECT 1"), problem("it has more than tables and indexes"));
    assert_eq!(
        with("CREATE TABLE own (a, b); INSERT INTO own VALUES (1, 2)"),
        problem("it has a table that is not rpm's")
    );
    assert_eq!(
        with("CREATE TABLE own (a PRIMARY KEY, hnum, c) WITHOUT ROWID"),
        problem("a tree is of another kind than the schema says")
    );
    assert_eq!(
        with("CREATE INDEX part ON Name(key) WHERE idx > 3; INSERT INTO Name VALUES ('k', 3, 1)"),
        problem("an index does not go with its table")
    );
    assert_eq!(with("PRAGMA auto_vacuum = FULL; VACUUM"), problem("it shrinks by itself, which rpm's does not"));
}

/// A package with files in folders: each with its flags, its mode and the digest of the content that it was brought with.
fn package(name: &str, requires: &[&str], files: &[(&str, u32, u16, &str)]) -> Vec<u8> {
    let folders: Vec<String> =
        files.iter().map(|(path, ..)| path.rsplit_once('/').expect("a folder").0.to_owned() + "/").collect();
    let names: Vec<&str> = files.iter().map(|(path, ..)| path.rsplit_once('/').expect("a folder").1).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let digest = |brought: &str| if brought.is_empty() { String::new() } else { Digest::of(brought.as_bytes()).hex() };
    let digests: Vec<String> = files.iter().map(|(.., brought)| digest(brought)).collect();
    let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
    let places: Vec<u32> = (0..files.len()).map(|at| u32::try_from(at).expect("small")).collect();
    let flags: Vec<u32> = files.iter().map(|(_, flags, ..)| *flags).collect();
    let modes: Vec<u16> = files.iter().map(|(_, _, mode, _)| *mode).collect();
    sqlite::header(&[
        (1000, sqlite::Tag::Text(name)),
        (1030, sqlite::Tag::Small(&modes)),
        (1035, sqlite::Tag::Texts(&digests)),
        (1037, sqlite::Tag::Numbers(&flags)),
        (1049, sqlite::Tag::Texts(requires)),
        (1116, sqlite::Tag::Numbers(&places)),
        (1117, sqlite::Tag::Texts(&names)),
        (1118, sqlite::Tag::Texts(&folders)),
        (5011, sqlite::Tag::Numbers(&[8])),
    ])
}

const PLAIN: u16 = 0o100_644;
const FOLDER: u16 = 0o040_755;
const CONFIG: u32 = 1;
const GHOST: u32 = 64;

fn headers() -> [Vec<u8>; 2] {
    let tool = [
        ("/usr/bin/tool", 0, 0o100_755, "tool"),
        ("/etc/tool", 0, FOLDER, ""),
        ("/etc/tool/same", CONFIG, PLAIN, "same"),
        ("/etc/tool/changed", CONFIG, PLAIN, "was"),
        ("/etc/tool/missing", CONFIG, PLAIN, "was"),
        ("/var/lib/tool", 0, FOLDER, ""),
        ("/var/lib/tool/state", GHOST, PLAIN, ""),
        ("/var/lib/tool/own", CONFIG | GHOST, PLAIN, ""),
        ("/usr/share/both", 0, PLAIN, "both"),
        ("/usr/share/tool", 0, FOLDER, ""),
        ("/usr/share/tool/data", 0, PLAIN, "data"),
    ];
    let lib = [("/usr/share/both", 0, PLAIN, "both"), ("/usr/lib/lib.so", 0, PLAIN, "lib")];
    [package("tool", &["lib"], &tool), package("lib", &[], &lib)]
}

fn image(path: &str, database: Vec<u8>) -> Image {
    Image::of(&[
        (path, File::Content(database)),
        ("usr/bin/tool", text("tool")),
        ("etc/tool/same", text("same")),
        ("etc/tool/changed", text("is")),
        ("var/lib/tool/state", text("a state")),
        ("var/lib/tool/own", text("own")),
        ("usr/share/both", text("both")),
        ("usr/share/tool/data", text("data")),
        ("usr/lib/lib.so", text("lib")),
        ("usr/lib/sysimage/rpm/Index.db", text("index")),
        ("var/lib/alternatives/edit", text("auto\n/usr/bin/edit\n\n/usr/bin/tool\n50\n/usr/bin/other\n20\n")),
        ("var/lib/alternatives/else", text("auto\n/usr/bin/else\n\n/usr/bin/other\n@family@20\n")),
        ("etc/alternatives/edit", File::Link("/usr/bin/tool")),
        ("usr/bin/edit", File::Link("/etc/alternatives/edit")),
        ("usr/bin/other", text("")),
    ])
}

#[test]
fn files_as_rpm_erases_them() {
    let kept = image("var/lib/rpm/rpmdb.sqlite", database(&headers(), 4096));
    let edited = edit(&kept, &["tool"], Rest::Keep).expect("an edit");
    let common = [
        "etc/alternatives/edit -> /usr/bin/other",
        "etc/tool/changed gone",
        "etc/tool/changed.rpmsave from etc/tool/changed",
        "etc/tool/same gone",
        "usr/bin/tool gone",
        "usr/share/tool gone",
        "usr/share/tool/data gone",
        "var/lib/alternatives/edit written",
        "var/lib/rpm/rpmdb.sqlite written",
        "var/lib/tool/state gone",
    ];
    assert_eq!(shown(&edited), common);
    assert_eq!(written(&edited, "var/lib/alternatives/edit"), b"auto\n/usr/bin/edit\n\n/usr/bin/other\n20\n");
    let purged = shown(&edit(&kept, &["tool"], Rest::Purge).expect("an edit"));
    assert!(purged.contains(&"etc/tool gone".to_owned()), "{purged:?}");
    assert!(purged.contains(&"var/lib/tool/own gone".to_owned()), "{purged:?}");
    assert!(!purged.iter().any(|line| line.contains("rpmsave")), "{purged:?}");
    let error = edit(&kept, &["lib"], Rest::Keep).expect_err("it is needed").to_string();
    assert_eq!(error, "tool needs lib");
    // What both have goes with the last one.
    let both = shown(&edit(&kept, &["lib", "tool"], Rest::Keep).expect("an edit"));
    assert!(both.contains(&"usr/share/both gone".to_owned()) && both.contains(&"usr/lib/lib.so gone".to_owned()));
}

#[test]
fn ndb_is_written() {
    let packages = image("usr/lib/sysimage/rpm/Packages.db", ndb::database(&headers()));
    let edited = edit(&packages, &["tool"], Rest::Keep).expect("an edit");
    assert_eq!(edited.changes.get(&b"usr/lib/sysimage/rpm/Index.db"[..]), Some(&Change::Gone), "rpm makes it anew");
    let after = written(&edited, "usr/lib/sysimage/rpm/Packages.db");
    // One page of slots, then one blob: nothing of the other is left.
    assert_eq!(after.len() % 16, 0);
    assert!(!after.windows(4).any(|four| four == b"tool"));
    assert_eq!(after[8..12], 78u32.to_le_bytes(), "indexes of the database before do not count");
    let read = Image::of(&[("usr/lib/sysimage/rpm/Packages.db", File::Content(after.to_vec()))]).one();
    assert_eq!(read.packages.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["lib"]);
}

/// The indexes of two packages, of which the first one goes.
fn indexes(order: Order) -> [(&'static str, Vec<u8>, Vec<u8>); 3] {
    let made = |keys: &[(&str, &[(u32, u32)])]| berkeley::index(keys, order);
    let [both, tool, lib]: [&[(u32, u32)]; 3] = [&[(1, 8), (2, 0)], &[(1, 0)], &[(2, 0)]];
    [
        ("Name", made(&[("lib", lib), ("tool", tool)]), made(&[("lib", lib)])),
        (
            "Basenames",
            made(&[("both", both), ("data", &[(1, 10)]), ("lib.so", &[(2, 1)])]),
            made(&[("both", lib), ("lib.so", &[(2, 1)])]),
        ),
        ("Requirename", made(&[("lib", tool)]), made(&[])),
    ]
}

#[test]
fn berkeley_db_is_written_with_its_indexes() {
    for order in [Order::Little, Order::Big] {
        let database = |beside: Option<(&str, Vec<u8>)>| {
            let mut files = vec![("Packages".to_owned(), File::Content(berkeley::database(&headers(), order)))];
            files.extend(indexes(order).map(|(name, before, _)| (name.to_owned(), File::Content(before))));
            // None of them has a package that goes, or is an index.
            files.push(("Group".to_owned(), File::Content(berkeley::index(&[("Unspecified", &[(2, 0)])], order))));
            for own in ["__db.001", "__db.002", "__db.own", ".dbenv.lock", "own"] {
                files.push((own.to_owned(), text("in memory")));
            }
            files.extend(beside.map(|(name, content)| (name.to_owned(), File::Content(content))));
            let files: Vec<_> = files.into_iter().map(|(name, file)| (format!("var/lib/rpm/{name}"), file)).collect();
            Image::of(&files)
        };
        let before = database(None);
        let edited = edit(&before, &["tool"], Rest::Keep).expect("an edit");
        let expected = [
            "Basenames written",
            "Name written",
            "Packages written",
            "Requirename written",
            "__db.001 gone",
            "__db.002 gone",
        ];
        assert_eq!(shown(&edited), expected.map(|line| format!("var/lib/rpm/{line}")));
        for (name, _, after) in indexes(order) {
            assert_eq!(written(&edited, &format!("var/lib/rpm/{name}")), after, "{name}");
        }
        let after = written(&edited, "var/lib/rpm/Packages");
        assert!(!after.windows(4).any(|four| four == b"tool"), "no page has it any more");
        let read = Image::of(&[("var/lib/rpm/Packages", File::Content(after.to_vec()))]).one();
        assert_eq!(read.packages.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["lib"]);
        // What is no index of rpm's has entries of another size.
        let other = berkeley::database(&[vec![1; 9]], order);
        let error = edit(&database(Some(("Other", other))), &["tool"], Rest::Keep).expect_err("a doubt").to_string();
        assert_eq!(error, "/var/lib/rpm/Other: a set of packages is none");
    }
}
