//! Framing as pure functions: bytes in, a borrowed frame and the bytes it took out. No I/O.
//!
//! A codec answers `Ok(None)` while the frame is not complete, which a service passes on as
//! `Ok(0)` from [`on_data`](crate::Service::on_data). Each takes the limit it is to hold its peer to.

mod length;
mod line;

pub use length::{Prefix, length};
pub use line::line;
