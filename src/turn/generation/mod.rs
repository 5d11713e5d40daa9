//! This process among the generations, as data: its place (`succession`), what it was sent and has not
//! taken in (`arrivals`), what it has inherited and does not use (`inherited`), which descriptors it has for all of that
//! (`inventory`). Does nothing by itself.

mod arrivals;
mod inherited;
mod inventory;
mod succession;

pub(in crate::turn) use self::inherited::Inherited;
pub(crate) use self::succession::{Asked, AtMax, Generation, Succession, Trigger};
