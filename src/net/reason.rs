//! Where a connection comes from, and why it ends.

use std::{fmt, io};

use crate::error::Error;

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
/// ```
/// use heirloom::Reason;
///
/// fn is_our_fault(why: &Reason) -> bool {
///     matches!(why, Reason::Failed(_) | Reason::Stopped | Reason::DrainDeadline)
/// }
/// assert_eq!(Reason::Idle.to_string(), "idle timeout");
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
    /// The system ended the connection, most often because the peer reset it.
    Broken(io::Error),
    /// One message was longer than [`max_message`](crate::Server::max_message).
    TooLong,
    /// Unsent output went over [`max_output`](crate::Server::max_output).
    TooSlow,
    /// Nothing came or went for the idle timeout.
    Idle,
    /// No whole message came within the first-message timeout.
    NoFirstMessage,
    /// The peer read nothing of what was sent within the write timeout.
    NoProgress,
    /// The peer did not close its side within the close timeout after we closed ours.
    NoFin,
    /// The drain deadline of a leaving process passed.
    DrainDeadline,
    /// The process was told to stop now.
    Stopped,
}

impl Reason {
    /// Whether this end deserves a line in an ordinary log.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Reason::PeerClosed | Reason::Closed | Reason::Aborted | Reason::Idle)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Reason::PeerClosed => "peer closed",
            Reason::Closed => "closed",
            Reason::Aborted => "aborted",
            Reason::Failed(why) => return write!(f, "failed: {why}"),
            Reason::Broken(why) => return write!(f, "broken: {why}"),
            Reason::TooLong => "message over its limit",
            Reason::TooSlow => "output over its limit, the peer reads too slowly",
            Reason::Idle => "idle timeout",
            Reason::NoFirstMessage => "no first message in time",
            Reason::NoProgress => "write timeout, the peer reads nothing",
            Reason::NoFin => "close timeout, the peer did not close its side",
            Reason::DrainDeadline => "drain deadline",
            Reason::Stopped => "stopped",
        };
        f.write_str(text)
    }
}
