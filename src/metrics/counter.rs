//! A count of a service, which goes on in the next generation, and what is so at the moment.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::board::value_at;
use crate::system::shared_words::SharedWords;

/// A number of a service that only grows and goes on across restarts: see [`Net::counter`](crate::Net::counter).
///
/// To count is one atomic addition, in any thread. A clone is the same counter, and so is the copy that a forked child
/// has: both sides count into one number. A default one is of this process alone, and told to nobody, until
/// `Net::counter` has made a real one; so a service can have a field of it from the beginning.
///
/// ```
/// use heirloom::Counter;
///
/// let hits = Counter::default();
/// hits.add(2);
/// assert_eq!(hits.get(), 2);
/// ```
#[derive(Clone)]
pub struct Counter(Cell);

#[derive(Clone)]
enum Cell {
    Own(Arc<AtomicU64>),
    Shared(Arc<SharedWords>, usize),
}

impl Counter {
    pub(super) fn shared(words: Arc<SharedWords>, index: usize) -> Counter {
        Counter(Cell::Shared(words, value_at(index)))
    }

    fn word(&self) -> &AtomicU64 {
        match &self.0 {
            Cell::Own(word) => word,
            Cell::Shared(words, at) => &words[*at],
        }
    }

    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.word().fetch_add(more, Relaxed);
    }

    /// What all generations have counted so far.
    pub fn get(&self) -> u64 {
        self.word().load(Relaxed)
    }
}

/// A number of a service that goes up and down: see [`Net::gauge`](crate::Net::gauge). Otherwise it is like a [`Counter`].
///
/// ```
/// use heirloom::Gauge;
///
/// let keys = Gauge::default();
/// keys.set(7);
/// assert_eq!(keys.get(), 7);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gauge(Counter);

impl Gauge {
    pub(super) fn of(place: Counter) -> Gauge {
        Gauge(place)
    }

    /// From now on it is so much.
    pub fn set(&self, value: u64) {
        self.0.word().store(value, Relaxed);
    }

    /// What was set last, by whichever generation.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Default for Counter {
    fn default() -> Counter {
        Counter(Cell::Own(Arc::default()))
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}
