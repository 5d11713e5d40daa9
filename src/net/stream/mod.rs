//! One byte stream and who is at its other end. Knows no connection.
//!
//! `socket` is the stream that the reactor uses, of whatever kind; `memory` the kind that tests have, and `secure` TLS on
//! either, `carried` where that goes to another process.

#[cfg(feature = "tls")]
mod carried;
pub(crate) mod memory;
mod peer;
#[cfg_attr(not(feature = "tls"), path = "no_secure.rs")]
mod secure;
mod socket;

pub use peer::Peer;
pub(crate) use secure::Secure;
#[cfg(feature = "tls")]
pub(crate) use secure::Shaken;
pub(crate) use socket::Stream;
