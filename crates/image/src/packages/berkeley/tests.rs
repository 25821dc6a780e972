//! What is written is read again, in both orders of bytes and all sizes of pages, and nothing that is read makes it panic.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Form, HASH, MEMBER, Order, Pages, TREE, blobs, hash, index_without, packages, replaced, tree, without};

/// Keys with their values.
type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The settings of a database without entries.
fn settings(form: Form, order: Order, page: usize, version: u32) -> Vec<u8> {
    let mut bytes = vec![0; page];
    let magic = if form == Form::Hash { HASH } else { TREE };
    let page = u32::try_from(page).unwrap();
    // At 76 is how many keys a leaf has at least, at 92 the number of the sample key.
    let own = if form == Form::Hash { (92, 0x5e68_8dd1) } else { (76, 2) };
    for (at, number) in [(12, magic), (16, version), (20, page), (40, 7), own] {
        bytes[at..at + 4].copy_from_slice(&order.bytes(number));
    }
    bytes
}

fn build(form: Form, order: Order, page: usize, pairs: Pairs) -> Result<Vec<u8>, &'static str> {
    let settings = settings(form, order, page, 9);
    let pages = Pages::new(&settings).unwrap();
    let pairs: Vec<_> = pairs.into_iter().collect();
    match form {
        Form::Hash => hash::build(&pages, pairs),
        Form::Tree => tree::build(&pages, &pairs),
    }
}

/// The pairs in the order in which they are found.
fn pairs(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pages = Pages::new(bytes).unwrap();
    let entries = match pages.form {
        Form::Hash => hash::entries(&mut pages).unwrap(),
        Form::Tree => tree::entries(&mut pages).unwrap(),
    };
    assert_eq!(pages.left, 1, "no page is left over: all but the settings are looked at");
    entries.iter().map(|entry| (pages.content(&entry.key), pages.content(&entry.value))).collect()
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Little), Just(Order::Big)]
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![Just(512), Just(4096), Just(65536)]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => proptest::collection::vec(any::<u8>(), 0..40),
        2 => proptest::collection::vec(any::<u8>(), 100..150),
        1 => proptest::collection::vec(any::<u8>(), 400..3000),
    ]
}

/// Headers under numbers; zero is there as in rpm's own.
fn headers() -> impl Strategy<Value = BTreeMap<u32, Vec<u8>>> {
    proptest::collection::btree_map(0u32..500, values(), 0..200)
}

/// Sets of an index, each a number and a place, under keys of which many begin alike.
fn index() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u32>>> {
    let key = ("[ab]{0,6}", 0usize..100).prop_map(|(key, more)| [key.into_bytes(), vec![b'x'; more]].concat());
    let set =
        prop_oneof![9 => proptest::collection::vec(1u32..40, 1..4), 1 => proptest::collection::vec(1u32..40, 100..400)];
    proptest::collection::btree_map(key, set, 0..250)
}

