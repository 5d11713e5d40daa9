//! The last call: who has come before this process closes its doors for good is let in, and heard.
//!
//! The kernel resets whoever is in a queue when the last process closes it, and throws away what is in a
//! datagram socket's buffer. So by TCP nobody begins to come before the last look. What comes to other sockets after it is theirs to deal with; so is who has connected to
//! a socket with `TCP_DEFER_ACCEPT` and said nothing (`tcp(7)`): the kernel has not put it into the queue.

use crate::{
    limits::{DATAGRAM_BUDGET, DATAGRAM_BUFFER},
    net::{ConnId, Datagrams, Listener, Origin, Phase as ConnPhase},
    service::Service,
    turn::Turn,
};

/// The smallest datagram takes this much of the kernel's buffer.
const DATAGRAM_ROOM: usize = 512;

impl<S: Service> Turn<S> {
    /// Nobody else will: accepts until no client waits, up to the limit on connections, and reads datagrams
    /// until none is there. Where this process is `alone`, no handshake begins from here on: between the last look and the
    /// close somebody would come whom the kernel resets, with a request on the way that nobody may repeat.
    pub(super) fn last_call(&mut self, alone: bool) {
        // Who comes from here on shall not find the door.
        let listeners = self.net.listeners.iter().filter(|listener| listener.caller.is_client());
        for listener in listeners {
            listener.unlink();
            if alone {
                listener.refuse_handshakes();
            }
        }
        self.net.datagrams.iter().filter_map(Datagrams::socket).for_each(Listener::unlink);
        self.read_all_datagrams();
        self.net.admit_up_to_the_limit();
        // A second time for those who have come during the first.
        for _ in 0..2 {
            for listener in 0..self.net.listeners.len() {
                self.accept_all(listener);
            }
        }
    }

    fn accept_all(&mut self, listener: usize) {
        // As many as may have waited: others must not come for ever.
        for _ in 0..=self.net.listeners[listener].options.backlog() {
            let Some(id) = self.net.accept(listener) else { break };
            let listener = self.net.listeners[listener].number;
            self.open(id, Origin::Accepted { listener });
        }
    }

    /// The sockets that nobody has after this process, by their places: those that the new side does not
    /// want, or, on a new side that goes back, those that it has bound.
    pub(in crate::turn) fn sockets_of_its_own(&self) -> Vec<usize> {
        match &self.succession.attempt {
            Some(attempt) => attempt.unwanted.clone(),
            None => {
                let sockets = self.net.passed_on().enumerate();
                sockets.filter(|(_, socket)| socket.is_new).map(|(place, _)| place).collect()
            }
        }
    }

    /// The same for these sockets alone, when another process has the others.
    pub(super) fn last_call_at(&mut self, places: &[usize]) {
        for socket in places.iter().filter_map(|&place| self.net.passed_on().nth(place)) {
            socket.unlink();
        }
        let listeners = self.net.listeners.len();
        for &place in places.iter().filter(|&&place| place < listeners) {
            self.accept_all(place);
            self.net.listeners[place].shut();
        }
    }

    fn read_all_datagrams(&mut self) {
        self.net.look_for_datagrams();
        // As often as a full buffer takes, which the kernel makes twice as large as it is told.
        for _ in 0..2 * DATAGRAM_BUFFER / DATAGRAM_ROOM / DATAGRAM_BUDGET {
            if !self.net.datagrams.iter().any(Datagrams::is_due) {
                break;
            }
            self.read_datagrams();
            self.flush(); // or the answers would be more than is kept
        }
    }

    /// Uses what a connection has sent by now, before anything is decided about it.
    pub(super) fn hear(&mut self, id: ConnId) {
        if let Some(conn) = self.net.conn(id)
            && (conn.takes_input() || conn.phase == ConnPhase::AwaitsHeader)
            && !conn.flags.eof
        {
            conn.flags.readable = true;
            self.serve(id);
        }
    }

    /// Whether this process stays although it has nothing left: it is where operators ask about the others.
    pub(in crate::turn) fn is_kept_by_operators(&self) -> bool {
        let others = !self.succession.older.is_empty();
        others && self.net.hears_operators() && !self.net.is_hurried()
    }

    /// Nothing is left, and this process would end: operators and monitors who have come by now get their answers. Tells
    /// whether that takes another turn. It does once, for they must not keep it for ever.
    pub(in crate::turn) fn takes_last_requests(&mut self) -> bool {
        self.answer_status_now();
        if !self.net.hears_callers() || std::mem::replace(&mut self.succession.closing, true) {
            self.flush();
            return false;
        }
        for listener in 0..self.net.listeners.len() {
            self.accept_all(listener);
        }
        for id in self.net.callers.clone() {
            self.hear(id);
        }
        !self.net.is_settled()
    }

    /// After the last turn: what is left is of operators. While a new side is told to leave as well, it has
    /// them.
    pub(in crate::turn) fn remove_last_paths(&self) {
        let has_them = self.net.hears_operators() || self.succession.children.is_empty();
        if self.succession.retired && has_them {
            self.net.listeners.iter().for_each(Listener::unlink);
        }
    }
}
