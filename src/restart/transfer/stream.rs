//! What a service saves, as a stream of frames: of any length, and whole or an error. Pure: it writes to
//! and reads from whatever it is given, and holds no more than one piece.
//!
//! ```text
//! stream = magic "hrls"  version u16  zero u16  piece*  (end | error)
//! frame  = kind u8  zero [u8; 3]  length u32  offset u64  bytes        (numbers are little-endian)
//! ```
//!
//! A frame says how many bytes came before it, so one that is missing or comes twice is found out. `end` has no
//! bytes and says how many there were; `error` has the words of whoever could not go on. Behind either of them
//! nothing follows.

use std::io::{self, BufRead, ErrorKind, Read, Write};

/// No frame has more bytes: what is on its way is a pipe and two of these.
pub(crate) const PIECE: usize = 64 * 1024;

const MAGIC: [u8; 4] = *b"hrls";
/// Raised when a reader could not make sense of it any more.
const VERSION: u16 = 1;

/// Of a frame, before its bytes.
const HEAD: usize = 16;

const BYTES: u8 = 1;
const END: u8 = 2;
const ERROR: u8 = 3;

/// Writes a stream to `out`.
pub(crate) struct Writer<W> {
    out: W,
    /// A frame in the making: room for its head, then its bytes.
    frame: Vec<u8>,
    /// Bytes in the frames before it.
    offset: u64,
}

impl<W: Write> Writer<W> {
    pub fn begin(mut out: W) -> io::Result<Writer<W>> {
        let mut head = [0; 8];
        head[..4].copy_from_slice(&MAGIC);
        head[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out.write_all(&head)?;
        let mut frame = Vec::with_capacity(HEAD + PIECE);
        frame.resize(HEAD, 0);
        Ok(Writer { out, frame, offset: 0 })
    }

    /// That was all. Answers where it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.send(END)?;
        Ok(self.out)
    }

    /// There is more, and it will not come, for this reason.
    pub fn fail(mut self, reason: &str) -> io::Result<()> {
        self.flush()?;
        let cut = reason.floor_char_boundary(PIECE);
        self.frame.extend_from_slice(&reason.as_bytes()[..cut]);
        self.send(ERROR)
    }

    fn send(&mut self, kind: u8) -> io::Result<()> {
        let length = self.frame.len() - HEAD;
        self.frame[0] = kind;
        self.frame[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        self.frame[8..16].copy_from_slice(&self.offset.to_le_bytes());
        self.out.write_all(&self.frame)?;
        self.offset += length as u64;
        self.frame.truncate(HEAD);
        Ok(())
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.frame.len() == HEAD + PIECE {
            self.send(BYTES)?;
        }
        let count = bytes.len().min(HEAD + PIECE - self.frame.len());
        self.frame.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes)?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.len() > HEAD { self.send(BYTES) } else { Ok(()) }
    }
}

/// Reads a stream from `input`. It ends where the stream does, or with an error, which comes again however often
/// it is asked.
pub(crate) struct Reader<R> {
    input: R,
    piece: Box<[u8]>,
    /// What of it is still to be read.
    from: usize,
    to: usize,
    /// Bytes in the frames so far.
    offset: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Begins,
    Goes,
    Ended,
    Failed(ErrorKind, String),
}

impl<R: Read> Reader<R> {
    pub fn of(input: R) -> Reader<R> {
        let piece = vec![0; PIECE].into_boxed_slice();
        Reader { input, piece, from: 0, to: 0, offset: 0, state: State::Begins }
    }

    /// Whether there is nothing in it at all. Waits for the first of it.
    pub fn is_empty(&mut self) -> io::Result<bool> {
        self.fill_buf().map(<[u8]>::is_empty)
    }

    /// What was wrong with the stream, if something was: whoever reads it may have told it in other words.
    pub fn failure(&self) -> Option<&str> {
        match &self.state {
            State::Failed(_, why) => Some(why),
            _ => None,
        }
    }

    /// It was read. Answers how many bytes there were.
    ///
    /// # Errors
    /// When some of it is unread, or more follows its end.
    pub fn finish(&mut self) -> io::Result<u64> {
        let unread = self.fill_buf()?.len() as u64;
        if unread > 0 {
            let read = self.offset - unread;
            let why = format!("the rest of the state, from byte {read} on, was left unread");
            return self.fail(ErrorKind::InvalidData, why);
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(self.offset),
            Ok(_) => self.fail(ErrorKind::InvalidData, "state: more follows its end".into()),
            Err(e) => self.fail(e.kind(), format!("state: {e}")),
        }
    }

    fn fail<T>(&mut self, kind: ErrorKind, why: String) -> io::Result<T> {
        self.state = State::Failed(kind, why.clone());
        Err(io::Error::new(kind, why))
    }

    /// Fills `bytes`, or says where the stream was cut off.
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e) => self.broken(e),
        }
    }

    fn broken<T>(&mut self, e: io::Error) -> io::Result<T> {
        let why = match e.kind() {
            ErrorKind::UnexpectedEof => format!("state: cut off after {} bytes", self.offset),
            _ => format!("state: {e}, after {} bytes", self.offset),
        };
        self.fail(e.kind(), why)
    }

    fn next_frame(&mut self) -> io::Result<()> {
        let invalid = ErrorKind::InvalidData;
        if self.state == State::Begins {
            let head: [u8; 8] = self.take()?;
            let version = u16::from_le_bytes([head[4], head[5]]);
            if head[..4] != MAGIC {
                return self.fail(invalid, "state: this is none".into());
            }
            if version != VERSION {
                let why = format!("state: sent in version {version}, this program reads {VERSION}");
                return self.fail(invalid, why);
            }
            self.state = State::Goes;
        }
        let head: [u8; HEAD] = self.take()?;
        let (lengths, offset) = head.split_at(8);
        let length = u32::from_le_bytes(lengths[4..].try_into().unwrap_or_default()) as usize;
        let offset = u64::from_le_bytes(offset.try_into().unwrap_or_default());
        if offset != self.offset {
            let why = format!("state: byte {} was to come, and byte {offset} has", self.offset);
            return self.fail(invalid, why);
        }
        if length > PIECE || (head[0] == END && length > 0) {
            let why = format!("state: a piece of {length} bytes at byte {offset} is too long");
            return self.fail(invalid, why);
        }
        if let Err(e) = self.input.read_exact(&mut self.piece[..length]) {
            return self.broken(e);
        }
        match head[0] {
            BYTES => {
                (self.from, self.to) = (0, length);
                self.offset += length as u64;
                Ok(())
            }
            END => {
                self.state = State::Ended;
                Ok(())
            }
            ERROR => {
                let why = String::from_utf8_lossy(&self.piece[..length]).into_owned();
                self.fail(ErrorKind::Other, why)
            }
            kind => self.fail(invalid, format!("state: a frame of kind {kind} at byte {offset}")),
        }
    }
}

impl<R: Read> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.from == self.to {
            match &self.state {
                State::Ended => break,
                State::Failed(kind, why) => return Err(io::Error::new(*kind, why.clone())),
                State::Begins | State::Goes => self.next_frame()?,
            }
        }
        Ok(&self.piece[self.from..self.to])
    }

    fn consume(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(bytes.len());
        bytes[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
