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

mod loading;
mod shards;
mod slot;
mod touched;

use std::{collections::BTreeSet, hash::BuildHasher, iter, mem, time::Instant};

pub use self::{loading::Loading, slot::Seed};
use self::{
    shards::Shards,
    slot::{HASH_BITS, Slot},
    touched::Touched,
};

/// RANDOMKEY chooses among so many neighbours. A key behind a wide gap between hashes would come up
/// often otherwise; up to this many keys the choice is fair.
const SAMPLE: usize = 16;

/// A value that is replaced keeps its memory if no more than this is wasted.
const SLACK: usize = 1024;

pub struct Store<H = Seed> {
    items: Shards<Item>,
    /// The keys that expire, the next one first.
    due: BTreeSet<(Instant, Slot)>,
    hasher: H,
    /// How often a random number was needed; the hash of it is one.
    draws: u64,
    pub touched: Touched,
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
        Store::with_hasher(Seed::random())
    }

    pub fn seed(&self) -> Seed {
        self.hasher
    }
}

impl<H: BuildHasher> Store<H> {
    /// Keys come from strangers, so `hasher` should be one that they cannot foresee.
    pub fn with_hasher(hasher: H) -> Store<H> {
        let (items, due) = (Shards::new(), BTreeSet::new());
        Store { items, due, hasher, draws: 0, touched: Touched::default() }
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
        self.ties(self.home(key))
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
        let Some(slot) = self.find(key, |item| item.is_live(now)) else { return false };
        self.set_due(slot, due);
        true
    }

    pub fn remove(&mut self, key: &[u8], now: Instant) -> Option<Item> {
        let slot = self.find(key, |_| true)?;
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
        self.items = Shards::new();
        self.due = BTreeSet::new();
        self.touched.note_clear();
    }

    /// All there are, those that have expired as well, in the order of their hashes.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// All keys, in no order that means anything.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = &[u8]> {
        self.items().filter(move |item| item.is_live(now)).map(|item| &*item.key)
    }

    /// The keys from `cursor` on, some `count` of them, and the cursor for the next call. 0 is the
    /// beginning, and answered at the end.
    pub fn scan(&self, cursor: u64, count: usize, now: Instant) -> (Vec<&[u8]>, u64) {
        let mut keys = Vec::new();
        if cursor >> HASH_BITS != 0 {
            return (keys, 0); // none of ours
        }
        for (seen, (slot, item)) in self.items.from(Slot::first(cursor)).enumerate() {
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
        let from = Slot::home(&self.hasher, &self.draws.to_le_bytes());
        let (before, after) = (self.items.before(from), self.items.from(from));
        let live = after.chain(before).filter(|(_, item)| item.is_live(now));
        let sample: Vec<_> = live.take(SAMPLE).collect();
        let (_, item) = sample.get(from.hash() as usize % sample.len().max(1))?;
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
        Slot::home(&self.hasher, key)
    }

    /// The items of a hash, given its first slot; nearly always there is one or none.
    fn ties(&self, first: Slot) -> impl Iterator<Item = (Slot, &Item)> {
        iter::successors(Some(first), |slot| Some(slot.next()))
            .map_while(|slot| Some((slot, self.items.get(slot)?)))
    }

    fn find(&self, key: &[u8], is_meant: impl Fn(&Item) -> bool) -> Option<Slot> {
        let mut ties = self.ties(self.home(key));
        let (slot, item) = ties.find(|(_, item)| *item.key == *key)?;
        is_meant(item).then_some(slot)
    }

    /// The item of a key: a new one if there is none, as good as new if it has expired.
    fn item_mut(&mut self, key: &[u8], now: Instant) -> (Slot, &mut Item) {
        let mut slot = self.home(key);
        // Not by a reference that is kept for the answer: the next round needs the map.
        while self.items.get(slot).is_some_and(|item| *item.key != *key) {
            slot = slot.next();
        }
        let new = || Item { key: key.into(), value: Vec::new(), due: None };
        self.touched.note(slot.hash());
        let item = self.items.get_or_insert_with(slot, new);
        if !item.is_live(now) {
            item.value.clear();
            if let Some(due) = item.due.take() {
                self.due.remove(&(due, slot));
            }
        }
        (slot, item)
    }

    fn set_due(&mut self, slot: Slot, due: Option<Instant>) {
        self.touched.note(slot.hash());
        let item = self.items.get_mut(slot).expect("a slot that was found");
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
        if let Some(last) = later.take_while(|slot| self.items.get(*slot).is_some()).last() {
            let moved = self.lift(last);
            self.put(slot, moved);
        }
        item
    }

    /// Puts an item and its expiry in the place of whatever was there.
    fn put(&mut self, slot: Slot, item: Item) {
        self.touched.note(slot.hash());
        let due = item.due;
        if let Some(before) = self.items.insert(slot, item).and_then(|before| before.due) {
            self.due.remove(&(before, slot));
        }
        self.due.extend(due.map(|due| (due, slot)));
    }

    /// Takes an item and its expiry out of the maps.
    fn lift(&mut self, slot: Slot) -> Item {
        self.touched.note(slot.hash());
        let item = self.items.remove(slot).expect("a slot that was found");
        if let Some(due) = item.due {
            self.due.remove(&(due, slot));
        }
        item
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
