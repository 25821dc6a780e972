//! Formats that hold a time or another thing which every build makes anew. Two files of such a format are compared
//! without it.

use bstr::ByteSlice as _;

/// A format.
struct Form {
    /// What is left out of the comparison.
    but_for: &'static str,
    /// The content without it; none where the file is not of the format.
    normal: fn(path: &str, content: &[u8]) -> Option<Vec<u8>>,
}

const FORMS: [Form; 8] = [
    Form { but_for: "the time in a gzip header", normal: gzip },
    Form { but_for: "the source's time in compiled Python", normal: compiled_python },
    Form { but_for: "times of an archive's members", normal: ar },
    Form { but_for: "times of a zip archive's members", normal: zip },
    Form { but_for: "times in a log", normal: log },
    Form { but_for: "the days of password changes", normal: shadow },
    Form { but_for: "the machine's id", normal: machine_id },
    Form { but_for: "the loader's notes on files", normal: loader_cache },
];

/// What two different contents differ in at most, where that is something which every build makes anew.
#[must_use]
pub(crate) fn same_but_for(path: &str, before: &[u8], after: &[u8]) -> Option<&'static str> {
    let is_same = |form: &&Form| {
        let normal = |content| (form.normal)(path, content);
        normal(before).is_some_and(|before| normal(after) == Some(before))
    };
    FORMS.iter().find(is_same).map(|form| form.but_for)
}

/// RFC 1952: the time of the first member stands in its bytes 4 to 7.
fn gzip(_: &str, content: &[u8]) -> Option<Vec<u8>> {
    content.starts_with(&[0x1f, 0x8b, 8]).then(|| blanked(content, 4, 4)).flatten()
}

/// PEP 552: magic number, flags, and where these are 0 the source's time.
fn compiled_python(path: &str, content: &[u8]) -> Option<Vec<u8>> {
    let is_timed = content.get(2..8).is_some_and(|bytes| bytes == [b'\r', b'\n', 0, 0, 0, 0]);
    (path.ends_with(".pyc") && is_timed).then(|| blanked(content, 8, 4)).flatten()
}

/// A member's header has 60 bytes: a name of 16, its time of 12, … its size of 10 from byte 48, and "`\n".
fn ar(_: &str, content: &[u8]) -> Option<Vec<u8>> {
    const MAGIC: &[u8] = b"!<arch>\n";
    let mut normal = content.strip_prefix(MAGIC)?.to_vec();
    let mut at = 0;
    while at < normal.len() {
        let header = normal.get(at..at + 60)?;
        let size: usize = header[48..58].to_str().ok()?.trim().parse().ok()?;
        normal[at + 16..at + 28].fill(b' ');
        at = at.checked_add(60)?.checked_add(size)?.checked_add(size % 2)?;
    }
    Some(normal)
}

/// The central directory names every member: its header has the time at byte 12, and points at the local one, which has
/// it at byte 10. Other times stand in extra fields, which are not looked into.
fn zip(_: &str, content: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"PK\x05\x06";
    const CENTRAL: &[u8] = b"PK\x01\x02";
    const LOCAL: &[u8] = b"PK\x03\x04";
    if !content.starts_with(LOCAL) {
        return None;
    }
    let end = content.rfind(END)?;
    let mut normal = content.to_vec();
    let mut at = number(content, end + 16, 4)?;
    for _ in 0..number(content, end + 10, 2)? {
        let local = number(content, at + 42, 4)?;
        if !content.get(at..)?.starts_with(CENTRAL) || !content.get(local..)?.starts_with(LOCAL) {
            return None;
        }
        normal.get_mut(at + 12..at + 16)?.fill(0);
        normal.get_mut(local + 10..local + 14)?.fill(0);
        let more: usize = [28, 30, 32].iter().map(|field| number(content, at + field, 2)).sum::<Option<usize>>()?;
        at += 46 + more;
    }
    Some(normal)
}

/// A little-endian number of `length` bytes.
fn number(content: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = content.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
}

/// Logs of package managers: `2026-11-26`, `11:22:33` and what other digits a time has.
fn log(path: &str, content: &[u8]) -> Option<Vec<u8>> {
    let is_log = path.starts_with("/var/log/") && !content.contains(&0);
    is_log.then(|| {
        let mut normal = content.to_vec();
        for at in 0..content.len() {
            for shape in ["dddd-dd-dd", "dd:dd:dd"] {
                if has_shape(content.get(at..at + shape.len()), shape) && !is_digit(content, at.wrapping_sub(1)) {
                    normal[at..at + shape.len()].fill(b'0');
                }
            }
        }
        normal
    })
}

fn has_shape(text: Option<&[u8]>, shape: &str) -> bool {
    text.is_some_and(|text| {
        text.iter().zip(shape.bytes()).all(|(&byte, form)| byte == form || (form == b'd' && byte.is_ascii_digit()))
    })
}

