//! Sockets, from one byte stream up to all that a process has. Knows no [`Service`](crate::Service), no
//! restart and no other process.
//!
//! In reading order, each knowing only those before it: `id`, `reason`, `address` and `destination` are names;
//! `stream` is one byte stream, `listen` where clients come to, `datagram` a socket without
//! connections, `conn` one connection as data, `resolver` dials to names; `reactor` has [`Net`], which holds all of them and does
//! the I/O.

mod address;
mod conn;
mod datagram;
mod destination;
mod id;
mod listen;
mod reactor;
mod reason;
#[cfg_attr(not(feature = "names"), path = "no_resolver.rs")]
mod resolver;
pub(crate) mod stream;

pub(crate) use self::{
    conn::{ConnState, Flags, Phase, Slots},
    datagram::{DatagramInbox, Datagrams, name_of},
    destination::{Destination, NamedDial},
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
};
