//! One byte stream and who is at its other end. Knows no connection.
//!
//! `socket` is the stream that the reactor uses, of whatever kind; `memory` the kind that tests have.

pub(crate) mod memory;
mod peer;
mod socket;

pub use peer::Peer;
pub(crate) use socket::Stream;
