//! Work that is no connection, as data: alarms, holds, work in pieces, mail from other threads, and
//! when to try again. Each says how it behaves in a restart; [`Net`](crate::Net) lends them to
//! callbacks. Knows no socket, no service and no other process; time is an argument.
//!
//! Read `alarms` first: what goes from process to process. `holds` and `deferred` stay where they
//! are, like `mailbox`; `backoff` is a calculation.

mod alarms;
mod backoff;
mod deferred;
mod holds;
mod mailbox;

pub use self::{
    alarms::{Alarm, PendingAlarm},
    backoff::Backoff,
    deferred::Deferred,
    holds::Hold,
    mailbox::{Inbox, Mailbox, TrySendError, mailbox},
};
pub(crate) use self::{
    alarms::{AlarmChange, Alarms},
    deferred::DeferredQueue,
    holds::Holds,
};
