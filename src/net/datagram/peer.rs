//! Names of datagram sockets and of those who send to them, in memory, for the kernel and for the link.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use nix::sys::socket::{SockaddrLike, SockaddrStorage, UnixAddr};

/// Names a datagram socket: they are numbered from 0, in the order in which
/// [`Server::datagrams`](crate::Server::datagrams) was called.
///
/// ```
/// use heirloom::SocketId;
///
/// const DNS: SocketId = SocketId(0);
/// const STATISTICS: SocketId = SocketId(1); // what was asked for second
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SocketId(pub usize);

/// Who has sent a datagram, and where an answer goes. Its `Display` is what the log says.
///
/// Nobody vouches for it: an address of UDP can be forged, so a service that sends more than it
/// got helps to flood somebody else.
///
/// With the feature `serde` it can be written down; a path that is not UTF-8 is an error of the codec then.
///
/// ```
/// use heirloom::DatagramPeer;
///
/// let peer = DatagramPeer::Udp(([127, 0, 0, 1], 4711).into());
/// assert_eq!(peer.to_string(), "127.0.0.1:4711");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DatagramPeer {
    /// An address of UDP.
    Udp(SocketAddr),
    /// The same, where the socket is bound to a wildcard such as `0.0.0.0`: an answer leaves from the address
    /// that was asked, since a client takes no other. To send to `peer` from any address, say
    /// [`Udp`](Self::Udp).
    UdpVia {
        /// Who has sent it.
        peer: SocketAddr,
        /// The address of this machine to which it was sent.
        local: IpAddr,
    },
    /// The path that a Unix socket is bound to.
    Unix(PathBuf),
    /// A Unix socket in the abstract name space (see `unix(7)`).
    Abstract(Vec<u8>),
    /// A Unix socket that is not bound: it can send, and cannot be answered.
    Unnamed,
    /// A peer of a test, by number.
    Memory(usize),
}

impl DatagramPeer {
    /// The address of UDP, whichever of ours it has asked.
    ///
    /// ```
    /// # use heirloom::DatagramPeer;
    /// fn is_near(from: &DatagramPeer) -> bool {
    ///     from.udp().is_some_and(|address| address.ip().is_loopback())
    /// }
    /// ```
    pub fn udp(&self) -> Option<SocketAddr> {
        match self {
            DatagramPeer::Udp(peer) | DatagramPeer::UdpVia { peer, .. } => Some(*peer),
            _ => None,
        }
    }

    /// From where an answer is to leave, if it matters.
    pub(super) fn local(&self) -> Option<IpAddr> {
        match self {
            DatagramPeer::UdpVia { local, .. } => Some(*local),
            _ => None,
        }
    }

    /// The peer, when it is known which address it has asked.
    pub(super) fn via(self, asked: Option<IpAddr>) -> DatagramPeer {
        match (self, asked) {
            (DatagramPeer::Udp(peer), Some(local)) => DatagramPeer::UdpVia { peer, local },
            (other, _) => other,
        }
    }

    /// For the link to another generation: a letter for the kind, and the rest.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            DatagramPeer::Udp(address) => [b"u", address.to_string().as_bytes()].concat(),
            DatagramPeer::UdpVia { peer, local } => format!("v{local} {peer}").into_bytes(),
            DatagramPeer::Unix(path) => [b"p", path.as_os_str().as_bytes()].concat(),
            DatagramPeer::Abstract(name) => [b"a", name.as_slice()].concat(),
            DatagramPeer::Unnamed => b"-".to_vec(),
            DatagramPeer::Memory(number) => [b"m", number.to_string().as_bytes()].concat(),
        }
    }

    /// What [`to_bytes`](Self::to_bytes) wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<DatagramPeer> {
        let (kind, rest) = bytes.split_first()?;
        let text = || std::str::from_utf8(rest).ok();
        Some(match kind {
            b'u' => DatagramPeer::Udp(text()?.parse().ok()?),
            b'v' => {
                let (local, peer) = text()?.split_once(' ')?;
                DatagramPeer::UdpVia { peer: peer.parse().ok()?, local: local.parse().ok()? }
            }
            b'p' => DatagramPeer::Unix(Path::new(std::ffi::OsStr::from_bytes(rest)).to_owned()),
            b'a' => DatagramPeer::Abstract(rest.to_vec()),
            b'-' => DatagramPeer::Unnamed,
            b'm' => DatagramPeer::Memory(text()?.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for DatagramPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatagramPeer::Udp(peer) | DatagramPeer::UdpVia { peer, .. } => peer.fmt(f),
            DatagramPeer::Unix(path) => write!(f, "unix:{}", path.display()),
            DatagramPeer::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            DatagramPeer::Unnamed => f.write_str("unix:unnamed"),
            DatagramPeer::Memory(number) => write!(f, "memory:{number}"),
        }
    }
}

