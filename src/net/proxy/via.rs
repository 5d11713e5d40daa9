//! What a proxy has said of a connection, as it is kept.

use std::net::SocketAddr;

use crate::net::stream::Peer;

/// The proxy through which a client has come, and what it has said beside the client's address, which is
/// [`Connection::peer`](crate::Connection::peer).
///
/// ```
/// # use heirloom::{Connection, Via};
/// /// The name that the client has asked for in its TLS handshake with the proxy.
/// fn host<'c>(conn: &'c Connection<'_>) -> Option<&'c str> {
///     conn.via().and_then(Via::authority)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    pub(crate) proxy: Peer,
    pub(crate) destination: Option<SocketAddr>,
    pub(crate) tlvs: Box<[u8]>,
}

impl Via {
    /// `PP2_TYPE_ALPN`: the protocol above TLS that was agreed on.
    pub const ALPN: u8 = 0x01;
    /// `PP2_TYPE_AUTHORITY`: the host name that the client has asked for.
    pub const AUTHORITY: u8 = 0x02;
    /// `PP2_TYPE_UNIQUE_ID`: what the proxy calls the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// `PP2_TYPE_SSL`: of the TLS session, with fields of its own.
    pub const SSL: u8 = 0x20;

    /// Who has connected: the proxy's own address.
    pub fn proxy(&self) -> &Peer {
        &self.proxy
    }

    /// Where the client has connected to, at the proxy. `None` where the connection is the proxy's own, to see whether we are
    /// there, and where it has not said.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.destination
    }

    /// The first field of this type in a header of version 2, as it came: the specification says what is in it, and the proxy
    /// is to be believed. A checksum (`PP2_TYPE_CRC32C`) is not looked at.
    ///
    /// ```
    /// # use heirloom::Via;
    /// /// Whether the client speaks TLS with the proxy (`PP2_CLIENT_SSL`).
    /// fn is_encrypted(via: &Via) -> bool {
    ///     via.field(Via::SSL).and_then(|ssl| ssl.first()).is_some_and(|client| client & 1 == 1)
    /// }
    /// ```
    pub fn field(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.tlvs[..];
        while let Some((&[this, high, low], after)) = rest.split_first_chunk::<3>() {
            let (value, next) = after.split_at_checked(u16::from_be_bytes([high, low]).into())?;
            if this == kind {
                return Some(value);
            }
            rest = next;
        }
        None
    }

    /// The host name that the client has asked for ([`AUTHORITY`](Self::AUTHORITY)), if it is text.
    pub fn authority(&self) -> Option<&str> {
        std::str::from_utf8(self.field(Via::AUTHORITY)?).ok()
    }

    /// What the proxy calls the connection in its log ([`UNIQUE_ID`](Self::UNIQUE_ID)).
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.field(Via::UNIQUE_ID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn via(tlvs: &[u8]) -> Via {
        Via { proxy: Peer::Unknown, destination: None, tlvs: tlvs.into() }
    }

    #[test]
    fn a_field_is_found_wherever_it_stands() {
        let via = via(b"\x04\0\0\x02\0\x03a.b\x05\0\x02\xff\0\x02\0\x01z\xe0\0\x09cut");
        assert_eq!(via.field(0x04), Some(&b""[..]));
        assert_eq!((via.authority(), via.unique_id()), (Some("a.b"), Some(&b"\xff\0"[..])));
        assert_eq!((via.field(0xe0), via.field(0x01)), (None, None));
    }

    proptest! {
        #[test]
        fn random_fields_do_no_harm(tlvs in proptest::collection::vec(any::<u8>(), 0..64), kind: u8) {
            let _ = (via(&tlvs).field(kind), via(&tlvs).authority());
        }
    }
}
