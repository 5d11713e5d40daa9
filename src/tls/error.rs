//! Why a handshake has failed, or a connection with TLS has ended.

use std::{borrow::Cow, fmt, io};

use super::alert::Alert;

/// Why a TLS connection has ended without a `close_notify`, or its handshake has failed: in
/// [`Reason::Tls`](crate::Reason::Tls), and within the error that [`on_dial_failed`](crate::Service::on_dial_failed) is
/// told.
///
/// ```
/// use heirloom::tls::{Alert, TlsError};
///
/// /// Who has dialed with a certificate that the other side does not take tries no second time.
/// fn is_final(why: &std::io::Error) -> bool {
///     let tls = why.get_ref().and_then(|why| why.downcast_ref::<TlsError>());
///     matches!(tls, Some(TlsError::Received(Alert::UNKNOWN_CA | Alert::CERTIFICATE_EXPIRED)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer has ended it, by this alert.
    Received(Alert),
    /// We have ended it, by this alert; and what is wrong, in words.
    Sent(Alert, Cow<'static, str>),
    /// The peer's FIN came without a `close_notify` before it: whatever has come may be a part (RFC 8446, 6.1).
    Truncated,
    /// The peer has left in the middle of the handshake.
    HandshakeCut,
    /// The handshake was not over [in its time](crate::Timeouts::handshake).
    HandshakeTimeout,
    /// Something is wrong at this end, which is no business of the peer.
    Failed(Cow<'static, str>),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Received(alert) => write!(f, "the peer has sent {alert}"),
            TlsError::Sent(alert, why) => write!(f, "{why} ({alert} was sent)"),
            TlsError::Truncated => f.write_str("the peer's FIN came before its close_notify"),
            TlsError::HandshakeCut => f.write_str("the peer has left during the handshake"),
            TlsError::HandshakeTimeout => f.write_str("the handshake was not over in time"),
            TlsError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<TlsError> for io::Error {
    fn from(why: TlsError) -> io::Error {
        let kind = match why {
            TlsError::Truncated | TlsError::HandshakeCut => io::ErrorKind::UnexpectedEof,
            TlsError::HandshakeTimeout => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, why)
    }
}

impl TlsError {
    /// The peer has done what it may not do, and is told so by this alert.
    pub(crate) fn violated(alert: Alert) -> TlsError {
        let why = match alert {
            Alert::BAD_RECORD_MAC => "a record is not authentic",
            Alert::RECORD_OVERFLOW => "a record is longer than it may be",
            Alert::UNEXPECTED_MESSAGE => "a record has come that may not come here",
            Alert::DECODE_ERROR => "a record cannot be read",
            Alert::PROTOCOL_VERSION => "a record is of another version",
            Alert::ILLEGAL_PARAMETER => "a record says what it may not say",
            _ => "something has gone wrong here",
        };
        TlsError::Sent(alert, why.into())
    }
}
