//! Who looks after a server from outside: the operator's language (`control`, `check` for one of its
//! answers, and `behalf` for whom a supervisor speaks), what it can ask about afterwards (`journal`), what monitors are told (`health`, and `http`, in which some of them
//! ask), and the process in front
//! that never serves (`supervisor`). Knows no service and no turn.

pub(crate) mod behalf;
pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod health;
#[cfg(feature = "health")]
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod supervisor;
