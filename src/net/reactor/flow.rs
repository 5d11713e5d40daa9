//! How bytes come and go: the system calls of a turn, one method each.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
};

use mio::event::Event;

use super::Net;
use crate::{
    limits::{LOW_MARK, WRITE_BUDGET, WRITE_SLICES},
    net::{
        conn::Phase,
        id::{ConnId, Source},
        reason::Reason,
    },
};

impl Net {
    /// Files an event with the connection or listener that it is for, and hands back any other.
    pub(crate) fn note(&mut self, event: &Event) -> Option<Source> {
        match Source::of(event.token()) {
            Source::Conn(id) => self.note_stream(
                id,
                event.is_readable() || event.is_read_closed() || event.is_error(),
                event.is_writable() || event.is_write_closed(),
                event.is_read_closed() || event.is_priority(),
            ),
            Source::Listener(index) => {
                if let Some(listener) = self.listeners.get_mut(index) {
                    listener.ready = true;
                }
            }
            Source::Datagrams(index) => {
                if let Some(socket) = self.datagrams.get_mut(index) {
                    socket.note(event.is_readable() || event.is_error(), event.is_writable());
                }
            }
            Source::Names => self.note_names(),
            other => return Some(other),
        }
        None
    }

    /// An edge of a stream. One for a connection that is gone finds nobody: its serial is over.
    pub(crate) fn note_stream(&mut self, id: ConnId, read: bool, write: bool, fin: bool) {
        let has_place = self.conn(id).is_some();
        if let Some(early) = self.early.as_mut().filter(|_| !has_place) {
            let heard = early.entry(id).or_default();
            *heard = (heard.0 | read, heard.1 | write, heard.2 | fin);
            return;
        }
        let Some(conn) = self.conn(id) else {
            self.stats.ghosts += 1;
            return;
        };
        conn.flags.readable |= read;
        conn.flags.fin |= fin;
        if conn.phase == Phase::Dialing {
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

    // Input.

    /// Puts a connection on the list of those to be read, once.
    pub(crate) fn list(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if !std::mem::replace(&mut conn.flags.listed, true) {
            self.readable.push(id);
        }
    }

    /// Puts a connection on the list of those whose handshake can go on, once.
    pub(crate) fn queue_handshake(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if !std::mem::replace(&mut conn.flags.listed, true) {
            self.shaking.push_back(id);
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
                // A short read has drained the socket, unless the FIN rode along (or urgent data did).
                let more = conn.stream.has_more(count == buffer.len());
                conn.flags.readable = more || conn.flags.fin;
                conn.bytes_in += count as u64;
                self.stats.bytes_in += if conn.flags.caller.is_client() { count as u64 } else { 0 };
                if conn.phase == Phase::Open {
                    conn.read_at = self.stamp;
                }
                self.answer_records(id);
                Some(count)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                conn.flags.readable = false;
                None
            }
            // Or bytes of records have come, and no data: as much a sign of life as a part of a plain message.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                conn.flags.readable = conn.stream.has_more(true) || conn.flags.fin;
                if conn.phase == Phase::Open && conn.stream.secure().is_some() {
                    conn.read_at = self.stamp;
                }
                self.answer_records(id);
                None
            }
            Err(e) => {
                self.break_off(id, e);
                None
            }
        }
    }

    /// What has come may ask for an answer that is no business of the service.
    fn answer_records(&mut self, id: ConnId) {
        if self.conns[id.slot()].stream.owes() {
            self.mark_dirty(id);
        }
        self.keep_ciphers(id);
    }

    /// Reads and throws away what a peer sends after we have closed, until its FIN.
    pub(crate) fn discard(&mut self, id: ConnId, buffer: &mut [u8]) {
        self.read(id, buffer);
        let conn = &self.conns[id.slot()];
        if conn.flags.eof && conn.phase == Phase::Lingering {
            self.kill(id, Reason::Closed);
        }
    }

    /// Ends a paused connection that the peer has reset. It neither reads nor writes, so it would not
    /// find out, and it has no timeout.
    pub(crate) fn end_if_reset(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if conn.phase == Phase::Open
            && conn.flags.paused
            && conn.flags.fin
            && let Some(e) = conn.stream.take_error()
        {
            self.kill(id, Reason::Broken(e));
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
            if conn.stream.secure().is_some() {
                self.flush_secure(id);
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
        self.flush_datagrams();
    }

    /// One `write` of at most the budget. A short one means that the socket is full.
    pub(super) fn write(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        self.stats.writes += 1;
        let (offered, result) = match conn.output.only() {
            Some(piece) => {
                let piece = &piece[..piece.len().min(WRITE_BUDGET)];
                (piece.len(), conn.stream.write(piece))
            }
            None => {
                let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
                let count = conn.output.slices(WRITE_BUDGET, &mut slices);
                let slices = &slices[..count];
                (slices.iter().map(|slice| slice.len()).sum(), conn.stream.write_vectored(slices))
            }
        };
        let written = match result {
            Ok(written) => written,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            // The first write of a dial with fast open, where the peer has taken back its cookie.
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => 0,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return self.mark_dirty(id),
            Err(e) => return self.break_off(id, e),
        };
        conn.output.advance(written, &mut self.pool);
        conn.bytes_out += written as u64;
        self.stats.bytes_out += if conn.flags.caller.is_client() { written as u64 } else { 0 };
        if written > 0 {
            conn.written_at = self.stamp;
        }
        if conn.flags.congested && conn.output.len() <= LOW_MARK {
            conn.flags.congested = false;
            conn.listen_from(self.stamp);
            self.writable.push(id);
            self.schedule_check(id);
        }
        if written < offered {
            self.await_room(id);
        } else if !self.conns[id.slot()].output.is_empty() {
            self.mark_dirty(id);
        }
    }

    /// The socket is full.
    pub(super) fn await_room(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        conn.flags.blocked = true;
        match Net::with_registry(&self.poll, |registry| conn.await_room(registry)) {
            Ok(()) => self.schedule_check(id),
            Err(e) => self.kill(id, Reason::Broken(e)),
        }
    }

    /// All output is sent: what was to follow it?
    pub(super) fn after_output(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        match conn.phase {
            Phase::Flushing if conn.flags.eof => self.kill(id, Reason::Closed),
            Phase::Flushing => {
                conn.phase = Phase::Lingering;
                conn.written_at = self.stamp;
                if !std::mem::replace(&mut conn.flags.fin_sent, true) {
                    conn.stream.shutdown(Shutdown::Write);
                }
            }
            Phase::Open if conn.flags.half_close && !conn.flags.fin_sent => {
                conn.flags.fin_sent = true;
                conn.stream.shutdown(Shutdown::Write);
            }
            // Its timeouts were looked at while output waited, and the next look is set by the write
            // timeout: too late for what is watched from here on.
            _ if conn.flags.watches_output => {}
            _ => return,
        }
        self.schedule_check(id);
    }

    /// Connections whose output has fallen to the low mark since the last call.
    pub(crate) fn take_writable(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.writable)
    }
}
