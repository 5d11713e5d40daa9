//! Where a connection comes from, and why it ends.

use std::{borrow::Cow, fmt, io};

use log::Level;

use crate::{error::Error, timeouts::Idle, tls::TlsError};

/// How a connection came to be.
///
/// ```
/// use heirloom::Origin;
///
/// /// The first `listen` of this server is for clients, the second for operators.
/// fn is_operator(origin: Origin) -> bool {
///     origin == Origin::Accepted { listener: 1 }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Origin {
    /// A client connected to one of our listeners.
    Accepted {
        /// Which one, in the order of the [`listen`](crate::Server::listen) calls, from 0. A call that has led
        /// to several sockets counts once.
        listener: usize,
    },
    /// We connected, by [`Net::dial`](crate::Net::dial).
    Dialed {
        /// What was given to `dial`.
        tag: u64,
    },
}

/// Why a connection has ended. [`on_close`](crate::Service::on_close) is told, and so is the log, in
/// the words of its `Display`.
///
/// The service hears why the conversation is over. What then goes wrong with an orderly close (the peer
/// does not take the last bytes, or does not answer our FIN) is nothing that it could still act on: the log
/// and [`Stats::failed`](crate::Stats::failed) have it, in place of [`Closed`](Self::Closed) or
/// [`PeerClosed`](Self::PeerClosed).
///
/// ```
/// use heirloom::Reason;
///
/// fn is_our_fault(why: &Reason) -> bool {
///     matches!(why, Reason::Failed(_) | Reason::Panicked(_) | Reason::Stopped | Reason::DrainDeadline)
/// }
/// assert_eq!(Reason::NoFirstMessage.to_string(), "no first message in time");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The peer sent its FIN, all it sent was offered, and the service closed.
    PeerClosed,
    /// The service closed first.
    Closed,
    /// The service aborted.
    Aborted,
    /// A callback answered `Err`.
    Failed(Error),
    /// A callback panicked: which one, what it said, and where, if that is known. The
    /// [service](crate::Service#a-callback-that-panics) may be half changed.
    Panicked(String),
    /// The system ended the connection, most often because the peer reset it.
    Broken(io::Error),
    /// One message was longer than [`max_message`](crate::Server::max_message).
    TooLong,
    /// Unsent output went over [`max_output`](crate::Server::max_output).
    TooSlow,
    /// It was silent for longer than [it may be](crate::Timeouts), and [`on_idle`](crate::Service::on_idle) closed it.
    Idle(Idle),
    /// No whole message came [within its time](crate::Timeouts::first_message).
    NoFirstMessage,
    /// A connection of a listener with [`ProxyProtocol`](crate::ProxyProtocol) has no header that can be read, in time, or
    /// comes from an address that may send none. Only the log hears it: the service has not heard of the connection.
    BadHeader(&'static str),
    /// TLS has ended it: by an alert of either side, by a FIN without a `close_notify`, in the handshake. Of a handshake that
    /// fails before [`on_open`](crate::Service::on_open) only the log hears.
    Tls(TlsError),
    /// The peer took nothing of what was sent [within its time](crate::Timeouts::write_stall).
    NoProgress,
    /// The peer did not close its side [within its time](crate::Timeouts::close) after we closed ours. Only the log hears
    /// it: the service has been told why we closed.
    NoFin,
    /// The drain deadline of a leaving process passed.
    DrainDeadline,
    /// The process was told to stop now.
    Stopped,
}

impl Reason {
    /// Whether something went wrong.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Reason::PeerClosed | Reason::Closed | Reason::Aborted | Reason::Idle(_))
    }

    /// At which level it is told. Who is ended for its silence, and believes that it may be silent, is found by
    /// that line alone.
    pub(crate) fn level(&self) -> Level {
        match self {
            Reason::Panicked(_) => Level::Error,
            Reason::Idle(_) => Level::Info,
            reason if reason.is_failure() => Level::Info,
            _ => Level::Debug,
        }
    }

    /// The number by which it is counted: a place in [`NAMES`](Self::NAMES).
    pub(crate) fn kind(&self) -> usize {
        match self {
            Reason::PeerClosed => 0,
            Reason::Closed => 1,
            Reason::Aborted => 2,
            Reason::Failed(_) => 3,
            Reason::Panicked(_) => 4,
            Reason::Broken(_) => 5,
            Reason::TooLong => 6,
            Reason::TooSlow => 7,
            Reason::Idle(_) => 8,
            Reason::NoFirstMessage => 9,
            Reason::BadHeader(_) => 10,
            Reason::Tls(_) => 11,
            Reason::NoProgress => 12,
            Reason::NoFin => 13,
            Reason::DrainDeadline => 14,
            Reason::Stopped => 15,
        }
    }

    /// The kinds of line that tell them.
    pub(crate) const NAMES: [&str; 16] = [
        "close peer closed",
        "close closed",
        "close aborted",
        "close failed",
        "close panicked",
        "close broken",
        "close too long",
        "close too slow",
        "close idle",
        "close no first message",
        "close bad header",
        "close tls",
        "close no progress",
        "close no fin",
        "close drain deadline",
        "close stopped",
    ];

    /// The kind of line that tells it.
    pub(crate) fn name(&self) -> &'static str {
        Reason::NAMES[self.kind()]
    }

    /// What it displays as.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        let text = match self {
            Reason::PeerClosed => "peer closed",
            Reason::Closed => "closed",
            Reason::Aborted => "aborted",
            Reason::Failed(why) => return format!("failed: {why}").into(),
            Reason::Panicked(what) => return format!("panicked: {what}").into(),
            Reason::Broken(why) => return format!("broken: {why}").into(),
            Reason::Idle(idle) => return format!("idle timeout: {idle}").into(),
            Reason::TooLong => "message over its limit",
            Reason::TooSlow => "output over its limit, the peer reads too slowly",
            Reason::NoFirstMessage => "no first message in time",
            Reason::BadHeader(why) => return format!("no PROXY header: {why}").into(),
            Reason::Tls(why) => return format!("TLS: {why}").into(),
            Reason::NoProgress => "write timeout, the peer reads nothing",
            Reason::NoFin => "close timeout, the peer did not close its side",
            Reason::DrainDeadline => "drain deadline",
            Reason::Stopped => "stopped",
        };
        text.into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
