//! Connections that come through a proxy, which says by a header in front of their bytes for whom it
//! connects. Pure; knows no connection.
//!
//! `trust` is what an author says of it, `header` reads it, `via` is what it has said.

mod header;
mod trust;
mod via;

pub(crate) use header::{Header, read};
pub use {trust::ProxyProtocol, via::Via};
