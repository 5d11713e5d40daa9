//! What goes along with a restart, as bytes: a connection's `record`, how it is made and made use of
//! (`pack`), what of its timeouts goes along (`silence`), which are on their way (`shipment`), output that many of them wait for (`shared`), how many bytes of them
//! there may be (`allowance`), bytes of any length as a descriptor (`memfd`); what a service saves as a `stream`,
//! and the `rounds` of what changes meanwhile. Knows no process.

pub(crate) mod allowance;
pub(crate) mod memfd;
pub(crate) mod pack;
pub(crate) mod record;
pub(crate) mod rounds;
pub(crate) mod shared;
pub(crate) mod shipment;
mod silence;
pub(crate) mod stream;
