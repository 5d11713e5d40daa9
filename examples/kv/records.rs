//! A stream of records of any length, without one that holds them all: frames of some 32 KiB with whole
//! records in them, and an empty frame at the end. Pure but for the stream; knows no record.
//!
//! ```text
//! stream = frame*  0 u32
//! frame  = length u32  record+         (length little-endian, records by postcard)
//! ```
//!
//! Records could go to the stream without frames. But postcard reads from a slice in a third of the time, and a
//! record that is cut off is found by the length in front of it, whatever it announces by itself.

use std::io::{self, BufRead, Read, Write};

use heirloom::{Error, Result};
use serde::{Deserialize, Serialize};

/// A frame is complete when it has so many bytes; the last record may add any number.
const FRAME: usize = 32 * 1024;

/// In front of each frame.
const LENGTH: usize = size_of::<u32>();

pub struct Writer<'a> {
    out: &'a mut dyn Write,
    /// Room for its length, and the records.
    frame: Vec<u8>,
}

impl Writer<'_> {
    pub fn new(out: &mut dyn Write) -> Writer<'_> {
        Writer { out, frame: vec![0; LENGTH] }
    }

    pub fn put(&mut self, record: &impl Serialize) -> Result {
        postcard::to_io(record, &mut self.frame).map_err(Error::other)?;
        if self.frame.len() >= FRAME { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result {
        let length = u32::try_from(self.frame.len() - LENGTH).map_err(Error::other)?;
        self.frame[..LENGTH].copy_from_slice(&length.to_le_bytes());
        self.out.write_all(&self.frame)?;
        self.frame.truncate(LENGTH);
        Ok(())
    }

    /// That was all.
    pub fn end(mut self) -> Result {
        if self.frame.len() > LENGTH {
            self.send()?;
        }
        self.send()
    }
}

pub struct Reader<'a> {
    from: &'a mut dyn BufRead,
    frame: Vec<u8>,
    /// How much of the frame is read.
    taken: usize,
    is_over: bool,
}

impl Reader<'_> {
    pub fn new(from: &mut dyn BufRead) -> Reader<'_> {
        Reader { from, frame: Vec::new(), taken: 0, is_over: false }
    }

    /// The next record, or that there is none.
    pub fn next<'b, T: Deserialize<'b>>(&'b mut self) -> Result<Option<T>> {
        if self.taken == self.frame.len() && !self.is_over {
            self.next_frame()?;
        }
        if self.is_over {
            return Ok(None);
        }
        let rest = &self.frame[self.taken..];
        let (record, rest) = postcard::take_from_bytes(rest).map_err(Error::other)?;
        self.taken = self.frame.len() - rest.len();
        Ok(Some(record))
    }

    /// The next record, which must be there.
    pub fn expect<'b, T: Deserialize<'b>>(&'b mut self) -> Result<T> {
        self.next()?.ok_or_else(|| "ends too early".into())
    }

    /// Bytes of memory that it has.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.frame.capacity()
    }

    /// Takes no more memory than what has come, whatever the length says.
    fn next_frame(&mut self) -> Result {
        let mut length = [0; LENGTH];
        self.from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        self.frame.clear();
        self.frame.shrink_to(2 * FRAME);
        self.taken = 0;
        self.is_over = length == 0;
        (&mut *self.from).take(length as u64).read_to_end(&mut self.frame)?;
        if self.frame.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}
