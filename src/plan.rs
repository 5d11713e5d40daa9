//! Plain values that say how to restart and how to drain; knows nobody.

use std::{fmt, time::Duration};

use crate::{
    limits::{BATCH_MAX, FAR_FUTURE, MOVE_BYTES},
    prepare::Prepare,
};

/// How a new generation is made.
///
/// ```
/// assert_eq!(heirloom::Engine::ForkExec.to_string(), "fork-exec");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Engine {
    /// `fork(2)`: the same code goes on in a child that has the whole warm heap. A reload.
    Fork,
    /// `posix_spawn(3)` of the program at its path: new code, a fresh heap. An upgrade.
    ForkExec,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Fork => "fork",
            Engine::ForkExec => "fork-exec",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a fork does about what the process holds that heirloom does not know: see
/// [`Restart::if_shared`].
///
/// ```
/// use heirloom::{IfShared, Restart};
///
/// let reload = Restart::fork().if_shared(IfShared::Refuse);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IfShared {
    /// It forks, and a line of the log names each.
    #[default]
    Warn,
    /// It does not fork: [`RestartError::Shared`](crate::RestartError::Shared).
    Refuse,
    /// It restarts by fork-exec, whose new program inherits none of it.
    ForkExec,
}

/// How to restart: an engine and what to do about it.
///
/// ```
/// use heirloom::Restart;
/// use std::time::Duration;
///
/// let reload = Restart::fork().or_fork_exec();
/// let upgrade = Restart::fork_exec()
///     .checked("--check")
///     .ready_within(Duration::from_secs(30))
///     .probation(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a Restart says how; `restart_on` or `Net::restart` does it"]
pub struct Restart {
    pub(crate) engine: Engine,
    pub(crate) or_fork_exec: bool,
    pub(crate) if_shared: IfShared,
    pub(crate) ready_within: Duration,
    pub(crate) copy_within: Duration,
    pub(crate) probation: Duration,
    pub(crate) check: Option<String>,
    pub(crate) moves: bool,
    pub(crate) max_downtime: Duration,
    pub(crate) max_moved: usize,
    pub(crate) prepare: Prepare,
}

impl Restart {
    /// The new side has this long to say that it can serve. Longer than tableflip's users need for
    /// a plain start, shorter than an operator's patience (ecdysis: 5 s, tableflip: 60 s).
    const READY_WITHIN: Duration = Duration::from_secs(10);

    /// A state of some 25 GB, at the 0.45 to 0.63 GB a second that were measured; nobody waits for it.
    const COPY_WITHIN: Duration = Duration::from_secs(60);

    /// Most of what is wrong with a new program shows in its first seconds.
    const PROBATION: Duration = Duration::from_secs(2);

    /// Clients that wait this long begin to believe in a failure.
    const MAX_DOWNTIME: Duration = Duration::from_secs(2);

    /// Restart by `fork()`: same code, warm heap. Established connections stay with the old process,
    /// unless told otherwise. Refused while the process has more than one
    /// thread, since only the calling thread lives on in the child (see `fork(2)`). It blocks this
    /// process for as long as the kernel copies its page tables, which grows with the heap: a large one is
    /// [prepared](Self::prepare) before, while everybody is served. Whatever the service holds is
    /// copied, too: [`PerProcess`](crate::PerProcess) and [`before_fork`](crate::Service::before_fork) are for what must not be.
    pub fn fork() -> Restart {
        Restart {
            engine: Engine::Fork,
            or_fork_exec: false,
            if_shared: IfShared::Warn,
            ready_within: Restart::READY_WITHIN,
            copy_within: Restart::COPY_WITHIN,
            probation: Restart::PROBATION,
            check: None,
            moves: false,
            max_downtime: Restart::MAX_DOWNTIME,
            max_moved: MOVE_BYTES,
            prepare: Prepare::default(),
        }
    }

    /// Restart by starting the program anew from its path: new code, fresh heap. Path, arguments,
    /// working directory and environment are those of the first start; the path is looked up anew, so
    /// that a file put in its place by rename is what runs.
    pub fn fork_exec() -> Restart {
        Restart { engine: Engine::ForkExec, ..Restart::fork() }
    }

    /// Where fork is refused, use fork-exec instead of giving up: because of other threads, of mailboxes, of
    /// what would be [shared](Self::if_shared), or by [`before_fork`](crate::Service::before_fork).
    pub fn or_fork_exec(self) -> Restart {
        Restart { or_fork_exec: true, ..self }
    }

    /// What a fork does about descriptors, shared memory and timers that heirloom does not know: a database
    /// client's socket, a file with a lock, a `timerfd`. Parent and child would both have them, and who reads
    /// or closes first disturbs the other ([`Inventory`](crate::Inventory) says how). Before each fork the
    /// process looks what it holds, and [warns](IfShared::Warn) unless told otherwise. `heirloom check` looks
    /// without a restart, and [`Server::shares`](crate::Server::shares) says what is meant to be shared. A
    /// fork-exec shares none of it, and does not look.
    ///
    /// ```
    /// # use heirloom::{IfShared, Restart, Server, Service};
    /// /// Its database client opens a connection now and then; a reload does not wait for that.
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     let reload = Restart::fork().if_shared(IfShared::ForkExec);
    ///     server.restart_on(libc::SIGHUP, reload).shares("/var/log/app")
    /// }
    /// ```
    pub fn if_shared(self, policy: IfShared) -> Restart {
        Restart { if_shared: policy, ..self }
    }

