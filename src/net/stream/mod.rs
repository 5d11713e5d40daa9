//! One byte stream and who is at its other end. Knows no connection.
//!
//! `socket` is the stream that the reactor uses, of whatever kind; `memory` the kind that tests have; `keep_alive` finds
//! peers that are gone.

mod keep_alive;
pub(crate) mod memory;
mod peer;
mod socket;

pub(crate) use keep_alive::keep_alive;
pub use peer::Peer;
pub(crate) use socket::Stream;
