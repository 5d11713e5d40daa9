//! How long each side of a restart waits for the other, and what it does when that is over.
//!
//! A side is called silent only for time in which it could have been heard. Its word may have come while author's
//! code ran here, or while this process was stopped, so links are read first; and time in which this process was
//! deaf does not count.

use std::time::{Duration, Instant};

use crate::{
    error::{Error, Result},
    limits::{HANDOVER_PATIENCE, LAST_WORDS, RELEASE_PATIENCE},
    log_target::RESTART,
    net::Deadline,
    restart::{
        Event, Phase,
        engine::{attempt::Attempt, process::Process},
        probation::Probation,
    },
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    // The old side.

    /// The new side had its time: to be ready, or to commit after it was released.
    pub(in crate::turn) fn new_side_overdue(&mut self) -> Result {
        self.handle_new()?; // its word may just have come
        let Some(attempt) = &self.succession.attempt else { return Ok(()) };
        if attempt.overdue > self.net.heard() {
            return Ok(());
        }
        // Time in which nobody here has listened was none in which it could speak. While connections wait
        // for it, what counts is how long they do.
        let deaf = self.net.deaf().saturating_sub(attempt.deaf);
        if deaf.is_zero() || self.net.frozen {
            let now = self.net.clock.now();
            return self.give_up(|attempt| attempt.timed_out(now));
        }
        self.reschedule(|attempt, _| attempt.overdue += deaf);
        Ok(())
    }

    /// The new side has closed its link before it was ready: it is ending, or has a moment to.
    pub(super) fn await_end(&mut self) {
        let Some(attempt) = &mut self.succession.attempt else { return };
        if !std::mem::replace(&mut attempt.ending, true) {
            self.reschedule(|attempt, now| attempt.overdue = attempt.overdue.min(now + LAST_WORDS));
        }
    }

    /// Connections wait for the new side since they were frozen, so it has less time.
    pub(super) fn hurry_new(&mut self) {
        let since = self.net.frozen_at;
        self.reschedule(|attempt, _| attempt.hurry(since));
    }

    /// Changes when the new side's next word is overdue.
    pub(in crate::turn) fn reschedule(&mut self, change: impl FnOnce(&mut Attempt, Instant)) {
        let Some(attempt) = &mut self.succession.attempt else { return };
        self.net.cancel_deadline(attempt.overdue, Deadline::NewOverdue);
        change(attempt, self.net.clock.now());
        attempt.deaf = self.net.deaf();
        self.net.set_deadline(attempt.overdue, Deadline::NewOverdue);
    }

    /// The service has begun over there, so its probation has: the time for it counts from here.
    pub(super) fn new_side_serves(&mut self, after: Duration) {
        self.reschedule(Attempt::prove);
        self.note_whether_deaf();
        let Some(attempt) = &mut self.succession.attempt else { return };
        let Some(downtime) = &mut attempt.steps.downtime else { return }; // nobody has waited for it
        *downtime += after;
        let (downtime, limit) = (*downtime, attempt.task.how.max_downtime);
        if downtime > limit {
            log::warn!(
                target: RESTART,
                "restart: connections were not served for {downtime:?}, over the limit of {limit:?}"
            );
        }
    }

    // The new side.

    /// From now on this side has to prove itself, well before the old one stops waiting for its word.
    pub(super) fn begin_probation(&mut self) {
        let (time, patience) = (self.succession.probation, self.succession.ready_within / 2);
        let (now, deaf) = (self.net.clock.now(), self.net.deaf());
        self.succession.under_way = Some(Probation::begin(now, deaf, time, patience));
        self.net.set_deadline_in(time, Deadline::Proven);
    }

    /// It has proven itself, if it has served for all of that time and still is in its probation.
    pub(in crate::turn) fn probation_over(&mut self) -> Result {
        self.handle_old()?; // its word may just have come
        if self.is_in_doubt() {
            return Ok(());
        }
        let (now, deaf) = (self.net.heard(), self.net.deaf());
        match self.succession.under_way.map_or(Duration::ZERO, |under| under.left(now, deaf)) {
            Duration::ZERO => self.advance(Event::Proven),
            left => {
                self.net.set_deadline_in(left, Deadline::Proven);
                Ok(())
            }
        }
    }

    /// Connections that both sides have are about to be served here, and the old one was told so. That word has to be out
    /// before: should this process die with it unsaid, the old one would go on with what it has, and write once more
    /// what was written here (with TLS: by the same nonces). An old side that takes no word is ended.
    pub(super) fn insist(&mut self) -> Result {
        let Some(old) = self.succession.old.as_mut().filter(|_| self.net.frozen) else {
            return Ok(());
        };
        if old.link.has_sent_within(RELEASE_PATIENCE.as_millis() as u16) {
            return Ok(());
        }
        log::warn!(target: RESTART, "the old side hears nothing and has connections of this one: killed");
        let killed = old.process.as_ref().map_or(Ok(()), Process::kill);
        killed.map_err(|e| Error::io("kill", "the old side", e))
    }

    /// The old side may be busy with what it hands over for as long as it would wait for this one.
    pub(super) fn await_handover(&mut self) {
        self.await_old(self.succession.ready_within + HANDOVER_PATIENCE);
    }

    /// From now on the old side has this long for its next word, and no other limit.
    pub(super) fn await_old(&mut self, patience: Duration) {
        let at = self.net.set_deadline_in(patience, Deadline::OldSilent);
        if let Some(before) = self.succession.old_silent_at.replace(at) {
            self.net.cancel_deadline(before, Deadline::OldSilent);
        }
    }

    /// The old side should have said that it has stopped accepting.
    pub(in crate::turn) fn old_side_silent(&mut self) -> Result {
        self.handle_old()?; // its word may just have come
        let is_due = self.succession.old_silent_at.is_some_and(|at| at <= self.net.heard());
        if matches!(self.succession.phase, Phase::HandingBack | Phase::Returned) {
            let decides = is_due && !self.is_in_doubt();
            return if decides { self.old_side_takes_nothing_back() } else { Ok(()) };
        }
        let waits = self.succession.phase == Phase::Waiting && !self.is_in_doubt();
        if self.succession.old.is_none() || !waits {
            return Ok(());
        }
        if !self.succession.ready {
            let patience = self.succession.ready_within + HANDOVER_PATIENCE;
            let why = format!("the old process handed over nothing for {patience:?}");
            return self.fail_unless(Err(why.into()));
        }
        self.take_over_stderr();
        if !self.net.frozen {
            log::warn!(target: RESTART, "the old side is silent: serving beside it");
            return self.advance(Event::OldSilent);
        }
        // It has promised its connections to this side and does not let go of them.
        log::warn!(target: RESTART, "the old side is silent and holds up connections: killed");
        let process = self.succession.old.as_ref().and_then(|old| old.process.as_ref());
        process.map_or(Ok(()), Process::kill).map_err(|e| Error::io("kill", "the old side", e))
    }
}
