//! When to try again. Pure: no clock, no socket; the caller sets an alarm.

use std::{process, time::Duration};

use crate::system::seed::fresh_seed;

/// Delays for a peer that is not there: each twice as long as the one before, up to a limit, with
/// jitter, so that many clients of a server that was restarted do not come back all at once.
///
/// A delay is anything from half of its full length to all of it. It is a plain value; what it is for
/// and when it is over is the author's business.
///
/// ```
/// use heirloom::{Alarm, Backoff, Connection, Net};
/// use std::time::Duration;
///
/// const AGAIN: Alarm = Alarm(1);
///
/// struct Upstream { address: String, backoff: Backoff }
///
/// impl Upstream {
///     fn new(address: &str) -> Upstream {
///         let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
///         Upstream { address: address.to_owned(), backoff }
///     }
///     fn on_alarm(&mut self, net: &mut Net) {
///         net.dial(&self.address, 0).expect("an address");
///     }
///     fn on_open(&mut self, conn: &mut Connection<'_>) {
///         self.backoff.reset();
///     }
///     fn on_dial_failed(&mut self, net: &mut Net, why: std::io::Error) {
///         net.set_alarm(AGAIN, self.backoff.next_delay());
///     }
/// }
/// ```
///
/// The numbers, with the jitter of a seed:
///
/// ```
/// use heirloom::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::seeded(Duration::from_secs(1), Duration::from_secs(3), 7);
/// for full in [1, 2, 3, 3].map(Duration::from_secs) {
///     let delay = backoff.next_delay();
///     assert!(full / 2 <= delay && delay <= full);
/// }
/// assert_eq!(backoff.tries(), 4);
/// backoff.reset();
/// assert!(backoff.next_delay() <= Duration::from_secs(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// Full length of the next delay.
    full: Duration,
    tries: u32,
    /// Of the random numbers; they need not be good ones.
    state: u64,
    /// They are to be another process's as little as another value's.
    per_process: bool,
}

impl Backoff {
    /// Delays from `first` up to `longest`, with a jitter that no other value has; nor has the same value in a forked
    /// child, so that both do not come back to their peer together.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        let backoff = Backoff::seeded(first, longest, fresh_seed());
        Backoff { per_process: true, ..backoff }
    }

    /// The same delays each time, for a test; also in a forked child.
    pub fn seeded(first: Duration, longest: Duration, seed: u64) -> Backoff {
        let full = first.min(longest);
        Backoff { first, longest, full, tries: 0, state: seed, per_process: false }
    }

    /// How long to wait before the next try.
    pub fn next_delay(&mut self) -> Duration {
        let full = self.full;
        self.full = full.saturating_mul(2).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        let half = full / 2;
        half + (full - half).mul_f64(self.next_share()).min(full - half)
    }

    /// It has worked: the next delay is a first one again.
    pub fn reset(&mut self) {
        self.full = self.first.min(self.longest);
        self.tries = 0;
    }

    /// How many delays there were since the beginning or the last [`reset`](Self::reset).
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// From 0 to 1 (SplitMix64).
    fn next_share(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let process = if self.per_process { u64::from(process::id()) } else { 0 };
        let mut z = self.state ^ process.rotate_left(32); // far from the steps between neighbours
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_delay_is_between_half_and_all_of_its_length(
            first in 0u64..10_000, longest in 0u64..100_000, seed: u64, count in 1u32..60,
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let mut backoff = Backoff::seeded(first, longest, seed);
            for n in 0..count {
                let full = first.saturating_mul(1u32.checked_shl(n).unwrap_or(u32::MAX)).min(longest);
                let delay = backoff.next_delay();
                prop_assert!(full / 2 <= delay && delay <= full, "{n}: {delay:?} of {full:?}");
            }
            prop_assert_eq!(backoff.tries(), count);
            backoff.reset();
            prop_assert_eq!(backoff.tries(), 0);
            prop_assert!(backoff.next_delay() <= first);
        }

        #[test]
        fn no_time_is_too_long_for_it(seed: u64) {
            let mut backoff = Backoff::seeded(Duration::MAX, Duration::MAX, seed);
            for _ in 0..100 {
                prop_assert!(backoff.next_delay() >= Duration::MAX / 2);
            }
        }

        #[test]
        fn two_clients_do_not_come_back_together(seed: u64) {
            let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
            let mut one = Backoff::seeded(first, longest, seed);
            let mut other = Backoff::seeded(first, longest, seed.wrapping_add(1));
            let delays = |backoff: &mut Backoff| (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>();
            prop_assert_ne!(delays(&mut one), delays(&mut other));
        }
    }

    #[test]
    fn its_own_seeds_differ() {
        let new = || Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        assert_ne!(new(), new());
    }
}
