//! A store from another process: all of its items in their order, or those of one hash after the other.

use std::{collections::BTreeSet, time::Instant};

use super::{
    Item, Store,
    shards::InOrder,
    slot::{HASH_BITS, KeyHasher, Slot},
    touched::Touched,
    watches::Watches,
};

type Result<T = ()> = std::result::Result<T, &'static str>;

const OUT_OF_ORDER: &str = "a key that is not in its place";
const TWICE: &str = "a key that comes twice";

/// A store that is not complete.
pub struct Loading<H> {
    items: InOrder<Item>,
    due: Vec<(Instant, Slot)>,
    hasher: H,
}

impl<H: KeyHasher> Loading<H> {
    pub fn new(hasher: H) -> Loading<H> {
        Loading { items: InOrder::new(), due: Vec::new(), hasher }
    }

    /// In the order of [`Store::items`] under the same hasher.
    pub fn push(&mut self, item: Item) -> Result {
        let mut slot = Slot::home(&self.hasher, &item.key);
        for (last, before) in self.items.waiting().iter().rev() {
            match last.hash().cmp(&slot.hash()) {
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Greater => return Err(OUT_OF_ORDER),
                std::cmp::Ordering::Equal if before.key == item.key => return Err(TWICE),
                std::cmp::Ordering::Equal => slot = slot.max(last.next()),
            }
        }
        self.due.extend(item.due.map(|due| (due, slot)));
        self.items.push(slot, item).then_some(()).ok_or(OUT_OF_ORDER)
    }

    pub fn finish(self) -> Store<H> {
        Store {
            items: self.items.finish(),
            due: BTreeSet::from_iter(self.due),
            hasher: self.hasher,
            draws: 0,
            touched: Touched::default(),
            watches: Watches::default(),
        }
    }
}

impl<H: KeyHasher> Store<H> {
    /// The items whose keys have that hash.
    pub fn at(&self, hash: u64) -> impl Iterator<Item = &Item> {
        self.ties(Slot::first(hash)).map(|(_, item)| item)
    }

    /// From now on these are the items of that hash.
    pub fn replace(&mut self, hash: u64, items: Vec<Item>) -> Result {
        let mut slot = Slot::first(hash);
        if hash >> HASH_BITS != 0 || items.iter().any(|item| self.home(&item.key) != slot) {
            return Err(OUT_OF_ORDER);
        }
        for (index, item) in items.iter().enumerate() {
            if items[..index].iter().any(|before| before.key == item.key) {
                return Err(TWICE);
            }
        }
        for item in items {
            self.put(slot, item);
            slot = slot.next();
        }
        while self.items.get(slot).is_some() {
            self.lift(slot);
            slot = slot.next();
        }
        Ok(())
    }
}
