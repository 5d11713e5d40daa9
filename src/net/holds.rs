//! Work that is no connection: what keeps a draining process alive, and what is done in pieces. Knows
//! no service.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{Deferred, Key, Net};
use crate::limits::{HELD_NAME_CHARS, HELD_NAMES};

/// Work in hand that is no connection: while one exists, a draining process does not exit.
///
/// A message consumer takes one per message that it has fetched and not acknowledged. Taken by
/// [`Net::hold`], given back by [`Net::unhold`]; dropping it gives nothing back.
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

/// The work of a process.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The oldest first.
    holds: BTreeMap<u64, Cow<'static, str>>,
    /// Of the hold that came last.
    last: u64,
    /// Pieces to be done, one in a turn.
    deferred: VecDeque<Deferred>,
}

impl Net {
    /// Keeps this process from exiting, while it drains, until the hold is given back. `name` says in a
    /// status what it waits for.
    ///
    /// Holds stay with the process that took them; a new generation begins with none, by either engine.
    /// The deadline of a [`Drain`](crate::Drain) ends the wait for all of them.
    ///
    /// ```
    /// # use heirloom::{Hold, Net};
    /// # use std::collections::BTreeMap;
    /// fn fetched(jobs: &mut BTreeMap<u64, Hold>, net: &mut Net, job: u64) {
    ///     jobs.insert(job, net.hold(format!("job {job}")));
    /// }
    ///
    /// fn acknowledged(jobs: &mut BTreeMap<u64, Hold>, net: &mut Net, job: u64) {
    ///     jobs.remove(&job).into_iter().for_each(|hold| net.unhold(hold));
    /// }
    /// ```
    pub fn hold(&mut self, name: impl Into<Cow<'static, str>>) -> Hold {
        self.work.last += 1;
        let number = self.work.last;
        self.work.holds.insert(number, name.into());
        Hold { generation: self.generation, number, until: None }
    }

    /// A [`hold`](Self::hold) with a deadline of its own: it is given up when `limit` has passed,
    /// with a line in the log and a count in [`Stats::holds_expired`](crate::Stats::holds_expired).
    ///
    /// The time runs from now on, whether the process drains yet or not.
    pub fn hold_within(&mut self, name: impl Into<Cow<'static, str>>, limit: Duration) -> Hold {
        let (hold, until) = (self.hold(name), self.later(limit));
        self.set_timer(until, Key::Hold(hold.number));
        Hold { until: Some(until), ..hold }
    }

    /// Gives a hold back. One that was given up counts for nothing any more, nor do, in a forked
    /// child, those of its parent.
    pub fn unhold(&mut self, hold: Hold) {
        let Hold { generation, number, until } = hold;
        if generation == self.generation {
            self.work.holds.remove(&number);
            until.into_iter().for_each(|until| self.clear_timer(until, Key::Hold(number)));
        }
    }

    /// The deadline of a hold has passed.
    pub(super) fn expire_hold(&mut self, number: u64) {
        if let Some(name) = self.work.holds.remove(&number) {
            self.stats.holds_expired += 1;
            log::warn!("hold {name:?} is given up: its time is over");
        }
    }

    pub(crate) fn holds(&self) -> usize {
        self.work.holds.len()
    }

    /// Names of the oldest holds, each as one short word.
    pub(crate) fn held(&self) -> Vec<String> {
        self.work.holds.values().take(HELD_NAMES).map(|name| as_word(name)).collect()
    }

    /// Has [`on_deferred`](crate::Service::on_deferred) called with `key`, once for each call of this:
    /// for work that would take too long for one callback and is cut into pieces.
    ///
    /// One piece is done in a turn, after everything that came in that turn was answered, and the loop does
    /// not sleep while there are any: a piece of a millisecond costs each client at most that. Keys
    /// take their turns in the order in which they were deferred, so two jobs that each defer their next piece
    /// advance side by side.
    ///
    /// Deferred work belongs to the process that deferred it, which does not exit before it is done
    /// (but at its [drain deadline](crate::Drain::deadline)).
    /// A new generation begins with none, by either engine: a forked child that has a half-done job
    /// in its heap leaves it to its parent.
    ///
    /// ```
    /// # use heirloom::{Deferred, Net};
    /// struct Index { left: Vec<String> }
    ///
    /// fn on_deferred(index: &mut Index, net: &mut Net, key: Deferred) {
    ///     let piece = index.left.len().saturating_sub(100);
    ///     index.left.drain(piece..).for_each(drop); // a hundred of them, and then the others' turn
    ///     if !index.left.is_empty() {
    ///         net.defer(key);
    ///     }
    /// }
    /// ```
    pub fn defer(&mut self, key: Deferred) {
        self.work.deferred.push_back(key);
    }

    /// The piece that is to be done next.
    pub(crate) fn next_deferred(&mut self) -> Option<Deferred> {
        if self.frozen { None } else { self.work.deferred.pop_front() }
    }

    pub(super) fn has_deferred(&self) -> bool {
        !self.work.deferred.is_empty()
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

    #[test]
    fn a_hold_is_over_when_it_is_given_back_or_its_time_is() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        let patient = net.hold("patient");
        let early = net.hold_within("early", Duration::from_millis(1));
        let late = net.hold_within("late", Duration::from_secs(1));
        let in_time = net.hold_within("in time", Duration::from_secs(1));
        net.unhold(in_time);
        net.unhold(early);
        assert_eq!(
            net.next_deadline(),
            Some(start + Duration::from_secs(1)),
            "one given back waits"
        );
        net.set_now(start + Duration::from_secs(2));
        while net.next_due().is_some() {}
        assert_eq!((net.held(), net.stats.holds_expired), (vec!["patient".to_owned()], 1));
        net.unhold(late);
        assert!(!net.is_empty());
        net.unhold(patient);
        assert!(net.is_empty());
    }

    #[test]
    fn a_name_is_one_word_however_it_is_written() {
        let mut net = Net::new(None, Instant::now());
        let _hold = net.hold("a b,c=d\ne");
        let _hold = net.hold("ö".repeat(1000));
        let _hold = net.hold("");
        assert_eq!(
            net.held(),
            ["a_b_c_d_e".to_owned(), "ö".repeat(HELD_NAME_CHARS), "_".to_owned()]
        );
    }

    #[test]
    fn a_hold_that_was_given_back_leaves_the_next_one_alone() {
        let mut net = Net::new(None, Instant::now());
        let first = net.hold("first");
        net.unhold(first);
        let _second = net.hold("second");
        assert_eq!(net.held(), ["second"]);
    }
}
