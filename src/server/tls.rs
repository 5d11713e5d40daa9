//! Where a server listens for clients that shake hands by TLS.

use std::sync::Arc;

use super::Server;
use crate::{
    error::Result,
    net::Listen,
    service::Service,
    tls::{Ticketer, rustls::ServerConfig},
};

impl<S: Service> Server<S> {
    /// [Listens](Self::listen) for clients that speak TLS 1.3 or 1.2, as `config` says: which certificate is shown for which
    /// name, which protocols are spoken (ALPN), whether clients have to show a certificate, which keys are logged.
    ///
    /// The service sees what it sees of a plain connection. [`on_open`](Service::on_open) is called when the handshake is
    /// over, so a client that fails it, or takes [too long](crate::Timeouts::handshake), is nobody's business but the
    /// log's; [`Connection::tls`](crate::Connection::tls) has what was agreed on. A FIN of the peer without its
    /// `close_notify` is no end but a truncation ([`TlsError::Truncated`](crate::tls::TlsError::Truncated)).
    /// The [guide](crate::guide::tls) has the rest.
    ///
    /// # Errors
    /// As [`listen`](Self::listen) does; and when the configuration makes no sense. That a key fits its certificate
    /// is looked at where the configuration is made ([`tls::server_config`](crate::tls::server_config) does).
    ///
    /// ```no_run
    /// use heirloom::{Result, Server, Service, tls};
    ///
    /// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     let mut config = tls::server_config("/etc/app/cert.pem", "/etc/app/key.pem")?;
    ///     config.alpn_protocols = vec![b"app/1".to_vec()];
    ///     server.listen_tls("0.0.0.0:7443", config.into())?.listen("127.0.0.1:7777")
    /// }
    /// ```
    pub fn listen_tls(self, address: &str, config: Arc<ServerConfig>) -> Result<Server<S>> {
        self.listen_on(Listen::new(address).tls(config))
    }

    /// Has the keys of these tickets go along in a restart by fork-exec, and come back in a roll back: whoever has begun a session
    /// with one generation resumes it with the next. (By fork they are in the heap.) A server has one ticketer, for all
    /// of its configurations.
    ///
    /// ```no_run
    /// use std::{sync::Arc, time::Duration};
    ///
    /// use heirloom::{Result, Server, Service, tls, tls::Ticketer};
    ///
    /// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     let tickets = Ticketer::new(Duration::from_secs(12 * 60 * 60));
    ///     let mut config = tls::server_config("/etc/app/cert.pem", "/etc/app/key.pem")?;
    ///     config.ticketer = Arc::new(tickets.clone());
    ///     server.tickets(&tickets).listen_tls("0.0.0.0:7443", config.into())
    /// }
    /// ```
    pub fn tickets(mut self, tickets: &Ticketer) -> Server<S> {
        self.net.tickets = Some(tickets.clone());
        self
    }
}
