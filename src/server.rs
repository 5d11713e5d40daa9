//! From `main` to the loop: what a server is told before it runs.

use std::{path::PathBuf, time::Duration, time::Instant};

use mio::Poll;
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::{SigSet, Signal},
};

use crate::{
    error::{Error, Result},
    limits::FAR_FUTURE,
    net::{Listener, Net},
    pidfile::PidFile,
    plan::{Drain, Restart},
    restart::exec::{Inheritance, Launch},
    service::Service,
    signal::{self, Signals},
    turn::{Succession, Trigger, Turn},
};

/// A server to be: a service, where it listens, and what it may use.
///
/// ```no_run
/// # use heirloom::{Io, Origin, Service};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> heirloom::Result { Ok(()) }
/// #     fn on_data(&mut self, io: &mut Io<'_>, _: &mut (), input: &[u8]) -> heirloom::Result<usize> {
/// #         io.send(input);
/// #         Ok(input.len())
/// #     }
/// # }
/// use heirloom::{Restart, Result, Server};
///
/// fn main() -> Result {
///     Server::new(Echo)?
///         .listen("127.0.0.1:7777")?
///         .restart_on(libc::SIGHUP, Restart::fork()) // same code, warm heap
///         .restart_on(libc::SIGUSR2, Restart::fork_exec()) // new binary
///         .run() // returns once this process has drained
/// }
/// ```
///
/// SIGTERM and SIGINT mean: stop accepting, serve what there is, exit; a second one means now.
#[must_use = "a server does nothing before `run`"]
#[derive(Debug)]
pub struct Server<S: Service> {
    service: S,
    net: Net,
    succession: Succession,
    /// Listeners of the old generation that were not asked for yet.
    unclaimed: Vec<Listener>,
}

impl<S: Service> Server<S> {
    /// Makes a server, and finds out whether an older generation hands over to it.
    ///
    /// Call it early: it remembers how the program was started, it holds signals back until the
    /// server can hear them (HUP, INT, QUIT, TERM, USR1 and USR2), and in a new generation it takes
    /// its marker out of the environment, which no other thread may use at that moment. The limit
    /// on open files is raised as far as it goes.
    ///
    /// # Errors
    /// When the system refuses an epoll set, or when an older generation hands over something that
    /// cannot be understood.
    pub fn new(service: S) -> Result<Server<S>> {
        signal::hold_back()?;
        raise_file_limit();
        let launch = Launch::remember();
        let poll = Poll::new().map_err(|e| Error::io("make", "an epoll set", e))?;
        let mut net = Net::new(Some(poll), Instant::now());
        let mut succession = Succession::new(launch);
        succession.triggers =
            vec![(Signal::SIGTERM, Trigger::Leave), (Signal::SIGINT, Trigger::Leave)];
        let mut unclaimed = Vec::new();
        if let Some((link, inheritance)) = Inheritance::claim()? {
            net.generation = inheritance.generation;
            net.engine = Some(inheritance.engine);
            net.last_serial = inheritance.last_serial;
            succession.link = Some(link);
            succession.stderr = inheritance.stderr;
            for (name, fd) in inheritance.listeners {
                unclaimed.push(Listener::adopt(name, fd)?);
            }
        }
        Ok(Server { service, net, succession, unclaimed })
    }

    /// Listens on `address`: `host:port`, or `unix:/path`. May be called several times.
    ///
    /// If an older generation has a listener of this very name, it is taken over: the same socket,
    /// with the clients that are queued. Otherwise it is bound. A port 0 stays the same port in all
    /// generations. A Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// When `address` is none, is in use, or lies in a directory that does not exist.
    pub fn listen(mut self, address: &str) -> Result<Server<S>> {
        let inherited = self.unclaimed.iter().position(|listener| listener.name == address);
        let listener = match inherited {
            Some(index) => self.unclaimed.remove(index),
            None => Listener::bind(address).inspect_err(|_| self.withdraw())?,
        };
        self.net.listeners.push(listener);
        Ok(self)
    }

    /// What was bound for a server that cannot run is not left behind.
    fn withdraw(&self) {
        self.net.listeners.iter().for_each(Listener::withdraw);
    }

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

    /// Keeps the process id of the generation that serves in this file. It is written, by rename,
    /// when a generation begins to serve, and removed at the end by the one whose number it holds.
    ///
    /// # Errors
    /// When the file could not be written there.
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Result<Server<S>> {
        let file = PidFile::new(path.into()).inspect_err(|_| self.withdraw())?;
        self.succession.pid_file = Some(file);
        Ok(self)
    }

    /// Serves. Returns once this process has drained: because it was told to stop, or because a
    /// newer generation serves.
    ///
    /// After a restart by fork it returns in each generation, so what follows in `main` runs more
    /// than once, too.
    ///
    /// # Errors
    /// When the system refuses to wait for events or clients; what is wrong with one connection
    /// never ends up here.
    pub fn run(mut self) -> Result {
        for listener in self.unclaimed.drain(..) {
            log::warn!("{} was inherited and is not wanted any more: closed", listener.name);
        }
        let wanted: SigSet = self.succession.triggers.iter().map(|(signal, _)| *signal).collect();
        self.succession.signals = Some(Signals::hear(wanted)?);
        Turn::new(self.service, self.net, self.succession).run()
    }
}

/// A time that an `Instant` can be moved by.
fn bounded(limit: impl Into<Option<Duration>>) -> Option<Duration> {
    limit.into().map(|limit| limit.min(FAR_FUTURE))
}

/// A server's clients are descriptors, and the soft limit is often a thousand. Go does the same.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        log::debug!("cannot raise the limit on open files: {e}");
    }
}
