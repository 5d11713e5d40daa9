//! No nonce is ever used twice: every test that seals counts them.

use std::{cell::RefCell, collections::HashSet};

thread_local! {
    static USED: RefCell<HashSet<(Vec<u8>, [u8; 12])>> = RefCell::default();
}

/// What a key was used for, whichever value had it.
pub(super) struct Used(Vec<u8>);

impl Used {
    pub fn of(key: &[u8]) -> Used {
        Used(key.to_vec())
    }

    /// Notes that it seals something by this nonce.
    ///
    /// # Panics
    /// When it has done so before.
    pub fn note(&self, nonce: [u8; 12]) {
        let is_new = USED.with_borrow_mut(|used| used.insert((self.0.clone(), nonce)));
        assert!(is_new, "a nonce is used twice with one key");
    }
}
