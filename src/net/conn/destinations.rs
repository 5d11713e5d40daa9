//! How many connections there are to each destination that is dialed.

use std::collections::BTreeMap;

use super::state::ConnState;
use crate::net::address::Address;

/// How many connections there are to each destination.
#[derive(Debug, Default)]
pub(crate) struct Destinations(BTreeMap<Address, usize>);

impl Destinations {
    pub fn count(&self, address: &Address) -> usize {
        self.0.get(address).copied().unwrap_or(0)
    }

    /// A connection comes; one that was accepted counts for nobody.
    pub fn add(&mut self, conn: &ConnState) {
        if let Some(address) = conn.destination() {
            *self.0.entry(address.clone()).or_insert(0) += 1;
        }
    }

    /// It goes.
    pub fn remove(&mut self, conn: &ConnState) {
        if let Some(address) = conn.destination()
            && let Some(count) = self.0.get_mut(address)
        {
            *count -= 1;
            if *count == 0 {
                self.0.remove(address);
            }
        }
    }
}
