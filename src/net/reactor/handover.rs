//! Connections that leave or arrive whole, and what a forked child keeps of its parent's. Knows not how they
//! travel.

use std::io;

use mio::Poll;

use super::{Net, watched::Watches};
use crate::{
    error::{Error, Result},
    metrics::Metrics,
    net::{
        conn::{ConnState, Phase, Slots},
        datagram::Datagrams,
        id::ConnId,
        stream::Secure,
    },
    plan::Engine,
};

impl ConnState {
    /// Whether it can go to another process at all. One that is closing has not long to go, nor has one that shakes hands,
    /// of which nobody but rustls knows all.
    pub(crate) fn can_move(&self) -> bool {
        let has_time = matches!(self.phase, Phase::Open | Phase::Dialing | Phase::AwaitsHeader);
        has_time
            && self.flags.caller.is_client()
            && self.stream.secure().is_none_or(Secure::is_open)
    }

    /// Whether the service knows of it, by `on_open` and not yet by `on_close`.
    pub(crate) fn is_the_services(&self) -> bool {
        self.phase == Phase::Open && self.flags.caller.is_client()
    }
}

impl Net {
    /// Stops everything that has to do with connections, until [`thaw`](Self::thaw): what happens
    /// meanwhile is noted and waits.
    pub(crate) fn freeze(&mut self) {
        (self.frozen, self.frozen_at) = (true, self.clock.now());
        for id in std::mem::take(&mut self.writable) {
            if let Some(conn) = self.conn(id) {
                conn.flags.writable_due = true;
            }
        }
    }

    pub(crate) fn thaw(&mut self) {
        self.frozen = false;
        self.mark_dials(false);
        for slot in self.slots() {
            let conn = &mut self.conns[slot];
            let id = conn.id;
            conn.flags.moves = false;
            conn.stream.take_back();
            if std::mem::take(&mut conn.flags.writable_due) {
                self.writable.push(id);
            }
            if self.conns[slot].needs_reading() {
                self.list(id);
            }
            if self.conns[slot].owes_output() {
                self.mark_dirty(id);
            }
        }
    }

    fn slots(&self) -> Vec<usize> {
        self.conns.iter().map(|(slot, _)| slot).collect()
    }

    /// Registers a connection that arrives, which is most of the work, while others are still on their
    /// way. Until all are [taken in](Self::take_in), their edges are kept for them.
    pub(crate) fn expect(&mut self, conn: &mut ConnState) -> io::Result<()> {
        self.early.get_or_insert_default();
        Net::with_registry(&self.poll, |registry| conn.register(registry))
    }

    /// Takes connections in that were [expected](Self::expect), each under the name that it had. Nothing is
    /// read or written before [`thaw`](Self::thaw).
    ///
    /// Answers those whose slot another one has, which are not taken in, and are closed here.
    pub(crate) fn take_in(&mut self, arrivals: Vec<ConnState>) -> Vec<ConnId> {
        let ids: Vec<_> = arrivals.iter().map(|conn| conn.id).collect();
        let refused = self.conns.insert_all(arrivals);
        let refused: Vec<_> = refused.into_iter().map(|conn| self.decline(conn)).collect();
        for id in ids.into_iter().filter(|id| !refused.contains(id)) {
            let conn = &self.conns[id.slot()];
            self.destinations.add(conn);
            for &(timer, at) in conn.timers() {
                self.timers.insert(at, (id, timer));
            }
            self.last_serial = self.last_serial.max(id.serial());
            self.stats.moved_in += 1;
            self.schedule_check(id);
        }
        for (id, (read, write, fin)) in self.early.take().unwrap_or_default() {
            self.note_stream(id, read, write, fin);
        }
        refused
    }

    /// Closes our copy of a connection that was [expected](Self::expect) and is not taken in.
    pub(crate) fn decline(&mut self, mut conn: ConnState) -> ConnId {
        // Before the close: where another process has it too, that would not do it.
        let _ = Net::with_registry(&self.poll, |registry| conn.stream.deregister(registry));
        conn.id
    }

    /// None is expected any more.
    pub(crate) fn expect_none(&mut self) {
        self.early = None;
    }

    /// From here on another process may give connections to this one, or take them: neither gives out a slot
    /// that was in use `below` that, nor a number that may be the other's.
    pub(crate) fn part(&mut self, below: usize) {
        self.conns.start_above(below);
    }

    /// That is decided.
    pub(crate) fn be_alone(&mut self) {
        self.conns.start_anywhere();
    }

    /// Takes out a connection that another process has now. Its client sees nothing of it: the socket
    /// is closed here and open there.
    pub(crate) fn let_go(&mut self, id: ConnId) {
        let mut conn = self.conns.remove(id.slot());
        let _ = Net::with_registry(&self.poll, |registry| conn.stream.deregister(registry));
        self.forget_deadlines(&conn);
        self.destinations.remove(&conn);
        self.stats.moved_out += 1;
    }

