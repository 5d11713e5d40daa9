//! This process among the generations, as data: its place (`succession`), what it was sent and has not
//! taken in (`arrivals`), what it has in memory of connections that are another one's (`inherited`), who else
//! has its heap (`heap`), and which descriptors it has for all of that (`inventory`). Does nothing by itself.

mod arrivals;
mod heap;
mod inherited;
mod inventory;
mod succession;

pub(in crate::turn) use self::inherited::Inherited;
pub(crate) use self::succession::{Asked, AtMax, Generation, Succession, Trigger};
