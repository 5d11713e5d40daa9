//! Deadlines of the process, and what a turn is told when a time has come.

use crate::{
    net::id::{ConnId, Timer},
    tasks::Alarm,
    timeouts::Idle,
};

/// A deadline of the process. Plain data, so it can be carried to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The new side of a restart should have taken its next step by now.
    NewOverdue,
    /// The old side of a restart should have stopped accepting by now.
    OldSilent,
    /// The old side of a restart, which has closed its link, should have ended by now.
    OldEnding,
    /// This new side has served through its probation.
    Proven,
    /// A process that was told to leave has accepted for long enough.
    LameDuck,
    /// The next step in the schedule of a draining process.
    DrainStep,
    /// An older generation should have left by now.
    OlderOverdue,
    /// The other generations should have said by now how they are.
    Reports,
    /// More of a new program's stderr may be taken in.
    Stderr,
    /// The service manager wants to hear that this process turns.
    Watchdog,
    /// The service manager should have read by now what it was told.
    Barrier,
    /// The service manager has read by now that this is the main process, which may tell it what to keep.
    Announced,
    /// The heap should be prepared for a fork by now.
    Prepared,
    /// Lines of the log that were counted are to be told.
    Repeats,
}

/// What has come due and is the turn's to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// An author's timer of a connection.
    Timer(ConnId, Timer),
    /// A connection has been silent for too long.
    Idle(ConnId, Idle),
    /// An alarm of the service.
    Alarm(Alarm),
    Deadline(Deadline),
}
