//! A plain value: how long a connection may be silent, or take over what it is doing. Knows no connection.

use std::{fmt, time::Duration};

use crate::limits::{
    CLOSE, CONTROL_SILENCE, FAR_FUTURE, FIRST_MESSAGE, HANDSHAKE, MONITOR_PATIENCE, TIMEOUT_MIN,
    WRITE_STALL,
};

/// How long a connection may be silent, and how long each step of it may take.
///
/// [`Server::timeouts`](crate::Server::timeouts) sets them for all connections,
/// [`Connection::set_timeouts`](crate::Connection::set_timeouts) for one, at any time. `None` is never. No limit is shorter than
/// a millisecond.
///
/// The first three are about silence, by direction, as Netty's `IdleStateHandler` has them. When one passes,
/// [`on_idle`](crate::Service::on_idle) is asked, which closes the connection unless it is written. **By default none of the three is
/// set**: how long a client may say nothing is for its protocol to say. A peer that is gone without a word is
/// found by TCP's own [probes](crate::limits::KEEP_ALIVE_IDLE). A server that strangers connect to is best given an
/// [`all_idle`](Self::all_idle).
///
/// ```
/// use heirloom::{Server, Service, Timeouts};
/// use std::time::Duration;
///
/// /// Its clients wait for events, and have to say something every 60 s.
/// fn tune<S: Service>(server: Server<S>) -> Server<S> {
///     server.timeouts(Timeouts::new().read_idle(Duration::from_secs(90)).first_message(None))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "Timeouts say how long; `Server::timeouts` and `Connection::set_timeouts` set them"]
pub struct Timeouts {
    pub(crate) read_idle: Option<Duration>,
    pub(crate) write_idle: Option<Duration>,
    pub(crate) all_idle: Option<Duration>,
    pub(crate) first_message: Option<Duration>,
    pub(crate) write_stall: Option<Duration>,
    pub(crate) close: Duration,
    pub(crate) handshake: Duration,
}

impl Timeouts {
    /// The defaults: 10 s for the first message, 30 s for a peer that takes no output, 5 s for its FIN, and
    /// no limit to silence.
    pub const fn new() -> Timeouts {
        Timeouts {
            read_idle: None,
            write_idle: None,
            all_idle: None,
            first_message: Some(FIRST_MESSAGE),
            write_stall: Some(WRITE_STALL),
            close: CLOSE,
            handshake: HANDSHAKE,
        }
    }

    /// Of an operator's connection, whatever an author allows clients.
    pub(crate) const CONTROL: Timeouts =
        Timeouts { all_idle: Some(CONTROL_SILENCE), ..Timeouts::new() };

    /// Of a monitor's connection, which is for one request.
    pub(crate) const MONITOR: Timeouts = Timeouts {
        first_message: Some(MONITOR_PATIENCE),
        write_stall: Some(MONITOR_PATIENCE),
        close: MONITOR_PATIENCE,
        ..Timeouts::new()
    };

    /// Reading idle: nothing has come for this long (never, unless told).
    ///
    /// Only time counts in which input is read: not while the connection is [paused](crate::Connection::pause) or
    /// congested, nor after the peer's FIN. It is the one for a protocol whose clients have to say something now and then:
    /// MQTT's keep-alive (one and a half times what the client has named, section 3.1.2.10), IRC's PING.
    pub fn read_idle(self, limit: impl Into<Option<Duration>>) -> Timeouts {
        Timeouts { read_idle: bounded(limit), ..self }
    }

    /// Writing idle: nothing was sent for this long (never, unless told).
    ///
    /// It is the one for a heartbeat of our own: [`on_idle`](crate::Service::on_idle) sends it. It counts while the connection
    /// is paused, too. It does not while output waits for the peer, which is [`write_stall`](Self::write_stall)'s business, nor
    /// after [`shutdown_write`](crate::Connection::shutdown_write).
    pub fn write_idle(self, limit: impl Into<Option<Duration>>) -> Timeouts {
        Timeouts { write_idle: bounded(limit), ..self }
    }

    /// All idle: nothing has come and nothing was sent for this long (never, unless told).
    ///
    /// It ends nobody who is still reading a long reply: it does not count while output waits, nor while the
    /// connection is paused.
    pub fn all_idle(self, limit: impl Into<Option<Duration>>) -> Timeouts {
        Timeouts { all_idle: bounded(limit), ..self }
    }

    /// The first message has to be complete this long after the connection came (10 s unless told).
    ///
    /// It is a guard against clients that hold a place and send nothing, or a byte now and then. The reason
    /// is [`Reason::NoFirstMessage`](crate::Reason::NoFirstMessage). Who is paused before its first message has the whole
    /// time from [`resume`](crate::Connection::resume) on. A dialed connection has none.
    pub fn first_message(self, limit: impl Into<Option<Duration>>) -> Timeouts {
        Timeouts { first_message: bounded(limit), ..self }
    }

