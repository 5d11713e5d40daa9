//! What a callback may know of a connection's TLS, and how it puts TLS on one in mid-conversation.

use std::{io, sync::Arc};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use super::Connection;
use crate::{
    error::{Error, Result},
    net::{conn::Phase, stream::Secure},
    tls::{ClientTerms, ServerTerms, TlsInfo},
};

impl Connection<'_> {
    /// What the TLS handshake has found out; `None` of a connection without TLS, and while a handshake is under way.
    /// [`TlsInfo`] has an example.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.net.conns[self.id.slot()].stream.secure()?.info()
    }

    /// Fills `out` with a secret that both ends of this TLS connection can derive and nobody else can (RFC 8446, 7.5;
    /// RFC 5705): for a protocol on top that is to be bound to it.
    ///
    /// # Errors
    /// Without TLS; where nothing can be derived, for want of what it is derived from; or when so much cannot.
    ///
    /// ```
    /// # use heirloom::{Connection, Result};
    /// /// `tls-exporter` (RFC 9266), to which SCRAM binds a login.
    /// fn channel_binding(conn: &Connection<'_>) -> Result<[u8; 32]> {
    ///     let mut binding = [0; 32];
    ///     conn.export_keying_material(b"EXPORTER-Channel-Binding", None, &mut binding)?;
    ///     Ok(binding)
    /// }
    /// ```
    pub fn export_keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result {
        let secure = self.net.conns[self.id.slot()].stream.secure();
        let records = secure.and_then(Secure::records);
        match records.is_some_and(|records| records.export(label, context, out)) {
            true => Ok(()),
            false => {
                let why =
                    if records.is_some() { "it cannot be derived" } else { "there is no TLS" };
                Err(Error::invalid("export keying material of", self.id, why))
            }
        }
    }

    /// Puts TLS on this connection, in mid-conversation, as the server: what `STARTTLS` asks for. What is queued goes out as it is
    /// and then the client shakes hands by `config`. Input behind what [`on_data`](crate::Service::on_data)
    /// takes now is the handshake's already, so a client that has said more in plain text is refused.
    ///
    /// The service goes on as before: what it sends meanwhile waits until the handshake is over, and so does
    /// [`on_data`](crate::Service::on_data), which has [`tls`](Self::tls) then. A handshake that fails, or takes
    /// [too long](crate::Timeouts::handshake), ends the connection with [`Reason::Tls`](crate::Reason::Tls). In a
    /// [harness](crate::testing) nothing happens, and what follows is plain.
    ///
    /// # Errors
    /// When it has TLS, or is closed for output; when the configuration makes no sense.
    ///
    /// ```
    /// # use heirloom::{Connection, Result, tls::rustls::ServerConfig};
    /// # use std::sync::Arc;
    /// fn command(conn: &mut Connection<'_>, line: &[u8], config: &Arc<ServerConfig>) -> Result {
    ///     match line {
    ///         b"STARTTLS" if conn.tls().is_none() => {
    ///             conn.send(b"220 go ahead\r\n"); // the last plain bytes
    ///             conn.start_tls(config)
    ///         }
    ///         b"AUTH" if conn.tls().is_none() => {
    ///             conn.send(b"530 must issue a STARTTLS command first\r\n");
    ///             Ok(())
    ///         }
    ///         _ => Ok(()),
    ///     }
    /// }
    /// ```
    pub fn start_tls(&mut self, config: &Arc<ServerConfig>) -> Result {
        self.upgrade(|| Secure::accept(&ServerTerms::of(config)))
    }

    /// The same as the client, where the peer has agreed to it: the peer has to prove that it is `name`.
    ///
    /// # Errors
    /// As [`start_tls`](Self::start_tls).
    pub fn start_tls_as_client(
        &mut self,
        name: ServerName<'static>,
        config: &Arc<ClientConfig>,
    ) -> Result {
        self.upgrade(|| Secure::connect(&ClientTerms::of(config), name))
    }

    fn upgrade(&mut self, secure: impl FnOnce() -> io::Result<Secure>) -> Result {
        let failed = |id, why: &str| Err(Error::invalid("start TLS on", id, why));
        let (id, stamp) = (self.id, self.net.stamp);
        let in_memory = self.net.poll.is_none();
        let conn = &mut self.net.conns[id.slot()];
        if conn.phase != Phase::Open || conn.flags.half_close {
            return failed(id, "it is closed");
        }
        if conn.stream.secure().is_some() {
            return failed(id, "it has TLS");
        }
        if in_memory {
            return Ok(());
        }
        let mut secure = secure().map_err(|e| Error::io("start TLS on", id, e))?;
        secure.send_first(conn.output.pieces().flat_map(|piece| piece.bytes().to_vec()).collect());
        let queued = conn.output.len() as u64;
        conn.bytes_out += queued;
        self.net.stats.bytes_out += queued;
        conn.output.clear(&mut self.net.pool);
        conn.stream.secure_by(secure);
        conn.read_at = stamp;
        (conn.flags.upgrades, conn.flags.readable) = (true, true);
        if std::mem::take(&mut conn.flags.congested) {
            self.net.writable.push(id);
        }
        self.net.mark_dirty(id);
        self.net.list(id);
        self.net.schedule_check(id);
        Ok(())
    }
}
