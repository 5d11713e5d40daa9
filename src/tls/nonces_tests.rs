//! No nonce is ever used twice: every test that seals counts them.

use std::{cell::RefCell, collections::HashSet};

use super::nonces::Mark;

thread_local! {
    static USED: RefCell<HashSet<(Mark, [u8; 12])>> = RefCell::default();
}

/// Notes that a key seals something by this nonce, whichever value has it.
///
/// # Panics
/// When it has done so before.
pub(super) fn note(key: Mark, nonce: [u8; 12]) {
    let is_new = USED.with_borrow_mut(|used| used.insert((key, nonce)));
    assert!(is_new, "a nonce is used twice with one key");
}
