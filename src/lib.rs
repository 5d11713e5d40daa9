//! A single-threaded event-loop server framework whose servers restart without losing a connection.
//!
//! You write a [`Service`]: what to do with bytes that arrive. The reactor does the rest on one
//! thread. When a new generation of the server is wanted, it is made by `fork()` (the same code, the
//! whole warm heap) or by fork-exec (new code, a fresh heap). The new process accepts from the same
//! sockets; the established connections stay with the old one until they end, or go along.
//!
//! Goals:
//! - no new client is refused or reset by a restart, and an established one stays where it is until
//!   it ends (it has an hour for that, unless told otherwise), or
//!   [moves along](Restart::move_connections) in the middle of whatever it does;
//! - a new side that does not become ready changes nothing: the old one has never stopped accepting;
//!   and one that fails in its [probation](Restart::probation) is replaced by the old one;
//! - whoever asks for a restart is [told how it went](Verdict), and an operator
//!   [sees every generation](Server::control);
//! - shared state is a field of the service: no locks, no channels, no `async`;
//! - what a peer may use is limited, in bytes and in time, from the first line of code on;
//! - code that can be read from end to end, to learn how a hot restart works.
//!
//! Non-goals:
//! - more than one thread, or work that blocks: one process is one core (and [several](Server::workers) are several);
//! - HTTP, QUIC: what a service does with its bytes is its own business;
//! - systems other than 64-bit Linux;
//! - a database: over a crash of everything go listeners and a checkpoint, if the service manager keeps them.
//!
//! # An echo server
//!
//! ```no_run
//! use heirloom::{Connection, Origin, Restart, Result, Server, Service};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = (); // nothing to remember about a connection
//!
//!     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Connection<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
//!         conn.send(input);
//!         Ok(input.len()) // all of it was taken
//!     }
//! }
//!
//! fn main() -> Result {
//!     Server::new(Echo)?
//!         .listen("127.0.0.1:7777")?
//!         .restart_on(libc::SIGHUP, Restart::fork()) // a reload: same code, warm heap
//!         .restart_on(libc::SIGUSR2, Restart::fork_exec()) // an upgrade: new code
//!         .run() // returns once this process has drained
//! }
//! ```
//!
//! # Five rules
//!
//! 1. You write the loop's body; the reactor owns the loop.
//! 2. An `Err` or a panic closes this connection (what was queued is sent first), never the server.
//! 3. Nothing is freed during a callback.
//! 4. The reactor stores no closures: everything it stores can be written down, and that is why it
//!    can restart.
//! 5. Between callbacks every session stands at a boundary that you chose, since partial bytes stay
//!    with the reactor: the end of any turn is a safe moment to fork, or to write everything down.
//!
//! # Where to read on
//!
//! The [`guide`], to write a server:
//!
//! - [from echo to chat to restart](guide::from_echo_to_restart), a server that grows by one idea at a time;
//! - [a server of your own](guide::your_own), thirty lines in a crate beside this one;
//! - [fork against fork-exec](guide::fork_or_exec), how a restart works, and connections that move;
//! - [what a service holds](guide::what_a_service_holds), and what a restart does to it;
//! - [tasks and messages](guide::tasks_and_messages), what is no connection;
//! - [datagrams](guide::datagrams);
//! - [sockets](guide::sockets): their options, and clients that come through a proxy;
//! - [TLS](guide::tls);
//! - [testing](guide::testing), whole conversations through every restart.
//!
//! And to run one:
//!
//! - [operating](guide::operating): the program `heirloom`, signals, pid files, a stable process id;
//! - [under systemd and in containers](guide::systemd_and_containers);
//! - [more than one core](guide::more_than_one_core), when one process is not enough;
//! - [more than one machine](guide::more_than_one_machine), behind a balancer and on Kubernetes;
//! - [a restart as a test](guide::trial), of anybody's server;
//! - [limits and defaults](guide::limits_and_defaults);
//! - [what it costs](guide::what_it_costs);
//! - [coming from nginx, tableflip or tokio](guide::coming_from).
//!
//! The items:
//!
//! - [`Service`] is what you write, [`Connection`] is one connection in its hands, [`Net`] is everything else.
//! - [`Server`] is how it starts, [`Listen`] how it listens; [`Restart`] and [`Drain`] say how it is replaced and how it leaves, [`Timeouts`] how
//!   long a peer may be silent;
//!   [`Prepare`] is for a large heap; [`Verdict`] says how that went.
//! - [`PerProcess`] holds what a fork must not share, [`fresh_seed`] is for random numbers after it.
//! - [`logging`] is for a log that holds nobody up, behind whatever logger there is; [`Counter`] and [`Gauge`] are for numbers that go on across restarts.
//! - [`limits`] has every fixed size and time with its reason; [`codec`] cuts bytes into messages.
//! - [`testing`] runs a service without sockets and without time.
//!
//! Features: `cli` (on by default) is the program `heirloom`; `health` (on by default) answers monitors by HTTP (`Server::health`);
//! `proxy-protocol` (on by default) lets a listener's clients
//! [come through a proxy](Listen::proxy_protocol); with `names` hosts can be dialed by name
//! (`Net::dial_host`), which is looked up within the loop; with `tls` connections are encrypted (`Server::listen_tls`), also
//! where they move; with `metrics` [what all generations count](guide::operating#numbers) is told to a monitor; with `carried` (on by default) there is a macro of that name
//! which writes down what [`Service::save`] and [`Service::export`] are to, by [serde](https://serde.rs), and what reads it;
//! with `serde` alone all that names something ([`ConnId`], [`Timer`], [`Alarm`], [`Watch`], [`PendingAlarm`],
//! [`Deferred`], [`SocketId`], [`DatagramPeer`], [`Peer`], [`Origin`], [`Engine`], [`Backoff`]) can be part of that.
//!
//! The examples, in this order: `echo`, `chat`, `kv`, `http`, `jobs`, `flows`; `lessons`, which shows every
//! trap of a restart and the way out of it; `dashboard`, a page to watch one. ARCHITECTURE.md tells one turn
//! of the loop and one restart phase by phase.
//!
//! The descriptors, signals and processes of a restart are described in `fork(2)`,
//! `posix_spawn(3)`, `epoll(7)`, `unix(7)` and `pidfd_open(2)`.
#![deny(missing_docs, missing_debug_implementations, unsafe_code)]
#![doc(test(attr(deny(warnings), allow(dead_code, unused_variables))))]

