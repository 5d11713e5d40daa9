//! `Connection`: one connection in a callback's hands. It queues and marks; the turn does the I/O.

use std::{io, net::SocketAddr, rc::Rc, time::Duration, time::Instant};

use super::Net;
use crate::net::{
    conn::{ConnState, Phase},
    id::{ConnId, Timer},
    proxy::Via,
    reason::Reason,
    stream::Peer,
};

/// One connection, lent to a callback.
///
/// Nothing here blocks and nothing fails: output is queued and leaves at the end of the turn, and
/// what is wrong with a connection is told to [`on_close`](crate::Service::on_close). After
/// [`close`](Self::close) or [`abort`](Self::abort) the calls are still allowed and do nothing.
///
/// ```
/// use heirloom::{Connection, Timer};
/// use std::time::Duration;
///
/// const STALLED: Timer = Timer(0);
///
/// /// A piece of something long.
/// fn answer(conn: &mut Connection<'_>, piece: &[u8], is_last: bool) {
///     if conn.queued() + piece.len() > 1 << 20 {
///         return conn.abort(); // it asks for more than it reads
///     }
///     conn.send(piece);
///     if is_last {
///         conn.cancel_timer(STALLED);
///         conn.shutdown_write(); // our FIN behind it; the peer may still say something
///     } else {
///         conn.set_timer(STALLED, Duration::from_secs(10));
///     }
///     let (now, others) = (conn.now(), conn.net.connections() - 1);
///     log::debug!("{now:?}: {} of {} is served, beside {others} others", conn.id(), conn.peer());
/// }
/// ```
///
/// It is also an [`io::Write`]; that never fails.
///
/// ```
/// # use heirloom::{Connection, Result};
/// use std::io::Write;
///
/// fn integer(conn: &mut Connection<'_>, number: i64) -> Result {
///     write!(conn, ":{number}\r\n")?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Connection<'a> {
    /// Everything else: the other connections and their [sessions](Net::session), the alarms, the process. A field,
    /// so that what is asked of it and what is asked of the connection go into one expression:
    ///
    /// ```
    /// # use heirloom::{ConnId, Connection};
    /// fn neighbours(conn: &mut Connection<'_>) -> impl Iterator<Item = ConnId> {
    ///     let id = conn.id();
    ///     conn.net.ids().into_iter().filter(move |&other| other != id)
    /// }
    ///
    /// fn dial_for(conn: &mut Connection<'_>, address: &str) -> heirloom::Result {
    ///     conn.net.dial(address, conn.id().to_bits()) // the tag says for whom
    /// }
    /// ```
    pub net: &'a mut Net,
    pub(super) id: ConnId,
}

impl<'a> Connection<'a> {
    /// `id` must be in the slab.
    pub(crate) fn new(net: &'a mut Net, id: ConnId) -> Connection<'a> {
        Connection { net, id }
    }

    fn conn(&mut self) -> &mut ConnState {
        // Nothing is freed during a callback, so what was there when `self` was made still is.
        &mut self.net.conns[self.id.slot()]
    }

    /// The name of this connection; keep it to reach the connection later.
    ///
    /// ```
    /// # use heirloom::{ConnId, Connection};
    /// # use std::collections::BTreeSet;
    /// fn enter(room: &mut BTreeSet<ConnId>, conn: &Connection<'_>) {
    ///     room.insert(conn.id());
    /// }
    /// ```
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// Who is at the other end: the client, also where it comes through a [proxy](Self::via) that says so.
    ///
    /// ```
    /// # use heirloom::{Connection, Peer};
    /// fn is_root(conn: &Connection<'_>) -> bool {
    ///     matches!(conn.peer(), Peer::Unix { uid: 0, .. })
    /// }
    /// ```
    pub fn peer(&self) -> &Peer {
        &self.net.conns[self.id.slot()].peer
    }

    /// The address at this end: the one that the client has connected to, where it comes through a proxy that says so. `None` of a
    /// Unix socket. It is asked of the system (`getsockname(2)`), but for a proxy's.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// /// Which of several addresses was asked.
    /// fn is_for_strangers(conn: &Connection<'_>) -> bool {
    ///     conn.local().is_some_and(|at| at.port() == 25)
    /// }
    /// ```
    pub fn local(&self) -> Option<SocketAddr> {
        self.net.local(self.id)
    }

    /// The proxy through which the client has come, where the listener has
    /// [`ProxyProtocol`](crate::ProxyProtocol). [`Via`] has an example.
    pub fn via(&self) -> Option<&Via> {
        self.net.conns[self.id.slot()].rare()?.via.as_deref()
    }

    /// When this turn began. Use it instead of asking the system for the time.
    pub fn now(&self) -> Instant {
        self.net.now()
    }

    /// Another connection, if it is still there.
    ///
    /// ```
    /// # use heirloom::{ConnId, Connection};
    /// fn forward(conn: &mut Connection<'_>, to: ConnId, bytes: &[u8]) {
    ///     if let Some(mut other) = conn.other(to) {
    ///         other.send(bytes);
    ///     }
    /// }
    /// ```
    pub fn other(&mut self, id: ConnId) -> Option<Connection<'_>> {
        self.net.get(id)
    }

