//! This process among the generations, as data: its place (`succession`), the others as it knows them (`other`), what it is
//! asked (`asked`), what it was sent and has not
//! taken in (`arrivals`), what it has in memory of connections that are another one's (`inherited`), who else
//! has its heap (`heap`), and which descriptors it has for all of that (`inventory`). A restart that has not begun is a
//! `preparation`, how it is undone is `handback`, its own end is `leave`, and a `question` is what an operator waits for. Does nothing by itself.

mod arrivals;
mod asked;
mod handback;
mod heap;
mod inherited;
mod inventory;
mod leave;
mod other;
mod preparation;
mod question;
mod succession;

pub(crate) use self::handback::Handback;
pub(in crate::turn) use self::{
    arrivals::Arrivals, inherited::Inherited, preparation::Preparation, question::Question,
};
pub(crate) use self::{
    asked::{Asked, AtMax, Trigger},
    other::Generation,
    succession::Succession,
};
