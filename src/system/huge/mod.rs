//! Brings this process's memory into pages of 2 MiB, so that a fork is short. `heap` says how much there is,
//! where, and whether it may be done; `worker` does it, block by block, with nothing but system calls; `helper`
//! is the process that runs the worker beside this one, with the same memory; `collapse` starts it, watches it
//! and ends it. Knows no restart: whoever is about to fork may use it.

mod collapse;
mod heap;
mod helper;
mod worker;

pub(crate) use self::collapse::Collapse;
