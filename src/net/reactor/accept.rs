//! How connections come: accepted up to the limits. How they are dialed is in `dial`.

use std::io;

use log::Level;

use super::Net;
use crate::{
    limits::{ACCEPT_BUDGET, ACCEPT_PAUSE},
    log_target::NET,
    net::{
        caller::Caller,
        conn::{ConnState, Phase, SharedTimeouts},
        id::{ConnId, Source},
        listen::Listener,
        reason::Reason,
        stream::{Peer, Secure, Stream},
    },
};

impl Net {
    /// Begins to accept on every listener, and to read datagrams; clients that are queued already are found
    /// as well.
    pub(crate) fn start_accepting(&mut self) -> io::Result<()> {
        self.register_listeners()?;
        self.start_reading()
    }

    fn register_listeners(&mut self) -> io::Result<()> {
        let listeners = self.listeners.iter_mut().enumerate();
        for (index, listener) in listeners.filter(|(_, listener)| !listener.accepting) {
            let token = Source::Listener(index).token();
            Net::with_registry(&self.poll, |registry| listener.register(registry, token))?;
        }
        Ok(())
    }

    /// Leaves the accept queues alone; the listeners stay open, so the queues go on filling.
    /// `keep` names those that this process goes on with, by their places among what is
    /// [passed on](Self::passed_on).
    pub(crate) fn stop_accepting(&mut self, keep: &[usize]) {
        for (place, listener) in self.listeners.iter_mut().enumerate() {
            if listener.accepting && !keep.contains(&place) {
                let _ = Net::with_registry(&self.poll, |registry| listener.deregister(registry));
            }
        }
    }

    /// Closes the listeners of clients, for good; where this process is `alone`, whoever else has a copy of
    /// them. Operators and monitors come in as they did.
    pub(crate) fn close_to_clients(&mut self, alone: bool) -> io::Result<()> {
        let accepted = self.hears_callers();
        self.stop_accepting(&[]);
        if alone {
            let of_clients = self.listeners.iter().filter(|listener| listener.caller.is_client());
            of_clients.for_each(Listener::shut);
        }
        self.keep_terms();
        self.listeners.retain(|listener| !listener.caller.is_client());
        if accepted { self.register_listeners() } else { Ok(()) }
    }

    /// Whether operators come to this process.
    pub(crate) fn hears_operators(&self) -> bool {
        self.hears(Caller::is_operator)
    }

    /// Whether anybody else comes to it who is no client.
    pub(crate) fn hears_callers(&self) -> bool {
        self.hears(|caller| !caller.is_client())
    }

    fn hears(&self, who: impl Fn(Caller) -> bool) -> bool {
        self.listeners.iter().any(|listener| who(listener.caller) && listener.accepting)
    }

    /// Before the listeners close: how many have come in lately is no reason any more to let nobody in.
    pub(crate) fn admit_up_to_the_limit(&mut self) {
        self.starved_until = None;
        self.full = self.connections() >= self.limits.connections;
    }

    /// Whether a listener may be asked for clients. At the connection limit an operator may still come, and a monitor.
    pub(crate) fn may_accept(&self, index: usize) -> bool {
        let listener = &self.listeners[index];
        let is_starved = self.starved_until.is_some();
        let has_place = match listener.caller {
            Caller::Client => !is_starved && !self.full,
            _ if is_starved && self.reserve.has_place_for_operator() => true,
            caller if is_starved => self.most_silent(caller).is_some(),
            caller => self.has_place_for(caller),
        };
        listener.accepting && has_place
    }