fn is_digit(content: &[u8], at: usize) -> bool {
    content.get(at).is_some_and(u8::is_ascii_digit)
}

/// shadow(5): the third field is the day of the last change.
fn shadow(path: &str, content: &[u8]) -> Option<Vec<u8>> {
    const FILES: [&str; 2] = ["/etc/shadow", "/etc/shadow-"];
    FILES.contains(&path).then(|| {
        let lines = content.split(|&byte| byte == b'\n').map(|line| {
            let mut fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
            if let Some(day) = fields.get_mut(2).filter(|day| day.iter().all(u8::is_ascii_digit)) {
                *day = b"";
            }
            fields.join(&b':')
        });
        lines.collect::<Vec<_>>().join(&b'\n')
    })
}

/// machine-id(5): 32 hexadecimal digits and a line end.
fn machine_id(path: &str, content: &[u8]) -> Option<Vec<u8>> {
    const FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let id = content.strip_suffix(b"\n").unwrap_or(content);
    let is_id = FILES.contains(&path) && id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit);
    is_id.then(Vec::new)
}

/// What ldconfig remembers of the libraries: their inodes and times, and then their names, which must be the same.
fn loader_cache(path: &str, content: &[u8]) -> Option<Vec<u8>> {
    let mut names = (path == "/var/cache/ldconfig/aux-cache").then(|| noted_libraries(content)).flatten()?;
    names.sort_unstable();
    Some(names.join(&b'\n'))
}

/// Whether both are what apt last asked its planner (its External Installation Planner Protocol), kept for bug reports and
/// written over by every run: it holds all packages that apt knew just then from its lists.
pub(crate) fn are_plans(path: &str, before: &[u8], after: &[u8]) -> bool {
    const XZ: &[u8] = b"\xfd7zXZ\0";
    path == "/var/log/apt/eipp.log.xz" && before.starts_with(XZ) && after.starts_with(XZ)
}

/// Logs in which dnf, yum and zypper tell of each call, also of one that empties their caches.
const TELLING: [&str; 7] = [
    "/var/log/dnf.librepo.log",
    "/var/log/dnf.log",
    "/var/log/dnf.rpm.log",
    "/var/log/hawkey.log",
    "/var/log/yum.log",
    "/var/log/zypp/history",
    "/var/log/zypper.log",
];

/// Whether a log of these has all that it had, in the same order, and more.
pub(crate) fn tells_more(path: &str, before: &[u8], after: &[u8]) -> bool {
    let logs = [before, after].map(|content| log(path, content).filter(|_| TELLING.contains(&path)));
    let [Some(before), Some(after)] = logs else { return false };
    let mut more = after.split(|&byte| byte == b'\n');
    before.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).all(|line| more.any(|other| other == line))
}

/// The folder of a log that npm names by the moment in which it was called: `_logs` of its cache.
pub(crate) fn folder_of_log(path: &str) -> Option<&str> {
    const MOMENT: &str = "0000-00-00T00_00_00_000Z-debug-";
    let (folder, name) = path.rsplit_once('/').filter(|(folder, _)| folder.ends_with("/_logs"))?;
    let (moment, number) = name.strip_suffix(".log")?.split_at_checked(MOMENT.len())?;
    let is_like = |(own, wanted): (u8, u8)| if wanted == b'0' { own.is_ascii_digit() } else { own == wanted };
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && moment.bytes().zip(MOMENT.bytes()).all(is_like)).then_some(folder)
}

/// The names in ldconfig's notes (glibc's `elf/cache.c`): a header with a magic text, a version, and the number of entries
/// of 48 bytes each; of these the fields at 32 and 36 are flags and where the name is among those behind the entries. The
/// other fields hold inodes, times and what happened to be in memory.
pub(crate) fn noted_libraries(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    const MAGIC: &[u8] = b"glibc-ld.so.auxcache-";
    const VERSION: usize = 3;
    let start = MAGIC.len() + VERSION;
    let count = content.starts_with(MAGIC).then(|| number(content, start, 4)).flatten()?;
    let header = start + 8;
    let names = content.get(count.checked_mul(48)?.checked_add(header)?..)?;
    let name = |at: usize| {
        let name = names.get(number(content, header + at * 48 + 36, 4)?..)?;
        Some(name[..name.find_byte(0)?].to_vec())
    };
    (0..count).map(name).collect()
}

