//! Which of this machine's addresses a datagram was sent to, where a socket is bound to all of them, and from
//! which one an answer leaves. See `ip(7)` and `ipv6(7)`.
//!
//! Without it the system takes the address that it would take for any datagram to that peer. A client that has
//! asked another one drops the answer: it is from somebody whom it has not asked.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};

use nix::{
    cmsg_space,
    libc::{in_pktinfo, in6_pktinfo},
    sys::socket::{ControlMessage, ControlMessageOwned, setsockopt, sockopt},
};

/// Asks for it, if `bound` is a wildcard. `false`: every datagram is for the one address that the socket has.
pub(super) fn ask_for(socket: &impl AsFd, bound: SocketAddr) -> io::Result<bool> {
    if !bound.ip().is_unspecified() {
        return Ok(false);
    }
    // What comes by IPv4 to a socket of both is told in the form of IPv4 as well, which knows better: for
    // a broadcast it has the address of the interface.
    setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    if bound.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(true)
}

/// Room for what comes along with one datagram.
pub(super) fn room_to_receive() -> Vec<u8> {
    cmsg_space!(in_pktinfo, in6_pktinfo)
}

/// The address that was asked. `None`: the system may choose, because nobody said, or because it was a
/// group's.
pub(super) fn asked(messages: impl Iterator<Item = ControlMessageOwned>) -> Option<IpAddr> {
    let mut found = None;
    for message in messages {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                found = Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                found = found.or(Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical()));
            }
            _ => {}
        }
    }
    found.filter(|ip| !ip.is_unspecified() && !ip.is_multicast())
}

/// From where datagrams to `peer` are to leave.
pub(super) enum Source {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl Source {
    pub fn new(local: IpAddr, peer: Option<SocketAddr>) -> Source {
        match local {
            IpAddr::V4(ip) => {
                let spec_dst = nix::libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let any = nix::libc::in_addr { s_addr: 0 };
                Source::V4(in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: any })
            }
            IpAddr::V6(ip) => {
                // A link-local address is one of a network.
                let scope = match peer {
                    Some(SocketAddr::V6(peer)) => peer.scope_id(),
                    _ => 0,
                };
                let address = nix::libc::in6_addr { s6_addr: ip.octets() };
                Source::V6(in6_pktinfo { ipi6_addr: address, ipi6_ifindex: scope })
            }
        }
    }

    /// Exactly the room that it takes: the kernel reads all of it.
    pub fn room(&self) -> Vec<u8> {
        match self {
            Source::V4(_) => cmsg_space!(in_pktinfo),
            Source::V6(_) => cmsg_space!(in6_pktinfo),
        }
    }

    pub fn message(&self) -> ControlMessage<'_> {
        match self {
            Source::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Source::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(spec_dst: [u8; 4]) -> ControlMessageOwned {
        let Source::V4(info) = Source::new(IpAddr::from(spec_dst), None) else { panic!("IPv4") };
        ControlMessageOwned::Ipv4PacketInfo(info)
    }

    fn v6(address: &str) -> ControlMessageOwned {
        let address = address.parse().expect("an address");
        let Source::V6(info) = Source::new(address, None) else { panic!("IPv6") };
        ControlMessageOwned::Ipv6PacketInfo(info)
    }

    #[test]
    fn an_answer_leaves_from_an_address_of_one_host_or_from_any() {
        let asked = |messages: Vec<_>| asked(messages.into_iter()).map(|ip| ip.to_string());
        assert_eq!(asked(vec![v4([127, 0, 0, 2])]).as_deref(), Some("127.0.0.2"));
        assert_eq!(asked(vec![v6("::1")]).as_deref(), Some("::1"));
        // A broadcast by IPv4, to a socket of both.
        let both = [v4([192, 0, 2, 1]), v6("::ffff:192.0.2.255")];
        for messages in [both.to_vec(), both.iter().rev().cloned().collect()] {
            assert_eq!(asked(messages).as_deref(), Some("192.0.2.1"));
        }
        assert_eq!(asked(vec![v6("::ffff:192.0.2.7")]).as_deref(), Some("192.0.2.7"));
        for nobody in [vec![], vec![v6("ff02::fb")], vec![v4([0; 4])], vec![v4([224, 0, 0, 251])]] {
            assert_eq!(asked(nobody), None);
        }
    }
}
