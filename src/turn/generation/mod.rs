//! This process among the generations, as data: its place (`succession`), what it was sent and has not
//! taken in (`arrivals`), what it has inherited and does not use (`inherited`), a restart that has not begun
//! (`preparation`). Does nothing by itself.

mod arrivals;
mod inherited;
mod preparation;
mod succession;

pub(crate) use self::succession::{Asked, AtMax, Generation, Succession, Trigger};
pub(in crate::turn) use self::{inherited::Inherited, preparation::Preparation};