fn blanked(content: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
    let mut normal = content.to_vec();
    normal.get_mut(at..at + length)?.fill(0);
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, before: &[u8], after: &[u8], other: &[u8], words: &str) {
        assert!(same_but_for(path, before, after).is_some_and(|found| found.contains(words)), "{path}");
        assert_eq!(same_but_for(path, before, other), None, "{path}: a real difference");
    }

    #[test]
    fn times_in_headers_do_not_count() {
        let gz = |time: u8, data: u8| [&[0x1f, 0x8b, 8, 0, time, 0, 0, 0, 0, 3][..], &[data]].concat();
        check("/a.gz", &gz(1, 7), &gz(2, 7), &gz(2, 8), "gzip");
        let pyc = |time: u8, data: u8| {
            [&[0xa7, 0x0d, b'\r', b'\n', 0, 0, 0, 0, time, 0, 0, 0, 9, 0, 0, 0][..], &[data]].concat()
        };
        check("/x/__pycache__/a.cpython-311.pyc", &pyc(1, 7), &pyc(2, 7), &pyc(2, 8), "Python");
        // With a hash of the source in place of its time, the bytes count.
        let hashed = |byte: u8| [&[0xa7, 0x0d, b'\r', b'\n', 1, 0, 0, 0, byte][..], &[0; 8]].concat();
        assert_eq!(same_but_for("/a.pyc", &hashed(1), &hashed(2)), None);
    }

    #[test]
    fn times_of_members_do_not_count() {
        let member = |name: &str, time: &str, content: &str| {
            format!("{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n{content}", 0, 0, 644, content.len())
        };
        let ar = |time: &str, content: &str| {
            format!("!<arch>\n{}{}", member("a/", time, "xy"), member("b/", time, content)).into_bytes()
        };
        check("/lib/x.a", &ar("1700000000", "12"), &ar("1800000000", "12"), &ar("1700000000", "13"), "archive");
        let zip = |time: u8, content: u8| {
            let mut bytes = [b"PK\x03\x04".to_vec(), vec![0; 26], b"a".to_vec(), vec![content]].concat();
            bytes[10] = time;
            bytes[26] = 1;
            let central = bytes.len();
            bytes.extend([b"PK\x01\x02".to_vec(), vec![0; 42], b"a".to_vec()].concat());
            bytes[central + 12] = time;
            bytes[central + 28] = 1;
            let mut end = [b"PK\x05\x06".to_vec(), vec![0; 18]].concat();
            end[10] = 1;
            end[16] = u8::try_from(central).expect("small");
            bytes.extend(end);
            bytes
        };
        check("/app.jar", &zip(1, 7), &zip(2, 7), &zip(2, 8), "zip");
    }

    #[test]
    fn what_systems_write_by_themselves_does_not_count() {
        let log = |time: &str, what: &str| format!("2026-11-26 {time} status {what} x 1.0-12\n").into_bytes();
        check(
            "/var/log/dpkg.log",
            &log("11:22:33", "installed"),
            &log("11:23:01", "installed"),
            &log("11:22:33", "half"),
            "log",
        );
        assert_eq!(same_but_for("/srv/a", &log("11:22:33", "x"), &log("11:22:34", "x")), None, "no log");
        let shadow = |day: &str, hash: &str| format!("root:*:1:0:::::\napp:{hash}:{day}:0:99999:7:::\n").into_bytes();
        check("/etc/shadow", &shadow("20000", "!"), &shadow("20001", "!"), &shadow("20000", "x"), "password");
        let id = |digit: &str| format!("{}\n", digit.repeat(32)).into_bytes();
        check("/etc/machine-id", &id("a"), &id("b"), b"uninitialized\n", "machine");
        let aux = |inode: u8, name: &str| {
            let entry = [&[inode; 32][..], &[3, 3, 0, 0, 1, 0, 0, 0], &[inode; 8]].concat();
            let header = [&b"glibc-ld.so.auxcache-2.0"[..], &[1, 0, 0, 0, 20, 0, 0, 0]].concat();
            [&header, &entry, &b"\0"[..], name.as_bytes(), b"\0"].concat()
        };
        let path = "/var/cache/ldconfig/aux-cache";
        check(path, &aux(1, "libc.so.6"), &aux(2, "libc.so.6"), &aux(1, "libm.so.6"), "loader");
    }

    #[test]
    fn logs_of_npm_are_known_by_their_names() {
        assert_eq!(folder_of_log("/root/.npm/_logs/2026-11-26T13_21_43_815Z-debug-0.log"), Some("/root/.npm/_logs"));
        for other in [
            "/root/.npm/_logs/x-debug-0.log",
            "/root/.npm/_logs/2026-11-26T13_21_43_815Z-debug-.log",
            "/root/.npm/_logs/2026-11-26T13_21_43_815Z-debug-0.log/x",
            "/srv/2026-11-26T13_21_43_815Z-debug-0.log",
            "2026-11-26T13_21_43_815Z-debug-0.log",
        ] {
            assert_eq!(folder_of_log(other), None, "{other}");
        }
    }

    #[test]
    fn broken_files_are_not_of_a_form() {
        for content in [&b"!<arch>\nshort"[..], b"PK\x03\x04", b"PK\x03\x04PK\x05\x06", b"\x1f\x8b\x08", b""] {
            assert_eq!(same_but_for("/x", content, b"other"), None);
            assert_eq!(same_but_for("/x", content, &[content, b"y"].concat()), None);
        }
    }
}