    /// Kill the new side and carry on when it is not ready after `limit` (10 s unless told), counted from when
    /// it was made. Once it is released, it has the same time and its probation for
    /// [`on_start`](crate::Service::on_start), and once its probation is over the same time again to say so. It
    /// is the old process that waits: after an upgrade, a new value counts from the next restart on.
    ///
    /// Time in which callbacks of the old process block is not held against the new one. Nor is the time in which
    /// the state is copied, which [has a limit of its own](Self::copy_within).
    pub fn ready_within(self, limit: Duration) -> Restart {
        Restart { ready_within: limit.min(FAR_FUTURE), ..self }
    }

    /// By fork-exec, kill the new side and carry on when the service's state is not copied after `limit` (60 s unless
    /// told), counted from when the new program has run up to [`run`](crate::Server::run) until it has read all that
    /// [`save`](crate::Service::save) has written, and what has changed meanwhile.
    ///
    /// A scribe writes it, a fork of the old process, which serves as if nothing were. Where connections move and
    /// the service [does not say what changes](crate::Service::track_changes) they stand still meanwhile, so
    /// [`max_downtime`](Self::max_downtime) counts as well. Where there may be no fork, because the process
    /// has other threads or the system refuses, the old process writes it itself and does nothing else: it looks
    /// at the clock at each write, and where the limit has passed when `save` returns, the restart is given up
    /// at once ([`RestartError::Overrun`](crate::RestartError::Overrun)). [`Steps::copied`](crate::Steps::copied)
    /// says which it was.
    ///
    /// ```
    /// # use heirloom::Restart;
    /// # use std::time::Duration;
    /// // 200 GB of cache, read by a program that checks each entry.
    /// let upgrade = Restart::fork_exec().copy_within(Duration::from_secs(900));
    /// ```
    pub fn copy_within(self, limit: Duration) -> Restart {
        Restart { copy_within: limit.min(FAR_FUTURE), ..self }
    }

    /// The new side serves for this long before the old one lets go of the listeners (2 s unless told), counted
    /// from the end of its [`on_start`](crate::Service::on_start).
    /// If it dies in that time, or [asks for it](crate::Net::roll_back), the old one accepts again at
    /// once, and no client is refused. Who asks is answered, and goes back: see
    /// [what becomes of the state](crate::guide::fork_or_exec#what-becomes-of-the-state). The new side is told by the old one: after an upgrade, a new value
    /// counts from the next restart on.
    ///
    /// ```
    /// # use heirloom::Restart;
    /// # use std::time::Duration;
    /// // What is wrong with this program shows when its first batch is due.
    /// let upgrade = Restart::fork_exec().probation(Duration::from_secs(90));
    /// ```
    pub fn probation(self, time: Duration) -> Restart {
        Restart { probation: time.min(FAR_FUTURE), ..self }
    }

    /// Established connections go to the new generation, instead of staying with the old one until they
    /// end. By fork they go as they are; by fork-exec each session is written down by
    /// [`export`](crate::Service::export) and read by [`import`](crate::Service::import).
    ///
    /// A connection stays behind and drains if its service [says so](crate::Service::on_move), if
    /// `export` answers `None`, or if it is closing already; by fork-exec also if its client has queued
    /// [so much](Self::max_moved) that all others would wait for it. Until the new generation serves, nothing
    /// is lost if it fails; if it dies after that, its connections die with it. If it is rolled back they go back,
    /// and with them those that it has accepted; by either engine each is written down then.
    ///
    /// ```
    /// # use heirloom::{Restart, Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server
    ///         .restart_on(libc::SIGHUP, Restart::fork().move_connections())
    ///         .restart_on(libc::SIGUSR2, Restart::fork_exec().move_connections())
    /// }
    /// ```
    pub fn move_connections(self) -> Restart {
        Restart { moves: true, ..self }
    }

    /// While connections move nobody serves them. If it takes longer than `limit` (2 s unless told), the
    /// restart is given up and the old generation goes on with them. A roll back has the same limit, whether
    /// connections move or not; after that the new generation goes on.
    ///
    /// [`save_changes`](crate::Service::save_changes) and [`export`](crate::Service::export) cannot be interrupted: it
    /// is looked at the clock after each, and how long they took is told
    /// ([`RestartError::Overrun`](crate::RestartError::Overrun), [`Steps::saved`](crate::Steps::saved)). Nor can
    /// the new side's [`on_start`](crate::Service::on_start), after which it is too late to give up: a downtime
    /// over the limit is a warning in the log, and all of it is in
    /// [`Steps::downtime`](crate::Steps::downtime).
    ///
    /// ```
    /// # use heirloom::Restart;
    /// # use std::time::Duration;
    /// // There is much to save, and clients that wait are better than a cold cache.
    /// let upgrade =
    ///     Restart::fork_exec().move_connections().max_downtime(Duration::from_secs(10));
    /// ```
    pub fn max_downtime(self, limit: Duration) -> Restart {
        Restart { max_downtime: limit.min(FAR_FUTURE), ..self }
    }

