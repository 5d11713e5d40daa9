//! The keys, their values, and when they expire. Pure: time is an argument, and nobody's commands are known.
//!
//! Keys stand in an ordered map, in the order of a hash of theirs. That makes three things simple:
//!
//! - SCAN: the cursor is the hash where the next call begins. A key never changes its hash, so whatever
//!   is added or removed meanwhile, one that is there throughout is returned, and exactly once. (A hash
//!   table that grows puts its keys elsewhere; Redis has to count its cursor's bits backwards for that.)
//! - RANDOMKEY: look where a random hash would stand.
//! - No operation is ever slow because the table grows: all are O(log n). After a fork a page that both
//!   processes read stays shared, and an ordered map writes only near what is changed.
//!
//! Reading changes nothing, and so copies no page either: a key that has expired is not seen any more,
//! and [`Store::purge`] takes it away.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    iter, mem,
    time::Instant,
};

/// Hashes have 53 bits: so many are exact in a floating-point number, which is what JavaScript clients
/// make of a cursor.
const HASH_BITS: u32 = 53;

/// RANDOMKEY chooses among so many neighbours. A key behind a wide gap between hashes would come up
/// often otherwise; up to this many keys the choice is fair.
const SAMPLE: usize = 16;

/// A value that is replaced keeps its memory if no more than this is wasted.
const SLACK: usize = 1024;

pub struct Store<H = RandomState> {
    items: BTreeMap<Slot, Item>,
    /// The keys that expire, the next one first.
    due: BTreeSet<(Instant, Slot)>,
    hasher: H,
    /// How often a random number was needed; the hash of it is one.
    draws: u64,
}

/// Where a key stands: its hash, and behind it a number, from 0 without a gap, for keys of the same hash.
/// One word, since a look-up compares some twenty of them. The number has 11 bits: 2048 keys of one hash
/// cannot be found by somebody who cannot foresee it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot(u64);

const TIE_BITS: u32 = u64::BITS - HASH_BITS;

impl Slot {
    /// The first one of `hash`.
    fn first(hash: u64) -> Slot {
        Slot(hash << TIE_BITS)
    }

    fn next(self) -> Slot {
        Slot(self.0 + 1)
    }

    fn hash(self) -> u64 {
        self.0 >> TIE_BITS
    }

    fn is_first(self) -> bool {
        Slot::first(self.hash()) == self
    }
}

pub struct Item {
    pub key: Box<[u8]>,
    pub value: Vec<u8>,
    /// When it expires.
    pub due: Option<Instant>,
}

impl Item {
    fn is_live(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| now < due)
    }
}

/// What becomes of a key's expiry when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Never,
    Keep,
    At(Instant),
}

impl Store {
    pub fn new() -> Store {
        Store::with_hasher(RandomState::new())
    }
}

impl<H: BuildHasher> Store<H> {
    /// Keys come from strangers, so `hasher` should be one that they cannot foresee.
    pub fn with_hasher(hasher: H) -> Store<H> {
        Store { items: BTreeMap::new(), due: BTreeSet::new(), hasher, draws: 0 }
    }

    /// With these keys, each of which comes once. Sorted first: that takes a fraction of the time of as many
    /// look-ups.
    pub fn of(items: Vec<Item>, hasher: H) -> Store<H> {
        let mut store = Store::with_hasher(hasher);
        let slots = items.into_iter().map(|item| (store.home(&item.key), item));
        let mut items: Vec<_> = slots.collect();
        items.sort_unstable_by_key(|&(home, _)| home);
        for index in 1..items.len() {
            if let [(before, _), (slot, _)] = &mut items[index - 1..=index]
                && before.hash() == slot.hash()
            {
                *slot = before.next();
            }
        }
        let due = items.iter().filter_map(|&(slot, ref item)| Some((item.due?, slot)));
        store.due = due.collect();
        store.items = items.into_iter().collect();
        store
    }

    /// Keys, with those that have expired and are not purged yet.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Keys that expire some time.
    pub fn expiring(&self) -> usize {
        self.due.len()
    }

    pub fn get(&self, key: &[u8], now: Instant) -> Option<&Item> {
        self.ties(key)
            .map(|(_, item)| item)
            .find(|item| *item.key == *key)
            .filter(|item| item.is_live(now))
    }

    pub fn set(&mut self, key: &[u8], value: &[u8], expiry: Expiry, now: Instant) {
        let (slot, item) = self.item_mut(key, now);
        item.value.clear();
        if item.value.capacity() > value.len() + SLACK {
            item.value = Vec::new();
        }
        item.value.extend_from_slice(value);
        let due = match expiry {
            Expiry::Keep => item.due,
            Expiry::Never => None,
            Expiry::At(due) => Some(due),
        };
        if due != item.due {
            self.set_due(slot, due);
        }
    }

    /// Appends to a value, which is empty if there is none; answers its length.
    pub fn append(&mut self, key: &[u8], bytes: &[u8], now: Instant) -> usize {
        let (_, item) = self.item_mut(key, now);
        item.value.extend_from_slice(bytes);
        item.value.len()
    }

    /// Has a key expire at `due`, or never. `false`: there is no such key.
    pub fn expire(&mut self, key: &[u8], due: Option<Instant>, now: Instant) -> bool {
        let Some(slot) = self.find(key).filter(|slot| self.items[slot].is_live(now)) else {
            return false;
        };
        self.set_due(slot, due);
        true
    }

