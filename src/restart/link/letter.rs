//! A datagram that one generation has read and another one is to have, as a value and as bytes.

use super::wire::{Fields, Malformed, put};

/// A datagram on its way from generation to generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// The name of the socket that it came by.
    pub socket: String,
    /// Who has sent it, in the form that `net` gives it.
    pub from: Vec<u8>,
    pub bytes: Vec<u8>,
}

const SOCKET: u16 = 1;
const FROM: u16 = 2;
const BYTES: u16 = 3;

/// Each letter is three fields.
pub(super) fn put_letters(out: &mut Vec<u8>, letters: &[Letter]) {
    for letter in letters {
        put(out, SOCKET, letter.socket.as_bytes());
        put(out, FROM, &letter.from);
        put(out, BYTES, &letter.bytes);
    }
}

pub(super) fn letters(fields: Fields<'_>) -> Result<Vec<Letter>, Malformed> {
    let sockets = fields.texts(SOCKET, "socket")?;
    let (from, bytes) = (fields.all(FROM)?, fields.all(BYTES)?);
    if sockets.len() != from.len() || from.len() != bytes.len() {
        return Err(Malformed::Field("letter"));
    }
    let all = sockets.into_iter().zip(from).zip(bytes);
    let letter = |((socket, from), bytes): ((String, &[u8]), &[u8])| Letter {
        socket,
        from: from.to_vec(),
        bytes: bytes.to_vec(),
    };
    Ok(all.map(letter).collect())
}

impl Letter {
    /// What it takes, roughly: an empty one takes memory, too.
    pub fn size(&self) -> usize {
        size_of::<Letter>() + self.socket.len() + self.from.len() + self.bytes.len()
    }
}
