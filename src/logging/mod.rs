//! What a log needs in a process that has one thread and is copied: a stderr that nobody waits for, lines that
//! are one line each, and no more of a kind than somebody can read.
//!
//! heirloom speaks through the `log` crate, to whatever logger the program has. Most of them write to stderr
//! and wait until it is written, so a reader that stops reading stops the server. [`Stderr`] is a
//! writer that does not wait, for any logger that takes one; [`log_panics`] makes a panic a line of the log, and
//! [`Quoted`] puts what somebody else has said into a line of an author's own. In `main`, before anything
//! else, with env_logger:
//!
//! ```no_run
//! use heirloom::logging::{Stderr, log_panics};
//!
//! env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
//!     .target(env_logger::Target::Pipe(Box::new(Stderr::new())))
//!     .init();
//! log_panics();
//! ```
//!
//! Loggers that write from a thread of their own (`tracing-appender`, `flexi_logger`'s asynchronous modes) do
//! not wait either, but a process with a second thread is not [forked](crate::RestartError::Threads).
//!
//! Where stderr is the journal of systemd, [`Journal`] tells it what a record is made of.
//!
//! # The library's own lines
//!
//! Each is one line. What a peer, an operator or another program has said is escaped as [`Quoted`] says: as
//! `key="value"`, or without the marks as the end of a sentence. Lines that others can cause as often as they like (a client that is refused, a message
//! that is malformed, a signal) are said [fifty times](crate::limits::LOG_BURST) in five seconds; then they are counted, and one line
//! tells how many there were:
//!
//! ```text
//! repeated: kind="close failed" more=48713 within=5.000s
//! ```

mod journal;
mod panics;
mod quoted;
mod repeats;
mod stderr;

pub use self::{journal::Journal, panics::log_panics, quoted::Quoted, stderr::Stderr};
pub(crate) use self::{panics::catch, quoted::Escaped, repeats::Repeats};
