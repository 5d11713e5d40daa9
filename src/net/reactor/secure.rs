//! Connections with TLS: how one shakes hands, before its service hears of it or in the middle of a conversation, what
//! is sent that is nobody's output, and what its end is called.

use std::{io, sync::Arc};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use super::Net;
use crate::{
    error::{Error, Result},
    limits::CIPHERS_KEPT,
    log_target::NET,
    net::{
        conn::{ConnState, Phase},
        id::ConnId,
        options::SocketOptions,
        reason::{Origin, Reason},
        stream::{Secure, Shaken, Stream},
    },
    tls::{ClientTerms, ServerTerms, TlsError},
};

impl Net {
    /// Has new clients of a listener shake hands by `config`: for certificates that were renewed. `listener` is its number, as
    /// [`Origin::Accepted`] has it. Connections that are here go on with what they have agreed on.
    ///
    /// A restart by fork has the old configuration in its heap. The new process reads the new one in
    /// [`after_fork_in_child`](crate::Service::after_fork_in_child), where an `Err` leaves the old process as it is; a
    /// new program reads it anyway.
    ///
    /// # Errors
    /// When there is no such listener, or it is one [without TLS](crate::Listen::tls); when the configuration makes
    /// no sense.
    ///
    /// ```
    /// use heirloom::{Net, Result, tls};
    ///
    /// /// Of `after_fork_in_child`.
    /// fn renew(net: &mut Net) -> Result {
    ///     let config = tls::server_config("/etc/app/cert.pem", "/etc/app/key.pem")?;
    ///     net.set_tls(0, config.into())
    /// }
    /// ```
    pub fn set_tls(&mut self, listener: usize, config: Arc<ServerConfig>) -> Result {
        let wrong =
            |why: &str| Error::invalid("set TLS of", format_args!("listener {listener}"), why);
        let terms = ServerTerms::of(&config);
        terms.check().map_err(|why| wrong(&why.to_string()))?;
        let mut there = self.listeners.iter_mut().filter(|it| it.number == listener).peekable();
        there.peek().ok_or_else(|| wrong("there is none"))?;
        for listener in there {
            let tls = listener.options.tls_mut().ok_or_else(|| wrong("it has none"))?;
            *tls = terms.clone();
        }
        Ok(())
    }

    /// [Dials](Self::dial) with TLS: the peer has to prove that it is `name`, as `config` has it verified.
    /// [`on_open`](crate::Service::on_open) is called when the handshake is over.
    ///
    /// It has the [dial timeout](crate::Server::dial_timeout) until it is connected, and then the time for
    /// [a handshake](crate::Timeouts::handshake). A handshake that fails is told to
    /// [`on_dial_failed`](crate::Service::on_dial_failed), with a [`TlsError`] in it.
    ///
    /// # Errors
    /// As [`dial`](Self::dial); and when the configuration makes no sense.
    ///
    /// ```
    /// use heirloom::{Net, Result, tls::rustls::{ClientConfig, pki_types::ServerName}};
    /// use std::sync::Arc;
    ///
    /// fn connect(net: &mut Net, config: &Arc<ClientConfig>) -> Result {
    ///     let name = ServerName::try_from("db.example").map_err(heirloom::Error::other)?;
    ///     net.dial_tls("192.0.2.7:5433", name, Arc::clone(config), 1)
    /// }
    /// ```
    pub fn dial_tls(
        &mut self,
        address: &str,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        tag: u64,
    ) -> Result {
        self.dial_tls_with(address, name, config, tag, &SocketOptions::new())
    }

    /// [Dials with TLS](Self::dial_tls) by a socket of which the kernel is told something before, as
    /// [`dial_with`](Self::dial_with) does.
    ///
    /// # Errors
    /// As both.
    pub fn dial_tls_with(
        &mut self,
        address: &str,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        tag: u64,
        options: &SocketOptions,
    ) -> Result {
        let secure = begin(address, name, &config)?;
        self.dial_by(address, tag, options, Some(secure))
    }

