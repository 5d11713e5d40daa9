//! How a restart went, and why one did not: plain values, for the one who asked and for the log.

mod copied;
mod program;

use std::{fmt, time::Duration};

pub use self::{
    copied::{Copied, CopiedBy},
    program::Program,
};
use crate::{inventory::Inventory, plan::Engine, prepare::Prepared};

/// How one restart went, for [`on_restart_ended`](crate::Service::on_restart_ended) and for the log.
///
/// ```
/// use heirloom::Verdict;
///
/// fn report(verdict: &Verdict) -> String {
///     match &verdict.outcome {
///         Ok(pid) => format!("generation {} is pid {pid}", verdict.generation),
///         Err(why) => format!("no generation {}: {why}", verdict.generation),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The number that the new generation has, or would have had: see
    /// [`Net::generation`](crate::Net::generation).
    pub generation: u64,
    /// The engine that was used in the end.
    pub engine: Engine,
    /// From the request to this verdict.
    pub took: Duration,
    /// How far it came, and when.
    pub steps: Steps,
    /// Which file the new program was started from; `None` for a fork, and where it came to no start.
    pub program: Option<Program>,
    /// What this process held before the fork that heirloom does not know, so that both sides have it; or why
    /// it was fork-exec [instead](crate::Restart::if_shared). `None` where nobody has looked.
    pub inventory: Option<Inventory>,
    /// The process id of the new generation, or why there is none.
    pub outcome: std::result::Result<u32, RestartError>,
}

/// When a restart took its steps, `None` for those that it did not take, and what it left behind.
///
/// ```
/// use heirloom::Steps;
///
/// fn describe(steps: &Steps) -> &'static str {
///     match (steps.ready, steps.committed) {
///         (_, Some(_)) => "it serves",
///         (Some(_), None) => "it has served, and did not last",
///         (None, None) => "it was never ready",
///     }
/// }
/// assert_eq!(describe(&Steps::default()), "it was never ready");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Steps {
    /// How the heap was [prepared](crate::Restart::prepare) for a fork, by fork-exec that of a scribe; `None` where
    /// it did not come to that, and with several threads, which have no fork.
    pub prepared: Option<Prepared>,
    /// How long it took to make the new process. So long the old one did nothing else.
    pub made: Option<Duration>,
    /// How long the old one did nothing else than to write down what the new one was to get: its connections, where
    /// they move ([`export`](crate::Service::export)), [changes](crate::Service::save_changes), and its state, where
    /// it had to do that [itself](CopiedBy::Itself); the time to make a scribe, where it had not. `None` with a
    /// fork.
    pub saved: Option<Duration>,
    /// How the service's state was copied to a new program; `None` with a fork, which needs no copy.
    pub copied: Option<Copied>,
    /// How long nobody served the connections that moved; `None` if none did.
    pub downtime: Option<Duration>,
    /// It was ready, and the old one stopped accepting; counted from the request.
    pub ready: Option<Duration>,
    /// It had served through its probation and committed; counted from the request.
    pub committed: Option<Duration>,
    /// How many bytes the connections that moved were written down with; 0 with a fork, which copies nothing. What
    /// several have [queued together](crate::Connection::send_shared) is written down once.
    pub moved_bytes: usize,
    /// How many connections were to move and have stayed, because there was no room for what their clients
    /// have queued: see [`Restart::max_moved`](crate::Restart::max_moved).
    pub kept_back: usize,
}

