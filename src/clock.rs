//! An instant in eight bytes. Pure.
//!
//! An [`Instant`] takes sixteen, and every connection keeps four of them.

use std::{
    num::NonZeroU64,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// An [`Instant`] to the nanosecond, as far as 146 years from the first one that was asked for. An
/// `Option` of it is no larger. A forked child counts from the same one as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(NonZeroU64);

/// The number of the first instant: half way, since there are earlier ones.
const MIDDLE: u64 = 1 << 62;

fn first() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    *FIRST.get_or_init(Instant::now)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Tick {
    fn new(number: u64) -> Tick {
        Tick(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// The time from `earlier` to this one, or none if it is not earlier.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// So much earlier.
    pub fn before(self, time: Duration) -> Tick {
        Tick::new(self.0.get().saturating_sub(nanos(time)))
    }
}

impl std::ops::Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, time: Duration) -> Tick {
        Tick::new(self.0.get().saturating_add(nanos(time)))
    }
}

impl From<Instant> for Tick {
    fn from(at: Instant) -> Tick {
        let first = first();
        let middle = Tick::new(MIDDLE);
        match at.checked_duration_since(first) {
            Some(later) => middle + later,
            None => middle.before(first - at),
        }
    }
}

impl From<Tick> for Instant {
    fn from(at: Tick) -> Instant {
        let middle = Tick::new(MIDDLE);
        // Out of reach for the system's clock: as good as never.
        first().checked_add(at.since(middle)).unwrap_or_else(first) - middle.since(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_option_of_it_is_no_larger() {
        assert_eq!(size_of::<Option<Tick>>(), 8);
    }

    proptest! {
        /// There and back, on both sides of the first instant.
        #[test]
        fn is_the_instant_it_was_made_of(nanos in 0u64..1_000_000_000_000, is_earlier: bool) {
            let time = Duration::from_nanos(nanos);
            let at = if is_earlier { first().checked_sub(time) } else { Some(first() + time) };
            if let Some(at) = at {
                prop_assert_eq!(Instant::from(Tick::from(at)), at);
            }
        }

        /// Sums, differences and order are those of instants.
        #[test]
        fn counts_as_instants_do(a in 0u64..1_000_000, b in 0u64..1_000_000) {
            let (a, b) = (Duration::from_nanos(a), Duration::from_nanos(b));
            let start = Instant::now();
            let (early, late) = (Tick::from(start + a), Tick::from(start + a + b));
            prop_assert_eq!(early + b, late);
            prop_assert_eq!(late.before(b), early);
            prop_assert_eq!(late.since(early), b);
            prop_assert_eq!(early.since(late), Duration::ZERO);
            prop_assert!(early <= late);
        }
    }
}
