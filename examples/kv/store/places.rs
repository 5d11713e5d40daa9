//! An item and its expiry are in two maps, and that it has changed is noted: all three here, so that none is
//! forgotten.

use std::{iter, mem, time::Instant};

use super::{
    Item, Store,
    slot::{KeyHasher, Slot},
};

impl<H: KeyHasher> Store<H> {
    fn note(&mut self, slot: Slot) {
        self.touched.note(slot.hash());
        self.watches.note(slot.hash());
    }

    /// The item of a key: a new one if there is none, as good as new if it has expired.
    pub(super) fn item_mut(&mut self, key: &[u8], now: Instant) -> (Slot, &mut Item) {
        let mut slot = self.home(key);
        // Not by a reference that is kept for the answer: the next round needs the map.
        while self.items.get(slot).is_some_and(|item| *item.key != *key) {
            slot = slot.next();
        }
        let new = || Item { key: key.into(), value: Vec::new(), due: None };
        self.note(slot);
        let item = self.items.get_or_insert_with(slot, new);
        if !item.is_live(now) {
            item.value.clear();
            if let Some(due) = item.due.take() {
                self.due.remove(&(due, slot));
            }
        }
        (slot, item)
    }

    pub(super) fn set_due(&mut self, slot: Slot, due: Option<Instant>) {
        self.note(slot);
        let item = self.items.get_mut(slot).expect("a slot that was found");
        if let Some(before) = mem::replace(&mut item.due, due) {
            self.due.remove(&(before, slot));
        }
        if let Some(due) = due {
            self.due.insert((due, slot));
        }
    }

    /// Takes an item out; the last of its ties takes its place.
    pub(super) fn detach(&mut self, slot: Slot) -> Item {
        let item = self.lift(slot);
        let later = iter::successors(Some(slot.next()), |slot| Some(slot.next()));
        if let Some(last) = later.take_while(|slot| self.items.get(*slot).is_some()).last() {
            let moved = self.lift(last);
            self.put(slot, moved);
        }
        item
    }

    /// Puts an item and its expiry in the place of whatever was there.
    pub(super) fn put(&mut self, slot: Slot, item: Item) {
        self.note(slot);
        let due = item.due;
        if let Some(before) = self.items.insert(slot, item).and_then(|before| before.due) {
            self.due.remove(&(before, slot));
        }
        self.due.extend(due.map(|due| (due, slot)));
    }

    /// Takes an item and its expiry out of the maps.
    pub(super) fn lift(&mut self, slot: Slot) -> Item {
        self.note(slot);
        let item = self.items.remove(slot).expect("a slot that was found");
        if let Some(due) = item.due {
            self.due.remove(&(due, slot));
        }
        item
    }
}
