//! Work that is no connection, as data: alarms, holds, work in pieces, mail from other threads, words from other
//! generations, and when to try again. Each says how it behaves in a restart; [`Net`](crate::Net) lends them to
//! callbacks. Knows no socket and no service, and other processes by their numbers alone; time is an argument.
//!
//! Read `alarms` first: what goes from process to process. `holds` and `deferred` stay where they
//! are, like `mailbox` and `words`; `backoff` is a calculation.

mod alarms;
mod backoff;
mod deferred;
mod holds;
mod mailbox;
mod words;

pub use self::{
    alarms::{Alarm, PendingAlarm},
    backoff::Backoff,
    deferred::Deferred,
    holds::Hold,
    mailbox::{Inbox, Mailbox, TrySendError, mailbox},
    words::{OtherGeneration, TellError},
};
pub(crate) use self::{
    alarms::{AlarmChange, Alarms},
    deferred::DeferredQueue,
    holds::Holds,
    mailbox::Mailboxes,
    words::{Batch, Heard, Words},
};