mod buffer;
#[cfg(feature = "carried")]
pub mod carried;
mod cause;
mod clock;
pub mod codec;
mod error;
pub mod guide;
mod inventory;
pub mod limits;
mod log_target;
pub mod logging;
mod metrics;
#[cfg(feature = "names")]
mod names;
mod net;
mod operate;
mod plan;
mod prepare;
mod restart;
mod server;
mod service;
mod stats;
mod system;
mod tasks;
pub mod testing;
mod timeouts;
pub mod timer;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod turn;
mod verdict;
mod workers;

pub use error::{Error, Result};
pub use inventory::{Finding, Inventory, Place};
pub use metrics::{Counter, Gauge};
#[cfg(feature = "names")]
pub use names::{NameError, NameFailure};
pub use net::{
    ConnId, Connection, DatagramPeer, Interest, KeepAlive, Listen, Net, Peer, ProxyProtocol,
    Readiness, SocketId, SocketOptions, SocketPermissions, Timer, Via, Watch,
};
pub use plan::{Drain, Engine, IfShared, Restart};
pub use prepare::{Prepare, Prepared, Unprepared};
pub use server::Server;
pub use service::{LeaveReason, Leaving, Mail, Move, Origin, Reason, Service, Start};
pub use stats::Stats;
pub use system::{per_process::PerProcess, seed::fresh_seed};
pub use tasks::{
    Alarm, Backoff, Deferred, Hold, Inbox, Mailbox, OtherGeneration, PendingAlarm, TellError,
    TrySendError, mailbox,
};
pub use timeouts::{Direction, Idle, Timeouts};
pub use verdict::{Copied, CopiedBy, Program, RestartError, Steps, Verdict};
pub use workers::{Worker, Workers};
