//! Datagrams: UDP and Unix datagram sockets, and whose a datagram is while generations change places.
//!
//! [`Server::datagrams("0.0.0.0:5353")`](crate::Server::datagrams) reads UDP, `"unix:/run/x"` a Unix datagram
//! socket. Each datagram goes to [`Service::on_datagram`](crate::Service::on_datagram), and
//! [`Net::send_to`](crate::Net::send_to) answers:
//!
//! ```
//! use heirloom::{DatagramPeer, Net, SocketId};
//! # use heirloom::{Connection, Origin, Result, Service};
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//!
//! fn on_datagram(&mut self, net: &mut Net, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
//!     net.send_to(socket, from, bytes);
//! }
//! # }
//! ```
//!
//! A socket on a wildcard such as `0.0.0.0` knows which address of the machine was asked
//! ([`DatagramPeer::UdpVia`](crate::DatagramPeer::UdpVia)), and the answer leaves from there: a client that is
//! connected, and many a firewall, take no other.
//!
//! # Through a restart
//!
//! A restart loses none that is in the socket's buffer, and no two generations handle the same one: the
//! socket is the same, and the old process stops reading before the new one begins.
//!
//! Where a protocol has flows, [`Service::generation_of`](crate::Service::generation_of) says by a datagram's
//! own bytes whose it is. The newest generation forwards it to the one that has the flow, which answers by
//! the shared socket and stays until its flows are over. The `flows` example does that:
//!
//! ```sh
//! cargo run --release --example flows -- --datagrams 127.0.0.1:7784
//! nc -u 127.0.0.1 7784    # then: new 1 hello
//! ```
//!
//! A new program may spell the address otherwise; it is the same socket. It may not ask for `0.0.0.0:53` where
//! the old one has `127.0.0.1:53`, or the other way round: that takes a stop and a start. (Streams may: see
//! [`listen`](crate::Server::listen).)
//!
//! # Where they are lost
//!
//! Where they always may be: in the network, in a buffer that is full (the kernel's, or one of ours among the
//! [limits](super::limits_and_defaults), where it is counted). A Unix peer that does not read loses what its
//! queue does not take (`net.unix.max_dgram_qlen`, often 10).
//!
//! Next: [sockets](super::sockets).
