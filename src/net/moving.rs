//! Connections that leave or arrive whole: between the slab and what travels. Knows no process and no
//! message.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use slab::Slab;

use super::{
    Address, Conn, Net, Timer,
    conn::{Flags, Phase},
    id::{ConnId, Source},
    stream::{Peer, Stream},
};
use crate::restart::record::Record;

impl Flags {
    /// What a new program has to know. A bit never gets a second meaning.
    fn to_bits(self) -> u64 {
        let bits = [
            self.fin,
            self.eof,
            self.eof_told,
            self.paused,
            self.congested,
            self.incomplete,
            self.greeted,
            self.half_close,
            self.fin_sent,
            self.writable_due,
        ];
        bits.iter().enumerate().fold(0, |all, (place, &bit)| all | u64::from(bit) << place)
    }

    fn from_bits(bits: u64) -> Flags {
        let bit = |place: u32| bits >> place & 1 == 1;
        Flags {
            fin: bit(0),
            eof: bit(1),
            eof_told: bit(2),
            paused: bit(3),
            congested: bit(4),
            incomplete: bit(5),
            greeted: bit(6),
            half_close: bit(7),
            fin_sent: bit(8),
            writable_due: bit(9),
            // Nobody has looked yet: the first read and the first write will tell.
            readable: true,
            ..Flags::default()
        }
    }
}

impl Conn {
    /// Whether it can go to another process at all. One that is closing has not long to go.
    pub(crate) fn can_move(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Dialing { .. }) && !self.flags.control
    }

    /// The connection written down. `session` is `None` where there is none yet.
    fn to_record(&self, session: Option<Vec<u8>>, now: Instant) -> Record {
        let since = |then: Instant| now.saturating_duration_since(then);
        let left = |&(timer, at): &(Timer, Instant)| (timer.0, at.saturating_duration_since(now));
        Record {
            id: self.id.to_bits(),
            peer: self.peer.to_bytes(),
            session,
            dialing: match self.phase {
                Phase::Dialing { tag } => Some(tag),
                _ => None,
            },
            destination: self.destination.as_ref().map(|address| address.to_string()),
            input: self.input.clone(),
            output: self.output.to_vec(),
            want: self.want as u64,
            timers: self.timers.iter().map(left).collect(),
            age: since(self.opened),
            idle: since(self.active),
            stalled: since(self.progress),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            flags: self.flags.to_bits(),
        }
    }
}

impl Net {
    /// Stops everything that has to do with connections, until [`thaw`](Self::thaw): what happens
    /// meanwhile is noted and waits.
    pub(crate) fn freeze(&mut self) {
        self.frozen = true;
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
            if !self.conns[slot].output.is_empty() {
                self.mark_dirty(id);
            }
        }
    }

    fn slots(&self) -> Vec<usize> {
        self.conns.iter().map(|(slot, _)| slot).collect()
    }

    /// Writes one connection down, and makes a descriptor of its socket for the message.
    pub(crate) fn pack(
        &self,
        id: ConnId,
        session: Option<Vec<u8>>,
    ) -> io::Result<(Record, OwnedFd)> {
        let conn = &self.conns[id.slot()];
        Ok((conn.to_record(session, self.now()), conn.stream.duplicate()?))
    }

    /// Takes connections in, each under the name that it had; they are registered, and nothing is read
    /// or written before [`thaw`](Self::thaw).
    ///
    /// # Errors
    /// When two claim the same place, or the system does not take one.
    pub(crate) fn unpack(&mut self, arrivals: Vec<(Record, OwnedFd)>) -> io::Result<Vec<Arrival>> {
        let mut conns = Vec::with_capacity(arrivals.len());
        let mut sessions = Vec::with_capacity(arrivals.len());
        for (record, fd) in arrivals {
            let id = ConnId::from_bits(record.id);
            let (mut conn, session) = self.conn_of(id, record, fd)?;
            let registry = self.poll.as_ref().map(mio::Poll::registry);
            registry.map_or(Ok(()), |r| conn.stream.register(r, Source::Conn(id).token()))?;
            conns.push((id.slot(), conn));
            sessions.push(Arrival { id, session });
        }
        let count = conns.len();
        self.conns = Slab::from_iter(conns);
        if self.conns.len() != count {
            return Err(io::Error::other("two connections with the same slot"));
        }
        for slot in self.slots() {
            let conn = &self.conns[slot];
            self.destinations.add(conn);
            let (id, timers) = (conn.id, conn.timers.clone());
            for (timer, at) in timers {
                self.timers.insert(at, super::Key::Timer(id, timer));
            }
            self.schedule_check(id);
        }
        Ok(sessions)
    }

    fn conn_of(
        &self,
        id: ConnId,
        record: Record,
        fd: OwnedFd,
    ) -> io::Result<(Conn, Option<Vec<u8>>)> {
        let now = self.now();
        let phase = record.dialing.map_or(Phase::Open, |tag| Phase::Dialing { tag });
        let mut conn = Conn::new(id, Stream::adopt(fd)?, phase, now);
        if conn.peer == Peer::Unknown {
            conn.peer = Peer::from_bytes(&record.peer);
        }
        let before = |time: Duration| now.checked_sub(time).unwrap_or(now);
        conn.destination = match &record.destination {
            Some(text) => Address::literal("dial", text).ok().map(Box::new),
            None => None,
        };
        conn.input = record.input;
        conn.output.push(&record.output, &mut Default::default());
        conn.want = record.want as usize;
        conn.timers = record.timers.iter().map(|&(key, left)| (Timer(key), now + left)).collect();
        conn.opened = before(record.age);
        conn.active = before(record.idle);
        conn.progress = before(record.stalled);
        (conn.bytes_in, conn.bytes_out) = (record.bytes_in, record.bytes_out);
        conn.flags = Flags::from_bits(record.flags);
        Ok((conn, record.session))
    }

    /// Takes out a connection that another process has now. Its client sees nothing of it: the socket
    /// is closed here and open there.
    pub(crate) fn let_go(&mut self, id: ConnId) {
        let mut conn = self.conns.remove(id.slot());
        let _ = Net::with_registry(&self.poll, |registry| conn.stream.deregister(registry));
        self.forget_deadlines(id, &conn.timers, conn.check_at);
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

/// A connection that has come from another process, and what its author wrote down of it.
pub(crate) struct Arrival {
    pub id: ConnId,
    /// `None` while it is being dialed.
    pub session: Option<Vec<u8>>,
}
