//! No nonce is ever used twice: every test that seals counts them.

use std::{cell::RefCell, collections::HashSet};

thread_local! {
    static USED: RefCell<HashSet<(Vec<u8>, [u8; 12])>> = RefCell::default();
}

/// Notes that a key seals something by this nonce.
///
/// # Panics
/// When it has done so before, whichever value had the key then.
pub(super) fn note(key: &[u8], nonce: [u8; 12]) {
    let is_new = USED.with_borrow_mut(|used| used.insert((key.to_vec(), nonce)));
    assert!(is_new, "a nonce is used twice with one key");
}