    /// The peer has to take some of the output that waits for it within this time (30 s unless told).
    ///
    /// A peer that reads slowly makes progress and is not meant. The reason is
    /// [`Reason::NoProgress`](crate::Reason::NoProgress). It holds for the last bytes of a connection that
    /// was closed, too; of that only the log hears.
    pub fn write_stall(self, limit: impl Into<Option<Duration>>) -> Timeouts {
        Timeouts { write_stall: bounded(limit), ..self }
    }

    /// The peer's FIN has to come this long after ours was sent (5 s unless told).
    ///
    /// The service does not wait for it, [`on_close`](crate::Service::on_close) has come before. The log says
    /// [`Reason::NoFin`](crate::Reason::NoFin) of a peer that did not send any.
    pub fn close(self, limit: Duration) -> Timeouts {
        Timeouts { close: limit.clamp(TIMEOUT_MIN, FAR_FUTURE), ..self }
    }

    /// A TLS handshake has to be over after this long (10 s unless told), from when the connection came, stands, or
    /// was [upgraded](crate::Connection::start_tls) on. What then follows has the other limits, from then on.
    ///
    /// The reason is [`TlsError::HandshakeTimeout`](crate::tls::TlsError::HandshakeTimeout). A client that waits for us is
    /// not meant: however many handshakes there are to be made, each has its time to speak.
    #[cfg(feature = "tls")]
    pub fn handshake(self, limit: Duration) -> Timeouts {
        self.handshake_within(limit)
    }

    /// The same of a program without TLS, from which a connection may go to one that has it.
    pub(crate) fn handshake_within(self, limit: Duration) -> Timeouts {
        Timeouts { handshake: limit.clamp(TIMEOUT_MIN, FAR_FUTURE), ..self }
    }

    /// How long a silence in this direction may be.
    pub(crate) fn idle(&self, direction: Direction) -> Option<Duration> {
        match direction {
            Direction::Read => self.read_idle,
            Direction::Write => self.write_idle,
            Direction::All => self.all_idle,
        }
    }

    pub(crate) fn set_idle(&mut self, direction: Direction, limit: impl Into<Option<Duration>>) {
        *match direction {
            Direction::Read => &mut self.read_idle,
            Direction::Write => &mut self.write_idle,
            Direction::All => &mut self.all_idle,
        } = bounded(limit);
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts::new()
    }
}

/// A time that an `Instant` can be moved by, and that passes.
fn bounded(limit: impl Into<Option<Duration>>) -> Option<Duration> {
    limit.into().map(|limit| limit.clamp(TIMEOUT_MIN, FAR_FUTURE))
}

/// In which direction a connection was silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Nothing has come ([`Timeouts::read_idle`]).
    Read,
    /// Nothing was sent ([`Timeouts::write_idle`]).
    Write,
    /// Nothing has come and nothing was sent ([`Timeouts::all_idle`]).
    All,
}

impl Direction {
    pub(crate) const EACH: [Direction; 3] = [Direction::Read, Direction::Write, Direction::All];
}

/// How a connection has been silent for too long: what [`on_idle`](crate::Service::on_idle) is told, and why a connection
/// has ended ([`Reason::Idle`](crate::Reason::Idle)).
///
/// ```
/// use heirloom::{Direction, Idle};
///
/// /// It was asked at the first limit, and has had a second one to answer in.
/// fn has_not_answered(idle: &Idle) -> bool {
///     idle.direction == Direction::Read && idle.silent >= 2 * idle.limit
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Idle {
    /// Which limit has passed.
    pub direction: Direction,
    /// For how long it has been silent. Time in which nobody listened does not count: a stop of this process, a
    /// downtime. It counts from the last byte, also where the limit was set later.
    pub silent: Duration,
    /// What it was allowed.
    pub limit: Duration,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.direction {
            Direction::Read => "nothing came",
            Direction::Write => "nothing was sent",
            Direction::All => "nothing came or was sent",
        };
        write!(f, "{what} for {:.3}s, the limit is {:?}", self.silent.as_secs_f64(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_passes_and_can_be_added_to_a_time() {
        let all = Timeouts::new().read_idle(Duration::ZERO).write_idle(Duration::MAX);
        assert_eq!((all.read_idle, all.write_idle), (Some(TIMEOUT_MIN), Some(FAR_FUTURE)));
        assert_eq!(Timeouts::new().close(Duration::ZERO).close, TIMEOUT_MIN);
    }

    #[test]
    fn it_is_said_how_long_and_which_limit() {
        let seconds = Duration::from_secs;
        let idle = Idle { direction: Direction::Read, silent: seconds(61), limit: seconds(60) };
        assert_eq!(idle.to_string(), "nothing came for 61.000s, the limit is 60s");
    }
}
