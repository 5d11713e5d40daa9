//! What a server may use, and how it comes and goes: the builder's plain settings.

use std::time::Duration;

use nix::sys::signal::Signal;

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
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Server<S> {
        self.net.limits.idle = bounded(limit);
        self
    }

    /// Ends a connection whose first message is not complete this long after it came (10 s;
    /// `None`: never).
    pub fn first_message_timeout(mut self, limit: impl Into<Option<Duration>>) -> Server<S> {
        self.net.limits.first_message = bounded(limit);
        self
    }

    /// Ends a connection whose peer reads nothing of its output for this long (30 s; `None`: never).
    pub fn write_timeout(mut self, limit: impl Into<Option<Duration>>) -> Server<S> {
        self.net.limits.write = bounded(limit);
        self
    }

    /// Waits this long for the peer's FIN after ours was sent (5 s).
    pub fn close_timeout(mut self, limit: Duration) -> Server<S> {
        self.net.limits.close = limit.min(FAR_FUTURE);
        self
    }

    /// Serves at most this many connections at a time (a million); more wait in the accept queue
    /// until the count has fallen to 90 %.
    pub fn max_connections(mut self, limit: usize) -> Server<S> {
        self.net.limits.connections = limit.clamp(1, crate::net::ConnId::MAX_SLOT);
        self
    }

    /// Keeps at most this many bytes of one incomplete message (16 MiB). A connection that goes over
    /// is closed with [`Reason::TooLong`](crate::Reason::TooLong).
    pub fn max_message(mut self, bytes: usize) -> Server<S> {
        self.net.limits.message = bytes;
        self
    }

    /// Queues at most this many bytes of output for one connection (16 MiB). One that goes over is
    /// ended with [`Reason::TooSlow`](crate::Reason::TooSlow).
    pub fn max_output(mut self, bytes: usize) -> Server<S> {
        self.net.limits.output = bytes;
        self
    }

    /// Restarts in this way when `signal` comes. SIGTERM and SIGINT can be given that meaning, too.
    ///
    /// # Panics
    /// When `signal` is no signal that can be caught.
    pub fn restart_on(mut self, signal: i32, how: Restart) -> Server<S> {
        let Ok(signal) = signal::named(signal) else { panic!("{signal} is not a signal") };
        assert!(!matches!(signal, Signal::SIGKILL | Signal::SIGSTOP), "{signal} cannot be caught");
        self.succession.triggers.retain(|(heard, _)| *heard != signal);
        self.succession.triggers.push((signal, Trigger::Restart(how)));
        self
    }

    /// How a process that was replaced treats the connections that it still has (aborts them after
    /// an hour).
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
