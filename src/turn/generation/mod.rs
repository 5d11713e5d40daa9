//! This process among the generations, as data: its place (`succession`), what it was sent and has not
//! taken in (`arrivals`), what it has in memory of connections that are another one's (`inherited`), and who
//! else has its heap (`heap`). Does nothing by itself.

mod arrivals;
mod heap;
mod inherited;
mod succession;

pub(in crate::turn) use self::inherited::Inherited;
pub(crate) use self::succession::{Asked, AtMax, Generation, Succession, Trigger};
