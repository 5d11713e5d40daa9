//! What a handshake has found out.

use rustls::{CipherSuite, ProtocolVersion, pki_types::CertificateDer};

/// What both sides of a TLS connection have agreed on, and who the peer is: see
/// [`Connection::tls`](crate::Connection::tls).
///
/// ```
/// use heirloom::Connection;
///
/// /// A protocol that is chosen in the handshake (RFC 7301), and who may use it.
/// fn speaks_h2(conn: &Connection<'_>) -> bool {
///     conn.tls().is_some_and(|tls| tls.alpn() == Some(b"h2") && !tls.certificates().is_empty())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    pub(crate) version: u16,
    pub(crate) suite: u16,
    pub(crate) alpn: Option<Box<[u8]>>,
    pub(crate) sni: Option<Box<str>>,
    pub(crate) certificates: Box<[CertificateDer<'static>]>,
    pub(crate) is_resumed: bool,
}

impl TlsInfo {
    /// TLS 1.3 or 1.2.
    pub fn version(&self) -> ProtocolVersion {
        ProtocolVersion::from(self.version)
    }

    /// By what the records are sealed.
    pub fn suite(&self) -> CipherSuite {
        CipherSuite::from(self.suite)
    }

    /// The protocol on it that both have agreed on (ALPN, RFC 7301), if they have.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The name under which the client wanted to reach the server (RFC 6066, 3), if it said one. Of a dialed
    /// connection none: whoever dialed it knows.
    pub fn sni(&self) -> Option<&str> {
        self.sni.as_deref()
    }

    /// The peer's certificate, behind it those that vouch for it; none where it has shown none. They were verified by
    /// what the configuration says, and not by us.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether an earlier session was gone on with, by a ticket.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }
}
