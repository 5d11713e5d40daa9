//! TLS (RFC 8446, and RFC 5246 for TLS 1.2) as far as it needs no socket: keys, records, alerts, and all of it as
//! bytes. No cryptography is done here: rustls shakes hands and derives keys, ring has the ciphers.
//!
//! In reading order: `suite` is what two peers have agreed on, `secret` bytes that are wiped, `keys` what a
//! handshake ends with, `cipher` one key at work, `seal` and `open` one record, `messages` what comes in
//! records and is no data, `records` both directions of a connection, `carry` the same as bytes, and `alert` how a peer is
//! told what is wrong. It knows no connection, no time and no configuration.

mod alert;
mod carry;
mod cipher;
mod keys;
mod messages;
#[cfg(test)]
mod nonces_tests;
mod open;
#[cfg(test)]
mod peer_tests;
mod records;
#[cfg(test)]
mod records_tests;
mod seal;
mod secret;
mod suite;
mod ticketer;
#[cfg(test)]
mod violations_tests;

pub use rustls;

pub use self::{alert::Alert, ticketer::Ticketer};
pub(crate) use self::{
    carry::Malformed,
    keys::{Direction, Exporter, Secrets, Unfit},
    messages::AfterHandshake,
    records::{End, Opened, Records, Unsealed},
    secret::Wiped,
    suite::Suite,
};
