//! Sockets that clients come to. `listener` is one of them, inherited or bound (`bind`); `claim` finds those
//! that a name stands for, and `permissions` say who may connect to a path. Knows no connection and no
//! epoll set.

mod bind;
mod claim;
mod listener;
mod permissions;

pub(crate) use claim::obtain;
pub(crate) use listener::{BY_NAME, CONTROL, DATAGRAMS, Listener};
pub use permissions::SocketPermissions;
