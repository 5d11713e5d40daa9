//! Which keys have changed since somebody began to ask: by their hashes, since a key that is gone has no more.

use super::slot::HASH_BITS;

const BITS: u32 = 8;

/// Hashes are put down as they come, which costs next to nothing; those that come again are found out when
/// there are twice as many. In 256 parts, so that no command has to wait for long while that is done.
#[derive(Debug, Default)]
pub struct Touched {
    /// None as long as nobody asks.
    parts: Vec<Part>,
    len: usize,
    /// Of the parts, the first one that may have something.
    at: usize,
    /// All keys of before have gone at once.
    cleared: bool,
}

#[derive(Debug, Default)]
struct Part {
    hashes: Vec<u64>,
    /// So many of them are in order, and each is there once.
    sorted: usize,
}

impl Touched {
    pub fn track(&mut self, on: bool) {
        *self = Touched::default();
        if on {
            self.parts.resize_with(1 << BITS, Part::default);
        }
    }

    pub fn note(&mut self, hash: u64) {
        let index = (hash >> (HASH_BITS - BITS)) as usize;
        let Some(part) = self.parts.get_mut(index) else { return };
        part.hashes.push(hash);
        self.len += 1;
        self.at = self.at.min(index);
        if part.hashes.len() > 2 * part.sorted.max(64) {
            self.len -= part.sort();
        }
    }

    /// Which outdoes all that was noted.
    pub fn note_clear(&mut self) {
        if !self.parts.is_empty() {
            self.track(true);
            self.cleared = true;
        }
    }

    /// Whether all were gone, before anything that [`next`](Self::next) tells.
    pub fn take_clear(&mut self) -> bool {
        std::mem::take(&mut self.cleared)
    }

    pub fn next(&mut self) -> Option<u64> {
        loop {
            let part = self.parts.get_mut(self.at)?;
            self.len -= part.sort();
            if let Some(hash) = part.hashes.pop() {
                part.sorted -= 1;
                self.len -= 1;
                return Some(hash);
            }
            if self.at == self.parts.len() - 1 {
                return None;
            }
            self.at += 1;
        }
    }

    /// How many, or a few more: some may be counted twice.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Part {
    /// Answers how many were there twice.
    fn sort(&mut self) -> usize {
        let before = self.hashes.len();
        if self.sorted < before {
            self.hashes.sort_unstable();
            self.hashes.dedup();
            self.sorted = self.hashes.len();
        }
        before - self.hashes.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain set; `None` takes one out.
        #[test]
        fn tells_each_once(steps in proptest::collection::vec(proptest::option::weighted(0.8, 0u64..300), 0..600)) {
            let (mut touched, mut model) = (Touched::default(), BTreeSet::new());
            touched.track(true);
            for step in steps {
                match step {
                    Some(number) => {
                        let hash = (number % 3) << (HASH_BITS - BITS) | number; // crowds in a few parts
                        touched.note(hash);
                        model.insert(hash);
                    }
                    None => match touched.next() {
                        Some(hash) => prop_assert!(model.remove(&hash)),
                        None => prop_assert!(model.is_empty()),
                    },
                }
                prop_assert!(touched.len() >= model.len());
                prop_assert!(touched.len() <= 2 * model.len() + 129 * touched.parts.len());
            }
            let mut rest: Vec<_> = std::iter::from_fn(|| touched.next()).collect();
            rest.sort();
            prop_assert!(rest.into_iter().eq(model));
            prop_assert_eq!(touched.len(), 0);
        }
    }

    #[test]
    fn a_key_that_changes_all_the_time_takes_no_room() {
        let mut touched = Touched::default();
        touched.track(true);
        (0..100_000).for_each(|_| touched.note(7));
        assert!(touched.len() <= 129, "{}", touched.len());
        assert_eq!((touched.next(), touched.next()), (Some(7), None));
    }
}
