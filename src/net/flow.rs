//! How bytes and connections come and go: the system calls of a turn, one method each.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
};

use mio::event::Event;

use super::{
    Net,
    conn::{Conn, Phase},
    id::{ConnId, Source},
    reason::{Origin, Reason},
    stream::{Peer, Stream},
};
use crate::limits::{ACCEPT_PAUSE, ACCEPT_RESUME_PERCENT, LOW_MARK, WRITE_BUDGET, WRITE_SLICES};

impl Net {
    /// Files an event with the connection or listener that it is for, and hands back any other.
    pub(crate) fn note(&mut self, event: &Event) -> Option<Source> {
        match Source::of(event.token()) {
            Source::Conn(id) => self.note_stream(
                id,
                event.is_readable() || event.is_read_closed() || event.is_error(),
                event.is_writable() || event.is_write_closed(),
                event.is_read_closed(),
            ),
            Source::Listener(index) => {
                if let Some(listener) = self.listeners.get_mut(index) {
                    listener.ready = true;
                }
            }
            other => return Some(other),
        }
        None
    }

    /// An edge of a stream. One for a connection that is gone finds nobody: its serial is over.
    pub(crate) fn note_stream(&mut self, id: ConnId, read: bool, write: bool, fin: bool) {
        let Some(conn) = self.conn(id) else {
            self.stats.ghosts += 1;
            return;
        };
        conn.flags.readable |= read;
        conn.flags.fin |= fin;
        if matches!(conn.phase, Phase::Dialing { .. }) {
            if write || read {
                self.list(id);
            }
            return;
        }
        if write && std::mem::take(&mut conn.flags.blocked) {
            self.mark_dirty(id);
        }
        if read {
            self.list(id);
        }
    }

    // Coming.

