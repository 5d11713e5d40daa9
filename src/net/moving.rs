//! Connections that leave or arrive whole. Knows no process, and not how they travel.

use std::{io, time::Instant};

use slab::Slab;

use super::{
    Conn, Net,
    conn::Phase,
    id::{ConnId, Source},
    timing::Key,
};

impl Conn {
    /// Whether it can go to another process at all. One that is closing has not long to go.
    pub(crate) fn can_move(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Dialing) && !self.flags.control
    }
}

impl Net {
    /// Stops everything that has to do with connections, until [`thaw`](Self::thaw): what happens
    /// meanwhile is noted and waits.
    pub(crate) fn freeze(&mut self) {
        (self.frozen, self.frozen_at) = (true, Instant::now());
        for id in std::mem::take(&mut self.writable) {
            if let Some(conn) = self.conn(id) {
                conn.flags.writable_due = true;
            }
        }
    }

    pub(crate) fn thaw(&mut self) {
        self.frozen = false;
        for slot in self.slots() {
            let conn = &mut self.conns[slot];
            let id = conn.id;
            conn.flags.moves = false;
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

    /// Takes connections in, each under the name that it had; they are registered, and nothing is read
    /// or written before [`thaw`](Self::thaw).
    ///
    /// # Errors
    /// When two claim the same place, or the system does not take one.
    pub(crate) fn take_in(&mut self, mut arrivals: Vec<Conn>) -> io::Result<()> {
        for conn in &mut arrivals {
            let token = Source::Conn(conn.id).token();
            Net::with_registry(&self.poll, |registry| conn.stream.register(registry, token))?;
        }
        let count = arrivals.len();
        self.conns = arrivals.into_iter().map(|conn| (conn.id.slot(), conn)).collect();
        if self.conns.len() != count {
            return Err(io::Error::other("two connections with the same slot"));
        }
        for slot in self.slots() {
            let conn = &self.conns[slot];
            self.destinations.add(conn);
            let id = conn.id;
            for &(timer, at) in conn.timers() {
                self.timers.insert(at, Key::Timer(id, timer));
            }
            self.last_serial = self.last_serial.max(id.serial());
            self.stats.moved_in += 1;
            self.schedule_check(id);
        }
        Ok(())
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

    /// In a forked child: keeps the parent's connections, each in a fresh value that only this process's
    /// epoll set knows.
    pub(super) fn keep(&mut self, conns: Slab<Conn>) -> io::Result<()> {
        self.conns = conns;
        for slot in self.slots() {
            let conn = &mut self.conns[slot];
            let id = conn.id;
            conn.stream.rewrap();
            // The lists are new, and the edges come anew.
            (conn.flags.listed, conn.flags.dirty, conn.flags.blocked) = (false, false, false);
            let registry = self.poll.as_ref().map(mio::Poll::registry);
            registry.map_or(Ok(()), |r| conn.stream.register(r, Source::Conn(id).token()))?;
            self.destinations.add(conn);
        }
        Ok(())
    }
}
