//! How a process is made and watched, by either engine, and what a new program is given. Knows no state
//! machine.
//!
//! `fork` and `exec` are the two engines' system calls, `program_file` looks at a program before it is
//! started, and `passed` is what this one was started with. `task` is what a restart is to be, `attempt` the old side of one in progress, `offer` what a new program is given, `inherit` the new program's part of it.
//! `scribe` is a fork that writes down the state, and how far that is; `pipe` what it goes through.
//! `build_id` tells one build of a program from another, `child` says whether a process lives that this one has made, `process` the same of another, `stderr` what a new
//! program says until it has committed, `passage` how much of that gets through, `unheard` what it had said before
//! it ended, and `supervised` is the way to
//! a supervisor.

pub(crate) mod attempt;
mod build_id;
pub(crate) mod child;
pub(crate) mod exec;
pub(crate) mod fork;
pub(crate) mod inherit;
pub(crate) mod offer;
mod passage;
pub(crate) mod passed;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod program_file;
pub(crate) mod scribe;
pub(crate) mod stderr;
pub(crate) mod supervised;
pub(crate) mod task;
mod unheard;
