//! Who is told of the leave, and when: each connection once, and again where there is something new to say.

use std::{
    hash::{BuildHasher, RandomState},
    time::Instant,
};

use crate::{
    error::Result,
    net::{ConnId, Deadline, Phase, Reason},
    plan::Drain,
    restart::{
        Event,
        drain::{DrainSchedule, Due},
    },
    service::{LeaveReason, Leaving, Service},
    system::seed::fresh_seed,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// Oldest first; every process has its own jitter. The time runs from now on, whatever the service has done
    /// before.
    pub(super) fn begin_drain(&mut self, how: &Drain, reason: LeaveReason) -> Result {
        let now = self.net.clock.now();
        let mut ids: Vec<_> = self.net.clients().map(|conn| (conn.opened, conn.id)).collect();
        ids.sort_unstable();
        let ids: Vec<_> = ids.into_iter().map(|(_, id)| id).collect();
        let (keys, seed) = (RandomState::new(), fresh_seed()); // a fork has the same keys
        let jitter = |id| keys.hash_one((seed, id));
        let plan = DrainSchedule::plan(how, now, &ids, jitter);
        let is_sooner = self.succession.drain_schedule.replace(plan);
        self.note_reason(reason, is_sooner);
        self.drain_step(now)
    }

    /// Those who were told are told again, if it is another reason by now or there is less time.
    pub(super) fn note_reason(&mut self, reason: LeaveReason, is_sooner: bool) {
        let before = self.net.leaving.replace(reason);
        if before.is_some_and(|before| is_sooner || before != reason) {
            self.net.conns.iter_mut().for_each(|(_, conn)| conn.flags.told_to_drain = false);
        }
    }

    /// Does what is due of the schedule by `now`, and sets the timer for the rest.
    pub(in crate::turn) fn drain_step(&mut self, now: Instant) -> Result {
        while let Some(due) = self.succession.drain_schedule.pop(now) {
            if !matches!(due, Due::Tell(..)) {
                self.flush(); // what was asked in time is answered
            }
            match due {
                Due::Tell(id, end) => self.tell_draining(id, end),
                Due::End(id) => self.net.kill_if_there(id, Reason::DrainDeadline),
                Due::EndAll => self.advance(Event::Deadline)?,
            }
        }
        if let Some(next) = self.succession.drain_schedule.next() {
            self.net.set_deadline(next, Deadline::DrainStep);
        }
        Ok(())
    }

    /// One that was opened later than the others has as much time as they have.
    pub(in crate::turn) fn tell_late(&mut self, id: ConnId) {
        let end = self.succession.drain_schedule.end_of(id);
        self.tell_draining(id, end);
    }

    /// One that awaits the header of a proxy, or shakes hands, is told when it is opened.
    fn tell_draining(&mut self, id: ConnId, end: Option<Instant>) {
        let Some(conn) = self.net.conn(id) else { return };
        if conn.phase == Phase::AwaitsHeader {
            return self.hear(id);
        }
        if conn.phase == Phase::Handshaking {
            return;
        }
        if std::mem::replace(&mut conn.flags.told_to_drain, true) {
            return;
        }
        if conn.bytes_in == 0 {
            self.hear(id); // who was let in at the last moment, and would be sent away unheard
        }
        let Some(reason) = self.net.leaving else { return };
        if self.succession.drain_schedule.is_at_once() {
            return;
        }
        // As it is by now: those before it may have taken their time.
        let now = self.net.clock.now();
        let within = end.map(|end| end.saturating_duration_since(now));
        let leaving = Leaving { reason, within };
        self.call(id, "on_drain", |service, conn, session| {
            service.on_drain(conn, session, &leaving)
        });
    }
}