    /// [Dials with TLS](Self::dial_tls) a host by its name, which is looked up as [`dial_host`](Self::dial_host) says. The name
    /// that the peer has to prove is most often the same.
    ///
    /// # Errors
    /// As both.
    ///
    /// ```
    /// use heirloom::{Net, Result, tls::rustls::{ClientConfig, pki_types::ServerName}};
    /// use std::sync::Arc;
    ///
    /// fn connect(net: &mut Net, config: &Arc<ClientConfig>) -> Result {
    ///     let name = ServerName::try_from("db.example").map_err(heirloom::Error::other)?;
    ///     net.dial_host_tls("db.example:5433", name, Arc::clone(config), 1)
    /// }
    /// ```
    #[cfg(feature = "names")]
    pub fn dial_host_tls(
        &mut self,
        address: &str,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        tag: u64,
    ) -> Result {
        let secure = begin(address, name, &config)?;
        self.dial_host_by(address, tag, Some(secure))
    }

    // The handshake.

    /// Part of phase 4: whose turn it is to go on with its handshake, of those that wait for it.
    pub(crate) fn next_handshake(&mut self) -> Option<ConnId> {
        loop {
            let id = self.shaking.pop_front()?;
            let Some(conn) = self.conn(id) else { continue };
            conn.flags.listed = false;
            if conn.is_shaking() {
                return Some(id);
            }
            self.list(id); // it ends, and its FIN may be there
        }
    }

    /// One step of a handshake. `Some` when that is over and the service has yet to hear of the connection.
    pub(crate) fn shake(&mut self, id: ConnId, buffer: &mut [u8]) -> Option<Origin> {
        self.stats.reads += 1;
        self.stats.handshake_steps += 1;
        let conn = self.conn(id)?;
        let Stream::Tls(secured) = &mut conn.stream else { return None };
        if !conn.input.is_empty() {
            secured.tls.begin_with(std::mem::take(&mut conn.input)); // behind the last plain message
        }
        let result = secured.tls.shake(&mut secured.plain, buffer);
        let is_drained = matches!(result, Ok(Shaken::HeardNothing));
        conn.flags.readable = secured.tls.has_more() || (conn.flags.fin && !is_drained);
        let owes = secured.tls.owes();
        if owes {
            self.mark_dirty(id);
        }
        match result {
            Ok(Shaken::Done) => return self.shaken(id),
            // Its time was over when its turn came, and that was its last: or who sends a byte a turn would never be late.
            Ok(Shaken::Waits | Shaken::HeardNothing) if self.is_overdue(id) => {
                self.handshake_overdue(id);
            }
            Ok(Shaken::Waits | Shaken::HeardNothing) => {}
            Ok(Shaken::Left) => self.kill(id, Reason::PeerClosed),
            Err(e) => self.break_off(id, e),
        }
        None
    }

    /// The handshake of a connection is over.
    fn shaken(&mut self, id: ConnId) -> Option<Origin> {
        let stamp = self.stamp;
        let conn = &mut self.conns[id.slot()];
        let stays = conn.stream.secure().is_some_and(|tls| !tls.can_be_carried());
        let is_new = conn.phase == Phase::Handshaking;
        conn.phase = Phase::Open;
        conn.flags.upgrades = false;
        (conn.read_at, conn.written_at) = (stamp, stamp);
        let origin = match conn.rare().filter(|rare| rare.destination.is_some()) {
            Some(rare) => Origin::Dialed { tag: rare.tag },
            None => Origin::Accepted { listener: usize::from(conn.listener.saturating_sub(1)) },
        };
        if is_new {
            conn.opened = stamp; // its service has to do with it from here on
            self.stats.dialed += u64::from(matches!(origin, Origin::Dialed { .. }));
        }
        self.stats.handshakes += 1;
        if stays {
            let peer = self.conns[id.slot()].peer;
            let line = format_args!(
                "{id} peer={peer}: its keys cannot be written down, so it will not move"
            );
            self.log(NET, log::Level::Info, "keys stay", line);
        }
        self.list(id);
        self.mark_dirty(id); // what was queued meanwhile
        self.schedule_check(id);
        is_new.then_some(origin)
    }

    /// The time for a handshake is over.
    pub(super) fn handshake_overdue(&mut self, id: ConnId) {
        self.break_off(id, TlsError::HandshakeTimeout.into());
    }

    // Its bytes.

