//! The time of a turn, of the connections, and of what may be judged.

use std::time::{Duration, Instant};

use super::{
    Net,
    hearing::{Report, deaf_for},
};
use crate::{clock::Stamp, limits::LONG_TURN};

impl Net {
    /// When this turn began. Use it instead of asking the system for the time: it is the same for all
    /// callbacks of a turn, and a test moves it. Time in which the machine is suspended does not count
    /// (`CLOCK_MONOTONIC`, see `clock_gettime(2)`).
    ///
    /// What is set for later, such as an [alarm](Self::set_alarm), counts from the moment in which it is set,
    /// however long the turn has taken by then.
    ///
    /// ```
    /// # use heirloom::Net;
    /// # use std::time::{Duration, Instant};
    /// fn is_stale(net: &Net, fetched: Instant) -> bool {
    ///     net.now().duration_since(fetched) > Duration::from_secs(60)
    /// }
    /// ```
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A turn begins, with what a poll has reported that was asked for at `asked` and was to wait for `wait`.
    pub(super) fn begin_turn(&mut self, asked: Instant, wait: Option<Duration>, report: Report) {
        let now = self.clock.now();
        let deaf = deaf_for(self.now, asked, wait, report, now);
        self.deaf += deaf;
        if !self.frozen && self.early.is_none() {
            let passed = now.saturating_duration_since(self.now);
            self.stamp = self.stamp + passed.saturating_sub(deaf);
        }
        self.now = now;
        self.hearing.polled(asked, wait, report, now);
    }

    /// In a test: time passes, and nothing happens in it.
    pub(crate) fn set_now(&mut self, now: Instant) {
        let asked = self.clock.now();
        self.clock.set(now);
        self.begin_turn(asked, Some(now.saturating_duration_since(asked)), Report::Nothing);
    }

    /// In a test: a poll that does not wait.
    pub(crate) fn poll_in_memory(&mut self) {
        self.begin_turn(self.clock.now(), Some(Duration::ZERO), Report::All);
    }

    /// What has come so far was offered to the service, unless it may not be: timers may go off.
    pub(crate) fn catch_up(&mut self) {
        if !self.frozen {
            self.hearing.used = self.hearing.heard;
        }
    }

    /// Up to when everything that has come was heard: what a deadline is compared with.
    pub(crate) fn heard(&self) -> Instant {
        self.hearing.heard
    }

    /// How much of its time this process was deaf for, this turn so far included.
    pub(crate) fn deaf(&self) -> Duration {
        let worked = self.clock.now().saturating_duration_since(self.now);
        self.deaf + worked.saturating_sub(LONG_TURN)
    }

    /// The time of the connections.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The time of the connections up to which what they have sent was used.
    pub(super) fn used_stamp(&self) -> Stamp {
        self.stamp.before(self.now.saturating_duration_since(self.hearing.used))
    }
}
