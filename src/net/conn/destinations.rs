//! How many connections there are to each destination that is dialed.

use std::collections::BTreeMap;

use super::state::ConnState;
use crate::net::destination::Destination;

/// How many connections there are to each destination, as it was dialed: a name is one, whatever addresses it has.
#[derive(Debug, Default)]
pub(crate) struct Destinations(BTreeMap<Destination, usize>);

impl Destinations {
    pub fn count(&self, destination: &Destination) -> usize {
        self.0.get(destination).copied().unwrap_or(0)
    }

    /// A connection comes; one that was accepted counts for nobody.
    pub fn add(&mut self, conn: &ConnState) {
        conn.destination().into_iter().for_each(|destination| self.enter(destination));
    }

    /// The same of one that is no connection yet.
    pub fn enter(&mut self, destination: &Destination) {
        *self.0.entry(destination.clone()).or_insert(0) += 1;
    }

    /// It goes.
    pub fn remove(&mut self, conn: &ConnState) {
        conn.destination().into_iter().for_each(|destination| self.leave(destination));
    }

    /// The same of one that was none yet.
    pub fn leave(&mut self, destination: &Destination) {
        if let Some(count) = self.0.get_mut(destination) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(destination);
            }
        }
    }
}