    /// The next client of a listener, or `None` when there is none for now.
    pub(crate) fn accept(&mut self, index: usize) -> Option<ConnId> {
        // Clients that are gone are skipped, but an error that looks like one and never ends must not
        // hold up everybody.
        let Listener { caller, number, .. } = self.listeners[index];
        let is_client = caller.is_client();
        let options = &self.listeners[index].options;
        let phase = match (options.proxy(), options.tls()) {
            (Some(_), _) => Phase::AwaitsHeader,
            (None, Some(_)) => Phase::Handshaking,
            (None, None) => Phase::Open,
        };
        for _ in 0..ACCEPT_BUDGET {
            if !self.may_accept(index) {
                break;
            }
            let result = self.listeners[index].accept().and_then(|(mut stream, peer)| {
                stream.set_nodelay()?;
                if phase == Phase::Handshaking
                    && let Some(terms) = self.listeners[index].options.tls()
                {
                    stream.secure_by(Secure::accept(terms)?);
                }
                match is_client {
                    true => self.insert_accepted(stream, peer, phase, number),
                    false => self.insert_caller(stream, peer, caller),
                }
            });
            match result {
                Ok(id) => {
                    self.stats.accepted += u64::from(is_client);
                    if phase == Phase::AwaitsHeader {
                        self.await_header(id, index);
                    }
                    return Some(id);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.listeners[index].ready = false;
                    return None;
                }
                // The system finds a descriptor before it looks whether anybody waits.
                Err(e) if is_out_of_descriptors(&e) && !self.listeners[index].has_client() => {
                    self.listeners[index].ready = false;
                    return None;
                }
                Err(e) if !is_client && is_out_of_descriptors(&e) => {
                    if !self.make_place_for(caller, e) {
                        return None;
                    }
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
            return self.log(NET, Level::Debug, "accept failed", format_args!("accept: {e}"));
        }
        if self.stats.accept_pauses == 0 {
            log::warn!(
                target: NET,
                "accept: {e}; new clients wait until a connection ends (said once)"
            );
        }
        self.stats.accept_pauses += 1;
        self.pause_accepting(ACCEPT_PAUSE);
    }

    /// An operator who finds no descriptor left has one of the reserve, or that of another operator from the
    /// next turn on; so has a monitor. Tells whether to try again now.
    fn make_place_for(&mut self, caller: Caller, e: io::Error) -> bool {
        if self.reserve.open_for_operator() {
            return true;
        }
        match self.most_silent(caller) {
            Some(silent) => self.kill(silent, Reason::Aborted),
            None => self.accept_failed(e),
        }
        false
    }

    /// Takes places in the reserve that have come free, before a client does. A process that does not
    /// accept has none to keep.
    pub(crate) fn fill_reserve(&mut self) {
        if self.listeners.iter().any(|listener| listener.accepting) {
            self.reserve.fill();
        }
    }

    /// Makes a connection of a stream.
    pub(crate) fn insert(
        &mut self,
        stream: Stream,
        peer: Peer,
        phase: Phase,
    ) -> io::Result<ConnId> {
        self.insert_by(stream, peer, phase, 0)
    }

    /// The same of a client that has come to this listener.
    pub(crate) fn insert_accepted(
        &mut self,
        stream: Stream,
        peer: Peer,
        phase: Phase,
        listener: usize,
    ) -> io::Result<ConnId> {
        self.insert_by(stream, peer, phase, SharedTimeouts::number(listener))
    }

    fn insert_by(
        &mut self,
        stream: Stream,
        peer: Peer,
        phase: Phase,
        listener: u16,
    ) -> io::Result<ConnId> {
        let id = self.place(stream, peer, phase)?;
        self.conns[id.slot()].listener = listener;
        self.full |= self.connections() >= self.limits.connections; // `make_room` takes it back
        self.schedule_check(id);
        Ok(id)
    }

    /// The same for an operator or a monitor, who takes no client's place, but that of another of its kind where there
    /// are too many.
    fn insert_caller(&mut self, stream: Stream, peer: Peer, caller: Caller) -> io::Result<ConnId> {
        let id = self.place(stream, peer, Phase::Open)?;
        let flags = &mut self.conns[id.slot()].flags;
        flags.caller = caller;
        flags.readable = true; // is looked at in this turn, before it may be the one to go
        self.list(id);
        self.schedule_check(id);
        if self.of_kind(caller).count() >= caller.places()
            && let Some(silent) = self.most_silent(caller)
        {
            self.kill(silent, Reason::Aborted);
        }
        self.callers.push(id);
        Ok(id)
    }

    fn of_kind(&self, caller: Caller) -> impl Iterator<Item = &ConnState> {
        let conns = self.callers.iter().map(|id| &self.conns[id.slot()]);
        conns.filter(move |conn| conn.flags.caller == caller)
    }

    fn has_place_for(&self, caller: Caller) -> bool {
        self.of_kind(caller).count() < caller.places() || self.most_silent(caller).is_some()
    }

    /// The one of its kind that was silent longest, of those of whom there is nothing to be heard or answered.
    fn most_silent(&self, caller: Caller) -> Option<ConnId> {
        let idle = self.of_kind(caller).filter(|conn| {
            let is_busy = conn.flags.paused || (conn.flags.readable && conn.takes_input());
            conn.phase != Phase::Dead && !(conn.phase == Phase::Open && is_busy)
        });
        idle.min_by_key(|conn| (conn.phase == Phase::Open, conn.active())).map(|conn| conn.id)
    }

    fn place(&mut self, stream: Stream, peer: Peer, phase: Phase) -> io::Result<ConnId> {
        let id = ConnId::new(self.conns.vacant(), self.last_serial + 1);
        let mut conn = ConnState::new(id, stream, peer, phase, self.stamp);
        Net::with_registry(&self.poll, |registry| conn.register(registry))?;
        self.last_serial += 1;
        conn.flags.greeted = phase == Phase::Dialing;
        self.conns.insert(conn);
        Ok(id)
    }
}

/// This process has as many as it may have, or the system has.
fn is_out_of_descriptors(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
