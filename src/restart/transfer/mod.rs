//! What goes along with a restart, as bytes: a connection's `record`, how it is made and made use of
//! (`pack`), what of its timeouts goes along (`silence`), which are on their way (`shipment`), output that many of them wait for (`shared`), how many bytes of them
//! there may be (`allowance`), bytes of any length as a descriptor (`memfd`), and secret ones (`secrets`, `vessel`); what a service saves as a `stream`,
//! the `rounds` of what changes meanwhile, and a `checkpoint` of it for bad times. Knows no process.

pub(crate) mod allowance;
pub(crate) mod checkpoint;
pub(crate) mod memfd;
pub(crate) mod pack;
pub(crate) mod record;
pub(crate) mod rounds;
#[cfg_attr(not(feature = "tls"), path = "no_secrets.rs")]
pub(crate) mod secrets;
pub(crate) mod shared;
pub(crate) mod shipment;
mod silence;
pub(crate) mod stream;
#[cfg(feature = "tls")]
pub(crate) mod vessel;