    /// By fork-exec, what clients have queued is written down and read again while nobody is served: input that
    /// is no whole message yet, output that they have not read, and what `export` answers. What
    /// [many have queued](crate::Connection::send_shared) counts once. No more of it
    /// than `bytes` goes along (64 MiB unless told, 512 MiB at most); a connection for which there is no
    /// room stays, and drains. Those with the least go first, and with no more than
    /// [`MOVE_SMALL`](crate::limits::MOVE_SMALL) they always go. The [`Verdict`](crate::Verdict) says how many
    /// have stayed.
    ///
    /// ```
    /// # use heirloom::Restart;
    /// // Uploads of any size may finish in the old process.
    /// let upgrade = Restart::fork_exec().move_connections().max_moved(1024 * 1024);
    /// ```
    pub fn max_moved(self, bytes: usize) -> Restart {
        Restart { max_moved: bytes.min(BATCH_MAX / 2), ..self }
    }

    /// Before a fork, bring a large heap into pages of 2 MiB, which makes the fork short; the restart begins
    /// when that is over. It is done from 64 MiB on, unless told otherwise. What came of it is in
    /// [`Steps::prepared`](crate::Steps::prepared); where it cannot be done, the fork is made as it is.
    ///
    /// By fork-exec it is the scribe's fork that is short then. A service that has a large heap and
    /// [saves](crate::Service::save) nothing of it has no use for that: [`Prepare::off`].
    pub fn prepare(self, how: Prepare) -> Restart {
        Restart { prepare: how, ..self }
    }

    /// Before a fork-exec, run the program with `flag` behind its arguments and go on only if it exits
    /// with 0: a program can say there that its configuration is good
    /// ([`Server::dry_run`](crate::Server::dry_run)). A fork runs the code that runs already, so
    /// it asks nobody.
    ///
    /// ```
    /// # use heirloom::{Restart, Result, Server, Service};
    /// fn build<S: Service>(service: S) -> Result<Server<S>> {
    ///     let is_check = std::env::args().any(|arg| arg == "--check");
    ///     let server = if is_check { Server::dry_run(service)? } else { Server::new(service)? };
    ///     Ok(server.restart_on(libc::SIGUSR2, Restart::fork_exec().checked("--check")))
    /// }
    /// ```
    pub fn checked(self, flag: impl Into<String>) -> Restart {
        Restart { check: Some(flag.into()), ..self }
    }
}

/// How a process that leaves treats the connections it still has. It exits as soon as there is none,
/// and [no hold](crate::Net::hold), whatever the deadline.
///
/// ```
/// use heirloom::{Drain, Server, Service};
/// use std::time::Duration;
///
/// fn tune<S: Service>(server: Server<S>) -> Server<S> {
///     server
///         .drain_on_restart(Drain::unlimited())
///         .drain_on_stop(Drain::deadline(Duration::from_secs(10)))
/// }
/// ```
///
/// ```
/// use heirloom::Drain;
/// use std::time::Duration;
///
/// // Everybody is told within five minutes, and has five more.
/// let drain = Drain::deadline(Duration::from_secs(600)).spread(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a Drain says how; `drain_on_restart` and `drain_on_stop` take it"]
pub struct Drain {
    pub(crate) deadline: Option<Duration>,
    pub(crate) spread: Duration,
}

impl Drain {
    /// Let each connection take the time it needs.
    pub fn unlimited() -> Drain {
        Drain { deadline: None, spread: Duration::ZERO }
    }

    /// Abort what is still open after `limit`. Zero aborts at once, and no connection is
    /// [told](crate::Service::on_drain).
    pub fn deadline(limit: Duration) -> Drain {
        Drain { deadline: Some(limit.min(FAR_FUTURE)), spread: Duration::ZERO }
    }

    /// Tell the connections one after the other over `window`, oldest first and with some jitter,
    /// instead of all at once: their clients then do not come back all at once either. With a
    /// deadline, each of them has what is left of it after the window, counted from when it was told, and
    /// [hears](crate::Leaving::within) how long that is.
    ///
    /// ```
    /// # use heirloom::Drain;
    /// # use std::time::Duration;
    /// // Whoever is told first has to be gone after a minute, whoever is told last a minute later.
    /// let drain = Drain::deadline(Duration::from_secs(120)).spread(Duration::from_secs(60));
    /// ```
    pub fn spread(self, window: Duration) -> Drain {
        Drain { spread: window.min(FAR_FUTURE), ..self }
    }
}
