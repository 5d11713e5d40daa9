//! A port at which nobody listens for as long as it is held: one that was let go of is soon another test's.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};

/// Bound, so that no other is given the number, not even a client: one that is given the number that it connects to
/// talks to itself (RFC 9293, 3.5, "simultaneous open").
pub struct DeadPort {
    pub address: SocketAddr,
    _bound: OwnedFd,
}

impl DeadPort {
    pub fn new() -> DeadPort {
        let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let bound = bound.expect("a socket");
        bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a free port");
        let address: SockaddrIn = getsockname(bound.as_raw_fd()).expect("its address");
        DeadPort { address: SocketAddr::V4(address.into()), _bound: bound }
    }
}
