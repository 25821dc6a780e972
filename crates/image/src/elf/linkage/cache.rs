//! `/etc/ld.so.cache`: where glibc's loader finds libraries (glibc, `sysdeps/generic/dl-cache.h`).

use hashbrown::HashMap;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// The sizes of the headers and of their entries.
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// The paths of each library's name, in the cache's order. A cache that can't be read is an empty one, as for the loader.
pub(super) fn read(bytes: &[u8]) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut paths: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    // A cache in the old format has one in the new format behind it.
    let start = if bytes.starts_with(OLD_MAGIC) {
        let count = number(bytes, 12, false).unwrap_or_default() as usize;
        count.saturating_mul(OLD_ENTRY).saturating_add(OLD_HEADER).next_multiple_of(8)
    } else {
        0
    };
    let Some(cache) = bytes.get(start..).filter(|cache| cache.starts_with(MAGIC)) else { return paths };
    // The flags say the byte order where they are set: 3 is big-endian.
    let is_big = cache.get(28).is_some_and(|flags| flags & 3 == 3);
    let count = number(cache, 20, is_big).unwrap_or_default() as usize;
    let text = |at: usize| {
        let offset = number(cache, at, is_big)? as usize;
        cache.get(offset..)?.split(|&byte| byte == 0).next()
    };
    for at in 0..count {
        let entry = at.saturating_mul(ENTRY).saturating_add(HEADER);
        let (Some(name), Some(path)) = (text(entry.saturating_add(4)), text(entry.saturating_add(8))) else { break };
        paths.entry(name.to_vec()).or_default().push(path.to_vec());
    }
    paths
}

fn number(bytes: &[u8], at: usize, is_big: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(u32::try_from(entries.len()).unwrap().to_le_bytes());
        out.resize(HEADER, 0);
        let mut texts = Vec::new();
        for (name, path) in entries {
            let mut place = |text: &str| {
                let at = HEADER + entries.len() * ENTRY + texts.len();
                texts.extend_from_slice(text.as_bytes());
                texts.push(0);
                u32::try_from(at).unwrap().to_le_bytes()
            };
            out.extend([1, 3, 0, 0]);
            out.extend(place(name));
            out.extend(place(path));
            out.extend([0; 12]);
        }
        out.extend(texts);
        out
    }

    #[test]
    fn names_have_their_paths_in_order() {
        let bytes = cache(&[("liba.so", "/lib/v3/liba.so"), ("liba.so", "/lib/liba.so"), ("libb.so", "/b")]);
        let found = read(&bytes);
        assert_eq!(found[b"liba.so".as_slice()], [b"/lib/v3/liba.so".to_vec(), b"/lib/liba.so".to_vec()]);
        let old = [OLD_MAGIC, &2u32.to_le_bytes(), &[7; 24], &bytes].concat();
        assert_eq!(read(&old), found, "behind a cache in the old format");
    }

    #[test]
    fn what_is_cut_off_is_not_there() {
        let bytes = cache(&[("liba.so", "/lib/liba.so")]);
        for length in 0..bytes.len() - 25 {
            assert!(read(&bytes[..length]).values().flatten().all(|path| b"/lib/liba.so".starts_with(path)));
        }
        let mut many = bytes;
        many[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&many)[b"liba.so".as_slice()], [b"/lib/liba.so"], "as far as there are entries");
    }
}
