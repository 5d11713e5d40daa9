//! An ordered map in 256 parts, one for each first byte of a slot. Each can be made at once from items that
//! come in order, while the next one's are still on their way. Look-ups have shorter ways, too.

use std::{collections::BTreeMap, collections::btree_map::Entry, mem};

use super::slot::Slot;

const BITS: u32 = 8;

pub struct Shards<T> {
    parts: Vec<BTreeMap<Slot, T>>,
    len: usize,
}

impl<T> Shards<T> {
    pub fn new() -> Shards<T> {
        Shards { parts: (0..1 << BITS).map(|_| BTreeMap::new()).collect(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.parts[slot.prefix(BITS)].get(&slot)
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.parts[slot.prefix(BITS)].get_mut(&slot)
    }

    pub fn get_or_insert_with(&mut self, slot: Slot, new: impl FnOnce() -> T) -> &mut T {
        match self.parts[slot.prefix(BITS)].entry(slot) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => {
                self.len += 1;
                place.insert(new())
            }
        }
    }

    /// Answers what was there.
    pub fn insert(&mut self, slot: Slot, item: T) -> Option<T> {
        let before = self.parts[slot.prefix(BITS)].insert(slot, item);
        self.len += usize::from(before.is_none());
        before
    }

    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let item = self.parts[slot.prefix(BITS)].remove(&slot)?;
        self.len -= 1;
        Some(item)
    }

    /// From `slot` on, in order.
    pub fn from(&self, slot: Slot) -> impl Iterator<Item = (Slot, &T)> {
        let parts = &self.parts[slot.prefix(BITS)..];
        parts.iter().flat_map(move |part| part.range(slot..)).map(|(&slot, item)| (slot, item))
    }

    /// Before `slot`, in order.
    pub fn before(&self, slot: Slot) -> impl Iterator<Item = (Slot, &T)> {
        let parts = &self.parts[..=slot.prefix(BITS)];
        parts.iter().flat_map(move |part| part.range(..slot)).map(|(&slot, item)| (slot, item))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flat_map(BTreeMap::values)
    }
}

/// Makes shards of what comes in order: for a fraction of the time of as many look-ups, and with no more than
/// one part waiting.
pub struct InOrder<T> {
    shards: Shards<T>,
    /// Of one part.
    waiting: Vec<(Slot, T)>,
}

impl<T> InOrder<T> {
    pub fn new() -> InOrder<T> {
        InOrder { shards: Shards::new(), waiting: Vec::new() }
    }

    /// What has come of the part that is not complete, in order.
    pub fn waiting(&self) -> &[(Slot, T)] {
        &self.waiting
    }

    /// `slot` has to be behind all that have come; tells whether it is.
    pub fn push(&mut self, slot: Slot, item: T) -> bool {
        if let Some(&(last, _)) = self.waiting.last() {
            if slot <= last {
                return false;
            }
            if last.prefix(BITS) != slot.prefix(BITS) {
                self.close_part();
            }
        }
        self.waiting.push((slot, item));
        true
    }

    fn close_part(&mut self) {
        let part = mem::take(&mut self.waiting);
        if let Some(&(slot, _)) = part.last() {
            self.waiting.reserve(part.len()); // the next one is about as long
            self.shards.len += part.len();
            self.shards.parts[slot.prefix(BITS)] = part.into_iter().collect();
        }
    }

    pub fn finish(mut self) -> Shards<T> {
        self.close_part();
        self.shards
    }
}