    /// Queues a copy of `bytes`. All output of a turn leaves in one write.
    ///
    /// Output over [`max_output`](crate::Server::max_output) ends the connection with
    /// [`Reason::TooSlow`]; above the high mark no more input is offered until the peer has caught up.
    pub fn send(&mut self, bytes: &[u8]) {
        self.net.send(self.id, |output, pool| output.push(bytes, pool));
    }

    /// Queues `bytes` without copying them: for what goes to many connections. Those that move with a restart by
    /// fork-exec have it once, too.
    ///
    /// ```
    /// # use heirloom::{ConnId, Net};
    /// # use std::rc::Rc;
    /// fn broadcast(net: &mut Net, to: &[ConnId], text: &[u8]) {
    ///     let text: Rc<[u8]> = text.into();
    ///     for &id in to {
    ///         if let Some(mut conn) = net.get(id) {
    ///             conn.send_shared(Rc::clone(&text));
    ///         }
    ///     }
    /// }
    /// ```
    pub fn send_shared(&mut self, bytes: Rc<[u8]>) {
        self.net.send(self.id, |output, pool| output.push_shared(&bytes, pool));
    }

    /// Ends the connection in good order: sends what is queued, then our FIN, and waits for the
    /// peer's within the close timeout. No further callback but `on_close` will come.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// fn goodbye(conn: &mut Connection<'_>) {
    ///     conn.send(b"goodbye\n");
    ///     conn.close(); // the peer gets the line, then the FIN
    /// }
    /// ```
    pub fn close(&mut self) {
        let eof = self.conn().flags.eof;
        self.net.finish(self.id, if eof { Reason::PeerClosed } else { Reason::Closed });
    }

    /// Ends the connection at the end of this turn and throws away what is queued.
    ///
    /// Where there was something, the peer sees a reset, so that it does not take what it has got for the
    /// whole. So it does wherever output is thrown away: by a timeout, by a limit, at the deadline of a drain
    /// and by a stop. (A Unix socket has no reset: what has to be whole there needs a length or a mark at
    /// its end.) Where unread input is left it is a reset as well (see `tcp(7)`).
    /// [`close`](Self::close) is the orderly way.
    pub fn abort(&mut self) {
        self.net.kill(self.id, Reason::Aborted);
    }

    /// Sends our FIN behind what is queued, and goes on reading (a half-close).
    ///
    /// Whatever is sent after it is thrown away.
    pub fn shutdown_write(&mut self) {
        self.conn().flags.half_close = true;
        self.net.mark_dirty(self.id);
    }

    /// Stops offering input, and with it reading: for a reply that has to wait for something.
    /// Of a paused connection nobody says that nothing comes: neither
    /// [`read_idle`](crate::Timeouts::read_idle) nor [`all_idle`](crate::Timeouts::all_idle) counts.
    ///
    /// A deferred reply, in order, since nothing that was pipelined behind it is offered before:
    ///
    /// ```
    /// # use heirloom::{ConnId, Connection, Net};
    /// fn ask(conn: &mut Connection<'_>, waiting: &mut Vec<ConnId>) {
    ///     waiting.push(conn.id());
    ///     conn.pause();
    /// }
    ///
    /// fn answer(net: &mut Net, waiting: &mut Vec<ConnId>, text: &[u8]) {
    ///     for id in waiting.drain(..) {
    ///         if let Some(mut conn) = net.get(id) {
    ///             conn.send(text);
    ///             conn.resume();
    ///         }
    ///     }
    /// }
    /// ```
    pub fn pause(&mut self) {
        self.conn().flags.paused = true;
    }

    /// Offers input again, beginning with what was kept.
    pub fn resume(&mut self) {
        let now = self.net.stamp;
        let conn = self.conn();
        if std::mem::take(&mut conn.flags.paused) {
            conn.flags.incomplete = false;
            conn.listen_from(now);
            self.net.list(self.id);
            self.net.schedule_check(self.id);
        }
    }