    /// Part of `flush`, for a connection with TLS: what is nobody's output goes first, and a `close_notify` before the FIN.
    pub(super) fn flush_secure(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if conn.phase == Phase::Dialing || !self.send_owed(id) {
            return;
        }
        let conn = &self.conns[id.slot()];
        if conn.is_shaking() {
            return; // what is queued waits for its keys
        }
        if conn.flags.upgrades {
            return self.kill(id, Reason::Aborted); // it was closed, and they will never come
        }
        if !conn.output.is_empty() {
            self.write(id);
            self.keep_ciphers(id);
            let conn = &mut self.conns[id.slot()];
            let worn = conn.stream.secure().is_some_and(Secure::is_worn);
            if worn && conn.phase == Phase::Open {
                let why = "its key has sealed as many records as it may, and TLS 1.2 has no other";
                self.finish(id, Reason::Tls(TlsError::Failed(why.into())));
            }
        }
        let conn = &mut self.conns[id.slot()];
        if !conn.output.is_empty() || conn.stream.owes() {
            return;
        }
        let is_last = match conn.phase {
            Phase::Flushing => true,
            Phase::Open => conn.flags.half_close && !conn.flags.fin_sent,
            _ => false,
        };
        let says_so = is_last && conn.stream.secure_mut().is_some_and(Secure::close_notify);
        if !says_so || self.send_owed(id) {
            self.after_output(id);
        }
    }

    /// Sends what is nobody's output. `false` when that is not through, or the connection is dead.
    fn send_owed(&mut self, id: ConnId) -> bool {
        let stamp = self.stamp;
        let conn = &mut self.conns[id.slot()];
        let Stream::Tls(secured) = &mut conn.stream else { return true };
        let result = secured.tls.flush(&mut secured.plain);
        if secured.tls.take_has_sent() {
            conn.written_at = stamp;
        }
        match result {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                // As with output: the peer is given its time from when it begins to wait.
                if secured.tls.begins_to_wait() && conn.output.is_empty() {
                    conn.written_at = stamp;
                }
                self.await_room(id);
                false
            }
            Err(e) => {
                self.break_off(id, e);
                false
            }
        }
    }

    /// It may have made ciphers. So many connections have some, those that made them last.
    pub(super) fn keep_ciphers(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.slot()];
        if conn.stream.secure_mut().is_some_and(Secure::take_warmed) {
            self.warm.push_back(id);
        }
        if self.warm.len() > CIPHERS_KEPT
            && let Some(first) = self.warm.pop_front()
            && let Some(conn) = self.conn(first)
        {
            conn.stream.secure_mut().into_iter().for_each(Secure::cool);
        }
    }

    // Its end.

    /// Reading or writing has failed.
    pub(super) fn break_off(&mut self, id: ConnId, e: io::Error) {
        let why = e.downcast::<TlsError>();
        let conn = &mut self.conns[id.slot()];
        if conn.phase == Phase::Handshaking
            && let Some(rare) = conn.rare().filter(|rare| rare.destination.is_some())
        {
            let tag = rare.tag;
            let told = match &why {
                Ok(tls) => tls.clone().into(),
                Err(e) => io::Error::new(e.kind(), e.to_string()),
            };
            conn.rare_mut().stillborn = true;
            self.refused_dials.push((tag, told));
        }
        match why {
            Ok(why @ TlsError::Sent(..)) => self.end_by_alert(id, Reason::Tls(why)),
            Ok(why) => self.kill(id, Reason::Tls(why)),
            Err(e) => self.kill(id, Reason::Broken(e)),
        }
    }

    /// What was queued is thrown away, and the alert goes out; then our FIN, and the peer's is waited for, so that no
    /// reset overtakes it.
    fn end_by_alert(&mut self, id: ConnId, reason: Reason) {
        let conn = &mut self.conns[id.slot()];
        if matches!(conn.phase, Phase::Lingering | Phase::Dead) {
            return;
        }
        conn.output.clear(&mut self.pool);
        conn.phase = Phase::Open;
        conn.flags.upgrades = false;
        self.finish(id, reason);
    }
}

/// What is to be put on the stream of a dial.
fn begin(address: &str, name: ServerName<'static>, config: &Arc<ClientConfig>) -> Result<Secure> {
    let secure = Secure::connect(&ClientTerms::of(config), name);
    secure.map_err(|e| Error::io("dial", address, e))
}

impl ConnState {
    /// Whether a handshake is under way on it.
    pub(crate) fn is_shaking(&self) -> bool {
        self.phase == Phase::Handshaking || (self.phase == Phase::Open && self.flags.upgrades)
    }
}

#[cfg(test)]
#[path = "secure_tests.rs"]
mod tests;
