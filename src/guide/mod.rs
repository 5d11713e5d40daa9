//! A guide in four pages. There is nothing here but prose, and programs that were compiled and run.
//!
//! - [From echo to chat to restart](from_echo_to_restart): a server that grows by one idea at a time.
//! - [A server of your own](your_own): thirty lines in a crate beside this one, restarted under load.
//! - [Fork against fork-exec](fork_or_exec): what each engine carries over, what it costs, when to use
//!   which.
//! - [Coming from nginx, tableflip or tokio](coming_from): the same things under other names.
//!
//! Beside it stand the lessons, which show with real processes and sockets what goes wrong in a restart,
//! and how it goes right: `cargo run --example lessons`.

pub mod coming_from;
pub mod fork_or_exec;
pub mod from_echo_to_restart;
pub mod your_own;
