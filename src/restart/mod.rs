//! One restart, told as a state machine. Knows no [`Service`](crate::Service) and no connection.
//!
//! ```text
//!  old: Serving                              new
//!   |  fork() or posix_spawn()            -> | fork: the child turns itself into the next generation
//!   |  exec: Hello                        -> |
//!   |                                     <- | exec: Connect, by a link of its own
//!   |  exec: Listeners, Older,            -> | exec: main() runs, listen() claims by name
//!   |        Supervisor, Offered             |
//!  old: Starting to Handed, accepting        | new: Waiting
//!   |                                     <- | exec: Claim
//!   |  exec: Snapshot, written by a scribe-> | exec: load, while it comes
//!   |                                     <- | exec: Loaded
//!   |  exec: Changes, in rounds           -> | exec: load_changes
//!   |                                     <- | exec: Applied
//!   |  what moves is frozen                  |
//!   |  exec: the last Changes, Copied,    -> |
//!   |        Connections, Handed             | exec: import; touches nothing
//!   |                                     <- | Ready                        (or Failed)
//!   |  stops accepting, keeps its listeners
//!   |  Retiring; on_retire; Released      ->
//!  old: Released                          <- | TakenOver: what moves is its own
//!   |                                        | accepts; on_start. new: Probation
//!   |                                     <- | Serving: the probation begins
//!   |                                     <- | Committed, after the probation
//!   |  closes its listeners; on_drain        | new: Serving
//!  old: Retired, drains, exits when empty
//! ```
//!
//! The rules that [`step`] keeps:
//! - until `Ready` the old side accepts; from `Released` on the new side does, and until `Committed`
//!   the old one still has its listeners, so it can take over again;
//! - whatever ends the new side before `Committed` brings the old one back to `Serving`; a new side
//!   that lives and is rolled back hands everything back first, and drains (below);
//! - what is handed back is the new side's until it says `HandedBack`, and from then on the old one's: nobody
//!   serves the same twice, and if one dies the other has it;
//! - whatever ends or silences the old side after `Ready` makes the new one serve: it has the
//!   listeners, and two that accept from one queue do no harm. A closed link is no end: its process is;
//! - before it has the state a new side has nothing to serve, and whatever ends the old one ends it;
//! - a side that is told to stop never leaves the other waiting: during a restart both stop.
//!
//! ```text
//!  new: Probation                            old: Released
//!   |  State, Connections, TakeBack       -> | load, import: TakingBack
//!  new: HandingBack, nobody is served        |
//!   |                                     <- | CanTakeBack      (or CannotTakeBack: back to Probation)
//!  new: Returned. HandedBack              -> |
//!   |       (or Kept: back to Probation)     |
//!   |                                     <- | Resumed. old: Serving
//!  new: Retired, drains what it has left     |
//! ```
//!
//! `table` is the machine itself and `model` its proof: every order of messages, deaths, silences
//! and requests, walked to the end; `arrival` is what a new program has by then. `drain` is the schedule of a process that leaves, `probation` what a new
//! one has still to serve, `fault` makes one
//! fail on request. `link` carries messages, `engine` makes processes, `transfer` writes down what goes along.

pub(crate) mod arrival;
pub(crate) mod drain;
pub(crate) mod engine;
pub(crate) mod fault;
pub(crate) mod link;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_copy;
pub(crate) mod probation;
mod table;
pub(crate) mod transfer;

pub(crate) use table::{Action, Event, Phase, step};
