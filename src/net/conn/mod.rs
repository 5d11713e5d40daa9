//! One connection as data: where it stands and what is true of it (`state`), when it is late (`timeouts`, and of its own
//! `patience`), what was said of its end (`told`), where all of them are kept (`slots`), what their conversations remember
//! (`sessions`), how many lead to one place (`destinations`), and what they may use (`limits`). No I/O; knows no reactor.

mod destinations;
mod limits;
mod patience;
mod sessions;
mod slots;
mod state;
mod timeouts;
#[cfg(test)]
mod timeouts_tests;
mod told;

pub(crate) use destinations::Destinations;
pub(crate) use limits::Limits;
pub(crate) use sessions::Sessions;
pub(crate) use slots::Slots;
pub(crate) use state::{CameBy, ConnState, Flags, Phase};
pub(crate) use timeouts::{SharedTimeouts, Watched};
pub(crate) use told::Told;
