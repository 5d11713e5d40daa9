//! Which keys have changed since somebody began to ask: by their hashes, since a key that is gone has no more.

use std::collections::BTreeSet;

/// Nobody asks, as long as there is no `hashes`: noting costs nothing then.
#[derive(Debug, Default)]
pub struct Touched {
    hashes: Option<BTreeSet<u64>>,
    /// All keys of before have gone at once.
    cleared: bool,
}

impl Touched {
    pub fn track(&mut self, on: bool) {
        *self = Touched { hashes: on.then(BTreeSet::new), cleared: false };
    }

    pub fn note(&mut self, hash: u64) {
        if let Some(hashes) = &mut self.hashes {
            hashes.insert(hash);
        }
    }

    /// Which outdoes all that was noted.
    pub fn note_clear(&mut self) {
        if let Some(hashes) = &mut self.hashes {
            hashes.clear();
            self.cleared = true;
        }
    }

    /// Whether all were gone, before anything that [`next`](Self::next) tells.
    pub fn take_clear(&mut self) -> bool {
        std::mem::take(&mut self.cleared)
    }

    pub fn next(&mut self) -> Option<u64> {
        self.hashes.as_mut()?.pop_first()
    }

    pub fn len(&self) -> usize {
        self.hashes.as_ref().map_or(0, BTreeSet::len)
    }
}
