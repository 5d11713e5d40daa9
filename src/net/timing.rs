//! Deadlines of connections: the author's timers and the reactor's own timeouts.

use std::time::{Duration, Instant};

use super::{Alarm, Conn, Datagrams, Net, Phase, Timer, id::ConnId, reason::Reason};
use crate::limits::FAR_FUTURE;

/// What is due when its time comes. Plain data, so it can be carried to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// An author's timer.
    Timer(ConnId, Timer),
    Alarm(Alarm),
    /// Descriptors ran out a while ago: accept again.
    Accept,
    /// The new side of a restart should have taken its next step by now.
    NewOverdue,
    /// The old side of a restart should have stopped accepting by now.
    OldSilent,
    /// This new side has served through its probation.
    Proven,
    /// Something of the departure of a draining process is due.
    Departure,
    /// The time of a hold is over.
    Hold(u64),
    /// An older generation should have left by now.
    LeaverOverdue,
    /// The other generations should have said by now how they are.
    Reports,
    /// The service manager wants to hear that this process turns.
    Watchdog,
    /// The service manager should have read by now what it was told.
    Barrier,
}

impl Net {
    /// Whether the last turn has left nothing over.
    pub(crate) fn is_settled(&self) -> bool {
        self.readable.is_empty()
            && self.dirty.is_empty()
            && self.writable.is_empty()
            && self.dead.is_empty()
            && self.refused_dials.is_empty()
            && self.requests.is_empty()
            && !self.datagrams.iter().any(Datagrams::is_busy)
            && !self.has_deferred()
            && !self.mail_waits
            && !(0..self.listeners.len()).any(|i| self.listeners[i].ready && self.may_accept(i))
    }

    /// When the first timer is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let of_connections = [self.timers.next(), self.checks.next()].into_iter().flatten();
        of_connections.filter(|_| !self.frozen).chain(self.deadlines.next()).min()
    }

    /// How long the poll may sleep: not at all while something is left over from the last turn.
    pub(crate) fn wait(&self) -> Option<Duration> {
        if !self.frozen && !self.is_settled() {
            return Some(Duration::ZERO);
        }
        // The turn has taken time since `now`; only where a timer waits is that worth a look.
        self.next_deadline().map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Takes out what is due, if anything still is: callbacks may disarm timers in between.
    pub(crate) fn next_due(&mut self) -> Option<Key> {
        if let Some((_, key)) = self.deadlines.pop(self.now) {
            if let Key::Hold(number) = key {
                self.expire_hold(number);
            }
            return Some(key);
        }
        if self.frozen {
            return None;
        }
        let Some((at, key)) = self.timers.pop(self.now) else {
            self.check_timeouts();
            return None;
        };
        match key {
            Key::Timer(id, timer) => {
                if let Some(conn) = self.conn(id) {
                    conn.rare_mut().timers.retain(|&armed| armed != (timer, at));
                }
            }
            Key::Alarm(alarm) => self.ring(alarm, at),
            Key::Accept => self.starved_until = None,
            _ => {}
        }
        Some(key)
    }

    /// When `after` will have passed. Later than now even for zero, so that a timer that is set
    /// anew whenever it runs out comes once a turn, and not for ever in one.
    pub(super) fn later(&self, after: Duration) -> Instant {
        self.now + after.clamp(Duration::from_nanos(1), FAR_FUTURE)
    }

    pub(super) fn arm(&mut self, id: ConnId, timer: Timer, after: Duration) {
        self.disarm(id, timer);
        let at = self.later(after);
        self.conns[id.slot()].rare_mut().timers.push((timer, at));
        self.timers.insert(at, Key::Timer(id, timer));
    }

    pub(super) fn disarm(&mut self, id: ConnId, timer: Timer) {
        let conn = &mut self.conns[id.slot()];
        if let Some(found) = conn.timers().iter().position(|&(armed, _)| armed == timer) {
            let (_, at) = conn.rare_mut().timers.swap_remove(found);
            self.timers.remove(at, Key::Timer(id, timer));
        }
    }

    /// Makes sure that the timeouts are looked at no later than the nearest one. A look that is
    /// set for an earlier time stays: it will set the next.
    pub(super) fn schedule_check(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        conn.flags.watches_output = !conn.output.is_empty();
        let Some((at, _)) = conn.deadline(&self.limits) else { return };
        match conn.check_at {
            Some(set) if set <= at => return,
            Some(set) => drop(self.checks.remove(set.into(), id)),
            None => {}
        }
        conn.check_at = Some(at);
        self.checks.insert(at.into(), id);
    }

    /// Looks at the timeouts of each connection for which it is time.
    fn check_timeouts(&mut self) {
        while let Some((_, id)) = self.checks.pop(self.now) {
            self.check(id);
        }
    }

    /// Ends the connection if one of its timeouts has passed, and looks again later otherwise.
    fn check(&mut self, id: ConnId) {
        let now = self.stamp;
        let Some(conn) = self.conns.get_mut(id.slot()).filter(|conn| conn.id == id) else { return };
        conn.check_at = None;
        match conn.deadline(&self.limits) {
            Some((at, reason)) if at <= now => match (conn.phase, reason) {
                (Phase::Dialing, _) => {
                    let tag = conn.rare_mut().tag;
                    self.refused_dials.push((tag, std::io::ErrorKind::TimedOut.into()));
                    self.kill(id, Reason::NoProgress);
                }
                // These owe nothing to the peer, so it gets a FIN rather than a reset.
                (_, reason @ (Reason::Idle | Reason::NoFirstMessage)) => self.finish(id, reason),
                (_, reason) => {
                    // An orderly close that the peer does not complete is not one any more.
                    conn.rare_mut().reason.take_if(|reason| matches!(reason, Reason::Closed));
                    self.kill(id, reason);
                }
            },
            _ => self.schedule_check(id),
        }
    }

    /// Takes all deadlines of a connection out of the queue.
    pub(super) fn forget_deadlines(&mut self, conn: &Conn) {
        for &(timer, at) in conn.timers() {
            self.timers.remove(at, Key::Timer(conn.id, timer));
        }
        if let Some(at) = conn.check_at {
            self.checks.remove(at.into(), conn.id);
        }
    }

    /// Sets a timer of the process, which the turn acts on when it is due.
    pub(crate) fn set_timer(&mut self, at: Instant, key: Key) {
        self.deadlines.insert(at, key);
    }

    pub(crate) fn clear_timer(&mut self, at: Instant, key: Key) {
        self.deadlines.remove(at, key);
    }

    pub(super) fn pause_accepting(&mut self, pause: Duration) {
        let until = self.later(pause);
        self.starved_until = Some(until);
        self.timers.insert(until, Key::Accept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Peer, Stream, memory::Pipe};

    /// The look at its timeouts came while output waited, for which there was no timeout.
    #[test]
    fn idleness_counts_again_after_output_that_may_take_for_ever() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        net.limits.write = None;
        let idle = net.limits.idle.expect("a default");
        let pipe = Pipe::new(0);
        let id = net.insert(Stream::Memory(pipe.clone()), Peer::Unknown, Phase::Open).unwrap();
        pipe.set_window(1);
        net.to(id).unwrap().send(b"hello");
        net.flush();
        net.set_now(start + 2 * idle);
        assert_eq!(net.next_due(), None);
        pipe.set_window(usize::MAX);
        net.note_stream(id, false, true, false);
        net.flush();
        assert!(net.next_deadline().is_some(), "nobody looks at it ever again");
    }
}