    /// Begins to accept on every listener; clients that are queued already are found as well.
    pub(crate) fn start_accepting(&mut self) -> io::Result<()> {
        self.accepting = true;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let token = Source::Listener(index).token();
            Net::with_registry(&self.poll, |registry| listener.register(registry, token))?;
        }
        Ok(())
    }

    /// Leaves the accept queues alone; the listeners stay open, so the queues go on filling.
    pub(crate) fn stop_accepting(&mut self) {
        if std::mem::take(&mut self.accepting) {
            for listener in &mut self.listeners {
                let _ = Net::with_registry(&self.poll, |registry| listener.deregister(registry));
            }
        }
    }

    /// Whether a listener may be asked for clients. At the connection limit an operator may still come.
    pub(crate) fn may_accept(&self, index: usize) -> bool {
        let is_control = self.listeners[index].is_control;
        self.accepting && self.starved_until.is_none() && (!self.full || is_control)
    }

    /// The next client of a listener, or `None` when there is none for now.
    pub(crate) fn accept(&mut self, index: usize) -> Option<ConnId> {
        while self.may_accept(index) {
            let result = self.listeners[index].accept().and_then(|stream| {
                stream.set_nodelay()?;
                self.insert(stream, Phase::Open)
            });
            match result {
                Ok(id) => {
                    if self.listeners[index].is_control {
                        self.conns[id.slot()].flags.control = true;
                        self.controls += 1;
                    } else {
                        self.stats.accepted += 1;
                    }
                    self.full = self.connections() >= self.limits.connections;
                    return Some(id);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.listeners[index].ready = false;
                    return None;
                }
                Err(e) => self.accept_failed(e),
            }
        }
        None
    }

    /// A client that went away while it was queued is no reason to stop (`accept(2)` lists what
    /// may be reported for it). Anything else is, for a while: most often descriptors have run out.
    /// The queue gives no second edge, so `ready` stays.
    fn accept_failed(&mut self, e: io::Error) {
        use libc::*;
        if let Some(
            ECONNABORTED | EINTR | EPROTO | EPERM | ENETDOWN | ENOPROTOOPT | EHOSTDOWN | ENONET
            | EHOSTUNREACH | EOPNOTSUPP | ENETUNREACH,
        ) = e.raw_os_error()
        {
            log::debug!("accept: {e}");
            return;
        }
        if self.stats.accept_pauses == 0 {
            log::warn!("accept: {e}; new clients wait until a connection ends (said once)");
        }
        self.stats.accept_pauses += 1;
        self.pause_accepting(ACCEPT_PAUSE);
    }

    /// Makes a connection of a stream.
    pub(crate) fn insert(&mut self, stream: Stream, phase: Phase) -> io::Result<ConnId> {
        let entry = self.conns.vacant_entry();
        let id = ConnId::new(entry.key(), self.last_serial + 1);
        let peer = match phase {
            Phase::Dialing { .. } => Peer::Unknown,
            _ => stream.peer(),
        };
        let mut conn = Conn::new(id, stream, peer, phase, self.now);
        Net::with_registry(&self.poll, |registry| {
            conn.stream.register(registry, Source::Conn(id).token())
        })?;
        self.last_serial += 1;
        conn.flags.greeted = phase != Phase::Open;
        entry.insert(conn);
        self.schedule_check(id);
        Ok(id)
    }

    /// Decides a dial that has seen an event. `Some` when the connection stands.
    pub(crate) fn finish_dial(&mut self, id: ConnId) -> Option<Origin> {
        let now = self.now;
        let conn = self.conn(id)?;
        let Phase::Dialing { tag } = conn.phase else { return None };
        match conn.stream.connected()? {
            Ok(()) => {
                let _ = conn.stream.set_nodelay();
                conn.phase = Phase::Open;
                conn.peer = conn.stream.peer();
                conn.active = now;
                self.stats.dialed += 1;
                self.schedule_check(id);
                Some(Origin::Dialed { tag })
            }
            Err(e) => {
                self.refused_dials.push((tag, e));
                self.kill(id, Reason::Closed);
                None
            }
        }
    }

    pub(crate) fn take_refused_dials(&mut self) -> Vec<(u64, io::Error)> {
        std::mem::take(&mut self.refused_dials)
    }

    // Input.

    /// Puts a connection on the list of those to be read, once.
    pub(crate) fn list(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if !std::mem::replace(&mut conn.flags.listed, true) {
            self.readable.push(id);
        }
    }

    /// Takes the list of those to be read: the leftovers of the last turn, then this turn's edges.
    pub(crate) fn take_readable(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.readable)
    }

    /// Gives the emptied list back, for its memory.
    pub(crate) fn recycle_readable(&mut self, mut list: Vec<ConnId>) {
        list.clear();
        list.append(&mut self.readable);
        self.readable = list;
    }

    /// One `read`. `None` when nothing came, whatever the cause; what is wrong is marked.
    pub(crate) fn read(&mut self, id: ConnId, buffer: &mut [u8]) -> Option<usize> {
        let conn = &mut self.conns[id.slot()];
        self.stats.reads += 1;
        match conn.stream.read(buffer) {
            Ok(0) => {
                conn.flags.eof = true;
                conn.flags.readable = false;
                None
            }
            Ok(count) => {
                // A short read has drained the socket, unless the FIN rode along.
                conn.flags.readable = count == buffer.len() || conn.flags.fin;
                conn.bytes_in += count as u64;
                self.stats.bytes_in += count as u64;
                if conn.phase == Phase::Open {
                    conn.active = self.now;
                }
                Some(count)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                conn.flags.readable = false;
                None
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => None,
            Err(e) => {
                self.kill(id, Reason::Broken(e));
                None
            }
        }
    }

    /// Reads and throws away what a peer sends after we have closed, until its FIN.
    pub(crate) fn discard(&mut self, id: ConnId, buffer: &mut [u8]) {
        self.read(id, buffer);
        let conn = &self.conns[id.slot()];
        if conn.flags.eof && conn.phase == Phase::Lingering {
            self.kill(id, Reason::Closed);
        }
    }

    // Output.

    /// Puts a connection on the list of those to be flushed, once.
    pub(crate) fn mark_dirty(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if !conn.flags.blocked && !std::mem::replace(&mut conn.flags.dirty, true) {
            self.dirty.push(id);
        }
    }

    /// One write for each connection that has output, and the FIN of those that are done.
    pub(crate) fn flush(&mut self) {
        let mut list = std::mem::take(&mut self.dirty);
        for id in list.drain(..) {
            let Some(conn) = self.conn(id) else { continue };
            conn.flags.dirty = false;
            if conn.phase == Phase::Dead {
                continue;
            }
            if !conn.output.is_empty() {
                self.write(id);
            }
            if self.conns[id.slot()].output.is_empty() {
                self.after_output(id);
            }
        }
        list.append(&mut self.dirty);
        self.dirty = list;
    }

    /// One `write` of at most the budget. A short one means that the socket is full.
    fn write(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
        let count = conn.output.slices(WRITE_BUDGET, &mut slices);
        let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        self.stats.writes += 1;
        let written = match conn.stream.write(&slices[..count]) {
            Ok(written) => written,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return self.mark_dirty(id),
            Err(e) => return self.kill(id, Reason::Broken(e)),
        };
        conn.output.advance(written, &mut self.pool);
        conn.bytes_out += written as u64;
        self.stats.bytes_out += written as u64;
        if written > 0 {
            conn.active = self.now;
            conn.progress = self.now;
        }
        if conn.flags.congested && conn.output.len() <= LOW_MARK {
            conn.flags.congested = false;
            self.writable.push(id);
        }
        if written < offered {
            self.conns[id.slot()].flags.blocked = true;
            self.schedule_check(id);
        } else if !self.conns[id.slot()].output.is_empty() {
            self.mark_dirty(id);
        }
    }

    /// All output is sent: what was to follow it?
    fn after_output(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        match conn.phase {
            Phase::Flushing if conn.flags.eof => self.kill(id, Reason::Closed),
            Phase::Flushing => {
                conn.phase = Phase::Lingering;
                conn.active = self.now;
                if !std::mem::replace(&mut conn.flags.fin_sent, true) {
                    conn.stream.shutdown(Shutdown::Write);
                }
                self.schedule_check(id);
            }
            Phase::Open if conn.flags.half_close && !conn.flags.fin_sent => {
                conn.flags.fin_sent = true;
                conn.stream.shutdown(Shutdown::Write);
            }
            _ => {}
        }
    }

    /// Connections whose output has fallen to the low mark since the last call.
    pub(crate) fn take_writable(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.writable)
    }

    // Going.

    /// Begins the orderly end of a connection: its output first.
    pub(crate) fn finish(&mut self, id: ConnId, reason: Reason) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase != Phase::Open {
            return;
        }
        conn.phase = Phase::Flushing;
        conn.reason.get_or_insert_with(|| Box::new(reason));
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
            conn.phase = Phase::Dead;
            conn.reason.get_or_insert_with(|| Box::new(reason));
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
    pub(crate) fn bury(&mut self) -> Option<(ConnId, Reason)> {
        let id = self.dead.pop()?;
        let mut conn = self.conns.remove(id.slot());
        // Before the close: another process may have the socket, and then close does not do it.
        let _ = Net::with_registry(&self.poll, |registry| conn.stream.deregister(registry));
        if self.shared || conn.stream.raw_fd().is_none() {
            conn.stream.shutdown(Shutdown::Both);
        }
        self.forget_deadlines(id, &conn.timers, conn.check_at);
        conn.output.clear(&mut self.pool);
        self.pool.give(std::mem::take(&mut conn.input));
        self.controls -= usize::from(conn.flags.control);
        self.make_room();
        self.stats.closed += u64::from(!conn.flags.control);
        let reason = conn.reason.take().map_or(Reason::Closed, |reason| *reason);
        self.log_end(&conn, &reason);
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
    fn log_end(&mut self, conn: &Conn, reason: &Reason) {
        self.stats.failed += u64::from(reason.is_failure());
        let level = if reason.is_failure() { log::Level::Info } else { log::Level::Debug };
        log::log!(
            level,
            "close {} peer={} reason=\"{reason}\" in={} out={} age={:.3}s",
            conn.id,
            conn.peer,
            conn.bytes_in,
            conn.bytes_out,
            (self.now - conn.opened).as_secs_f64(),
        );
    }
}
