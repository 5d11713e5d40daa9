//! Plain values that say how to restart, how to drain, and how a restart went; knows nobody.

use std::{fmt, time::Duration};

use crate::limits::FAR_FUTURE;

/// How a new generation is made.
///
/// ```
/// assert_eq!(heirloom::Engine::ForkExec.to_string(), "fork-exec");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// `fork(2)`: the same code goes on in a child that has the whole warm heap. A reload.
    Fork,
    /// `posix_spawn(3)` of the program at its path: new code, a fresh heap. An upgrade.
    ForkExec,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Fork => "fork",
            Engine::ForkExec => "fork-exec",
        })
    }
}

/// How to restart: an engine and what to do about it.
///
/// ```
/// use heirloom::Restart;
/// use std::time::Duration;
///
/// let reload = Restart::fork().or_fork_exec();
/// let upgrade = Restart::fork_exec().ready_within(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a Restart says how; `restart_on` or `Net::restart` does it"]
pub struct Restart {
    pub(crate) engine: Engine,
    pub(crate) or_fork_exec: bool,
    pub(crate) ready_within: Duration,
}

impl Restart {
    /// The new side has this long to say that it can serve. Longer than tableflip's users need for
    /// a plain start, shorter than an operator's patience (ecdysis: 5 s, tableflip: 60 s).
    const READY_WITHIN: Duration = Duration::from_secs(10);

    /// Restart by `fork()`: same code, warm heap. Refused while the process has more than one
    /// thread, since only the calling thread lives on in the child (see `fork(2)`). It blocks this
    /// process for as long as the kernel copies its page tables, which grows with the heap.
    pub fn fork() -> Restart {
        Restart { engine: Engine::Fork, or_fork_exec: false, ready_within: Restart::READY_WITHIN }
    }

    /// Restart by starting the program anew from its path: new code, fresh heap. Path, arguments,
    /// working directory and environment are those of the first start; the path is looked up anew, so
    /// that a file put in its place by rename is what runs.
    pub fn fork_exec() -> Restart {
        Restart { engine: Engine::ForkExec, ..Restart::fork() }
    }

    /// Where fork is refused because of other threads, use fork-exec instead of giving up.
    pub fn or_fork_exec(self) -> Restart {
        Restart { or_fork_exec: true, ..self }
    }

    /// Kill the new side and carry on when it is not ready after `limit` (10 s unless told). Once it
    /// is released, it has the same time again to commit.
    pub fn ready_within(self, limit: Duration) -> Restart {
        Restart { ready_within: limit.min(FAR_FUTURE), ..self }
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
///         .drain_on_restart(Drain::patient())
///         .drain_on_stop(Drain::deadline(Duration::from_secs(10)))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a Drain says how; `drain_on_restart` and `drain_on_stop` take it"]
pub struct Drain {
    pub(crate) deadline: Option<Duration>,
}

impl Drain {
    /// Let each connection take the time it needs.
    pub fn patient() -> Drain {
        Drain { deadline: None }
    }

    /// Abort what is still open after `limit`.
    pub fn deadline(limit: Duration) -> Drain {
        Drain { deadline: Some(limit.min(FAR_FUTURE)) }
    }
}

/// How one restart went, for [`on_restart_ended`](crate::Service::on_restart_ended) and for the log.
///
/// ```
/// use heirloom::Verdict;
///
/// fn report(verdict: &Verdict) -> String {
///     match &verdict.outcome {
///         Ok(pid) => format!("generation {} is pid {pid}", verdict.generation),
///         Err(why) => format!("still generation {}: {why}", verdict.generation - 1),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The number that the new generation has, or would have had.
    pub generation: u64,
    /// The engine that was used in the end.
    pub engine: Engine,
    /// From the request to this verdict.
    pub took: Duration,
    /// The process id of the new generation, or why there is none.
    pub outcome: std::result::Result<u32, RestartError>,
}

/// Why there is no new generation. The old one serves on as if nothing had happened.
///
/// ```
/// use heirloom::RestartError;
///
/// let why = RestartError::Threads { count: 3 };
/// assert!(why.to_string().starts_with("fork refused: the process has 3 threads"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RestartError {
    /// Another restart is not over yet.
    InProgress,
    /// This process is leaving; ask its successor.
    Draining,
    /// Fork would leave the other threads behind, with whatever locks they hold.
    Threads {
        /// The threads of the process, this one included.
        count: usize,
    },
    /// The system could not make a process, or the path is no program.
    Spawn {
        /// What was to be run.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The new side said why it cannot serve, or broke the protocol.
    Failed {
        /// Its words.
        reason: String,
        /// The last lines of the new program's stderr.
        stderr: String,
    },
    /// The new side ended before it was ready.
    Died {
        /// How it ended: an exit status or a signal.
        how: String,
        /// The last lines of the new program's stderr.
        stderr: String,
    },
    /// The new side was not ready in time and has been killed.
    TimedOut {
        /// The time it had.
        limit: Duration,
        /// The last lines of the new program's stderr.
        stderr: String,
    },
    /// This process was told to stop in the meantime.
    Stopped,
}

impl fmt::Display for RestartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RestartError::*;
        match self {
            InProgress => write!(f, "restart refused: another one is in progress"),
            Draining => write!(f, "restart refused: this process is draining"),
            Threads { count } => write!(
                f,
                "fork refused: the process has {count} threads, and only one would live on in the \
                 child (use Restart::fork_exec, or .or_fork_exec())"
            ),
            Spawn { program, source } => write!(f, "restart: cannot start {program}: {source}"),
            Failed { reason, stderr } => {
                write!(f, "restart: the new side failed: {reason}{}", Tail(stderr))
            }
            Died { how, stderr } => {
                write!(f, "restart: the new side ended before it was ready: {how}{}", Tail(stderr))
            }
            TimedOut { limit, stderr } => {
                write!(f, "restart: the new side was not ready within {limit:?}{}", Tail(stderr))
            }
            Stopped => write!(f, "restart: given up, this process was told to stop"),
        }
    }
}

/// The end of a stderr, if there is one, as a clause of a sentence.
struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim_end() {
            "" => Ok(()),
            text => write!(f, "; its stderr ends: {text}"),
        }
    }
}

impl std::error::Error for RestartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RestartError::Spawn { source, .. } => Some(source),
            _ => None,
        }
    }
}
