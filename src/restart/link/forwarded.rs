//! A datagram that one generation has read and another one is to have, as a value and as bytes.

use super::wire::{Fields, Malformed, put};

/// A datagram on its way from generation to generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// Where the socket that it came by is bound.
    pub socket: String,
    /// Who has sent it, in the form that `net` gives it.
    pub from: Vec<u8>,
    pub bytes: Vec<u8>,
}

const SOCKET: u16 = 1;
const FROM: u16 = 2;
const BYTES: u16 = 3;

/// Each datagram is three fields.
pub(super) fn put_forwarded(out: &mut Vec<u8>, forwarded: &[Forwarded]) {
    for datagram in forwarded {
        put(out, SOCKET, datagram.socket.as_bytes());
        put(out, FROM, &datagram.from);
        put(out, BYTES, &datagram.bytes);
    }
}

pub(super) fn forwarded(fields: Fields<'_>) -> Result<Vec<Forwarded>, Malformed> {
    let sockets = fields.texts(SOCKET, "socket")?;
    let (from, bytes) = (fields.all(FROM)?, fields.all(BYTES)?);
    if sockets.len() != from.len() || from.len() != bytes.len() {
        return Err(Malformed::Field("datagram"));
    }
    let all = sockets.into_iter().zip(from).zip(bytes);
    let datagram = |((socket, from), bytes): ((String, &[u8]), &[u8])| Forwarded {
        socket,
        from: from.to_vec(),
        bytes: bytes.to_vec(),
    };
    Ok(all.map(datagram).collect())
}

impl Forwarded {
    /// What it takes, roughly: an empty one takes memory, too.
    pub fn size(&self) -> usize {
        size_of::<Forwarded>() + self.socket.len() + self.from.len() + self.bytes.len()
    }
}
