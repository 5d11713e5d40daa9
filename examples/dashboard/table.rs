//! The state that is to be seen going to a new program: a table of counters, some MiB of it. Every request of a demo
//! client changes one. Pure.
//!
//! Clients are served while it is copied, so it notes which counters have changed since: these are copied once more, in
//! rounds, until so few are left that nobody notices the last one.

use std::{
    collections::BTreeSet,
    io::{BufRead, Write},
};

use heirloom::{Error, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    counters: Vec<u32>,
    /// Places whose counters somebody has to hear of; `None`: nobody listens.
    changed: Option<BTreeSet<u32>>,
    /// How many requests were counted, which says where the next one goes.
    counted: u32,
}

/// Two neighbours in time are far from each other in the table (Knuth's multiplicative hash).
const SPREAD: u32 = 2_654_435_761;

impl Table {
    pub fn of_mib(mib: u16) -> Table {
        Table { counters: vec![0; usize::from(mib) << 18], ..Table::default() }
    }

    pub fn count(&mut self) {
        self.counted = self.counted.wrapping_add(1);
        let Ok(length) = u32::try_from(self.counters.len()) else { return };
        let Some(place) = self.counted.wrapping_mul(SPREAD).checked_rem(length) else { return };
        self.set(place, self.counters[place as usize].wrapping_add(1));
    }

    fn set(&mut self, place: u32, value: u32) {
        // Another program may have been started with a smaller one.
        let Some(counter) = self.counters.get_mut(place as usize) else { return };
        *counter = value;
        if let Some(changed) = &mut self.changed {
            changed.insert(place);
        }
    }

    pub fn track(&mut self, on: bool) {
        self.changed = on.then(BTreeSet::new);
    }

    /// How many changes are not written yet.
    pub fn left(&self) -> usize {
        self.changed.as_ref().map_or(0, BTreeSet::len)
    }

    pub fn save(&self, out: &mut dyn Write) -> Result {
        for counters in self.counters.chunks(16 * 1024) {
            let block: Vec<_> = counters.iter().map(|counter| counter.to_le_bytes()).collect();
            out.write_all(block.as_flattened())?;
        }
        Ok(())
    }

    pub fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        let mut bytes = Vec::new();
        saved.read_to_end(&mut bytes)?;
        let counters = bytes.chunks_exact(4).map(|four| four.try_into().map(u32::from_le_bytes));
        self.counters = counters.collect::<std::result::Result<_, _>>().map_err(Error::other)?;
        Ok(())
    }

    pub fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result {
        let Some(changed) = &mut self.changed else { return Ok(()) };
        for _ in 0..most {
            let Some(place) = changed.pop_first() else { break };
            out.write_all(&place.to_le_bytes())?;
            out.write_all(&self.counters[place as usize].to_le_bytes())?;
        }
        Ok(())
    }

    pub fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        while let Some(place) = number(saved)? {
            let value = number(saved)?.ok_or("a place without its counter")?;
            self.set(place, value);
        }
        Ok(())
    }
}

/// The next one, if there is one.
fn number(saved: &mut dyn BufRead) -> Result<Option<u32>> {
    if saved.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut bytes = [0; 4];
    saved.read_exact(&mut bytes)?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_and_changed_arrives() {
        let (mut old, mut new) = (Table::of_mib(1), Table::default());
        (0..1000).for_each(|_| old.count());
        old.track(true);
        let mut saved = Vec::new();
        old.save(&mut saved).unwrap();
        assert_eq!(saved.len(), 1 << 20);
        (0..10).for_each(|_| old.count());
        new.load(&mut saved.as_slice()).unwrap();
        assert_ne!(new.counters, old.counters);
        while old.left() > 0 {
            let mut piece = Vec::new();
            old.save_changes(&mut piece, 3).unwrap();
            new.load_changes(&mut piece.as_slice()).unwrap();
        }
        assert_eq!(new.counters, old.counters);
        assert!(new.load_changes(&mut [1, 0, 0, 0, 5].as_slice()).is_err());
    }

    #[test]
    fn none_is_no_state() {
        let mut table = Table::of_mib(0);
        table.track(true);
        table.count();
        assert_eq!(table.left(), 0);
    }
}
