//! The store against a plain map, with a hash that keeps meeting itself; expiry at the very moment; what
//! SCAN promises.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher},
    time::Duration,
};

use super::*;
use proptest::prelude::*;

/// Nearly all keys meet in one of four hashes.
#[derive(Default)]
struct Crowded(DefaultHasher);

impl Hasher for Crowded {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        (self.0.finish() % 4) << 62
    }
}

impl KeyHasher for BuildHasherDefault<Crowded> {
    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

type CrowdedStore = Store<BuildHasherDefault<Crowded>>;

fn crowded() -> CrowdedStore {
    Store::with_hasher(BuildHasherDefault::default())
}

fn after(now: Instant, millis: u64) -> Instant {
    now + Duration::from_millis(millis)
}

fn value<H: KeyHasher>(store: &Store<H>, key: &[u8], now: Instant) -> Option<Vec<u8>> {
    store.get(key, now).map(|item| item.value.clone())
}

#[test]
fn a_key_is_gone_when_its_time_has_come() {
    let (mut store, now) = (Store::new(), Instant::now());
    store.set(b"k", b"v", Expiry::At(after(now, 10)), now);
    assert_eq!(value(&store, b"k", after(now, 9)), Some(b"v".to_vec()));
    let then = after(now, 10);
    assert_eq!(value(&store, b"k", then), None);
    assert_eq!(store.keys(then).count() + store.scan(0, 10, then).0.len(), 0);
    assert_eq!(store.random(then), None);
    assert!(!store.expire(b"k", None, then));
    assert!(!store.rename(b"k", b"other", then));
    assert!(store.remove(b"k", then).is_none());
}

#[test]
fn a_key_that_has_expired_leaves_nothing_to_the_next() {
    let (mut store, now) = (Store::new(), Instant::now());
    let then = after(now, 10);
    store.set(b"a", b"old", Expiry::At(then), now);
    store.set(b"b", b"old", Expiry::At(then), now);
    assert_eq!(store.append(b"a", b"new", then), 3);
    store.set(b"b", b"new", Expiry::Keep, then);
    for key in [b"a", b"b"] {
        let item = store.get(key, then).expect("it is new");
        assert_eq!((item.value.as_slice(), item.due), (&b"new"[..], None));
    }
    assert_eq!(store.next_due(), None);
}

#[test]
fn purging_goes_by_time_and_in_pieces() {
    let (mut store, now) = (Store::new(), Instant::now());
    for number in 0..100 {
        store.set(&[number], b"", Expiry::At(after(now, number.into())), now);
    }
    assert_eq!(store.next_due(), Some(now));
    store.purge(10, after(now, 50));
    assert_eq!((store.len(), store.next_due()), (90, Some(after(now, 10))));
    store.purge(1000, after(now, 50));
    assert_eq!((store.len(), store.next_due()), (49, Some(after(now, 51))));
}

#[test]
fn a_value_that_shrinks_gives_its_memory_back() {
    let (mut store, now) = (Store::new(), Instant::now());
    store.set(b"k", &[0; 1_000_000], Expiry::Never, now);
    store.set(b"k", b"small", Expiry::Never, now);
    assert!(store.get(b"k", now).expect("set above").value.capacity() <= 5 + SLACK);
}

#[test]
fn every_key_comes_up_by_chance_and_a_few_equally_often() {
    let (mut store, now) = (Store::new(), Instant::now());
    for number in 0..10 {
        store.set(&[number], b"", Expiry::Never, now);
    }
    let mut drawn = [0; 10];
    for _ in 0..10_000 {
        drawn[usize::from(store.random(now).expect("one of ten")[0])] += 1;
    }
    assert!(drawn.iter().all(|count| (800..1200).contains(count)), "{drawn:?}");
}

#[test]
fn cursors_are_exact_in_floating_point() {
    let (mut store, now) = (Store::new(), Instant::now());
    for number in 0..1000u16 {
        store.set(&number.to_be_bytes(), b"", Expiry::Never, now);
    }
    let mut cursor = 0;
    loop {
        cursor = store.scan(cursor, 1, now).1;
        assert_eq!(cursor as f64 as u64, cursor);
        if cursor == 0 {
            break;
        }
    }
}

/// One change of a small set of keys.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, Option<u8>),
    Append(u8),
    Remove(u8),
    Rename(u8, u8),
    Expire(u8, Option<u8>),
    Purge,
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u8..12;
    let time = || prop::option::of(0u8..20);
    prop_oneof![
        4 => (key(), time()).prop_map(|(key, due)| Step::Set(key, due)),
        1 => key().prop_map(Step::Append),
        2 => key().prop_map(Step::Remove),
        1 => (key(), key()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (key(), time()).prop_map(|(key, due)| Step::Expire(key, due)),
        1 => Just(Step::Purge),
        2 => (0u8..9).prop_map(Step::Wait),
    ]
}

type Model = BTreeMap<u8, (Vec<u8>, Option<Instant>)>;

/// The same step on the store and on a plain map, which forgets what has expired at once.
fn apply(step: &Step, store: &mut CrowdedStore, model: &mut Model, now: &mut Instant) {
    let due = |millis: Option<u8>| millis.map(|millis| after(*now, millis.into()));
    match *step {
        Step::Set(key, millis) => {
            let expiry = due(millis).map_or(Expiry::Never, Expiry::At);
            store.set(&[key], &[key, key], expiry, *now);
            model.insert(key, (vec![key, key], due(millis)));
        }
        Step::Append(key) => {
            let entry = model.entry(key).or_default();
            entry.0.push(1);
            assert_eq!(store.append(&[key], &[1], *now), entry.0.len());
        }
        Step::Remove(key) => {
            assert_eq!(store.remove(&[key], *now).is_some(), model.remove(&key).is_some());
        }
        Step::Rename(from, to) => {
            let item = model.remove(&from);
            assert_eq!(store.rename(&[from], &[to], *now), item.is_some());
            model.extend(item.map(|item| (to, item)));
        }
        Step::Expire(key, millis) => {
            assert_eq!(store.expire(&[key], due(millis), *now), model.contains_key(&key));
            model.entry(key).and_modify(|item| item.1 = due(millis));
        }
        Step::Purge => store.purge(usize::MAX, *now),
        Step::Wait(millis) => *now += Duration::from_millis(millis.into()),
    }
    model.retain(|_, (_, due)| due.is_none_or(|due| *now < due));
}

proptest! {
    #[test]
    fn holds_what_a_plain_map_would(steps in prop::collection::vec(step(), 0..80)) {
        let (mut store, mut model, mut now) = (crowded(), Model::new(), Instant::now());
        for step in &steps {
            apply(step, &mut store, &mut model, &mut now);
            for key in 0..12 {
                let found = store.get(&[key], now).map(|item| (item.value.clone(), item.due));
                prop_assert_eq!(found.as_ref(), model.get(&key), "{}", key);
            }
            let mut keys: Vec<_> = store.keys(now).map(|key| key[0]).collect();
            keys.sort();
            prop_assert_eq!(keys, model.keys().copied().collect::<Vec<_>>());
            let expiring = store.items.iter().filter(|item| item.due.is_some()).count();
            prop_assert_eq!(store.expiring(), expiring);
        }
        store.purge(usize::MAX, now);
        prop_assert_eq!(store.len(), model.len());
    }

    /// Keys that are there throughout are returned, and once, whatever happens to others meanwhile.
    #[test]
    fn scan_returns_what_is_there_throughout(
        (staying, others) in (0usize..60, 0usize..60),
        count in 1usize..8,
        seed in any::<u64>(),
        is_crowded in any::<bool>(),
    ) {
        if is_crowded {
            scan_amid_changes(crowded(), staying, others, count, seed);
        } else {
            scan_amid_changes(Store::new(), staying, others, count, seed);
        }
    }
}

fn scan_amid_changes<H: KeyHasher>(
    mut store: Store<H>,
    staying: usize,
    others: usize,
    count: usize,
    seed: u64,
) {
    let now = Instant::now();
    let name = |kind: char, number: usize| format!("{kind}{number}").into_bytes();
    let stay: BTreeSet<_> = (0..staying).map(|number| name('s', number)).collect();
    for key in &stay {
        store.set(key, b"", Expiry::Never, now);
    }
    let mut dice = seed | 1;
    let mut roll = move |sides: usize| {
        dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (dice >> 33) as usize % sides
    };
    let (mut seen, mut cursor) = (HashSet::new(), 0);
    loop {
        for _ in 0..roll(10) {
            let key = name('o', roll(others + 1));
            match roll(2) {
                0 => store.set(&key, b"", Expiry::Never, now),
                _ => drop(store.remove(&key, now)),
            }
        }
        let (keys, next) = store.scan(cursor, count, now);
        for key in keys {
            let is_new = seen.insert(key.to_vec());
            assert!(is_new || !stay.contains(key), "twice: {key:?}");
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert!(stay.iter().all(|key| seen.contains(key)));
}

/// Made of many keys in order, it is as if they had been set one after the other.
#[test]
fn a_store_of_given_keys_finds_each_of_them() {
    let now = Instant::now();
    let mut old = crowded();
    for number in 0..100u32 {
        let due = if number.is_multiple_of(2) { Expiry::At(after(now, 10)) } else { Expiry::Never };
        old.set(&number.to_le_bytes(), &[number as u8], due, now);
    }
    let mut loading = Loading::new(BuildHasherDefault::<Crowded>::default());
    for Item { key, value, due } in old.items() {
        loading.push(Item { key: key.clone(), value: value.clone(), due: *due }).unwrap();
    }
    let mut store = loading.finish();
    assert_eq!((store.len(), store.expiring()), (100, 50));
    for number in 0..100u32 {
        assert_eq!(value(&store, &number.to_le_bytes(), now), Some(vec![number as u8]));
    }
    store.purge(100, after(now, 10));
    assert_eq!((store.len(), store.expiring()), (50, 0));
    for number in 0..100u32 {
        let removed = store.remove(&number.to_le_bytes(), now);
        assert_eq!(removed.is_some(), !number.is_multiple_of(2));
    }
    assert_eq!(store.len(), 0);
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let item = |key: &[u8]| Item { key: key.into(), value: Vec::new(), due: None };
    let mut loading = Loading::new(BuildHasherDefault::<Crowded>::default());
    let mut store = crowded();
    let tie = (1u8..).find(|&other| store.home(&[other]) == store.home(&[0])).unwrap();
    loading.push(item(&[0])).unwrap();
    loading.push(item(&[tie])).unwrap();
    assert!(loading.push(item(&[0])).is_err());
    let hash = store.home(&[0]).hash();
    assert!(store.replace(hash, vec![item(&[0]), item(&[tie]), item(&[0])]).is_err());
    assert!(store.replace(hash + 1, vec![item(&[0])]).is_err());
    assert_eq!(store.replace(hash, vec![item(&[0]), item(&[tie])]), Ok(()));
    assert_eq!(store.at(hash).count(), 2);
    assert_eq!(store.replace(hash, vec![item(&[tie])]), Ok(()));
    assert!(store.at(hash).map(|item| &*item.key).eq([&[tie][..]]));
}

/// In a piece or as a whole: where keys stand is agreed on by programs that hash them either way.
#[test]
fn a_key_has_the_hash_that_its_bytes_have() {
    let seed = Seed::random();
    for length in 0..40 {
        let key: Vec<u8> = (0..length).collect();
        let mut hasher = seed.build_hasher();
        hasher.write(&key);
        assert_eq!(seed.hash(&key), hasher.finish());
    }
}
