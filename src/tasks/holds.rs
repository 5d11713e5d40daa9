//! What keeps a draining process alive although no connection does. Knows no service.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    limits::{HELD_NAME_CHARS, HELD_NAMES},
    timer::{TimerQueue, later},
};

/// Work in hand that is no connection: while one exists, a draining process does not exit.
///
/// A message consumer takes one per message that it has fetched and not acknowledged. Taken by
/// [`Net::hold`](crate::Net::hold), given back by [`Net::unhold`](crate::Net::unhold); dropping it gives nothing back.
///
/// ```
/// use heirloom::{Hold, Net};
/// use std::time::Duration;
///
/// /// A transfer, which is worth a minute of waiting and no more.
/// struct Transfer { hold: Hold }
///
/// impl Transfer {
///     fn begin(net: &mut Net) -> Transfer {
///         Transfer { hold: net.hold_within("transfer", Duration::from_secs(60)) }
///     }
///     fn end(self, net: &mut Net) {
///         net.unhold(self.hold);
///     }
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "give it back with `Net::unhold`, or this process drains until its deadline"]
pub struct Hold {
    /// Who counts it: a forked child has copies of its parent's.
    generation: u64,
    number: u64,
    /// Its deadline, if it has one.
    until: Option<Instant>,
}

/// The holds of a process.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The oldest first.
    held: BTreeMap<u64, Cow<'static, str>>,
    /// Of the hold that came last.
    last: u64,
    /// When those with a deadline are given up.
    deadlines: TimerQueue<u64>,
}

impl Holds {
    pub fn take(&mut self, generation: u64, name: Cow<'static, str>) -> Hold {
        self.last += 1;
        self.held.insert(self.last, name);
        Hold { generation, number: self.last, until: None }
    }

    /// One with a deadline.
    pub fn take_within(
        &mut self,
        generation: u64,
        name: Cow<'static, str>,
        limit: Duration,
        now: Instant,
    ) -> Hold {
        let (hold, until) = (self.take(generation, name), later(now, limit));
        self.deadlines.insert(until, hold.number);
        Hold { until: Some(until), ..hold }
    }

    /// Gives it back; one of another generation counts for nothing.
    pub fn give_back(&mut self, generation: u64, hold: Hold) {
        let Hold { generation: of, number, until } = hold;
        if of == generation {
            self.held.remove(&number);
            if let Some(until) = until {
                self.deadlines.remove(until, number);
            }
        }
    }

    /// When the first of those with a deadline is given up.
    pub fn next(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Gives up those whose deadline has passed, and answers their names.
    pub fn expire(&mut self, now: Instant) -> Vec<Cow<'static, str>> {
        let numbers = std::iter::from_fn(|| self.deadlines.pop(now));
        numbers.filter_map(|(_, number)| self.held.remove(&number)).collect()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Names of the oldest, each as one short word.
    pub fn names(&self) -> Vec<String> {
        self.held.values().take(HELD_NAMES).map(|name| as_word(name)).collect()
    }
}

/// A name as a value in a line of `key=value`: no blank, no comma, not long.
fn as_word(name: &str) -> String {
    let plain =
        |c: char| if c.is_whitespace() || c.is_control() || ",=".contains(c) { '_' } else { c };
    match name {
        "" => "_".to_owned(),
        name => name.chars().take(HELD_NAME_CHARS).map(plain).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(holds: &mut Holds, name: &str) -> Hold {
        holds.take(0, name.to_owned().into())
    }

    #[test]
    fn a_hold_is_over_when_it_is_given_back_or_its_time_is() {
        let start = Instant::now();
        let mut holds = Holds::default();
        let patient = hold(&mut holds, "patient");
        let within = |holds: &mut Holds, name: &'static str, ms| {
            holds.take_within(0, name.into(), Duration::from_millis(ms), start)
        };
        let early = within(&mut holds, "early", 1);
        let late = within(&mut holds, "late", 1000);
        let in_time = within(&mut holds, "in time", 1000);
        holds.give_back(0, in_time);
        holds.give_back(0, early);
        assert_eq!(holds.next(), Some(start + Duration::from_secs(1)), "one given back waits");
        assert_eq!(holds.expire(start + Duration::from_secs(2)), ["late"]);
        assert_eq!(holds.names(), ["patient"]);
        holds.give_back(0, late);
        assert_eq!(holds.len(), 1);
        holds.give_back(0, patient);
        assert_eq!(holds.len(), 0);
    }

    #[test]
    fn a_name_is_one_word_however_it_is_written() {
        let mut holds = Holds::default();
        let _hold = hold(&mut holds, "a b,c=d\ne");
        let _hold = hold(&mut holds, &"ö".repeat(1000));
        let _hold = hold(&mut holds, "");
        assert_eq!(
            holds.names(),
            ["a_b_c_d_e".to_owned(), "ö".repeat(HELD_NAME_CHARS), "_".to_owned()]
        );
    }

    #[test]
    fn a_hold_that_was_given_back_leaves_the_next_one_alone() {
        let mut holds = Holds::default();
        let first = hold(&mut holds, "first");
        holds.give_back(0, first);
        let _second = hold(&mut holds, "second");
        assert_eq!(holds.names(), ["second"]);
    }
}
