//! Datagram sockets: one (`socket`), what is read and sent of it at a time (`batch`), and the names of
//! those who send (`peer`), with the address that they have asked (`packet_info`). Knows no epoll set, no service and no other generation.

mod batch;
mod packet_info;
mod peer;
mod socket;

pub(crate) use batch::DatagramInbox;
pub use peer::{DatagramPeer, SocketId};
pub(crate) use socket::{Carrier, Datagrams, name_of};
