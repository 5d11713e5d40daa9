//! Where the connections are kept: each in a slot that nobody else has meanwhile. Pure.
//!
//! A table of our own, and not one of the usual ones, for two things. A connection that comes from another
//! process has its slot in its name, and must get that one. And while two processes of a restart may yet give
//! connections to each other, neither gives out a slot that may be the other's: all those [below](Slots::start_above)
//! what was in use when they parted are kept aside.

use std::ops::{Index, IndexMut};

use super::ConnState;

/// Connections by slot.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    all: Vec<Option<ConnState>>,
    /// Those that are vacant and may be given out; the last one is next.
    free: Vec<usize>,
    /// Those that are vacant and below the floor.
    aside: Vec<usize>,
    floor: usize,
}

impl Slots {
    pub fn new() -> Slots {
        Slots::default()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.all.len() - self.free.len() - self.aside.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No connection is in this slot or above it.
    pub fn end(&self) -> usize {
        self.all.len()
    }

    pub fn get(&self, slot: usize) -> Option<&ConnState> {
        self.all.get(slot)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: usize) -> Option<&mut ConnState> {
        self.all.get_mut(slot)?.as_mut()
    }

    /// The slot that the next [`insert`](Self::insert) takes.
    pub fn vacant(&self) -> usize {
        self.free.last().copied().unwrap_or(self.all.len())
    }

    /// Puts a connection into the slot that [`vacant`](Self::vacant) has named.
    pub fn insert(&mut self, conn: ConnState) {
        match self.free.pop() {
            Some(slot) => self.all[slot] = Some(conn),
            None => self.all.push(Some(conn)),
        }
    }

    /// Puts connections into the slots that their names say. Answers those whose slot is taken.
    pub fn insert_all(&mut self, conns: Vec<ConnState>) -> Vec<ConnState> {
        let end = conns.iter().map(|conn| conn.id.slot() + 1).max().unwrap_or(0);
        if self.all.len() < end {
            self.all.resize_with(end, || None);
        }
        let mut refused = Vec::new();
        for conn in conns {
            match &mut self.all[conn.id.slot()] {
                Some(_) => refused.push(conn),
                vacant => *vacant = Some(conn),
            }
        }
        self.sort_vacant();
        refused
    }

    /// Takes out a connection.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove(&mut self, slot: usize) -> ConnState {
        let conn = self.all[slot].take().expect("a connection in its slot");
        if slot < self.floor {
            self.aside.push(slot)
        } else {
            self.free.push(slot)
        }
        conn
    }

    /// From now on no slot below this one is given out.
    pub fn start_above(&mut self, floor: usize) {
        self.floor = floor;
        if self.all.len() < floor {
            self.all.resize_with(floor, || None);
        }
        self.sort_vacant();
    }

    /// All that are vacant may be given out.
    pub fn start_anywhere(&mut self) {
        self.start_above(0);
    }

    /// Finds the vacant ones, the lowest to be given out first.
    fn sort_vacant(&mut self) {
        let vacant = self.all.iter().enumerate().rev().filter(|(_, conn)| conn.is_none());
        let vacant = vacant.map(|(slot, _)| slot);
        (self.aside, self.free) = vacant.partition(|&slot| slot < self.floor);
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &ConnState)> {
        let all = self.all.iter().enumerate();
        all.filter_map(|(slot, conn)| conn.as_ref().map(|conn| (slot, conn)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut ConnState)> {
        let all = self.all.iter_mut().enumerate();
        all.filter_map(|(slot, conn)| conn.as_mut().map(|conn| (slot, conn)))
    }

    /// All of them, and the slots that are vacant in between.
    pub fn into_slots(self) -> std::vec::IntoIter<Option<ConnState>> {
        self.all.into_iter()
    }
}

impl FromIterator<ConnState> for Slots {
    /// # Panics
    /// When two have the same slot.
    fn from_iter<I: IntoIterator<Item = ConnState>>(conns: I) -> Slots {
        let mut slots = Slots::new();
        let refused = slots.insert_all(conns.into_iter().collect());
        assert!(refused.is_empty(), "two connections with the same slot");
        slots
    }
}

impl Index<usize> for Slots {
    type Output = ConnState;

    fn index(&self, slot: usize) -> &ConnState {
        self.get(slot).expect("a connection in its slot")
    }
}

impl IndexMut<usize> for Slots {
    fn index_mut(&mut self, slot: usize) -> &mut ConnState {
        self.get_mut(slot).expect("a connection in its slot")
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::net::{
        conn::Phase,
        id::ConnId,
        stream::{Peer, Stream, memory::Pipe},
    };

    fn conn(slot: usize, serial: u64) -> ConnState {
        let stream = Stream::Memory(Pipe::new(0));
        let now = Instant::now().into();
        ConnState::new(ConnId::new(slot, serial), stream, Peer::Unknown, Phase::Open, now)
    }

    fn insert(slots: &mut Slots, serial: u64) -> usize {
        let slot = slots.vacant();
        slots.insert(conn(slot, serial));
        slot
    }

    proptest! {
        /// Of a plain map by slot, whatever is done.
        #[test]
        fn each_is_where_it_was_put(what in proptest::collection::vec((0..5u8, 0..12usize), 0..60)) {
            let (mut slots, mut model, mut floor) = (Slots::new(), BTreeMap::new(), 0);
            for (serial, (what, slot)) in (1..).zip(what) {
                match what {
                    0 | 1 => {
                        let slot = insert(&mut slots, serial);
                        prop_assert!(slot >= floor);
                        prop_assert_eq!(model.insert(slot, serial), None);
                    }
                    2 if model.contains_key(&slot) => {
                        let removed = slots.remove(slot).id.serial();
                        prop_assert_eq!(Some(removed), model.remove(&slot));
                    }
                    3 => {
                        let refused = slots.insert_all(vec![conn(slot, serial)]);
                        prop_assert_eq!(refused.len() == 1, model.contains_key(&slot));
                        model.entry(slot).or_insert(serial);
                    }
                    4 => {
                        floor = slot;
                        slots.start_above(floor);
                    }
                    _ => {}
                }
                prop_assert_eq!(slots.len(), model.len());
                let all: Vec<_> = slots.iter().map(|(slot, conn)| (slot, conn.id.serial())).collect();
                prop_assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_was_kept_aside_is_given_out_again_the_lowest_first() {
        let mut slots = Slots::new();
        assert_eq!((1..=3).map(|serial| insert(&mut slots, serial)).max(), Some(2));
        slots.start_above(slots.end());
        slots.remove(0);
        slots.remove(1);
        assert_eq!(insert(&mut slots, 4), 3);
        slots.start_anywhere();
        assert_eq!(
            [insert(&mut slots, 5), insert(&mut slots, 6), insert(&mut slots, 7)],
            [0, 1, 4]
        );
    }
}
