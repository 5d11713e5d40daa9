//! What goes along with a restart, as bytes: a connection's `record`, how it is made and made use of
//! (`pack`), which are on their way (`shipment`) and how many bytes of them there may be (`allowance`), and bytes of any length as a descriptor
//! (`memfd`). Knows no process.

pub(crate) mod allowance;
pub(crate) mod memfd;
pub(crate) mod pack;
pub(crate) mod record;
pub(crate) mod shipment;
