//! Digests of the context's files, so that what did not change is not read again.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jettison_image::Digest;

use super::{Cache, CacheError};
use crate::files::Digests;

/// The name of the file, with the version of its form.
const FILE: &str = "digests-1";
/// The bytes of an entry: seven numbers and a digest.
const ENTRY: usize = 7 * 8 + 32;
/// A file that changed so shortly before it was read may change again without a sign: times have a resolution.
const FRESH_SECONDS: i64 = 2;
/// Entries that were not asked for are dropped after so many days.
const KEPT_DAYS: u64 = 30;

/// A file as `stat` shows it: any change shows in at least one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    size: u64,
    mtime: i64,
    ctime: i64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    state: State,
    digest: Digest,
    /// When it was last asked for, in days since 1970.
    day: u64,
}

/// Digests by device and inode.
#[derive(Debug)]
pub struct FileDigests {
    cache: Cache,
    known: Mutex<HashMap<(u64, u64), Known>>,
    /// Files that changed later than this may change once more while they are read.
    trusted: i64,
    today: u64,
    changed: AtomicBool,
}

impl Cache {
    /// The digests that earlier builds left. Damaged ones are none.
    #[must_use]
    pub fn digests(&self) -> FileDigests {
        let bytes = std::fs::read(self.root.join(FILE)).unwrap_or_default();
        let now = seconds(SystemTime::now());
        let today = now / 86_400;
        FileDigests {
            cache: self.clone(),
            known: Mutex::new(decode(&bytes)),
            today: u64::try_from(today).unwrap_or_default(),
            trusted: now - FRESH_SECONDS,
            changed: AtomicBool::new(false),
        }
    }
}

impl FileDigests {
    /// Keeps what was learnt, together with what other builds learnt meanwhile.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self) -> Result<(), CacheError> {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let _guard = self.cache.guard()?;
        let mut all = decode(&std::fs::read(self.cache.root.join(FILE)).unwrap_or_default());
        all.extend(self.known.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(key, known)| (*key, *known)));
        let mut bytes = Vec::with_capacity(all.len() * ENTRY + 32);
        for ((device, inode), known) in &all {
            if known.day + KEPT_DAYS < self.today {
                continue;
            }
            let State { size, mtime, ctime } = known.state;
            for number in [*device, *inode, size, mtime.cast_unsigned(), ctime.cast_unsigned(), known.day, 0] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(&known.digest.0);
        }
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(&check.0);
        self.cache.replace(FILE, &bytes)
    }
}

impl Digests for FileDigests {
    fn get(&self, _path: &Path, metadata: &Metadata) -> Option<Digest> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get_mut(&(metadata.dev(), metadata.ino()))?;
        if found.state != state(metadata) {
            return None;
        }
        if found.day != self.today {
            found.day = self.today;
            self.changed.store(true, Ordering::Relaxed);
        }
        Some(found.digest)
    }

    fn put(&self, _path: &Path, metadata: &Metadata, digest: Digest) {
        let newest = metadata.mtime().max(metadata.ctime());
        if newest >= self.trusted {
            return;
        }
        let known = Known { state: state(metadata), digest, day: self.today };
        let key = (metadata.dev(), metadata.ino());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        self.changed.store(true, Ordering::Relaxed);
    }
}

fn state(metadata: &Metadata) -> State {
    let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
    State {
        size: metadata.size(),
        mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn decode(bytes: &[u8]) -> HashMap<(u64, u64), Known> {
    let Some((entries, check)) = bytes.split_at_checked(bytes.len().saturating_sub(32)) else { return HashMap::new() };
    if check != Digest::of(entries).0 {
        return HashMap::new();
    }
    let decoded = entries.chunks_exact(ENTRY).map(|entry| {
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&entry[at * 8..][..8]);
            u64::from_le_bytes(bytes)
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(&entry[7 * 8..]);
        let state = State { size: number(2), mtime: number(3).cast_signed(), ctime: number(4).cast_signed() };
        ((number(0), number(1)), Known { state, digest: Digest(digest), day: number(5) })
    });
    decoded.collect()
}
