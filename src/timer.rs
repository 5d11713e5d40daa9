//! What is due when: a sorted set of deadlines. Pure; time is always an argument.
//!
//! A timer is a key, not a closure, so it can be written down and carried to another process.
//! Whoever sets a timer remembers when it is due, and names both to take it back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{clock::Stamp, limits::FAR_FUTURE};

/// When `after` will have passed. Later than now even for zero, so that a timer that is set anew
/// whenever it runs out comes once a turn, and not for ever in one.
pub(crate) fn later(now: Instant, after: Duration) -> Instant {
    now + after.clamp(Duration::from_nanos(1), FAR_FUTURE)
}

/// Deadlines in order, each with the key that says what it is for.
///
/// A B-tree: every operation is logarithmic and the next deadline is at hand. The reactor does not
/// touch it per request (it looks at a connection again when an old deadline has passed), so a
/// timer wheel would save nothing yet. Times are kept to the nanosecond, for 292 years from the first
/// one; a later one counts as that.
///
/// ```
/// use heirloom::timer::TimerQueue;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let mut queue = TimerQueue::new();
/// queue.insert(start + Duration::from_secs(2), "tea");
/// queue.insert(start + Duration::from_secs(1), "toast");
/// assert_eq!((queue.len(), queue.next()), (2, Some(start + Duration::from_secs(1))));
/// assert_eq!(queue.pop(start), None);
/// assert!(queue.remove(start + Duration::from_secs(1), "toast")); // nobody wants any
/// assert_eq!(queue.pop(start + Duration::from_secs(3)).map(|due| due.1), Some("tea"));
/// assert!(queue.is_empty());
/// ```
#[derive(Debug)]
pub struct TimerQueue<K> {
    entries: BTreeSet<(Stamp, K)>,
}

impl<K: Ord + Copy> TimerQueue<K> {
    /// A queue with nothing due.
    pub fn new() -> Self {
        TimerQueue { entries: BTreeSet::new() }
    }

    /// Makes `key` due at `at`. The same key may be due at several times.
    pub fn insert(&mut self, at: Instant, key: K) {
        self.entries.insert((at.into(), key));
    }

    /// Takes back what [`insert`](Self::insert) did; tells whether it was there.
    pub fn remove(&mut self, at: Instant, key: K) -> bool {
        self.entries.remove(&(at.into(), key))
    }

    /// When the next key is due.
    pub fn next(&self) -> Option<Instant> {
        self.entries.first().map(|&(at, _)| at.into())
    }

    /// Takes out the earliest key if it is due at `now`.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, K)> {
        if self.entries.first()?.0 > now.into() {
            return None;
        }
        self.entries.pop_first().map(|(at, key)| (at.into(), key))
    }

    /// How many keys are waiting.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Ord + Copy> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn nothing_is_due_before_its_time() {
        let start = Instant::now();
        let mut queue = TimerQueue::new();
        queue.insert(start + Duration::from_millis(5), 'a');
        assert_eq!(queue.pop(start), None);
        assert_eq!(queue.pop(start + Duration::from_millis(5)).map(|due| due.1), Some('a'));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_timer_taken_back_never_comes() {
        let at = Instant::now();
        let mut queue = TimerQueue::new();
        queue.insert(at, 1);
        assert!(queue.remove(at, 1));
        assert!(!queue.remove(at, 1));
        assert_eq!(queue.pop(at), None);
    }

    proptest! {
        /// Against the plainest model: a list that is sorted when asked.
        #[test]
        fn comes_out_sorted_like_a_list(mut times in proptest::collection::vec((0u64..50, 0u8..9), 0..80), upto in 0u64..60) {
            let start = Instant::now();
            let mut queue = TimerQueue::new();
            for &(ms, key) in &times {
                queue.insert(start + Duration::from_millis(ms), key);
            }
            times.sort();
            times.dedup();
            let due: Vec<_> = std::iter::from_fn(|| queue.pop(start + Duration::from_millis(upto)))
                .map(|(at, key)| ((at - start).as_millis() as u64, key))
                .collect();
            let expected: Vec<_> = times.iter().copied().filter(|&(ms, _)| ms <= upto).collect();
            prop_assert_eq!(&due, &expected);
            prop_assert_eq!(queue.len(), times.len() - expected.len());
        }
    }
}
