//! What a server must survive that restarts while it is used: each test is a situation that has ended
//! the service of others, numbered as the list in ARCHITECTURE.md has it.

#[path = "../common/mod.rs"]
mod common;

mod descriptors;
mod drain;
mod hung;
mod listeners;
mod piling;
mod preflight;
mod probation;
mod stop;
mod triggers;
