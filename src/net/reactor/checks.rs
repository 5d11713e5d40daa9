//! When the timeouts of each connection are looked at next, in order.

use std::collections::BTreeSet;

use crate::{clock::Stamp, net::id::ConnId};

/// One entry for each connection that has any: a byte that comes or goes moves none.
#[derive(Debug, Default)]
pub(super) struct Checks {
    queue: BTreeSet<(Stamp, ConnId)>,
    /// How often it was changed.
    #[cfg(test)]
    pub changes: u64,
}

impl Checks {
    pub fn first(&self) -> Option<Stamp> {
        self.queue.first().map(|&(at, _)| at)
    }

    pub fn insert(&mut self, at: Stamp, id: ConnId) {
        self.count();
        self.queue.insert((at, id));
    }

    pub fn remove(&mut self, at: Stamp, id: ConnId) {
        self.count();
        self.queue.remove(&(at, id));
    }

    /// Takes out the first one, if its time has come by `now`.
    pub fn pop(&mut self, now: Stamp) -> Option<ConnId> {
        self.queue.first().filter(|&&(at, _)| at <= now)?;
        self.count();
        self.queue.pop_first().map(|(_, id)| id)
    }

    fn count(&mut self) {
        #[cfg(test)]
        {
            self.changes += 1;
        }
    }
}
