//! How connections come: accepted up to the limits. How they are dialed is in `dial`.

use std::io;

use super::Net;
use crate::{
    limits::{ACCEPT_BUDGET, ACCEPT_PAUSE},
    log_target::NET,
    net::{
        conn::{ConnState, Phase},
        id::{ConnId, Source},
        stream::{Peer, Stream},
    },
};

impl Net {
    /// Begins to accept on every listener, and to read datagrams; clients that are queued already are found
    /// as well.
    pub(crate) fn start_accepting(&mut self) -> io::Result<()> {
        self.accepting = true;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let token = Source::Listener(index).token();
            Net::with_registry(&self.poll, |registry| listener.register(registry, token))?;
        }
        self.start_reading()
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
        // Clients that are gone are skipped, but an error that looks like one and never ends must not
        // hold up everybody.
        for _ in 0..ACCEPT_BUDGET {
            if !self.may_accept(index) {
                break;
            }
            let result = self.listeners[index].accept().and_then(|(stream, peer)| {
                stream.set_nodelay()?;
                self.insert(stream, peer, Phase::Open)
            });
            match result {
                Ok(id) => {
                    if self.listeners[index].is_control {
                        self.conns[id.slot()].flags.control = true;
                        self.controls += 1;
                    } else {
                        self.stats.accepted += 1;
                    }
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
            log::debug!(target: NET, "accept: {e}");
            return;
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

    /// Makes a connection of a stream.
    pub(crate) fn insert(
        &mut self,
        stream: Stream,
        peer: Peer,
        phase: Phase,
    ) -> io::Result<ConnId> {
        let entry = self.conns.vacant_entry();
        let id = ConnId::new(entry.key(), self.last_serial + 1);
        let mut conn = ConnState::new(id, stream, peer, phase, self.stamp);
        Net::with_registry(&self.poll, |registry| conn.register(registry))?;
        self.last_serial += 1;
        conn.flags.greeted = phase != Phase::Open;
        entry.insert(conn);
        self.full |= self.connections() >= self.limits.connections; // `make_room` takes it back
        self.schedule_check(id);
        Ok(id)
    }
}
