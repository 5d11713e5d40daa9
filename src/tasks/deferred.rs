//! Work that is done in pieces, one in a turn. Knows no service.

use std::collections::VecDeque;

/// Names work that is done in pieces. Given by [`Net::defer`](crate::Net::defer), and back by
/// [`on_deferred`](crate::Service::on_deferred).
///
/// ```
/// # use heirloom::{Deferred, Net};
/// const REINDEX: Deferred = Deferred(0);
///
/// fn imported(net: &mut Net) {
///     net.defer(REINDEX); // the first piece of it, later in this turn
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deferred(pub u64);

/// The pieces to be done, in the order in which they were deferred.
#[derive(Debug, Default)]
pub(crate) struct DeferredQueue(VecDeque<Deferred>);

impl DeferredQueue {
    pub fn push(&mut self, key: Deferred) {
        self.0.push_back(key);
    }

    pub fn pop(&mut self) -> Option<Deferred> {
        self.0.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
