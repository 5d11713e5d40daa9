//! TLS (RFC 8446, and RFC 5246 for TLS 1.2) as far as it needs no socket: keys, records, alerts, and all of it as
//! bytes. No cryptography is done here: rustls shakes hands and derives keys, ring has the ciphers.
//!
//! In reading order: `suite` is what two peers have agreed on, `secret` bytes that are wiped, `keys` what a
//! handshake ends with, `cipher` one key at work, `seal` and `open` one record, `messages` what comes in
//! records and is no data, `records` both directions of a connection, `carry` the same as bytes, and `alert` how a peer is
//! told what is wrong. `config` is what an author says, and `files` where it is read; `handshake` goes on from there to the keys (`words` says why not), `info` is what
//! it has found out, and `error` why there is no more. `ticketer` has the keys by which a later one is shorter. It knows no connection,
//! and no time but what a ticketer asks for. `nonces` writes down for tests by which number each key has sealed.

mod alert;
mod carry;
mod cipher;
mod config;
mod error;
mod files;
mod handshake;
mod info;
mod keys;
mod messages;
#[cfg(any(test, debug_assertions))]
mod nonces;
#[cfg(test)]
mod nonces_tests;
mod open;
#[cfg(test)]
pub(crate) mod peer_tests;
mod records;
#[cfg(test)]
mod records_tests;
mod seal;
mod secret;
mod suite;
mod ticketer;
#[cfg(test)]
mod violations_tests;
mod words;

pub use rustls;

pub use self::{
    alert::Alert, error::TlsError, files::server_config, info::TlsInfo, ticketer::Ticketer,
};
pub(crate) use self::{
    carry::{Malformed, Rest},
    config::{ClientTerms, ServerTerms},
    handshake::{Handshake, Progress},
    records::{End, Records, Unsealed},
    secret::{Wiped, wipe_stack},
};
#[cfg(test)]
use self::{
    keys::{Direction, Exporter, Secrets, Unfit},
    suite::Suite,
};
