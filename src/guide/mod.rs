//! A guide in seventeen pages. There is nothing here but prose, and programs that were compiled and run.
//!
//! To write a server:
//!
//! 1. [From echo to chat to restart](from_echo_to_restart): a server that grows by one idea at a time.
//! 2. [A server of your own](your_own): thirty lines in a crate beside this one, restarted under load.
//! 3. [Fork against fork-exec](fork_or_exec): how a restart works, what each engine carries over, what
//!    it costs, when to use which, and connections that move.
//! 4. [What a service holds](what_a_service_holds): databases, ids, logs, metrics, and what a restart does to each.
//! 5. [Tasks and messages](tasks_and_messages): alarms, jobs in hand, long work, mail from threads.
//! 6. [Datagrams](datagrams): UDP and Unix datagram sockets, and flows.
//! 7. [Sockets](sockets): options of listeners and dials, and clients that come through a proxy.
//! 8. [TLS](tls): certificates, dials, `STARTTLS`, how it ends, who could read what.
//! 9. [Testing](testing): whole conversations at every byte and through every restart, in memory.
//!
//! To run one:
//!
//! 10. [Operating](operating): status, restart, roll back, signals, pid files, a stable pid.
//! 11. [Under systemd and in containers](systemd_and_containers): a unit, activated sockets, process 1.
//! 12. [More than one core](more_than_one_core): workers, how a restart goes through them, and where that ends.
//! 13. [More than one machine](more_than_one_machine): balancers, probes, leaving in two steps, Kubernetes, and the sums.
//! 14. [A restart as a test](trial): what clients notice, of anybody's server.
//! 15. [Limits and defaults](limits_and_defaults): every number, and what changes it.
//! 16. [What it costs](what_it_costs): beside other servers, in memory, in restarts, with the commands.
//! 17. [Coming from nginx, tableflip or tokio](coming_from): the same things under other names.
//!
//! Beside it stand the lessons, which show with real processes and sockets what goes wrong in a restart,
//! and how it goes right: `cargo run --example lessons`.

pub mod coming_from;
pub mod datagrams;
pub mod fork_or_exec;
pub mod from_echo_to_restart;
pub mod limits_and_defaults;
pub mod more_than_one_core;
pub mod more_than_one_machine;
pub mod operating;
pub mod sockets;
pub mod systemd_and_containers;
pub mod tasks_and_messages;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
pub mod trial;
pub mod what_a_service_holds;
pub mod what_it_costs;
pub mod your_own;
