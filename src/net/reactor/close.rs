//! How connections go: in good order or at once, and what is said about it.

use std::net::Shutdown;

use log::Level;

use super::Net;
use crate::{
    limits::ACCEPT_RESUME_PERCENT,
    log_target::NET,
    logging::Quoted,
    net::{
        conn::{ConnState, Phase},
        id::ConnId,
        reason::Reason,
    },
};

impl Net {
    /// Begins the orderly end of a connection: its output first.
    pub(crate) fn finish(&mut self, id: ConnId, reason: Reason) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase != Phase::Open {
            return;
        }
        conn.phase = Phase::Flushing;
        conn.rare_mut().reason.get_or_insert(reason);
        let input = std::mem::take(&mut conn.input);
        self.pool.give(input);
        self.mark_dirty(id);
        // Input that waits is thrown away from now on; the FIN may be behind it.
        self.list(id);
    }

    /// Ends a connection in this turn.
    pub(crate) fn kill(&mut self, id: ConnId, reason: Reason) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase != Phase::Dead {
            conn.flags.stillborn = conn.phase == Phase::Dialing;
            conn.phase = Phase::Dead;
            conn.rare_mut().reason.get_or_insert(reason);
            self.dead.push(id);
        }
    }

    /// The same, for one that may be gone already.
    pub(crate) fn kill_if_there(&mut self, id: ConnId, reason: Reason) {
        if self.conn(id).is_some() {
            self.kill(id, reason);
        }
    }

    /// Takes one dead connection out of everything and closes it. Its slot is free from here on.
    pub(crate) fn take_dead(&mut self) -> Option<(ConnId, Reason)> {
        let id = self.dead.pop()?;
        let mut conn = self.conns.remove(id.slot());
        // Before the close: another process may have the socket, and then close does not do it.
        let _ = Net::with_registry(&self.poll, |registry| conn.stream.deregister(registry));
        if self.shared || conn.stream.raw_fd().is_none() {
            conn.stream.shutdown(Shutdown::Both);
        }
        self.forget_deadlines(&conn);
        conn.output.clear(&mut self.pool);
        self.pool.give(std::mem::take(&mut conn.input));
        self.destinations.remove(&conn);
        self.controls -= usize::from(conn.flags.control);
        self.make_room();
        let reason = conn.rare_mut().reason.take().unwrap_or(Reason::Closed);
        if !conn.flags.stillborn {
            self.stats.closed += u64::from(!conn.flags.control);
            self.log_end(&conn, &reason);
        }
        Some((id, reason))
    }

    /// A descriptor has come back: accept again if that was what accepting waited for.
    fn make_room(&mut self) {
        self.starved_until = None;
        let resume_at = self.limits.connections * ACCEPT_RESUME_PERCENT / 100;
        if self.full && self.connections() <= resume_at {
            self.full = false;
        }
    }

    /// One line per connection. What went wrong shows in an ordinary log, what went right does not.
    fn log_end(&mut self, conn: &ConnState, reason: &Reason) {
        self.stats.failed += u64::from(reason.is_failure());
        let (name, age) = (reason.name(), self.stamp.since(conn.opened).as_secs_f64());
        let line = format_args!(
            "close {} peer={} reason={} in={} out={} age={age:.3}s",
            conn.id,
            conn.peer,
            Quoted(reason),
            conn.bytes_in,
            conn.bytes_out,
        );
        match reason {
            Reason::Panicked(_) => self.log(NET, Level::Error, name, line),
            reason if reason.is_failure() => self.log(NET, Level::Info, name, line),
            _ => log::debug!(target: NET, "{line}"),
        }
    }
}
