//! Why a process leaves, and how long its connections have, as its service is told.

use std::time::Duration;

/// Why this process leaves, and how long a connection may stay open. Told to
/// [`on_drain`](crate::Service::on_drain) for each.
///
/// ```
/// use heirloom::{Connection, LeaveReason, Leaving, Result};
///
/// fn on_drain(conn: &mut Connection<'_>, leaving: &Leaving) -> Result {
///     match leaving.reason {
///         LeaveReason::Stop => conn.send(b"* we close, good night\n"),
///         _ => conn.send(b"* moving house, please call again\n"),
///     };
///     // Who has no hurry may finish what it is doing.
///     if leaving.within.is_some_and(|left| left.as_secs() < 10) {
///         conn.close();
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Why.
    pub reason: LeaveReason,
    /// How long it is, from this call on, until the connection is aborted if it is still open; `None` where that
    /// has no limit ([`Drain::unlimited`](crate::Drain::unlimited)). With a [spread](crate::Drain::spread) each
    /// connection has a moment of its own to be told at, and this is what is left then. It is zero where the
    /// process is late: what is sent then is written once.
    pub within: Option<Duration>,
}

impl Leaving {
    /// Whether the service ends as well. Otherwise another generation serves: a client that comes again finds it.
    ///
    /// ```
    /// use heirloom::{LeaveReason, Leaving};
    ///
    /// let restart = Leaving { reason: LeaveReason::Restart, within: None };
    /// assert!(!restart.is_stop());
    /// ```
    pub fn is_stop(&self) -> bool {
        self.reason == LeaveReason::Stop
    }
}

/// Why a process leaves. There may be more reasons one day; then another generation serves, unless it is
/// [`Stop`](Self::Stop).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveReason {
    /// A newer generation serves. Also said where there are as many generations as there may be, and the oldest
    /// [is told to go sooner](crate::Server::dismiss_oldest).
    Restart,
    /// This process was the new one of a restart, and was not wanted after all: the older generation serves again.
    RollBack,
    /// This process was told to stop: by a signal, an operator, [`Net::drain`](crate::Net::drain), or by another
    /// generation which was told so. As far as this process knows, the service ends.
    Stop,
}
