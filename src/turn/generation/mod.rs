//! This process among the generations, as data: its place (`succession`), what it was sent and has not
//! taken in (`arrivals`), what it has inherited and does not use (`inherited`), how a restart is undone
//! (`handback`). Does nothing by itself.

mod arrivals;
mod handback;
mod inherited;
mod succession;

pub(crate) use self::handback::Handback;
pub(crate) use self::succession::{Asked, AtMax, Generation, Succession, Trigger};
pub(in crate::turn) use self::{arrivals::Arrivals, inherited::Inherited};
