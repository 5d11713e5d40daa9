//! Which clients rely on keys not to change, by the numbers of both: keys by their hashes, as all changes are noted.

use std::collections::{BTreeMap, BTreeSet};

/// What happens to another key of the same hash counts as well. That is rare, and the client only has to try again.
#[derive(Debug, Default)]
pub struct Watches {
    by_hash: BTreeMap<u64, BTreeSet<u64>>,
    /// A key of theirs has changed.
    spoiled: BTreeSet<u64>,
}

impl Watches {
    pub fn join(&mut self, hash: u64, client: u64) {
        self.by_hash.entry(hash).or_default().insert(client);
    }

    pub fn leave(&mut self, hash: u64, client: u64) {
        if let Some(clients) = self.by_hash.get_mut(&hash)
            && clients.remove(&client)
            && clients.is_empty()
        {
            self.by_hash.remove(&hash);
        }
        self.spoiled.remove(&client);
    }

    /// A key of that hash has changed. Nearly always nobody watches any.
    pub fn note(&mut self, hash: u64) {
        if !self.by_hash.is_empty()
            && let Some(clients) = self.by_hash.get(&hash)
        {
            self.spoiled.extend(clients);
        }
    }

    /// All hashes for which somebody watches.
    pub fn hashes(&self) -> Vec<u64> {
        self.by_hash.keys().copied().collect()
    }

    /// What is known elsewhere, for one who comes from there.
    pub fn spoil(&mut self, client: u64, is_spoiled: bool) {
        match is_spoiled {
            true => self.spoiled.insert(client),
            false => self.spoiled.remove(&client),
        };
    }

    pub fn is_spoiled(&self, client: u64) -> bool {
        self.spoiled.contains(&client)
    }

    /// Forgets everybody who is not `here`.
    pub fn retain(&mut self, mut here: impl FnMut(u64) -> bool) {
        self.by_hash.retain(|_, clients| {
            clients.retain(|&client| here(client));
            !clients.is_empty()
        });
        self.spoiled.retain(|&client| here(client));
    }

    /// Everybody is about to join again. Whose keys have changed is not forgotten.
    pub fn begin_anew(&mut self) {
        self.by_hash.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}
