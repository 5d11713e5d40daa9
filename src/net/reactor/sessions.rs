//! Sessions in a callback's hands: any but the one that was lent to the callback itself.

use super::{Connection, Net};
use crate::net::{conn::Phase, id::ConnId};

/// A session out of its place. It goes back when this is dropped, also where a panic does that: what was lent is
/// there for [`on_close`](crate::Service::on_close) whatever its borrower has come to.
struct Lent<'a, T: 'static> {
    net: &'a mut Net,
    slot: usize,
    session: Option<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.net.sessions.put(self.slot, session);
        }
    }
}

impl Net {
    /// Calls with a session and all the rest, in which that session is not to be found meanwhile. `None`: there is
    /// none, or it is lent already.
    ///
    /// To move it out and back is what makes two `&mut` of one. On one machine that takes 5 ns for a session of no
    /// bytes, 15 for 64, 40 for 1 KiB and 110 for 4 KiB, and all input of a read is offered in one go.
    pub(crate) fn lend<T: 'static, R>(
        &mut self,
        id: ConnId,
        call: impl FnOnce(&mut Net, &mut T) -> R,
    ) -> Option<R> {
        let (slot, session) = (id.slot(), self.sessions.take(id.slot()));
        let mut lent = Lent { net: self, slot, session };
        let Lent { net, session, .. } = &mut lent;
        session.as_mut().map(|session| call(net, session))
    }

    /// What another connection remembers: `T` is the [`Session`](crate::Service::Session) of the service.
    ///
    /// It is there for as long as [`get`](Self::get) finds the connection, which is in service, and `None` where that
    /// finds none. So a connection that was closed in this turn has it no more:
    /// [`on_close`](crate::Service::on_close) is about to get it, by value. `None` also for a connection
    /// without one, which is still being dialed or is in [`on_open`](crate::Service::on_open) or
    /// [`import`](crate::Service::import); and for the one whose session the running callback has as an argument:
    /// there it is, already.
    ///
    /// # Panics
    /// When `T` is another type, whether the connection is there or not: it is a mistake in the program, which
    /// `None` would hide.
    ///
    /// Whoever logs in with a name that is taken ends the other connection, and goes on with what that one knew
    /// (in MQTT a takeover, in XMPP a conflict):
    ///
    /// ```
    /// use heirloom::{ConnId, Connection};
    /// use std::collections::HashMap;
    ///
    /// #[derive(Default)]
    /// struct Session {
    ///     subscriptions: Vec<String>,
    /// }
    ///
    /// fn log_in(names: &mut HashMap<String, ConnId>, conn: &mut Connection<'_>, session: &mut Session, name: &str) {
    ///     let Some(old) = names.insert(name.to_owned(), conn.id()) else { return };
    ///     if let Some(theirs) = conn.net.session::<Session>(old) {
    ///         session.subscriptions = std::mem::take(&mut theirs.subscriptions);
    ///     }
    ///     if let Some(mut old) = conn.net.get(old) {
    ///         old.send(b"you are here from somewhere else\n");
    ///         old.close();
    ///     }
    /// }
    /// ```
    ///
    /// The [guide](crate::guide::your_own#finding-a-connection-by-a-name) has the whole server, and what becomes of the names
    /// in a restart.
    pub fn session<T: 'static>(&mut self, id: ConnId) -> Option<&mut T> {
        let is_open = self.is_open(id);
        self.sessions.get(id.slot()).filter(|_| is_open)
    }

    /// Another connection and what it remembers, both at once, as one of its own callbacks would have them. `None`, and
    /// nothing is called, where [`session`](Self::session) finds none.
    ///
    /// # Panics
    /// As [`session`](Self::session) does.
    ///
    /// ```
    /// use heirloom::{ConnId, Connection, Net};
    ///
    /// struct Session {
    ///     unread: usize,
    ///     is_away: bool,
    /// }
    ///
    /// /// What `on_data` does with a message, too.
    /// fn deliver(conn: &mut Connection<'_>, session: &mut Session, text: &[u8]) {
    ///     match session.is_away {
    ///         true => session.unread += 1,
    ///         false => conn.send(text),
    ///     }
    /// }
    ///
    /// fn tell_all(net: &mut Net, room: &[ConnId], text: &[u8]) -> usize {
    ///     let told = room.iter().filter_map(|&id| net.with(id, |conn, session| deliver(conn, session, text)));
    ///     told.count()
    /// }
    /// ```
    pub fn with<T: 'static, R>(
        &mut self,
        id: ConnId,
        call: impl FnOnce(&mut Connection<'_>, &mut T) -> R,
    ) -> Option<R> {
        if !self.is_open(id) {
            self.sessions.table::<T>(); // which may panic
            return None;
        }
        self.lend(id, |net, session| call(&mut Connection::new(net, id), session))
    }

    fn is_open(&mut self, id: ConnId) -> bool {
        self.conn(id).is_some_and(|conn| conn.phase == Phase::Open)
    }
}
