//! The header that a proxy puts before the first byte of a client. Where it ends is found out here, so that it has
//! a bound and may come in pieces; what it says is parsed by `ppp`.

use std::net::SocketAddr;

/// What a whole header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The client, and where it has connected to; unless the proxy connects for itself or says nothing of it.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Fields of version 2.
    pub tlvs: Box<[u8]>,
}

#[cfg(feature = "proxy-protocol")]
pub(crate) use reading::read;

/// Nobody can ask for one.
#[cfg(not(feature = "proxy-protocol"))]
pub(crate) fn read(_input: &[u8]) -> Result<Option<(Header, usize)>, &'static str> {
    Err("this program cannot read it")
}

#[cfg(feature = "proxy-protocol")]
mod reading {
    use std::net::SocketAddr;

    use ppp::{v1, v2};

    use super::Header;
    use crate::limits::PROXY_HEADER;

    /// What version 1 begins with.
    const TEXT: &[u8] = b"PROXY ";
    /// No line of version 1 is longer, its end included.
    const TEXT_MAX: usize = 107;
    /// What version 2 begins with; two bytes and the length of the rest follow.
    const BINARY: &[u8] = v2::PROTOCOL_PREFIX;
    const BINARY_HEAD: usize = 16;

    /// The header at the beginning of `input`, and its length; `None` while it is not whole.
    ///
    /// # Errors
    /// When it is none, whatever may follow.
    pub(crate) fn read(input: &[u8]) -> Result<Option<(Header, usize)>, &'static str> {
        if begins(input, BINARY) {
            return read_binary(input);
        }
        match begins(input, TEXT) {
            true => read_text(input),
            false => Err("it begins with something else"),
        }
    }

    /// As far as it has come.
    fn begins(input: &[u8], with: &[u8]) -> bool {
        let both = input.len().min(with.len());
        input[..both] == with[..both]
    }

    fn read_text(input: &[u8]) -> Result<Option<(Header, usize)>, &'static str> {
        let line = &input[..input.len().min(TEXT_MAX)];
        let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
            return if line.len() < TEXT_MAX { Ok(None) } else { Err("its line does not end") };
        };
        // Of bytes: what is made for text cuts characters in two.
        let header = v1::Header::try_from(&line[..end + 2]).map_err(|_| "its line is malformed")?;
        let addresses: Option<(SocketAddr, SocketAddr)> = match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(it) => Some((
                (it.source_address, it.source_port).into(),
                (it.destination_address, it.destination_port).into(),
            )),
            v1::Addresses::Tcp6(it) => Some((
                (it.source_address, it.source_port).into(),
                (it.destination_address, it.destination_port).into(),
            )),
        };
        Ok(Some((Header { addresses, ..Header::default() }, end + 2)))
    }

    fn read_binary(input: &[u8]) -> Result<Option<(Header, usize)>, &'static str> {
        let Some(head) = input.first_chunk::<BINARY_HEAD>() else { return Ok(None) };
        let length = BINARY_HEAD + usize::from(u16::from_be_bytes([head[14], head[15]]));
        if length > PROXY_HEADER {
            return Err("it is too long");
        }
        // What is wrong at its beginning gets no better.
        let header = match v2::Header::try_from(&input[..input.len().min(length)]) {
            Ok(header) => header,
            Err(v2::ParseError::Incomplete(_) | v2::ParseError::Partial(..)) => return Ok(None),
            Err(_) => return Err("it is malformed"),
        };
        if header.command == v2::Command::Local {
            return Ok(Some((Header::default(), length))); // all else in it is to be ignored
        }
        let addresses: Option<(SocketAddr, SocketAddr)> = match header.addresses {
            // Of a datagram there is nothing to be said on a stream, and a path is no address of a peer.
            _ if header.protocol != v2::Protocol::Stream => None,
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            v2::Addresses::IPv4(it) => Some((
                (it.source_address, it.source_port).into(),
                (it.destination_address, it.destination_port).into(),
            )),
            v2::Addresses::IPv6(it) => Some((
                (it.source_address, it.source_port).into(),
                (it.destination_address, it.destination_port).into(),
            )),
        };
        let tlvs = &input[BINARY_HEAD + header.addresses.len()..length];
        Ok(Some((Header { addresses, tlvs: tlvs.into() }, length)))
    }
}

#[cfg(all(test, feature = "proxy-protocol"))]
#[path = "header_tests.rs"]
mod tests;