/// How the kernel writes down the peers of one kind of socket.
pub(crate) trait Form: SockaddrLike + Copy {
    /// Who it is.
    fn read(&self) -> DatagramPeer;

    /// `None` for a peer that cannot be written to by this kind of socket.
    fn write(peer: &DatagramPeer) -> Option<Self>;
}

/// UDP, of either version.
impl Form for SockaddrStorage {
    fn read(&self) -> DatagramPeer {
        if let Some(address) = self.as_sockaddr_in() {
            return DatagramPeer::Udp(SocketAddrV4::from(*address).into());
        }
        let address = self.as_sockaddr_in6();
        address
            .map_or(DatagramPeer::Unnamed, |it| DatagramPeer::Udp(SocketAddrV6::from(*it).into()))
    }

    fn write(peer: &DatagramPeer) -> Option<SockaddrStorage> {
        peer.udp().map(SockaddrStorage::from)
    }
}

/// What an address without a name has: its family, if that.
const UNNAMED: u32 = size_of::<libc::sa_family_t>() as u32;

impl Form for UnixAddr {
    fn read(&self) -> DatagramPeer {
        if self.len() <= UNNAMED {
            return DatagramPeer::Unnamed; // and must not be asked for more
        }
        match (self.path(), self.as_abstract()) {
            (Some(path), _) => DatagramPeer::Unix(path.to_owned()),
            (None, Some(name)) => DatagramPeer::Abstract(name.to_vec()),
            (None, None) => DatagramPeer::Unnamed,
        }
    }

    fn write(peer: &DatagramPeer) -> Option<UnixAddr> {
        match peer {
            DatagramPeer::Unix(path) => UnixAddr::new(path).ok(),
            DatagramPeer::Abstract(name) => UnixAddr::new_abstract(name).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_comes_back_from_the_link_and_from_the_kernel() {
        let udp: [SocketAddr; 2] = [([127, 0, 0, 1], 80).into(), "[fe80::1%3]:80".parse().unwrap()];
        let unix = [DatagramPeer::Unix("/run/x".into()), DatagramPeer::Abstract(b"x\0y".to_vec())];
        for peer in udp.map(DatagramPeer::Udp).iter().chain(&unix) {
            assert_eq!(DatagramPeer::from_bytes(&peer.to_bytes()).as_ref(), Some(peer));
            let read = match peer {
                DatagramPeer::Udp(_) => SockaddrStorage::write(peer).unwrap().read(),
                _ => UnixAddr::write(peer).unwrap().read(),
            };
            assert_eq!(&read, peer);
        }
        for (local, peer) in [("127.0.0.2", "127.0.0.1:80"), ("::1", "[::1]:80")] {
            let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
            let via = DatagramPeer::Udp(peer).via(Some(local));
            assert_eq!(DatagramPeer::from_bytes(&via.to_bytes()), Some(via.clone()));
            assert_eq!((via.udp(), via.local()), (Some(peer), Some(local)));
            assert_eq!(via.to_string(), peer.to_string());
        }
        for malformed in [
            &b""[..],
            b"x",
            b"u127.0.0.1",
            b"m-1",
            b"u\xff",
            b"v::1",
            b"v::1 ::1",
            b"v127.0.0.1:80",
        ] {
            assert_eq!(DatagramPeer::from_bytes(malformed), None);
        }
        assert_eq!(UnixAddr::new_unnamed().read(), DatagramPeer::Unnamed);
    }
}
