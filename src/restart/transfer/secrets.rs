//! What is secret about the connections of a batch: the keys of those with TLS, in the order of their records, beside
//! which they travel in a [vessel](super::vessel) of their own.
//!
//! ```text
//! secrets = (length u32  keys)*
//! ```

use std::{io, os::fd::OwnedFd, time::Instant};

use super::vessel;

use crate::{
    limits::BATCH_MAX,
    net::{ConnState, Stream},
    tls::{Ticketer, Wiped, wipe_stack},
};

/// Those of a batch, to be sent or as they came.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    all: Wiped,
    /// So much of them was read.
    read: usize,
}

impl Secrets {
    pub fn is_empty(&self) -> bool {
        self.all.bytes().is_empty()
    }

    /// Writes down what a connection's TLS knows: what is secret here, and the rest as is answered. `None`: it has none.
    pub fn write(&mut self, conn: &ConnState) -> Option<Vec<u8>> {
        let tls = conn.stream.secure()?;
        let start = self.all.bytes().len();
        self.all.extend(&[0; 4]);
        let open = tls.write(&mut self.all)?;
        let length = (self.all.bytes().len() - start - 4) as u32;
        self.all.bytes_mut()[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Some(open)
    }

    /// And makes it again: the next one's, if the record says that there is one.
    ///
    /// # Errors
    /// When there is none, or it is none that this program knows.
    pub fn read(&mut self, stream: &mut Stream, tls: Option<&[u8]>) -> Result<(), String> {
        let Some(open) = tls else { return Ok(()) };
        let rest = &self.all.bytes()[self.read..];
        let split = rest.split_first_chunk::<4>();
        let keys =
            split.and_then(|(length, rest)| rest.get(..u32::from_le_bytes(*length) as usize));
        let keys = keys.ok_or("a connection's keys have not come with it")?;
        stream.secure_again(open, keys).map_err(|why| format!("TLS: {why}"))?;
        self.read += 4 + keys.len();
        Ok(())
    }

    /// A descriptor that holds them; `None` where there are none.
    pub fn fill(self) -> io::Result<Option<OwnedFd>> {
        if self.is_empty() { Ok(None) } else { vessel::fill(&self.all).map(Some) }
    }

    /// What such a descriptor holds, which it does not any more then.
    pub fn empty(fd: OwnedFd) -> io::Result<Secrets> {
        Ok(Secrets { all: vessel::empty(fd, BATCH_MAX)?, read: 0 })
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        wipe_stack(); // of those that were made of them
    }
}

/// A descriptor that holds the keys of a ticketer.
pub(crate) fn fill_with_tickets(tickets: &Ticketer, now: Instant) -> io::Result<OwnedFd> {
    let mut keys = Wiped::default();
    tickets.encode(now, &mut keys);
    vessel::fill(&keys)
}

/// Has a ticketer take over the keys that such a descriptor holds.
pub(crate) fn empty_of_tickets(tickets: &Ticketer, now: Instant, fd: OwnedFd) -> io::Result<()> {
    let keys = vessel::empty(fd, BATCH_MAX)?;
    tickets
        .adopt(now, keys.bytes())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
}