    /// At the end of a process whose heap another one has as well: gives up what the kernel has for it, and leaves
    /// the memory as it is. The caller has closed the connections.
    pub(crate) fn close_and_forget(mut self) {
        self.listeners.clear();
        self.datagrams.clear();
        self.reserve.give_up();
        self.abort_dials();
        (self.poll, self.mail.waker) = (None, None);
        self.watches = Watches::default();
        std::mem::forget(self);
    }

    /// In a forked child: begins as another process of this `generation`, with `conns`, the connections
    /// that have moved, and their timers; in memory there is no `poll`. The listeners stay, and so do the alarms, which rest until it
    /// serves. The caller has taken all connections out before: dropping one here would close a number
    /// that is no longer its own.
    pub(crate) fn begin_anew(
        &mut self,
        poll: Option<Poll>,
        generation: u64,
        conns: Slots,
    ) -> Result {
        let fresh = Net::new(poll, self.now);
        let old = std::mem::replace(self, fresh);
        // As its connections know it.
        (self.clock, self.stamp, self.frozen_at) = (old.clock, old.stamp, old.frozen_at);
        self.generation = generation;
        (self.engine, self.worker) = (Some(Engine::Fork), old.worker);
        (self.limits, self.timeouts) = (old.limits, old.timeouts);
        (self.propagates_panics, self.meant) = (old.propagates_panics, old.meant);
        self.standing = old.standing;
        (self.last_serial, self.sessions) = (old.last_serial, old.sessions);
        for listener in old.listeners {
            self.listeners.push(listener.rewrap()?);
        }
        self.datagrams = old.datagrams.into_iter().map(Datagrams::anew).collect();
        self.alarms = old.alarms;
        if !conns.is_empty() {
            (self.timers, self.checks) = (old.timers, old.checks);
        }
        self.alarms.suspend_all();
        self.tickets = old.tickets;
        self.metrics = old.metrics;
        self.metrics.iter_mut().for_each(Metrics::begin_anew);
        self.inherit_names(old.names);
        self.keep(conns).map_err(|e| Error::io("wait for", "connections", e))
    }

    /// In a forked child: keeps the parent's connections, each in a fresh value that only this process's
    /// epoll set knows.
    pub(super) fn keep(&mut self, conns: Slots) -> io::Result<()> {
        self.conns = conns;
        for slot in self.slots() {
            let conn = &mut self.conns[slot];
            conn.stream.rewrap();
            // The lists are new. Edges of input come anew, and output that waits is tried again.
            (conn.flags.listed, conn.flags.dirty, conn.flags.blocked) = (false, false, false);
            Net::with_registry(&self.poll, |registry| conn.register(registry))?;
            self.destinations.add(conn);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        net::{
            reactor::Expired,
            stream::{Peer, Stream, memory::Pipe},
        },
        tasks::Alarm,
    };

    fn fork_of(mut net: Net) -> Net {
        net.conns = Slots::new();
        net.begin_anew(Some(Poll::new().unwrap()), 1, Slots::new()).unwrap();
        net
    }

    #[test]
    fn a_hold_of_the_parent_does_not_undo_one_of_the_child() {
        let mut net = Net::new(None, Instant::now());
        let inherited = net.hold("inherited");
        let mut net = fork_of(net);
        assert!(net.is_empty());
        let own = net.hold("own");
        net.unhold(inherited);
        assert!(!net.is_empty());
        net.unhold(own);
        assert!(net.is_empty());
    }

    #[test]
    fn an_edge_that_comes_before_the_last_connection_is_kept() {
        let now = Instant::now();
        let mut net = Net::new(None, now);
        let (id, stream) = (ConnId::new(3, 7), Stream::Memory(Pipe::new(0)));
        let mut conn = ConnState::new(id, stream, Peer::Unknown, Phase::Open, now.into());
        net.expect(&mut conn).unwrap();
        net.note_stream(id, true, false, false);
        assert!(net.take_in(vec![conn]).is_empty());
        assert_eq!((net.take_readable(), net.stats.ghosts), (vec![id], 0));
    }

    #[test]
    fn a_child_has_no_alarms_before_it_serves() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        net.set_alarm(Alarm(1), Duration::from_secs(1));
        net.set_alarm(Alarm(2), Duration::from_secs(2));
        let mut net = fork_of(net);
        net.set_now(start + Duration::from_secs(5));
        net.catch_up();
        assert_eq!(net.next_expired(), None);
        net.alarms.resume_all();
        net.cancel_alarm(Alarm(2));
        assert_eq!(net.next_expired(), Some(Expired::Alarm(Alarm(1))));
        assert_eq!(net.next_expired(), None);
    }
}