fn set(numbers: &[u32], order: Order) -> Vec<u8> {
    numbers.iter().flat_map(|number| [order.bytes(*number), order.bytes(number * 3)]).flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn headers_that_stay_are_read_again(
        headers in headers(), gone in proptest::collection::btree_set(1u32..500, 0..200), order in orders(), page in sizes(),
    ) {
        let all: Pairs = headers.iter().map(|(number, header)| (order.bytes(*number).to_vec(), header.clone())).collect();
        let whole = build(Form::Hash, order, page, all).unwrap();
        let expected = |gone: &BTreeSet<u32>| -> Vec<(u32, Vec<u8>)> {
            let stay = headers.iter().filter(|(number, _)| **number != 0 && !gone.contains(number));
            stay.map(|(number, header)| (*number, header.clone())).collect()
        };
        prop_assert_eq!(blobs(&whole).unwrap(), expected(&BTreeSet::new()));
        let left = without(&whole, &gone).unwrap();
        prop_assert_eq!(blobs(&left).unwrap(), expected(&gone));
        prop_assert_eq!(pairs(&left).len(), packages(&mut Pages::new(&left).unwrap()).unwrap().len());
        let zero = packages(&mut Pages::new(&left).unwrap()).unwrap().contains_key(&0);
        prop_assert_eq!(zero, headers.contains_key(&0), "rpm's last number stays");
        prop_assert_eq!(without(&left, &gone).unwrap(), left, "what is written once is written so again");
    }

    #[test]
    fn headers_are_replaced_in_their_places(headers in headers(), order in orders(), page in sizes(), by in any::<u8>()) {
        let all: Pairs = headers.iter().map(|(number, header)| (order.bytes(*number).to_vec(), header.clone())).collect();
        let whole = build(Form::Hash, order, page, all).unwrap();
        let changed: BTreeMap<u32, Vec<u8>> = headers.iter().filter(|(number, _)| **number % 3 == 1)
            .map(|(number, header)| (*number, header.iter().map(|byte| byte ^ by).collect())).collect();
        let new = replaced(&whole, &changed).unwrap();
        let expected: Vec<(u32, Vec<u8>)> = headers.iter().filter(|(number, _)| **number != 0)
            .map(|(number, header)| (*number, changed.get(number).unwrap_or(header).clone())).collect();
        prop_assert_eq!(blobs(&new).unwrap(), expected);
        prop_assert_eq!(new.len(), whole.len());
        let back: BTreeMap<u32, Vec<u8>> = changed.keys().map(|number| (*number, headers[number].clone())).collect();
        prop_assert_eq!(replaced(&new, &back).unwrap(), whole);
    }

    #[test]
    fn indexes_lose_what_goes(
        index in index(), gone in proptest::collection::btree_set(1u32..40, 0..40), order in orders(),
        page in sizes(), form in prop_oneof![Just(Form::Hash), Just(Form::Tree)],
    ) {
        let all: Pairs = index.iter().map(|(key, numbers)| (key.clone(), set(numbers, order))).collect();
        let whole = build(form, order, page, all.clone()).unwrap();
        let sorted = |bytes: &[u8]| {
            let mut pairs = pairs(bytes);
            if form == Form::Hash {
                pairs.sort();
            }
            pairs
        };
        prop_assert_eq!(sorted(&whole), all.into_iter().collect::<Vec<_>>());
        let left = index_without(&whole, &gone).unwrap();
        let mut expected = Vec::new();
        for (key, numbers) in &index {
            let numbers: Vec<u32> = numbers.iter().filter(|number| !gone.contains(number)).copied().collect();
            if !numbers.is_empty() {
                expected.push((key.clone(), set(&numbers, order)));
            }
        }
        prop_assert_eq!(sorted(&left), expected);
        prop_assert_eq!(index_without(&left, &gone).unwrap(), left);
    }

    #[test]
    fn damaged_files_are_errors_and_no_more(
        index in index(), order in orders(), form in prop_oneof![Just(Form::Hash), Just(Form::Tree)],
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8), cut in any::<proptest::sample::Index>(),
    ) {
        let all: Pairs = index.iter().map(|(key, numbers)| (key.clone(), set(numbers, order))).collect();
        let mut bytes = build(form, order, 512, all).unwrap();
        let gone = BTreeSet::from([1, 2, 3]);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = (index_without(&bytes, &gone), blobs(&bytes), without(&bytes, &gone));
        bytes.truncate(cut.index(bytes.len()));
        let _ = (index_without(&bytes, &gone), blobs(&bytes), replaced(&bytes, &BTreeMap::from([(1, vec![1])])));
    }

    #[test]
    fn any_bytes_behind_settings_are_errors_and_no_more(
        order in orders(), form in prop_oneof![Just(Form::Hash), Just(Form::Tree)],
        rest in proptest::collection::vec(any::<u8>(), 436..3000),
    ) {
        let mut bytes = settings(form, order, 512, 9);
        bytes.truncate(76);
        bytes.extend(rest);
        let gone = BTreeSet::from([1, 2, 3]);
        let _ = (index_without(&bytes, &gone), blobs(&bytes), without(&bytes, &gone));
    }
}

#[test]
fn trees_of_several_heights() {
    for (count, heights) in [(0, 1), (1, 1), (30, 2), (3000, 4)] {
        let all: Pairs =
            (0..count).map(|at| (format!("key {at:06} {}", "x".repeat(80)).into_bytes(), vec![0; 8])).collect();
        let bytes = build(Form::Tree, Order::Little, 512, all.clone()).unwrap();
        assert_eq!(bytes[512 + 24], heights, "{count}: the root's height");
        assert_eq!(pairs(&bytes), all.into_iter().collect::<Vec<_>>());
        // Leaves lead to the next ones, for those who read all of them.
        let mut leaves: Vec<&[u8]> = bytes.chunks(512).filter(|page| page[25] == 5).collect();
        leaves.sort_by_key(|page| page[8..12].iter().rev().map(u8::to_owned).collect::<Vec<_>>());
        for two in leaves.windows(2) {
            assert_eq!((&two[0][16..20], &two[1][12..16]), (&two[1][8..12], &two[0][8..12]));
        }
    }
}

