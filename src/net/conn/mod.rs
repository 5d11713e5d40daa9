//! One connection as data: where it stands and what is true of it (`state`), when it is late (`timeouts`), what was
//! said of its end (`told`), where all of them are kept (`slots`) and what their conversations remember (`sessions`), and how many
//! lead to one place (`destinations`). No
//! I/O; knows no reactor.

mod destinations;
mod sessions;
mod slots;
mod state;
mod timeouts;
#[cfg(test)]
mod timeouts_tests;
mod told;

pub(crate) use destinations::Destinations;
pub(crate) use sessions::Sessions;
pub(crate) use slots::Slots;
pub(crate) use state::{CameBy, ConnState, Flags, Phase};
pub(crate) use timeouts::{SharedTimeouts, Watched};
pub(crate) use told::Told;
