//! Who is at the other end of a connection.

use std::{fmt, net::SocketAddr};

/// Who is at the other end of a connection. Its `Display` is what the log says.
///
/// ```
/// use heirloom::Peer;
///
/// let peer = Peer::Tcp(([127, 0, 0, 1], 4711).into());
/// assert_eq!(peer.to_string(), "127.0.0.1:4711");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The process that connected (or listens) on a Unix socket, as the kernel vouches for it
    /// (`SO_PEERCRED`, see `unix(7)`).
    Unix {
        /// Process id.
        pid: i32,
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
    /// A peer of a test, by number.
    Memory(usize),
    /// The peer was gone before it could be asked for.
    Unknown,
}

impl Peer {
    /// For a record: as it is displayed.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// What [`to_bytes`](Self::to_bytes) wrote, if it is an address. Of others the kernel knows more.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Peer {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        text.parse().map_or(Peer::Unknown, Peer::Tcp)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix { pid, uid, .. } => write!(f, "unix:pid={pid},uid={uid}"),
            Peer::Memory(number) => write!(f, "memory:{number}"),
            Peer::Unknown => f.write_str("unknown"),
        }
    }
}
