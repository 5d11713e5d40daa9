//! Work that is no connection, as a callback asks for it. What it is made of is in
//! [`tasks`](crate::tasks).

use std::{borrow::Cow, io, sync::Arc, time::Duration};

use log::Level;
use mio::Waker;

use super::Net;
use crate::{
    log_target::TASKS,
    logging::Quoted,
    net::id::Source,
    tasks::{Alarm, Deferred, Hold, PendingAlarm},
};

impl Net {
    /// Has [`on_alarm`](crate::Service::on_alarm) called with `key`, once, `after` from now. One that
    /// is set already is set anew.
    ///
    /// Alarms belong to the newest generation. From the moment at which the service's state is copied
    /// (at the fork, or with [`save`](crate::Service::save)) those that are set stand still in the old
    /// process; they go on in the new one as soon as it serves. What comes due in between goes off
    /// then. The new process has them as they are, by either engine, and may cancel one in
    /// [`on_start`](crate::Service::on_start). What a process sets later is its own:
    /// [`on_retire`](crate::Service::on_retire) may set alarms for the work that is left.
    ///
    /// If the new generation fails or is rolled back, the old one goes on with them as they stand then:
    /// it is told of each that goes off, is set or is cancelled during the probation (by anything but
    /// `on_start`). A key has to mean the same to both, and one that it does not know a program ignores.
    /// So none is lost, and none goes off in both, with one exception: if the new process dies
    /// within `on_alarm`, nobody knows how far that came, and the old one calls it again.
    ///
    /// ```
    /// # use heirloom::{Alarm, Net};
    /// fn on_alarm(net: &mut Net, key: Alarm) {
    ///     net.set_alarm(key, std::time::Duration::from_secs(1)); // it comes once: set it again
    /// }
    /// ```
    pub fn set_alarm(&mut self, key: Alarm, after: Duration) {
        self.alarms.set(key, after, self.clock.now());
    }

    /// Has [`on_alarm`](crate::Service::on_alarm) called with `key` every time that `every` has
    /// passed, for the first time `every` from now. In all else it is
    /// [an alarm](Self::set_alarm): it goes to the new generation, and keeps its beat there.
    ///
    /// The beat is counted from the first time, so it does not drift. Ticks that were missed, because
    /// a turn or a restart took longer than `every`, are coalesced: `on_alarm` is called once for all of
    /// them, and [`Stats::ticks_missed`](crate::Stats::ticks_missed) counts the others. `every` is at
    /// least [`limits::INTERVAL_MIN`](crate::limits::INTERVAL_MIN).
    ///
    /// ```
    /// # use heirloom::{Alarm, Net, Start};
    /// # use std::time::Duration;
    /// const REPORT: Alarm = Alarm(1);
    ///
    /// fn on_start(net: &mut Net, start: Start) {
    ///     if start == Start::Fresh {
    ///         net.set_interval(REPORT, Duration::from_secs(60));
    ///     }
    /// }
    /// ```
    pub fn set_interval(&mut self, key: Alarm, every: Duration) {
        self.alarms.set_interval(key, every, self.clock.now());
    }

    /// Takes an alarm back; nothing happens if it was not set.
    pub fn cancel_alarm(&mut self, key: Alarm) {
        self.alarms.cancel(key);
    }

    /// The alarms that are set in this process, by key.
    pub fn alarms(&self) -> Vec<PendingAlarm> {
        self.alarms.pending(self.clock.now())
    }

    /// Sets an alarm that was [listed](Self::alarms) here or elsewhere, with the time that was left of it.
    pub fn resume_alarm(&mut self, alarm: PendingAlarm) {
        self.alarms.resume(alarm, self.clock.now());
    }

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
        self.holds.take(self.generation, name.into())
    }

    /// A [`hold`](Self::hold) with a deadline of its own: it is given up when `limit` has passed,
    /// with a line in the log and a count in [`Stats::holds_expired`](crate::Stats::holds_expired).
    ///
    /// The time runs from now on, whether the process drains yet or not.
    pub fn hold_within(&mut self, name: impl Into<Cow<'static, str>>, limit: Duration) -> Hold {
        self.holds.take_within(self.generation, name.into(), limit, self.clock.now())
    }

    /// Gives a hold back. One that was given up counts for nothing any more, nor do, in a forked
    /// child, those of its parent.
    pub fn unhold(&mut self, hold: Hold) {
        self.holds.give_back(self.generation, hold);
    }

    /// Gives up the holds whose deadline has passed.
    pub(super) fn expire_holds(&mut self) {
        for name in self.holds.expire(self.hearing.used) {
            self.stats.holds_expired += 1;
            let line = format_args!("hold {} is given up: its time is over", Quoted(name));
            self.log(TASKS, Level::Warn, "hold given up", line);
        }
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
        self.deferred.push(key);
    }

    /// The piece that is to be done next.
    pub(crate) fn next_deferred(&mut self) -> Option<Deferred> {
        if self.frozen { None } else { self.deferred.pop() }
    }

    /// What wakes the loop for the mailboxes; none in a test.
    pub(crate) fn mail_waker(&mut self) -> io::Result<Option<Arc<Waker>>> {
        if let (None, Some(poll)) = (&self.mail.waker, &self.poll) {
            self.mail.waker = Some(Arc::new(Waker::new(poll.registry(), Source::Mail.token())?));
        }
        Ok(self.mail.waker.clone())
    }
}
