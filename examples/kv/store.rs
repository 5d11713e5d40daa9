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
mod order;
mod places;
mod shards;
mod slot;
mod touched;
mod watches;

use std::{collections::BTreeSet, iter, time::Instant};

pub use self::{loading::Loading, slot::Seed};
use self::{
    shards::Shards,
    slot::{KeyHasher, Slot},
    touched::Touched,
    watches::Watches,
};

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
    pub watches: Watches,
}

pub struct Item {
    pub key: Box<[u8]>,
    pub value: Vec<u8>,
    /// When it expires.
    pub due: Option<Instant>,
}

impl Item {
    /// Bytes that it takes, with its key and its share of the map; and again where it expires.
    pub fn memory(&self) -> usize {
        let entry = size_of::<Slot>() + size_of::<Item>();
        let due = self.due.map_or(0, |_| size_of::<(Instant, Slot)>());
        entry + due + self.key.len() + self.value.capacity()
    }

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

impl<H: KeyHasher> Store<H> {
    /// Keys come from strangers, so `hasher` should be one that they cannot foresee.
    pub fn with_hasher(hasher: H) -> Store<H> {
        let (items, due) = (Shards::new(), BTreeSet::new());
        let (touched, watches) = (Touched::default(), Watches::default());
        Store { items, due, hasher, draws: 0, touched, watches }
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

    /// Writes over a value from `start` on, with zeros in front where it is too short; answers its length.
    pub fn overwrite(&mut self, key: &[u8], start: usize, bytes: &[u8], now: Instant) -> usize {
        let (_, item) = self.item_mut(key, now);
        let end = start + bytes.len();
        item.value.resize(item.value.len().max(end), 0);
        item.value[start..end].copy_from_slice(bytes);
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

    pub fn clear(&mut self, now: Instant) {
        for hash in self.watches.hashes() {
            if self.at(hash).any(|item| item.is_live(now)) {
                self.watches.note(hash);
            }
        }
        self.items = Shards::new();
        self.due = BTreeSet::new();
        self.touched.note_clear();
    }

    /// From now on changes of a key spoil what `client` is about to do. Answers whether the key is there; one that
    /// has expired goes at once, so that it does no harm later.
    pub fn watch(&mut self, key: &[u8], client: u64, now: Instant) -> bool {
        let is_there = self.get(key, now).is_some();
        if !is_there {
            self.remove(key, now);
        }
        self.rewatch(key, client);
        is_there
    }

    /// The same, for one that has looked already.
    pub fn rewatch(&mut self, key: &[u8], client: u64) {
        self.watches.join(self.home(key).hash(), client);
    }

    pub fn unwatch(&mut self, key: &[u8], client: u64) {
        self.watches.leave(self.home(key).hash(), client);
    }

    /// All there are, those that have expired as well, in the order of their hashes.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// All keys, in no order that means anything.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = &[u8]> {
        self.items().filter(move |item| item.is_live(now)).map(|item| &*item.key)
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
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
