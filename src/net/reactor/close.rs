//! How connections go: in good order or at once, and what is said about it.

use std::net::Shutdown;

use log::Level;

use super::Net;
use crate::{
    limits::ACCEPT_RESUME_PERCENT,
    log_target::NET,
    logging::Quoted,
    net::{
        conn::{ConnState, Phase, Told},
        id::ConnId,
        reason::Reason,
    },
};

impl Net {
    /// Begins the orderly end of a connection: its output first. For its service it is over.
    pub(crate) fn finish(&mut self, id: ConnId, reason: Reason) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase != Phase::Open {
            return;
        }
        conn.phase = Phase::Flushing;
        conn.stream.stop_listening();
        conn.rare_mut().reason.get_or_insert(reason);
        let input = std::mem::take(&mut conn.input);
        self.pool.give(input);
        self.mark_dirty(id);
        // Input that waits is thrown away from now on; the FIN may be behind it.
        self.list(id);
        self.mark_ended(id);
    }

    /// Ends a connection in this turn, and throws away what is queued.
    pub(crate) fn kill(&mut self, id: ConnId, reason: Reason) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase != Phase::Dead {
            let (is_cut, was_dialing) = (!conn.output.is_empty(), conn.phase == Phase::Dialing);
            conn.phase = Phase::Dead;
            let rare = conn.rare_mut();
            rare.cut = is_cut;
            rare.stillborn |= was_dialing;
            rare.reason.get_or_insert(reason);
            self.mark_ended(id);
        }
    }

    /// The same, for one that may be gone already.
    pub(crate) fn kill_if_there(&mut self, id: ConnId, reason: Reason) {
        if self.conn(id).is_some() {
            self.kill(id, reason);
        }
    }

    /// Puts a connection on the list of those that `reap` looks at, once.
    fn mark_ended(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if !std::mem::replace(&mut conn.flags.ended, true) {
            self.ended.push(id);
        }
    }

    /// The next connection that is over for its service, and why; each is answered once. One that is dead is
    /// closed before that, and its slot is free. Of the others the socket has yet to be closed in good order.
    pub(crate) fn take_ended(&mut self) -> Option<(ConnId, Reason)> {
        loop {
            let id = self.ended.pop()?;
            let Some(conn) = self.conn(id) else { continue };
            conn.flags.ended = false;
            let is_dead = conn.phase == Phase::Dead;
            let over = self.end_conversation(id);
            if is_dead {
                self.close_socket(id);
            }
            if let Some(reason) = over {
                return Some((id, reason));
            }
        }
    }

    /// From here on a connection is the reactor's alone. Answers why, the first time.
    fn end_conversation(&mut self, id: ConnId) -> Option<Reason> {
        let conn = &mut self.conns[id.slot()];
        let rare = conn.rare_mut();
        if rare.told.is_some() {
            return None;
        }
        let reason = rare.reason.take().unwrap_or(Reason::Closed);
        rare.told = Some(Told::of(&reason));
        // A service that dials again from `on_close` is not in its own way.
        self.destinations.remove(conn);
        Some(reason)
    }

    /// Takes a dead connection out of everything and closes it. Its slot is free from here on.
    fn close_socket(&mut self, id: ConnId) {
        let mut conn = self.conns.remove(id.slot());
        // Before the close: another process may have the socket, and then close does not do it.
        let _ = Net::with_registry(&self.poll, |registry| conn.stream.deregister(registry));
        let (is_cut, is_stillborn) =
            conn.rare().map(|rare| (rare.cut, rare.stillborn)).unwrap_or_default();
        if is_cut {
            conn.stream.reset(); // by a FIN, what it has got would look like the whole
        }
        if self.shared || conn.stream.raw_fd().is_none() {
            conn.stream.shutdown(Shutdown::Both);
        }
        self.forget_deadlines(&conn);
        conn.output.clear(&mut self.pool);
        self.pool.give(std::mem::take(&mut conn.input));
        let is_client = conn.flags.caller.is_client();
        if !is_client {
            self.callers.retain(|&caller| caller != id);
        }
        self.make_room();
        if !is_stillborn {
            self.stats.closed += u64::from(is_client);
            self.log_end(&mut conn);
        }
    }

    /// A descriptor has come back: accept again if that was what accepting waited for.
    pub(super) fn make_room(&mut self) {
        self.starved_until = None;
        let resume_at = self.limits.connections * ACCEPT_RESUME_PERCENT / 100;
        if self.full && self.connections() <= resume_at {
            self.full = false;
        }
    }

    /// One line per connection. What went wrong shows in an ordinary log, what went right does not.
    fn log_end(&mut self, conn: &mut ConnState) {
        let rare = conn.rare_mut();
        let Some(told) = rare.told.take() else { return };
        let told = told.or_worse(rare.reason.take());
        let is_client = conn.flags.caller.is_client();
        self.stats.failed += u64::from(told.is_failure && is_client);
        self.stats.ends[told.kind] += u64::from(is_client);
        let age = self.stamp.since(conn.opened).as_secs_f64();
        let via = conn.rare().and_then(|rare| rare.via.as_ref());
        let via = via.map_or(String::new(), |via| format!(" via={}", via.proxy));
        let line = format_args!(
            "close {} peer={}{via} reason={} in={} out={} age={age:.3}s",
            conn.id,
            conn.peer,
            Quoted(&told.text),
            conn.bytes_in,
            conn.bytes_out,
        );
        match told.level {
            Level::Debug => log::debug!(target: NET, "{line}"),
            level => self.log(NET, level, told.name, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::net::{
        address::Address,
        destination::Destination,
        stream::{Peer, Stream, memory::Pipe},
    };

    /// Whoever dials again from `on_close` is not in its own way, though the socket lingers.
    #[test]
    fn a_conversation_that_is_over_counts_no_more_for_its_destination() {
        let mut net = Net::new(None, Instant::now());
        let there = Destination::Address(Address::Tcp(([127, 0, 0, 1], 80).into()));
        let pipe = Pipe::new(0);
        let id = net.insert(Stream::Memory(pipe), Peer::Unknown, Phase::Open).unwrap();
        net.conns[id.slot()].rare_mut().destination = Some(there.clone());
        net.destinations.add(&net.conns[id.slot()]);
        net.finish(id, Reason::Closed);
        assert!(matches!(net.take_ended(), Some((ended, Reason::Closed)) if ended == id));
        assert_eq!((net.destinations.count(&there), net.connections()), (0, 1));
        net.kill(id, Reason::NoFin);
        assert!(net.take_ended().is_none(), "told twice");
        assert_eq!((net.destinations.count(&there), net.connections()), (0, 0));
    }
}
