//! The system around a server, as far as it is no socket of the service: signals by number
//! (`signal_set`), as events (`signal`), what they do to a process otherwise (`disposition`), and threads that do not hold them back (`threads`), the
//! pid file (`pidfile`) and who holds it (`holders`), files where others may have put something else
//! (`regular_file`), the service manager (`systemd`) and what it keeps (`store`), a shared stderr (`stdio`), descriptors that are kept
//! for when there are no others (`reserve`), and what this process holds that is none of ours (`look`, which
//! asks `descriptors` by number and reads `proc_text`). Values that each process has its own of (`per_process`), down to their
//! descriptors (`noted`), random numbers (`seed`), and memory that all have in common (`shared_words`); which `cores` it may use. Knows no restart.

pub(crate) mod cores;
pub(crate) mod descriptors;
pub(crate) mod disposition;
mod holders;
pub(crate) mod huge;
pub(crate) mod look;
pub(crate) mod noted;
pub(crate) mod per_process;
pub(crate) mod pidfile;
mod proc_text;
pub(crate) mod process;
pub(crate) mod regular_file;
pub(crate) mod reserve;
pub(crate) mod seed;
pub(crate) mod shared_words;
pub(crate) mod signal;
pub(crate) mod signal_set;
pub(crate) mod stdio;
pub(crate) mod store;
pub(crate) mod systemd;
pub(crate) mod threads;
