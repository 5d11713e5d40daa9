//! `Date` of a reply (RFC 9110, section 6.6.1): the system is asked for the time once a second at most, and the text
//! is what all replies of that second share. Knows no connection.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where the time of day comes from: the system, or a test.
pub type WallClock = fn() -> SystemTime;

/// A time as HTTP writes it, always as long: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Date([u8; 29]);

/// The date of now.
pub struct Calendar {
    clock: WallClock,
    date: Date,
    /// When the next second begins; `None`: nobody has asked yet.
    stale: Option<Instant>,
}

impl Calendar {
    pub fn new(clock: WallClock) -> Calendar {
        Calendar { clock, date: Date::of(UNIX_EPOCH), stale: None }
    }

    /// Looks at the clock if a second has passed; answers whether the date is another one now. `now` is the time of the
    /// turn, which costs nothing to ask for.
    ///
    /// A clock that is set is heeded within a second.
    pub fn look(&mut self, now: Instant) -> bool {
        if self.stale.is_some_and(|stale| now < stale) {
            return false;
        }
        let time = (self.clock)();
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_nanos(u64::from(1_000_000_000 - since.subsec_nanos()));
        self.stale = Some(now + left);
        let before = std::mem::replace(&mut self.date, Date::of(time));
        before != self.date
    }

    pub fn date(&self) -> Date {
        self.date
    }
}

impl Date {
    /// A clock that stands outside of the years 1970 to 9999 is as good as none: the nearest of them is written.
    fn of(time: SystemTime) -> Date {
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let text = httpdate::fmt_http_date(time.clamp(UNIX_EPOCH, last));
        Date(text.as_bytes().try_into().unwrap_or([b' '; 29]))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The moment that RFC 9110 has as its example.
#[cfg(test)]
pub fn example() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(784_111_777_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_one_form() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(Date::of(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), text);
        }
        let early = Date::of(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(early.to_string(), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn the_clock_is_asked_when_the_next_second_begins() {
        let mut calendar = Calendar::new(example);
        let begin = Instant::now();
        assert!(calendar.look(begin));
        calendar.clock = || example() + Duration::from_millis(600);
        assert!(!calendar.look(begin + Duration::from_millis(599)));
        assert_eq!(calendar.date().to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(calendar.look(begin + Duration::from_millis(600)));
        assert_eq!(calendar.date().to_string(), "Sun, 06 Nov 1994 08:49:38 GMT");
        // Two looks in one second of the system's clock change nothing.
        calendar.clock = || example() + Duration::from_millis(900);
        assert!(!calendar.look(begin + Duration::from_secs(5)));
    }
}
