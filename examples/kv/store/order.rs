//! What follows from the order of keys: SCAN and RANDOMKEY.

use std::time::Instant;

use super::{
    Store,
    slot::{HASH_BITS, KeyHasher, Slot},
};

/// RANDOMKEY chooses among so many neighbours. A key behind a wide gap between hashes would come up
/// often otherwise; up to this many keys the choice is fair.
const SAMPLE: usize = 16;

impl<H: KeyHasher> Store<H> {
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
}