    /// Asks not to be called before `bytes` of input are there in all. It holds for the message at
    /// hand: the next call of `on_data` begins without it.
    ///
    /// More than [`max_message`](crate::Server::max_message) ends the connection with
    /// [`Reason::TooLong`].
    ///
    /// ```
    /// # use heirloom::{Connection, Result, codec::{Prefix, length}};
    /// fn frame(conn: &mut Connection<'_>, input: &[u8]) -> Result<usize> {
    ///     match length(input, Prefix::U32, 1 << 20)? {
    ///         Some((frame, taken)) => {
    ///             conn.send(frame);
    ///             Ok(taken)
    ///         }
    ///         None => {
    ///             // Not again for every piece of a long frame.
    ///             let length = input.first_chunk().map_or(0, |head| u32::from_be_bytes(*head));
    ///             conn.read_at_least(4 + length as usize);
    ///             Ok(0)
    ///         }
    ///     }
    /// }
    /// ```
    pub fn read_at_least(&mut self, bytes: usize) {
        self.conn().at_least = bytes;
    }

    /// Sets `timer` of this connection to run out `after` from now. One that is set already is set anew.
    ///
    /// It runs out once, not before the next turn, also when `after` is zero, and not before the input that had
    /// come by then was read: 64 KiB of it at least. While connections move it goes on; what runs out meanwhile
    /// is told when somebody serves again, after the input that waited. What then happens is
    /// [`on_timer`](crate::Service::on_timer)'s business; its default closes the connection.
    ///
    /// ```
    /// # use heirloom::{Connection, Timer};
    /// # use std::time::Duration;
    /// const LOGIN: Timer = Timer(0);
    ///
    /// fn expect_a_login(conn: &mut Connection<'_>) {
    ///     conn.set_timer(LOGIN, Duration::from_secs(60));
    /// }
    /// ```
    pub fn set_timer(&mut self, timer: Timer, after: Duration) {
        self.net.set_timer(self.id, timer, after);
    }

    /// Takes `timer` back; nothing happens if it was not set.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.net.cancel_timer(self.id, timer);
    }

    /// Bytes queued and not yet sent.
    ///
    /// It grows with [`send`](Self::send) and falls at the end of a turn.
    pub fn queued(&self) -> usize {
        self.net.conns[self.id.slot()].output.len()
    }

    /// Whether more than [`limits::HIGH_MARK`](crate::limits::HIGH_MARK) bytes are queued. A
    /// producer that stops here is called back by `on_writable`.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// /// Called by `on_data` and again by `on_writable`.
    /// fn pour(conn: &mut Connection<'_>, left: &mut usize) {
    ///     while *left > 0 && !conn.is_congested() {
    ///         let piece = (*left).min(4096);
    ///         conn.send(&[0; 4096][..piece]);
    ///         *left -= piece;
    ///     }
    /// }
    /// ```
    pub fn is_congested(&self) -> bool {
        self.net.conns[self.id.slot()].flags.congested
    }

    /// Whether this process is leaving.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// fn connection_header(conn: &Connection<'_>) -> &'static str {
    ///     if conn.is_draining() { "close" } else { "keep-alive" }
    /// }
    /// ```
    pub fn is_draining(&self) -> bool {
        self.net.is_draining()
    }
}

impl io::Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes);
        Ok(bytes.len())
    }

    /// Does nothing: output leaves at the end of the turn.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Net {
    /// A connection by its name, if it is still in service.
    ///
    /// `None` also where it is being closed: nothing can be sent there any more.
    pub fn get(&mut self, id: ConnId) -> Option<Connection<'_>> {
        match self.conn(id) {
            Some(conn) if conn.phase == Phase::Open => Some(Connection::new(self, id)),
            _ => None,
        }
    }

    /// Queues output by `push` and keeps the marks and the cap.
    fn send(
        &mut self,
        id: ConnId,
        push: impl FnOnce(&mut crate::buffer::Output, &mut crate::buffer::Pool),
    ) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase != Phase::Open || conn.flags.half_close {
            return;
        }
        if conn.output.is_empty() {
            conn.written_at = self.stamp;
        }
        push(&mut conn.output, &mut self.pool);
        let queued = conn.output.len();
        if queued > conn.limits(&self.limits).output {
            return self.kill(id, Reason::TooSlow);
        }
        if queued > crate::limits::HIGH_MARK {
            conn.flags.congested = true;
        }
        if !conn.flags.dirty {
            self.mark_dirty(id);
        }
    }
}
