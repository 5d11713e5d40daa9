//! Where a connection comes from, and why it ends.

use std::{borrow::Cow, fmt, io};

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
        /// Which one, in the order of the [`listen`](crate::Server::listen) calls, from 0. A name that
        /// stands for several sockets counts once for each.
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
    /// The peer did not close its side within the close timeout after we closed ours. Only the log hears
    /// it: the service has been told why we closed.
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

impl Reason {
    /// What it displays as.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        let text = match self {
            Reason::PeerClosed => "peer closed",
            Reason::Closed => "closed",
            Reason::Aborted => "aborted",
            Reason::Failed(why) => return format!("failed: {why}").into(),
            Reason::Broken(why) => return format!("broken: {why}").into(),
            Reason::TooLong => "message over its limit",
            Reason::TooSlow => "output over its limit, the peer reads too slowly",
            Reason::Idle => "idle timeout",
            Reason::NoFirstMessage => "no first message in time",
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
