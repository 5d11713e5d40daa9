//! Where a key stands: by its hash, which only this server's own seed leads to.

use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// Hashes have 53 bits: so many are exact in a floating-point number, which is what JavaScript clients
/// make of a cursor.
pub const HASH_BITS: u32 = 53;

const TIE_BITS: u32 = u64::BITS - HASH_BITS;

/// Makes hashes of whole keys. A `Hasher` of the standard library takes its input in pieces, which is half as much again of work
/// where there is but one.
pub trait KeyHasher {
    fn hash(&self, key: &[u8]) -> u64;
}

/// A hash, and behind it a number, from 0 without a gap, for keys of the same hash. One word, since a look-up
/// compares some twenty of them. The number has 11 bits: 2048 keys of one hash cannot be found by somebody
/// who cannot foresee it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u64);

impl Slot {
    /// The first one of `hash`.
    pub fn first(hash: u64) -> Slot {
        Slot(hash << TIE_BITS)
    }

    /// The first one for a key.
    pub fn home(hasher: &impl KeyHasher, key: &[u8]) -> Slot {
        Slot::first(hasher.hash(key) >> TIE_BITS)
    }

    pub fn next(self) -> Slot {
        Slot(self.0 + 1)
    }

    pub fn hash(self) -> u64 {
        self.0 >> TIE_BITS
    }

    pub fn is_first(self) -> bool {
        Slot::first(self.hash()) == self
    }

    /// The number that its first `bits` bits make.
    pub fn prefix(self, bits: u32) -> usize {
        (self.0 >> (u64::BITS - bits)) as usize
    }
}

/// What makes hashes that strangers cannot foresee (SipHash-1-3). It is written down with the keys: so they stand
/// in the same order in the next program, and a cursor of SCAN means there what it has meant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(u64, u64);

impl Seed {
    /// The standard library has its own from the system, and tells them by hashes alone.
    pub fn random() -> Seed {
        let random = RandomState::new();
        Seed(random.hash_one(0), random.hash_one(1))
    }

    /// A number that tells this seed from others, and does not tell the seed.
    pub fn identity(self) -> u128 {
        u128::from(self.hash_one("one")) << 64 | u128::from(self.hash_one("other"))
    }
}

impl KeyHasher for Seed {
    fn hash(&self, key: &[u8]) -> u64 {
        self.build_hasher().hash(key)
    }
}

impl BuildHasher for Seed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}
