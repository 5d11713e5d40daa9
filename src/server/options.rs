//! What a server may use, and how it comes and goes: the builder's plain settings.

use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::Server;
use crate::{
    limits::FAR_FUTURE,
    plan::{Drain, Restart},
    service::Service,
    signal,
    turn::{AtMax, Trigger},
};

impl<S: Service> Server<S> {
    /// Ends a connection when no byte comes or goes for this long (60 s; `None`: never).
    ///
    /// A connection that the service has [paused](crate::Io::pause) does not run into it. The peer gets
    /// a FIN, not a reset; the reason is [`Reason::Idle`](crate::Reason::Idle).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// # use std::time::Duration;
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.idle_timeout(Duration::from_secs(3600)) // people read more than they write
    /// }
    /// ```
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Server<S> {
        self.net.limits.idle = bounded(limit);
        self
    }

    /// Ends a connection whose first message is not complete this long after it came (10 s;
    /// `None`: never).
    ///
    /// It is a guard against clients that hold a place and send nothing, or a byte now and then. The reason
    /// is [`Reason::NoFirstMessage`](crate::Reason::NoFirstMessage).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.first_message_timeout(None) // its clients listen and say nothing
    /// }
    /// ```
    pub fn first_message_timeout(mut self, limit: impl Into<Option<Duration>>) -> Server<S> {
        self.net.limits.first_message = bounded(limit);
        self
    }

    /// Ends a connection whose peer reads nothing of its output for this long (30 s; `None`: never).
    ///
    /// A peer that reads slowly makes progress and is not meant. The reason is
    /// [`Reason::NoProgress`](crate::Reason::NoProgress).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// # use std::time::Duration;
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.write_timeout(Duration::from_secs(5))
    /// }
    /// ```
    pub fn write_timeout(mut self, limit: impl Into<Option<Duration>>) -> Server<S> {
        self.net.limits.write = bounded(limit);
        self
    }

    /// Waits this long for the peer's FIN after ours was sent (5 s).
    ///
    /// The reason is [`Reason::NoFin`](crate::Reason::NoFin).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// # use std::time::Duration;
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.close_timeout(Duration::from_secs(1))
    /// }
    /// ```
    pub fn close_timeout(mut self, limit: Duration) -> Server<S> {
        self.net.limits.close = limit.min(FAR_FUTURE);
        self
    }

    /// Serves at most this many connections at a time (a million); more wait in the accept queue
    /// until the count has fallen to 90 %.
    ///
    /// Connections that are closing and those that were dialed count, too. A limit of zero means one.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_connections(10_000)
    /// }
    /// ```
    pub fn max_connections(mut self, limit: usize) -> Server<S> {
        self.net.limits.connections = limit.clamp(1, crate::net::ConnId::MAX_SLOT);
        self
    }

    /// Keeps at most this many bytes of one incomplete message (16 MiB). A connection that goes over
    /// is closed with [`Reason::TooLong`](crate::Reason::TooLong).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_message(64 * 1024)
    /// }
    /// ```
    pub fn max_message(mut self, bytes: usize) -> Server<S> {
        self.net.limits.message = bytes;
        self
    }

    /// Queues at most this many bytes of output for one connection (16 MiB). One that goes over is
    /// ended with [`Reason::TooSlow`](crate::Reason::TooSlow).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_output(1024 * 1024)
    /// }
    /// ```
    pub fn max_output(mut self, bytes: usize) -> Server<S> {
        self.net.limits.output = bytes;
        self
    }

    /// Restarts in this way when `signal` comes. SIGTERM and SIGINT can be given that meaning, too.
    ///
    /// # Panics
    /// When `signal` is no signal that can be caught (see `signal(7)`).
    ///
    /// ```
    /// # use heirloom::{Restart, Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.restart_on(libc::SIGHUP, Restart::fork().or_fork_exec())
    /// }
    /// ```
    pub fn restart_on(mut self, signal: i32, how: Restart) -> Server<S> {
        let Ok(signal) = signal::named(signal) else { panic!("{signal} is not a signal") };
        assert!(!matches!(signal, Signal::SIGKILL | Signal::SIGSTOP), "{signal} cannot be caught");
        // From now on it waits, like those that every server holds back.
        let _ = SigSet::from_iter([signal]).thread_block();
        self.succession.triggers.retain(|(heard, _)| *heard != signal);
        self.succession.triggers.push((signal, Trigger::Restart(how)));
        self
    }

    /// How a process that was replaced treats the connections that it still has (aborts them after
    /// an hour). See [`Drain`] for an example.
    pub fn drain_on_restart(mut self, how: Drain) -> Server<S> {
        self.succession.drain_on_restart = how;
        self
    }

    /// How a process that was told to stop treats its connections (aborts them after 30 s).
    pub fn drain_on_stop(mut self, how: Drain) -> Server<S> {
        self.succession.drain_on_stop = how;
        self
    }

    /// Lets at most this many generations live at a time (50): one that serves, and those that still
    /// drain. A restart that would make one more is refused with
    /// [`RestartError::TooMany`](crate::RestartError::TooMany).
    pub fn max_generations(mut self, count: usize) -> Server<S> {
        self.succession.max_generations = count.max(1);
        self
    }

    /// Instead of refusing a restart at [`max_generations`](Self::max_generations), tells the oldest
    /// generation to leave within `limit` and begins the restart when it is gone. One that is still
    /// there a second after that is killed.
    pub fn dismiss_oldest(mut self, limit: Duration) -> Server<S> {
        self.succession.at_max = AtMax::DismissOldest(limit.min(FAR_FUTURE));
        self
    }
}

/// A time that an `Instant` can be moved by.
fn bounded(limit: impl Into<Option<Duration>>) -> Option<Duration> {
    limit.into().map(|limit| limit.min(FAR_FUTURE))
}
