//! Sockets, from one byte stream up to all that a process has. Knows no [`Service`](crate::Service), no
//! restart and no other process.
//!
//! In reading order, each knowing only those before it: `id`, `reason`, `leaving`, `address`, `destination` and `watch` are names and values,
//! `caller` who comes by a listener, `standing` what some of them are told, `sockopt`, `keep_alive` and `options` what the kernel is told of a socket; `stream` is one byte stream, `proxy` what a
//! proxy says of one, `listen` where clients come to, `datagram` a socket without connections, `conn` one connection
//! as data, `resolver` dials to names; `reactor` has [`Net`], which holds all of them and does the I/O.

mod address;
mod caller;
mod conn;
mod datagram;
mod destination;
mod id;
mod keep_alive;
mod leaving;
mod listen;
mod options;
mod proxy;
mod reactor;
mod reason;
#[cfg_attr(not(feature = "names"), path = "no_resolver.rs")]
mod resolver;
mod sockopt;
mod standing;
pub(crate) mod stream;
mod watch;

#[cfg(feature = "metrics")]
pub(crate) use self::listen::METRICS;
#[cfg(feature = "health")]
pub(crate) use self::listen::MONITOR;
pub(crate) use self::{
    address::Address,
    caller::Caller,
    conn::{CameBy, ConnState, Flags, Phase, Sessions, Slots, Watched},
    datagram::{DatagramInbox, Datagrams, name_of},
    destination::{Destination, NamedDial},
    id::Source,
    listen::{AGENT, BY_NAME, CONTROL, ListenOptions, Listener, kept, obtain},
    proxy::read as read_header,
    reactor::{Deadline, Expired, Request},
    stream::{Secure, Stream},
};
pub use self::{
    datagram::{DatagramPeer, SocketId},
    id::{ConnId, Timer},
    keep_alive::KeepAlive,
    leaving::{LeaveReason, Leaving},
    listen::{Listen, SocketPermissions},
    options::SocketOptions,
    proxy::{ProxyProtocol, Via},
    reactor::{Connection, Net},
    reason::{Origin, Reason},
    stream::Peer,
    watch::{Interest, Readiness, Watch},
};
