//! How long a new side has still to serve before it has proven itself. Pure: time is an argument.

use std::time::{Duration, Instant};

/// A probation under way. Time in which the process was deaf does not count, since it served nobody; but a
/// busy server, each of whose turns is long, is to prove itself while the old side still waits for its word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probation {
    begun: Instant,
    time: Duration,
    /// How much of its time the process had been deaf for when that began.
    deaf: Duration,
    /// So much longer it may take.
    patience: Duration,
}

impl Probation {
    pub fn begin(now: Instant, deaf: Duration, time: Duration, patience: Duration) -> Probation {
        Probation { begun: now, time, deaf, patience }
    }

    /// What is left of it by `now`, in a process that has been deaf for so much of its time.
    pub fn left(&self, now: Instant, deaf: Duration) -> Duration {
        let passed = now.saturating_duration_since(self.begun);
        let missed = deaf.saturating_sub(self.deaf);
        let most = (self.time + self.patience).saturating_sub(passed);
        (self.time + missed).saturating_sub(passed).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_over_when_it_was_served_through() {
        let start = Instant::now();
        let probation = Probation::begin(start, SECOND, 2 * SECOND, 5 * SECOND);
        assert_eq!(probation.left(start, SECOND), 2 * SECOND);
        assert_eq!(probation.left(start + 2 * SECOND, SECOND), Duration::ZERO);
        assert_eq!(probation.left(start + 2 * SECOND, 2 * SECOND), SECOND, "deaf for a second");
        assert_eq!(probation.left(start + 3 * SECOND, 2 * SECOND), Duration::ZERO);
    }

    /// Nine tenths of each turn count as deafness.
    #[test]
    fn a_server_whose_turns_are_all_long_proves_itself_in_time() {
        let (start, limit) = (Instant::now(), 10 * SECOND);
        for time in [Duration::ZERO, SECOND / 2, 2 * SECOND] {
            let probation = Probation::begin(start, Duration::ZERO, time, limit / 2);
            let (mut now, mut deaf) = (start, Duration::ZERO);
            loop {
                let left = probation.left(now, deaf);
                if left.is_zero() {
                    break;
                }
                while left > now - start {
                    now += SECOND;
                    deaf += SECOND * 9 / 10;
                }
                now += SECOND;
                deaf += SECOND * 9 / 10;
            }
            assert!(now - start < time + limit, "{time:?}: after {:?}", now - start);
        }
        let none = Probation::begin(start, Duration::ZERO, Duration::ZERO, limit / 2);
        assert_eq!(none.left(start + SECOND, SECOND * 9 / 10), Duration::ZERO);
    }
}
