//! This process among the generations, as data: its place (`succession`), what it was sent and has not
//! taken in (`arrivals`), what it has in memory of connections that are another one's (`inherited`), who else
//! has its heap (`heap`), and which descriptors it has for all of that (`inventory`). A restart that has not begun is a
//! `preparation`, how it is undone is `handback`, a `question` is what an operator waits for, and `stop_signals` counts who says that it is to leave. Does nothing by itself.

mod arrivals;
mod handback;
mod heap;
mod inherited;
mod inventory;
mod preparation;
mod question;
mod stop_signals;
mod succession;

pub(crate) use self::handback::Handback;
pub(crate) use self::succession::{Asked, AtMax, Generation, Succession, Trigger};
pub(in crate::turn) use self::{
    arrivals::Arrivals, inherited::Inherited, preparation::Preparation, question::Question,
};