/// Why there is no new generation. Unless this process was [told to stop](Self::Stopped), or was
/// [draining](Self::Draining) already, it serves on.
///
/// ```
/// use heirloom::RestartError;
///
/// /// Whether it is worthwhile to try the same again later.
/// fn may_pass(why: &RestartError) -> bool {
///     matches!(why, RestartError::InProgress | RestartError::TooMany { .. })
/// }
///
/// /// Whether clients may have seen the new generation.
/// fn has_served(why: &RestartError) -> bool {
///     use RestartError::*;
///     matches!(
///         why,
///         RolledBack { .. } | Died { in_probation: true, .. } | TimedOut { in_probation: true, .. }
///     )
/// }
/// ```
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
    /// There is a [mailbox](crate::mailbox()), so other threads post to it, even if none happens to
    /// run just now; fork would leave them behind.
    Mailbox {
        /// How many there are.
        count: usize,
    },
    /// A fork would share what heirloom does not know, and was told to
    /// [refuse](crate::IfShared::Refuse) that.
    Shared {
        /// What it is.
        inventory: Inventory,
    },
    /// [`before_fork`](crate::Service::before_fork) has refused, or panicked.
    BeforeFork {
        /// Its words.
        reason: String,
    },
    /// There are as many generations as [`max_generations`](crate::Server::max_generations) allows.
    TooMany {
        /// How many there are.
        living: usize,
        /// The one that has been here longest, and its process id.
        oldest: (u64, u32),
    },
    /// This process is the first of its container or machine, which would end with it.
    FirstProcess,
    /// The program said, when it was run with the flag of [`checked`](crate::Restart::checked),
    /// that it would not serve.
    Unfit {
        /// How the check ended.
        how: String,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// The new side served, and was told to hand back.
    RolledBack {
        /// By whom, or why.
        reason: String,
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
    /// The new side ended before it had committed.
    Died {
        /// How it ended: an exit status or a signal.
        how: String,
        /// It served already, and was in its probation.
        in_probation: bool,
        /// The last lines of the new program's stderr.
        stderr: String,
    },
    /// The new side was not ready in time, or did not commit in time, and has been killed.
    TimedOut {
        /// The time it had.
        limit: Duration,
        /// It served already, and was in its probation.
        in_probation: bool,
        /// The last lines of the new program's stderr.
        stderr: String,
    },
    /// The state was not copied to the new program in time, which has been killed.
    NotCopied {
        /// [`copy_within`](crate::Restart::copy_within), or [`max_downtime`](crate::Restart::max_downtime)
        /// where connections stood still meanwhile.
        limit: Duration,
        /// The time that had passed when it was given up.
        took: Duration,
        /// The last lines of the new program's stderr.
        stderr: String,
    },
    /// When this process had written down what the new side was to get, the time for that was over. It cannot
    /// be interrupted: make it shorter, or the limit longer.
    Overrun {
        /// The time that [`save`](crate::Service::save) and [`export`](crate::Service::export) took.
        saving: Duration,
        /// The time that had passed of the limit.
        took: Duration,
        /// [`max_downtime`](crate::Restart::max_downtime) where connections move, or
        /// [`copy_within`](crate::Restart::copy_within).
        limit: Duration,
    },
    /// This process was told to stop in the meantime.
    Stopped,
}

impl RestartError {
    /// One word for each, in the order of the variants.
    pub(crate) const NAMES: [&str; 17] = [
        "in_progress",
        "draining",
        "threads",
        "mailbox",
        "shared",
        "before_fork",
        "too_many",
        "first_process",
        "unfit",
        "rolled_back",
        "spawn",
        "failed",
        "died",
        "timed_out",
        "not_copied",
        "overrun",
        "stopped",
    ];

    /// The word for it, in the journal and in numbers.
    pub(crate) fn name(&self) -> &'static str {
        use RestartError::*;
        RestartError::NAMES[match self {
            InProgress => 0,
            Draining => 1,
            Threads { .. } => 2,
            Mailbox { .. } => 3,
            Shared { .. } => 4,
            BeforeFork { .. } => 5,
            TooMany { .. } => 6,
            FirstProcess => 7,
            Unfit { .. } => 8,
            RolledBack { .. } => 9,
            Spawn { .. } => 10,
            Failed { .. } => 11,
            Died { .. } => 12,
            TimedOut { .. } => 13,
            NotCopied { .. } => 14,
            Overrun { .. } => 15,
            Stopped => 16,
        }]
    }

    /// Whether no process was made for it: it can be asked for as often as anybody likes.
    pub(crate) fn is_refusal(&self) -> bool {
        use RestartError::*;
        matches!(
            self,
            InProgress
                | Draining
                | Threads { .. }
                | Mailbox { .. }
                | Shared { .. }
                | BeforeFork { .. }
                | TooMany { .. }
                | FirstProcess
        )
    }
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
            Mailbox { count } => write!(
                f,
                "fork refused: mailboxes exist ({count}), and the threads that post there would not live \
                 on in the child (use Restart::fork_exec, or .or_fork_exec())"
            ),
            Shared { inventory } => write!(
                f,
                "fork refused: it would share {inventory} (close them, name them with Server::shares, or use \
                 Restart::fork_exec)"
            ),
            BeforeFork { reason } => write!(f, "fork refused by before_fork: {reason}"),
            TooMany { living, oldest: (generation, pid) } => write!(
                f,
                "restart refused: {living} generations are alive, which is the limit; the oldest is \
                 generation {generation}, pid {pid}"
            ),
            FirstProcess => write!(
                f,
                "restart refused: this is process 1, and all others would end with it (use \
                 Server::supervised)"
            ),
            Unfit { how, stderr } => {
                write!(f, "restart: the program failed its check: {how}{}", Tail(stderr))
            }
            RolledBack { reason } => write!(f, "restart: rolled back: {reason}"),
            Spawn { program, source } => write!(f, "restart: cannot start {program}: {source}"),
            Failed { reason, stderr } => {
                write!(f, "restart: the new side failed: {reason}{}", Tail(stderr))
            }
            Died { how, in_probation, stderr } => {
                let when = if *in_probation { "in its probation" } else { "before it was ready" };
                write!(f, "restart: the new side ended {when}: {how}{}", Tail(stderr))
            }
            TimedOut { limit, in_probation, stderr } => {
                let what = if *in_probation { "did not commit" } else { "was not ready" };
                write!(f, "restart: the new side {what} within {limit:?}{}", Tail(stderr))
            }
            NotCopied { limit, stderr, .. } => {
                write!(f, "restart: the state was not copied within {limit:?}{}", Tail(stderr))
            }
            Overrun { saving, took, limit } => write!(
                f,
                "restart: given up after {took:?}, over the limit of {limit:?}: to write down what the new \
                 side was to get took {saving:?}"
            ),
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
