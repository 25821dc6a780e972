//! A database of rpm in the ndb format, made by hand: slots at the front, each followed by room for more, and blobs in
//! blocks of 16 bytes behind them, the last package's first.

const PAGE: usize = 4096;
const BLOCK: usize = 16;

/// The database with a blob for each header.
pub(crate) fn database(headers: &[Vec<u8>]) -> Vec<u8> {
    let numbers = |numbers: &[usize]| -> Vec<u8> {
        numbers.iter().flat_map(|number| u32::try_from(*number).expect("small").to_le_bytes()).collect()
    };
    assert!((headers.len() * 2 + 2) * BLOCK <= PAGE, "one page of slots");
    let mut slots = [b"RpmP".to_vec(), numbers(&[0, 77, 1, headers.len() + 1, 0, 0, 0])].concat();
    let mut blobs: Vec<u8> = Vec::new();
    let mut places = vec![(0, 0); headers.len()];
    for (at, header) in headers.iter().enumerate().rev() {
        let mut blob = [b"BlbS".to_vec(), numbers(&[at + 1, 1_700_000_000, header.len()]), header.clone()].concat();
        while (blob.len() + 12) % BLOCK != 0 {
            blob.push(0);
        }
        let (mut low, mut high) = (1u64, 0u64);
        for byte in &blob {
            low = (low + u64::from(*byte)) % 65521;
            high = (high + low) % 65521;
        }
        let sum = usize::try_from(high * 65536 + low).expect("small");
        blob.extend([numbers(&[sum, header.len()]), b"BlbE".to_vec()].concat());
        places[at] = ((PAGE + blobs.len()) / BLOCK, blob.len() / BLOCK);
        // Room that a removed package left.
        blobs.extend(blob);
        blobs.extend([0; BLOCK]);
    }
    for (at, (start, count)) in places.into_iter().enumerate() {
        slots.extend([b"Slot".to_vec(), numbers(&[at + 1, start, count])].concat());
        slots.extend([b"Slot".to_vec(), numbers(&[0, 0, 0])].concat());
    }
    while slots.len() < PAGE {
        slots.extend([b"Slot".to_vec(), numbers(&[0, 0, 0])].concat());
    }
    [slots, blobs].concat()
}