    pub fn remove(&mut self, key: &[u8], now: Instant) -> Option<Item> {
        let slot = self.find(key)?;
        Some(self.detach(slot)).filter(|item| item.is_live(now))
    }

    /// Gives a key another name, which ends whoever had that. `false`: there is no such key.
    pub fn rename(&mut self, from: &[u8], to: &[u8], now: Instant) -> bool {
        let Some(item) = self.remove(from, now) else { return false };
        let (slot, place) = self.item_mut(to, now);
        place.value = item.value;
        self.set_due(slot, item.due);
        true
    }

    pub fn clear(&mut self) {
        self.items = BTreeMap::new();
        self.due = BTreeSet::new();
    }

    /// All that is live, in no order that means anything.
    pub fn items(&self, now: Instant) -> impl Iterator<Item = &Item> {
        self.items.values().filter(move |item| item.is_live(now))
    }

    /// Bytes of all keys and values, and a little for each.
    pub fn bytes(&self) -> usize {
        self.items.values().map(|item| item.key.len() + item.value.len() + 16).sum()
    }

    /// All keys, in no order that means anything.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = &[u8]> {
        self.items(now).map(|item| &*item.key)
    }

    /// The keys from `cursor` on, some `count` of them, and the cursor for the next call. 0 is the
    /// beginning, and answered at the end.
    pub fn scan(&self, cursor: u64, count: usize, now: Instant) -> (Vec<&[u8]>, u64) {
        let mut keys = Vec::new();
        if cursor >> HASH_BITS != 0 {
            return (keys, 0); // none of ours
        }
        for (seen, (slot, item)) in self.items.range(Slot::first(cursor)..).enumerate() {
            // Ties may change places when one is removed, so they are never separated.
            if seen >= count && slot.is_first() {
                return (keys, slot.hash());
            }
            if item.is_live(now) {
                keys.push(&*item.key);
            }
        }
        (keys, 0)
    }

    /// Any key.
    pub fn random(&mut self, now: Instant) -> Option<&[u8]> {
        self.draws += 1;
        let random = self.hasher.hash_one(self.draws);
        let from = Slot::first(random >> TIE_BITS);
        let (before, after) = (self.items.range(..from), self.items.range(from..));
        let live = after.chain(before).filter(|(_, item)| item.is_live(now));
        let sample: Vec<_> = live.take(SAMPLE).collect();
        let (_, item) = sample.get(random as usize % sample.len().max(1))?;
        Some(&*item.key)
    }

    /// When the next key expires.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Takes away keys that have expired, at most so many.
    pub fn purge(&mut self, at_most: usize, now: Instant) {
        for _ in 0..at_most {
            match self.due.first() {
                Some(&(due, slot)) if due <= now => drop(self.detach(slot)),
                _ => return,
            }
        }
    }

    /// The first slot for that key.
    fn home(&self, key: &[u8]) -> Slot {
        Slot::first(self.hasher.hash_one(key) >> TIE_BITS)
    }

    /// The items of that key's hash; nearly always there is one or none.
    fn ties(&self, key: &[u8]) -> impl Iterator<Item = (Slot, &Item)> {
        iter::successors(Some(self.home(key)), |slot| Some(slot.next()))
            .map_while(|slot| Some((slot, self.items.get(&slot)?)))
    }

    fn find(&self, key: &[u8]) -> Option<Slot> {
        self.ties(key).find(|(_, item)| *item.key == *key).map(|(slot, _)| slot)
    }

    /// The item of a key: a new one if there is none, as good as new if it has expired.
    fn item_mut(&mut self, key: &[u8], now: Instant) -> (Slot, &mut Item) {
        let mut slot = self.home(key);
        // Not by a reference that is kept for the answer: the next round needs the map.
        while self.items.get(&slot).is_some_and(|item| *item.key != *key) {
            slot = slot.next();
        }
        let new = || Item { key: key.into(), value: Vec::new(), due: None };
        let item = self.items.entry(slot).or_insert_with(new);
        if !item.is_live(now) {
            item.value.clear();
            if let Some(due) = item.due.take() {
                self.due.remove(&(due, slot));
            }
        }
        (slot, item)
    }

    fn set_due(&mut self, slot: Slot, due: Option<Instant>) {
        let item = self.items.get_mut(&slot).expect("a slot that was found");
        if let Some(before) = mem::replace(&mut item.due, due) {
            self.due.remove(&(before, slot));
        }
        if let Some(due) = due {
            self.due.insert((due, slot));
        }
    }

    /// Takes an item out; the last of its ties takes its place.
    fn detach(&mut self, slot: Slot) -> Item {
        let item = self.lift(slot);
        let later = iter::successors(Some(slot.next()), |slot| Some(slot.next()));
        if let Some(last) = later.take_while(|slot| self.items.contains_key(slot)).last() {
            let moved = self.lift(last);
            self.due.extend(moved.due.map(|due| (due, slot)));
            self.items.insert(slot, moved);
        }
        item
    }

    /// Takes an item and its expiry out of the maps.
    fn lift(&mut self, slot: Slot) -> Item {
        let item = self.items.remove(&slot).expect("a slot that was found");
        if let Some(due) = item.due {
            self.due.remove(&(due, slot));
        }
        item
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
