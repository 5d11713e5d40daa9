//! A single-threaded event-loop server framework whose servers restart without losing a connection.
//!
//! See the README for a tour; this page is rewritten below.
#![deny(missing_docs, missing_debug_implementations, unsafe_code)]
#![doc(test(attr(deny(warnings), allow(dead_code, unused_variables))))]

mod buffer;
pub mod codec;
mod control;
mod error;
pub mod limits;
mod net;
mod pidfile;
mod plan;
mod restart;
mod server;
mod service;
mod signal;
mod stats;
mod systemd;
pub mod testing;
pub mod timer;
mod turn;
mod verdict;

pub use error::{Error, Result};
pub use net::{Alarm, ConnId, Hold, Io, Net, Peer, Timer};
pub use plan::{Drain, Engine, Restart};
pub use server::Server;
pub use service::{Origin, Reason, Service, Start};
pub use stats::Stats;
pub use verdict::{RestartError, Steps, Verdict};
