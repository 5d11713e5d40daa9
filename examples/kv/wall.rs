//! The time of day, read off the reactor's clock. Pure but for the one look that [`Wall::now`] takes.
//!
//! Keys expire by the clock that nobody sets. What clients say and hear is the time of day in milliseconds, and
//! so are the keys on their way to another program: this is what leads from one to the other and back.

use std::time::{Duration, Instant, SystemTime};

#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// The beginning of a millisecond.
    at: Instant,
    /// Since 1970, at that moment.
    millis: i64,
}

impl Wall {
    /// By the system's clock, which is looked at once in a process.
    pub fn now() -> Wall {
        let (at, since) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        let part = Duration::from_nanos(u64::from(since.subsec_nanos()) % 1_000_000);
        Wall { at: at.checked_sub(part).unwrap_or(at), millis: since.as_millis() as i64 }
    }

    /// The millisecond of a moment, with what is left of it in microseconds.
    fn split(&self, moment: Instant) -> (i64, u32) {
        if let Some(later) = moment.checked_duration_since(self.at) {
            let millis = (later.as_secs() as i64).saturating_mul(1000);
            let millis = millis.saturating_add(i64::from(later.subsec_millis()));
            return (self.millis.saturating_add(millis), later.subsec_micros() % 1000);
        }
        let earlier = (self.at - moment).as_micros();
        (self.millis - earlier.div_ceil(1000) as i64, (1000 - earlier % 1000) as u32 % 1000)
    }

    /// Milliseconds since 1970.
    pub fn millis(&self, moment: Instant) -> i64 {
        self.split(moment).0
    }

    /// Seconds since 1970, and microseconds.
    pub fn seconds(&self, moment: Instant) -> (i64, i64) {
        let (millis, micros) = self.split(moment);
        (millis.div_euclid(1000), millis.rem_euclid(1000) * 1000 + i64::from(micros))
    }

    /// When that millisecond begins. `None`: the reactor's clock has no such time.
    pub fn moment(&self, millis: i64) -> Option<Instant> {
        let apart = Duration::from_millis(millis.abs_diff(self.millis));
        match millis >= self.millis {
            true => self.at.checked_add(apart),
            false => self.at.checked_sub(apart),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_millisecond_is_found_again(apart in -100_000i64..=i64::MAX / 2, within in 0u64..1000) {
            let wall = Wall::now();
            let millis = wall.millis + apart;
            let moment = wall.moment(millis).expect("not before the clock began");
            prop_assert_eq!(wall.millis(moment), millis);
            let later = moment + Duration::from_micros(within);
            prop_assert_eq!(wall.millis(later), millis);
            let (seconds, micros) = wall.seconds(later);
            prop_assert_eq!(seconds * 1000 + micros / 1000, millis);
            prop_assert_eq!(micros % 1000, within as i64);
        }
    }

    #[test]
    fn the_last_millisecond_of_all_is_a_moment() {
        let wall = Wall::now();
        assert_eq!(wall.millis(wall.moment(i64::MAX).unwrap()), i64::MAX);
    }
}
