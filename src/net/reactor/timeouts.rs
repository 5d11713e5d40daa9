//! Deadlines of connections: the author's timers and the reactor's own timeouts.

use std::time::{Duration, Instant};

use super::{
    Net,
    deadline::{Deadline, Expired},
};
use crate::{
    clock::Stamp,
    net::{
        conn::{ConnState, Watched},
        datagram::Datagrams,
        id::{ConnId, Timer},
        reason::Reason,
    },
    timeouts::Timeouts,
    timer::later,
};

impl Net {
    /// Whether the last turn has left nothing over.
    pub(crate) fn is_settled(&self) -> bool {
        self.readable.is_empty()
            && self.dirty.is_empty()
            && self.writable.is_empty()
            && self.ended.is_empty()
            && self.shaking.is_empty()
            && self.refused_dials.is_empty()
            && !self.is_busy_with_names()
            && self.requests.is_empty()
            && !self.datagrams.iter().any(Datagrams::is_busy)
            && self.deferred.is_empty()
            && !self.mail.waits
            && !self.words.has_news()
            && !(0..self.listeners.len()).any(|i| self.listeners[i].ready && self.may_accept(i))
    }

    /// When the first timer is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        // The time of the connections stands still at times, so from this turn's on.
        let check = self.checks.first().into_iter().chain(self.names_due()).min();
        let check = check.map(|at| self.now + at.since(self.stamp));
        let of_service =
            [self.timers.next(), check, self.alarms.next(), self.holds.next(), self.starved_until];
        let of_service = of_service.into_iter().flatten().filter(|_| !self.frozen);
        of_service.chain(self.deadlines.next()).min()
    }

    /// How long the poll may sleep from `now` on: not at all while something is left over from the last turn.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.frozen && !self.is_settled() {
            return Some(Duration::ZERO);
        }
        self.next_deadline().map(|next| next.saturating_duration_since(now))
    }

    /// Takes out what is due, if anything still is: callbacks may cancel timers in between. A deadline of this
    /// process has to wait until everything before it was heard, one of the service until it was used.
    pub(crate) fn next_expired(&mut self) -> Option<Expired> {
        if let Some((_, deadline)) = self.deadlines.pop(self.hearing.heard) {
            return Some(Expired::Deadline(deadline));
        }
        if self.frozen {
            return None;
        }
        self.expire_holds();
        self.starved_until.take_if(|until| *until <= self.now);
        // The earlier first, of whichever kind.
        let alarm_is_first = match (self.alarms.next(), self.timers.next()) {
            (Some(alarm), Some(timer)) => alarm < timer,
            (alarm, _) => alarm.is_some(),
        };
        let expired = match alarm_is_first {
            true => self.next_alarm(),
            false => self.next_timer(),
        };
        if expired.is_none() {
            self.expire_names(self.used_stamp());
        }
        expired.or_else(|| self.check_timeouts())
    }

    fn next_alarm(&mut self) -> Option<Expired> {
        let (alarm, missed) = self.alarms.pop(self.hearing.used)?;
        self.stats.ticks_missed += missed;
        Some(Expired::Alarm(alarm))
    }

    fn next_timer(&mut self) -> Option<Expired> {
        let (at, (id, timer)) = self.timers.pop(self.hearing.used)?;
        if let Some(conn) = self.conn(id) {
            conn.rare_mut().timers.retain(|&set| set != (timer, at));
        }
        Some(Expired::Timer(id, timer))
    }

    pub(super) fn set_timer(&mut self, id: ConnId, timer: Timer, after: Duration) {
        self.cancel_timer(id, timer);
        let at = later(self.clock.now(), after);
        self.conns[id.slot()].rare_mut().timers.push((timer, at));
        self.timers.insert(at, (id, timer));
    }

    pub(super) fn cancel_timer(&mut self, id: ConnId, timer: Timer) {
        let conn = &mut self.conns[id.slot()];
        if let Some(found) = conn.timers().iter().position(|&(set, _)| set == timer) {
            let (_, at) = conn.rare_mut().timers.swap_remove(found);
            self.timers.remove(at, (id, timer));
        }
    }

    /// Of connections that are there already, too.
    pub(crate) fn set_timeouts_of_all(&mut self, timeouts: Timeouts) {
        self.timeouts.of_all = timeouts;
        let ids: Vec<_> = self.conns.iter().map(|(_, conn)| conn.id).collect();
        ids.into_iter().for_each(|id| self.schedule_check(id));
    }

    /// Makes sure that the timeouts are looked at no later than the nearest one. A look that is
    /// set for an earlier time stays: it will set the next.
    pub(super) fn schedule_check(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        conn.flags.watches_output = !conn.output.is_empty();
        let timeouts = conn.timeouts(&self.timeouts);
        let Some((at, _)) = conn.deadline(timeouts, self.limits.dial) else { return };
        match conn.check_at {
            Some(set) if set <= at => return,
            Some(set) => self.checks.remove(set, id),
            None => {}
        }
        conn.check_at = Some(at);
        self.checks.insert(at, id);
    }

    /// Looks at the timeouts of each connection for which it is time, up to one whose service is to be asked.
    fn check_timeouts(&mut self) -> Option<Expired> {
        let used = self.used_stamp();
        while let Some(id) = self.checks.pop(used) {
            let expired = self.check(id, used);
            if expired.is_some() {
                return expired;
            }
        }
        None
    }

    /// Ends the connection if one of its timeouts has passed by `now`, or answers what to ask its service, and looks
    /// again later otherwise.
    fn check(&mut self, id: ConnId, now: Stamp) -> Option<Expired> {
        let conn = self.conns.get_mut(id.slot()).filter(|conn| conn.id == id)?;
        let looks_at = conn.check_at.take();
        let timeouts = conn.timeouts(&self.timeouts);
        let due = conn.deadline(timeouts, self.limits.dial).filter(|&(at, _)| at <= now);
        let Some((at, watched)) = due else {
            self.schedule_check(id);
            return None;
        };
        // What is left to be done for it may prove its peer alive, so that comes first; a look that was set behind the
        // deadline is the second one.
        if conn.has_yet_to_show(watched, looks_at > Some(at)) {
            let next = now + Duration::from_nanos(1);
            conn.check_at = Some(next);
            self.checks.insert(next, id);
            return None;
        }
        let reason = conn.reason_for(watched, timeouts, self.stamp);
        self.stats.timeouts[watched.kind()] += u64::from(conn.flags.caller.is_client());
        match (watched, reason) {
            (Watched::Idle(_), Reason::Idle(idle)) if conn.flags.caller.is_client() => {
                return Some(Expired::Idle(id, idle));
            }
            // These owe nothing to the peer, so it gets a FIN rather than a reset.
            (Watched::Idle(_) | Watched::FirstMessage, reason) => self.finish(id, reason),
            (Watched::Handshake, _) => self.handshake_overdue(id),
            (Watched::Dial, reason) => {
                let tag = conn.rare_mut().tag;
                self.refused_dials.push((tag, std::io::ErrorKind::TimedOut.into()));
                self.kill(id, reason);
            }
            (_, reason) => self.kill(id, reason),
        }
        None
    }

    /// Whether one of its timeouts has passed.
    #[cfg(feature = "tls")]
    pub(super) fn is_overdue(&self, id: ConnId) -> bool {
        let conn = &self.conns[id.slot()];
        let timeouts = conn.timeouts(&self.timeouts);
        let used = self.used_stamp();
        conn.deadline(timeouts, self.limits.dial).is_some_and(|(at, _)| at <= used)
    }

    /// Takes all deadlines of a connection out of the queue.
    pub(super) fn forget_deadlines(&mut self, conn: &ConnState) {
        for &(timer, at) in conn.timers() {
            self.timers.remove(at, (conn.id, timer));
        }
        if let Some(at) = conn.check_at {
            self.checks.remove(at, conn.id);
        }
    }

    /// Sets a deadline of the process that counts from this moment, and answers when it is due.
    pub(crate) fn set_deadline_in(&mut self, after: Duration, deadline: Deadline) -> Instant {
        let at = later(self.clock.now(), after);
        self.set_deadline(at, deadline);
        at
    }

    /// Sets a deadline of the process, which the turn acts on when it is due.
    pub(crate) fn set_deadline(&mut self, at: Instant, deadline: Deadline) {
        self.deadlines.insert(at, deadline);
    }

    pub(crate) fn cancel_deadline(&mut self, at: Instant, deadline: Deadline) {
        self.deadlines.remove(at, deadline);
    }

    pub(super) fn pause_accepting(&mut self, pause: Duration) {
        self.starved_until = Some(later(self.clock.now(), pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::WRITE_STALL,
        net::{
            conn::Phase,
            stream::{Peer, Stream, memory::Pipe},
        },
        timeouts::Timeouts,
    };

    /// The look at its timeouts came while output waited, for which there was no timeout.
    #[test]
    fn idleness_counts_again_after_output_that_may_take_for_ever() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        let idle = Duration::from_secs(60);
        net.timeouts.of_all = Timeouts::new().write_stall(None).all_idle(idle);
        let pipe = Pipe::new(0);
        let id = net.insert(Stream::Memory(pipe.clone()), Peer::Unknown, Phase::Open).unwrap();
        pipe.set_window(1);
        net.get(id).unwrap().send(b"hello");
        net.flush();
        net.set_now(start + 2 * idle);
        net.catch_up();
        assert_eq!(net.next_expired(), None);
        pipe.set_window(usize::MAX);
        net.note_stream(id, false, true, false);
        net.flush();
        assert!(net.next_deadline().is_some(), "nobody looks at it ever again");
    }

    /// The edge comes with the deadline, and output is offered only after the timers.
    #[test]
    fn a_peer_that_has_made_room_is_not_ended_before_it_was_offered_more() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        let write = WRITE_STALL;
        let pipe = Pipe::new(0);
        let id = net.insert(Stream::Memory(pipe.clone()), Peer::Unknown, Phase::Open).unwrap();
        pipe.set_window(1);
        net.get(id).unwrap().send(b"hello");
        net.flush();
        net.set_now(start + write);
        pipe.set_window(3);
        net.note_stream(id, false, true, false);
        net.catch_up();
        assert_eq!(net.next_expired(), None);
        net.flush();
        assert_eq!(pipe.take(), b"hel");
        net.set_now(start + 2 * write);
        net.catch_up();
        net.next_expired();
        assert!(net.take_ended().is_some(), "it has made no room since");
    }

    /// Urgent data before them makes each look like the first of more, so that something is left in each turn.
    #[test]
    fn who_sends_a_byte_a_turn_and_no_message_is_late_all_the_same() {
        let limit = Duration::from_secs(10);
        for phase in [Phase::AwaitsHeader, Phase::Open] {
            let start = Instant::now();
            let mut net = Net::new(None, start);
            net.timeouts.of_all = Timeouts::new().first_message(limit);
            let pipe = Pipe::new(0);
            let id = net.insert(Stream::Memory(pipe.clone()), Peer::Unknown, phase).unwrap();
            let mut is_ended_at = |time| {
                net.set_now(start + time);
                net.catch_up();
                pipe.feed(b"x");
                net.note_stream(id, true, false, true);
                net.take_readable();
                net.conns[id.slot()].flags.listed = false;
                assert_eq!(net.read(id, &mut [0; 100]), Some(1));
                assert!(net.conns[id.slot()].flags.readable, "nothing is left: this tests nothing");
                net.list(id);
                assert_eq!(net.next_expired(), None);
                net.take_ended().is_some()
            };
            assert!(!is_ended_at(limit / 2), "{phase:?}");
            assert!(!is_ended_at(limit), "{phase:?}: what is left may be all of it");
            assert!(is_ended_at(limit + Duration::from_millis(1)), "{phase:?}");
        }
    }

    /// Each of them comes and is answered. What is set for the connection stays until its time.
    #[test]
    fn a_hundred_thousand_packets_change_no_queue() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        let (second, packets) = (Duration::from_secs(1), 100_000);
        let idle = Timeouts::new().first_message(None).read_idle(20 * second);
        net.timeouts.of_all = idle.write_idle(30 * second).all_idle(40 * second);
        let pipe = Pipe::new(0);
        let id = net.insert(Stream::Memory(pipe.clone()), Peer::Unknown, Phase::Open).unwrap();
        assert_eq!(net.checks.changes, 1);
        let mut buffer = [0; 16];
        let mut now = start;
        for _ in 0..packets {
            now += second * 10 / packets;
            net.set_now(now);
            pipe.feed(b"packet");
            net.note_stream(id, true, false, false);
            assert_eq!(net.read(id, &mut buffer), Some(6));
            net.conns[id.slot()].flags.listed = false;
            net.take_readable();
            net.get(id).unwrap().send(b"answer");
            net.catch_up();
            assert_eq!(net.next_expired(), None);
            net.flush();
            assert_eq!(pipe.take(), b"answer");
        }
        assert_eq!(net.checks.changes, 1);
        let mut expires_after = |time| {
            net.set_now(now + time);
            net.catch_up();
            net.next_expired()
        };
        assert_eq!(expires_after(20 * second - Duration::from_millis(1)), None);
        assert!(matches!(expires_after(20 * second), Some(Expired::Idle(..))));
    }
}
