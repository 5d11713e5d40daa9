//! Sockets that clients come to: bound (`bind`), or inherited and given a name (`listener`). Knows no
//! connection and no epoll set.

mod bind;
mod listener;

pub(crate) use listener::{BY_NAME, CONTROL, DATAGRAMS, Listener};
