//! PAX extended header records (POSIX.1-2017, pax, "pax Extended Header").

use super::read::TarErrorKind;

/// Walks the records `LENGTH KEY=VALUE\n` of one extended header.
pub(super) fn records(mut data: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), TarErrorKind>> {
    std::iter::from_fn(move || {
        // Some writers pad the data with NUL bytes.
        if data.is_empty() || data[0] == 0 {
            return None;
        }
        let record = split(data);
        data = record.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(record.map(|(key, value, _)| (key, value)))
    })
}

type Split<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn split(data: &[u8]) -> Result<Split<'_>, TarErrorKind> {
    let parts = || {
        let space = data.iter().take(20).position(|&c| c == b' ')?;
        let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&c| c == b'=')?;
        Some((&record[..equals], &record[equals + 1..], &data[length..]))
    };
    parts().ok_or(TarErrorKind::PaxRecord)
}

/// Appends one record. Its length counts its own digits.
pub(super) fn push(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let bare = key.len() + value.len() + 3;
    let mut length = bare + 1;
    while length != bare + length.to_string().len() {
        length = bare + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_at_every_length() {
        for size in 0..1200 {
            let mut data = Vec::new();
            push(&mut data, b"path", &vec![b'x'; size]);
            push(&mut data, b"k", b"a=b\n");
            let read: Result<Vec<_>, _> = records(&data).collect();
            assert_eq!(read.expect("valid"), [(&b"path"[..], &vec![b'x'; size][..]), (b"k", b"a=b\n")]);
        }
    }

    #[test]
    fn refuses_lengths_that_do_not_fit() {
        for bad in ["99 a=b\n", "7 a=b", "x a=b\n", "5 ab\n", "3 \n", "6 a=bc\n"] {
            assert!(records(bad.as_bytes()).any(|record| record.is_err()), "{bad:?}");
        }
    }
}
