//! Where the time comes from, and an instant in eight bytes. An [`Instant`] takes sixteen, and every
//! connection keeps four of them.

use std::{
    cell::Cell,
    num::NonZeroU64,
    rc::Rc,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

/// Where the time comes from. Whoever sets a deadline asks here, since author's code may have run since the
/// turn began.
///
/// The system's is `CLOCK_MONOTONIC` (`clock_gettime(2)`), which stands still while the machine is suspended:
/// nobody's time runs out in its sleep.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    System,
    /// Of a test, which moves it; clones are the same clock.
    Test(Rc<Cell<Instant>>),
}

impl Clock {
    /// One that stands at `now` until a test moves it.
    pub fn test(now: Instant) -> Clock {
        Clock::Test(Rc::new(Cell::new(now)))
    }

    pub fn now(&self) -> Instant {
        match self {
            Clock::System => Instant::now(),
            Clock::Test(now) => now.get(),
        }
    }

    /// The time of day, which may be set: for people to read, and not to count with.
    /// Since 1970.
    pub fn wall(&self) -> Duration {
        match self {
            Clock::System => SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            Clock::Test(_) => Duration::ZERO,
        }
    }

    /// Moves a test's clock; the system's is moved by nobody.
    pub fn set(&self, to: Instant) {
        if let Clock::Test(now) = self {
            now.set(to);
        }
    }
}

/// What people and other machines call the time, as HTTP writes it (RFC 9110, section 5.6.7). Nothing is decided by it.
#[cfg(feature = "health")]
pub(crate) fn http_date() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

/// An [`Instant`] to the nanosecond, up to 292 years before or after the first one that became a stamp; one
/// that is further off counts as that. An `Option` of it is no larger. A forked child counts from the same
/// one as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(NonZeroU64);

/// The number of the first instant: half way, since there are earlier ones.
const MIDDLE: u64 = 1 << 63;

/// What all stamps are counted from.
static FIRST: OnceLock<Instant> = OnceLock::new();

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Stamp {
    fn new(number: u64) -> Stamp {
        Stamp(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// The time from `earlier` to this one, or zero if it is not earlier.
    pub fn since(self, earlier: Stamp) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// So much earlier.
    pub fn before(self, time: Duration) -> Stamp {
        Stamp::new(self.0.get().saturating_sub(nanos(time)))
    }
}

impl std::ops::Add<Duration> for Stamp {
    type Output = Stamp;

    fn add(self, time: Duration) -> Stamp {
        Stamp::new(self.0.get().saturating_add(nanos(time)))
    }
}

impl From<Instant> for Stamp {
    fn from(at: Instant) -> Stamp {
        let first = *FIRST.get_or_init(|| at);
        let middle = Stamp::new(MIDDLE);
        match at.checked_duration_since(first) {
            Some(later) => middle + later,
            None => middle.before(first - at),
        }
    }
}

impl From<Stamp> for Instant {
    fn from(at: Stamp) -> Instant {
        let middle = Stamp::new(MIDDLE);
        let first = *FIRST.get().expect("a stamp is made of an instant");
        first + at.since(middle) - middle.since(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_option_of_it_is_no_larger() {
        assert_eq!(size_of::<Option<Stamp>>(), 8);
    }

    #[test]
    fn one_too_far_off_counts_as_the_last() {
        let now = Stamp::from(Instant::now());
        let last = now + Duration::MAX;
        assert_eq!(last + Duration::from_nanos(1), last);
        assert!(Instant::from(now.before(Duration::MAX)) < Instant::from(now));
        assert!(Instant::from(now) < Instant::from(last));
    }

    proptest! {
        /// There and back, before and after the first one.
        #[test]
        fn is_the_instant_it_was_made_of(nanos in 0u64..1_000_000_000_000, is_earlier: bool) {
            let time = Duration::from_nanos(nanos);
            let first = Instant::from(Stamp::from(Instant::now()));
            let at = if is_earlier { first.checked_sub(time) } else { Some(first + time) };
            if let Some(at) = at {
                prop_assert_eq!(Instant::from(Stamp::from(at)), at);
            }
        }

        /// Sums, differences and order are those of instants.
        #[test]
        fn counts_as_instants_do(a in 0u64..1_000_000, b in 0u64..1_000_000) {
            let (a, b) = (Duration::from_nanos(a), Duration::from_nanos(b));
            let start = Instant::now();
            let (early, late) = (Stamp::from(start + a), Stamp::from(start + a + b));
            prop_assert_eq!(early + b, late);
            prop_assert_eq!(late.before(b), early);
            prop_assert_eq!(late.since(early), b);
            prop_assert_eq!(early.since(late), Duration::ZERO);
            prop_assert!(early <= late);
        }
    }
}