#[test]
fn older_hashes_have_pages_without_an_order() {
    for (version, kind) in [(8, 2), (9, 13)] {
        let settings = settings(Form::Hash, Order::Big, 512, version);
        let pages = Pages::new(&settings).unwrap();
        let bytes = hash::build(&pages, vec![(vec![0, 0, 0, 1], vec![7; 60])]).unwrap();
        assert_eq!((bytes[512 + 25], bytes[1024 + 25]), (kind, kind));
        assert_eq!(blobs(&bytes), Ok(vec![(1, vec![7; 60])]));
    }
}

#[test]
fn buckets_that_never_had_an_entry_are_zeros() {
    let mut bytes = settings(Form::Hash, Order::Little, 512, 9);
    bytes.resize(3 * 512, 0);
    // The last page, the last bucket, the pages before the buckets.
    for (at, number) in [(32, 2), (72, 1), (96, 1), (100, 1)] {
        bytes[at] = number;
    }
    assert_eq!(blobs(&bytes), Ok(vec![]));
    assert_eq!(index_without(&bytes, &BTreeSet::from([1])), Ok(bytes.clone()));
    bytes[1024 + 100] = 1;
    assert_eq!(blobs(&bytes), Err("a page has another's number"));
    let mut tree = build(Form::Tree, Order::Little, 512, Pairs::new()).unwrap();
    tree[512..].fill(0);
    assert_eq!(index_without(&tree, &BTreeSet::from([1])), Err("a page has another's number"));
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let pair = |key: usize, value: usize| Pairs::from([(vec![1; key], vec![2; value])]);
    let hash = build(Form::Hash, Order::Little, 512, pair(4, MEMBER)).unwrap();
    let tree = build(Form::Tree, Order::Little, 512, pair(4, MEMBER)).unwrap();
    let gone = BTreeSet::from([0x0202_0202]);
    let changed = |whole: &[u8], at: usize, byte: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] = byte;
        index_without(&bytes, &gone).expect_err("damaged")
    };
    for (at, byte, expected) in [
        (16, 10, "its version is read and not written"),
        (26, 1, "its pages have checksums"),
        (26, 2, "it is in several files"),
        (36, 1, "it is in several files"),
        (48, 1, "it has duplicates, counts its entries or holds databases, which rpm's do not"),
    ] {
        assert_eq!(changed(&hash, at, byte), expected);
        assert_eq!(changed(&tree, at, byte), expected);
    }
    assert_eq!(changed(&hash, 92, 1), "its keys are placed by a function of its own");
    assert_eq!(changed(&tree, 76, 1), "its pages must hold more keys than they can");
    assert_eq!(changed(&tree, 77, 1), "its pages must hold more keys than they can");
    assert_eq!(changed(&tree, 512 + 25, 12), "a page is not one of a tree");
    assert_eq!(changed(&tree, 512 + 20, 1), "a key has no value");
    assert_eq!(index_without(&tree, &BTreeSet::from([5])), Ok(tree.clone()), "nothing changes");
    let gone = BTreeSet::from([5]);
    let three = build(
        Form::Tree,
        Order::Little,
        512,
        Pairs::from([3, 4, 5].map(|key| (vec![key], set(&[u32::from(key)], Order::Little)))),
    )
    .unwrap();
    let mut unsorted = three.clone();
    let at = unsorted.windows(4).position(|four| four == [1, 0, 1, 3]).unwrap();
    unsorted[at + 3] = 4;
    assert_eq!(index_without(&unsorted, &gone), Err("its keys are in another order than rpm's are"));
    assert_eq!(
        build(Form::Hash, Order::Little, 512, pair(4, 7)).map(|bytes| index_without(&bytes, &gone)),
        Ok(Err("a set of packages is none"))
    );
    assert_eq!(build(Form::Hash, Order::Little, 512, pair(200, 8)), Err("a key is too long for a hash"));
    let alike: Pairs = (0..40u8).map(|last| ([vec![1; 200], vec![last]].concat(), vec![0; 100])).collect();
    assert_eq!(build(Form::Tree, Order::Little, 512, alike), Err("its keys begin alike for too long"));
    assert_eq!(blobs(&tree), Err("it is a tree, where rpm has a hash"));
    assert_eq!(replaced(&hash, &BTreeMap::from([(1, vec![])])), Err("a package has no entry"));
    assert_eq!(replaced(&hash, &BTreeMap::from([(0x0101_0101, vec![])])), Err("a header has another length"));
}
