//! Sparse files: old GNU headers (typeflag `S`) and the PAX forms 0.0, 0.1 and 1.0 (GNU tar manual,
//! "Storing Sparse Files"). A sparse file is read as the whole file that a container sees.

use super::read::TarErrorKind;

/// A run of stored bytes and the place in the file where it belongs; what lies between runs is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the run stands in the whole file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What PAX records say of a sparse file, gathered over one extended header.
#[derive(Default)]
pub(super) struct PaxSparse {
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    pub(super) extents: Vec<Extent>,
    pub(super) is_version_1: bool,
    pub(super) is_sparse: bool,
    offset: Option<u64>,
}

impl PaxSparse {
    /// Takes a `GNU.sparse.*` record; other keys are not for here.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarErrorKind> {
        let Some(key) = key.strip_prefix(b"GNU.sparse.") else { return Ok(()) };
        self.is_sparse = true;
        match key {
            b"major" => self.is_version_1 = value == b"1",
            b"name" => self.name = Some(value.to_vec()),
            b"realsize" | b"size" => self.real_size = Some(number(value)?),
            b"offset" => self.offset = Some(number(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or(TarErrorKind::Sparse)?;
                self.extents.push(Extent { offset, length: number(value)? });
            }
            b"map" => {
                let numbers: Vec<u64> = value.split(|&c| c == b',').map(number).collect::<Result<_, _>>()?;
                let pairs = numbers.chunks_exact(2);
                if !pairs.remainder().is_empty() {
                    return Err(TarErrorKind::Sparse);
                }
                self.extents = pairs.map(|pair| Extent { offset: pair[0], length: pair[1] }).collect();
            }
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn number(text: &[u8]) -> Result<u64, TarErrorKind> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(TarErrorKind::Sparse)
}

/// Checks that the runs ascend, lie within the file and add up to the stored bytes.
pub(super) fn check(extents: &[Extent], real_size: u64, stored: u64) -> Result<(), TarErrorKind> {
    let mut end = 0;
    let mut sum: u64 = 0;
    for extent in extents {
        let next = extent.offset.checked_add(extent.length).ok_or(TarErrorKind::Sparse)?;
        if extent.offset < end || next > real_size {
            return Err(TarErrorKind::Sparse);
        }
        end = next;
        sum += extent.length;
    }
    if sum == stored { Ok(()) } else { Err(TarErrorKind::Sparse) }
}
