//! Sockets that clients come to. `listener` is one of them, inherited or bound (`bind`); `claim` finds those
//! that a name stands for, `kind` what they are for, `spec` is what an author says of them, `setup` tells the kernel, and `permissions`
//! say who may connect to a path; `copies` are for several processes at one address. Knows no connection and no epoll set.

mod bind;
mod claim;
mod copies;
mod kept;
mod kind;
mod listener;
mod permissions;
mod setup;
mod spec;

pub(crate) use claim::obtain;
pub(crate) use kept::kept;
#[cfg(feature = "metrics")]
pub(crate) use kind::METRICS;
#[cfg(feature = "health")]
pub(crate) use kind::MONITOR;
pub(crate) use kind::{AGENT, CONTROL, DATAGRAMS};
pub(crate) use listener::{BY_NAME, Listener};
pub use permissions::SocketPermissions;
pub use spec::Listen;
pub(crate) use spec::ListenOptions;
