//! Sockets, from one byte stream up to all that a process has. Knows no [`Service`](crate::Service), no
//! restart and no other process.
//!
//! In reading order, each knowing only those before it: `id`, `reason`, `address` and `watch` are names and values;
//! `stream` is one byte stream, `listen` where clients come to, `datagram` a socket without
//! connections, `conn` one connection as data; `reactor` has [`Net`], which holds all of them and does
//! the I/O.

mod address;
mod conn;
mod datagram;
mod id;
mod listen;
mod reactor;
mod reason;
pub(crate) mod stream;
mod watch;

pub(crate) use self::{
    address::Address,
    conn::{ConnState, Flags, Phase, Slots},
    datagram::{DatagramInbox, Datagrams, name_of},
    id::Source,
    listen::{BY_NAME, CONTROL, Listener, obtain},
    reactor::{Deadline, Expired, Request},
    stream::Stream,
};
pub use self::{
    datagram::{DatagramPeer, SocketId},
    id::{ConnId, Timer},
    listen::SocketPermissions,
    reactor::{Connection, Net},
    reason::{Origin, Reason},
    stream::Peer,
    watch::{Interest, Readiness, Watch},
};
