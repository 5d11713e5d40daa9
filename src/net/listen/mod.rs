//! Sockets that clients come to. `listener` is one of them, inherited or bound (`bind`); `claim` finds those
//! that a name stands for, `listen` is what an author says of them, `setup` tells the kernel, and `permissions`
//! say who may connect to a path. Knows no connection and no epoll set.

mod bind;
mod claim;
mod listen;
mod listener;
mod permissions;
mod setup;

pub(crate) use claim::obtain;
pub use listen::Listen;
pub(crate) use listen::ListenOptions;
pub(crate) use listener::{BY_NAME, CONTROL, DATAGRAMS, Listener};
pub use permissions::SocketPermissions;
