//! Digests of the context's files, so that what did not change is not read again.
//!
//! They lie in one file, sorted, and are searched as they lie there: a build that finds all that it asks for makes
//! nothing of them but one buffer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jettison_image::Digest;

use super::{Cache, CacheError};
use crate::files::{Digests, Known, Stat, Time};

/// The name of the file, with the version of its form.
const FILE: &str = "digests-2";
/// The bytes of a record: seven numbers and a digest.
const RECORD: usize = 7 * 8 + 32;
/// A file that changed so shortly before it was read may change again without a sign: times have a resolution.
const FRESH_SECONDS: i64 = 2;
/// Records that were not asked for are dropped after so many days.
const KEPT_DAYS: u64 = 30;

/// The device and number of a file.
type Inode = (u64, u64);

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
struct Record {
    inode: Inode,
    /// Size, mtime and ctime: any change shows in at least one of them.
    state: [u64; 3],
    /// When it was last asked for, in days since 1970.
    day: u64,
    known: Known,
}

/// Records as they lie in the file.
#[derive(Debug, Default)]
struct Stored(Vec<u8>);

/// Digests by device and inode.
#[derive(Debug)]
pub struct FileDigests {
    cache: Cache,
    stored: OnceLock<Stored>,
    /// What is new or was asked for for the first time today.
    learnt: Mutex<HashMap<Inode, Record>>,
    has_learnt: AtomicBool,
    /// Files that changed later than this may change once more while they are read.
    trusted: i64,
    today: u64,
}

impl Cache {
    /// The digests that earlier builds left. Damaged ones are none.
    #[must_use]
    pub fn digests(&self) -> FileDigests {
        let now = seconds(SystemTime::now());
        FileDigests {
            cache: self.clone(),
            stored: OnceLock::new(),
            learnt: Mutex::default(),
            has_learnt: AtomicBool::new(false),
            trusted: now - FRESH_SECONDS,
            today: u64::try_from(now / 86_400).unwrap_or_default(),
        }
    }
}

impl FileDigests {
    /// Keeps what was learnt, together with what other builds learnt meanwhile.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self) -> Result<(), CacheError> {
        if !self.has_learnt.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let _guard = self.cache.guard()?;
        let stored = Stored::read(&self.cache);
        let mut all: HashMap<Inode, Record> =
            stored.records().iter().map(Record::decode).map(|record| (record.inode, record)).collect();
        all.extend(self.learnt.lock().unwrap_or_else(PoisonError::into_inner).iter());
        let mut kept: Vec<&Record> = all.values().filter(|record| record.day + KEPT_DAYS >= self.today).collect();
        kept.sort_unstable_by_key(|record| record.inode);
        let mut bytes = Vec::with_capacity(kept.len() * RECORD + 32);
        for record in kept {
            record.encode(&mut bytes);
        }
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(&check.0);
        self.cache.replace(FILE, &bytes)
    }

    fn learn(&self, record: Record) {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner).insert(record.inode, record);
        self.has_learnt.store(true, Ordering::Release);
    }

    /// What this build learnt of a file.
    fn recall(&self, stat: &Stat) -> Option<Known> {
        if !self.has_learnt.load(Ordering::Acquire) {
            return None;
        }
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.get(&stat.inode).filter(|record| record.state == state(stat)).map(|record| record.known)
    }
}

impl Digests for FileDigests {
    fn get(&self, stat: &Stat) -> Option<Known> {
        let stored = self.stored.get_or_init(|| Stored::read(&self.cache));
        let Some(record) = stored.find(stat.inode).filter(|record| record.state == state(stat)) else {
            return self.recall(stat);
        };
        if record.day != self.today {
            self.learn(Record { day: self.today, ..record });
        }
        Some(record.known)
    }

    fn put(&self, stat: &Stat, known: Known) {
        if stat.mtime.0.max(stat.ctime.0) < self.trusted {
            self.learn(Record { inode: stat.inode, state: state(stat), day: self.today, known });
        }
    }
}

impl Stored {
    fn read(cache: &Cache) -> Self {
        let mut bytes = std::fs::read(cache.root.join(FILE)).unwrap_or_default();
        let length = bytes.len().saturating_sub(32);
        if bytes[length..] != Digest::of(&bytes[..length]).0 {
            return Self::default();
        }
        bytes.truncate(length);
        Self(bytes)
    }

    fn records(&self) -> &[[u8; RECORD]] {
        self.0.as_chunks().0
    }

    fn find(&self, inode: Inode) -> Option<Record> {
        let records = self.records();
        let at = records.binary_search_by_key(&inode, Record::inode_of).ok()?;
        Some(Record::decode(&records[at]))
    }
}

impl Record {
    fn number(bytes: &[u8; RECORD], at: usize) -> u64 {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at * 8..][..8]);
        u64::from_le_bytes(number)
    }

    fn inode_of(bytes: &[u8; RECORD]) -> Inode {
        (Self::number(bytes, 0), Self::number(bytes, 1))
    }

    fn decode(bytes: &[u8; RECORD]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[7 * 8..]);
        Self {
            inode: Self::inode_of(bytes),
            state: [2, 3, 4].map(|at| Self::number(bytes, at)),
            day: Self::number(bytes, 5),
            known: Known { digest: Digest(digest), is_plain: Self::number(bytes, 6) == 1 },
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let [size, mtime, ctime] = self.state;
        let is_plain = u64::from(self.known.is_plain);
        for number in [self.inode.0, self.inode.1, size, mtime, ctime, self.day, is_plain] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.known.digest.0);
    }
}

fn state(stat: &Stat) -> [u64; 3] {
    let nanoseconds = |(seconds, rest): Time| seconds.wrapping_mul(1_000_000_000).wrapping_add(i64::from(rest));
    [stat.size, nanoseconds(stat.mtime).cast_unsigned(), nanoseconds(stat.ctime).cast_unsigned()]
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
