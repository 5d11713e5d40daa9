//! TLS on a stream, whichever that is. Its handshake is gone on with by [`Secure::shake`]; from then on what is read was
//! opened, and what is written is sealed. It knows no socket: who calls it has the stream below.
//!
//! Bytes that the service has queued are sealed when they are written, and stay queued until the socket has taken the
//! whole of their record: marks, caps and a move see what they see of a plain connection. A record that the socket has
//! taken a part of is kept sealed, since no number may seal twice.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice, Read, Write},
};

use rustls::pki_types::ServerName;

use crate::{
    limits::WRITE_BUDGET,
    tls::{Alert, ClientTerms, End, Handshake, Progress, Records, ServerTerms, TlsError, TlsInfo},
};

/// What one record takes, RFC 8446, 5.1.
const RECORD: usize = 1 << 14;

thread_local! {
    /// Records on their way into a socket that takes them at once, as nearly always.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One connection's TLS.
pub(crate) struct Secure {
    pub(super) state: State,
    /// Read, and the start of a record.
    pub(super) partial: Vec<u8>,
    /// Sealed, and not sent.
    pub(super) sealed: Vec<u8>,
    /// How many of the bytes that are written next are in `sealed` already.
    pub(super) promised: usize,
    /// What the peer has ended with, behind all that was read.
    pub(super) end: Option<End>,
    /// There may be more to read.
    pub(super) more: bool,
    /// Bytes have gone out since somebody asked.
    pub(super) has_sent: bool,
    /// What is nobody's output waits for room.
    pub(super) waits: bool,
    /// What comes is thrown away unopened: nobody listens any more.
    pub(super) is_deaf: bool,
}

pub(super) enum State {
    Shaking(Box<Handshake>),
    Open(Box<(Records, TlsInfo)>),
    /// The handshake has failed.
    Failed,
}

/// How far a handshake has come by one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shaken {
    /// The peer has to say something.
    Waits,
    /// The same, and nothing has come.
    HeardNothing,
    /// It is over: records follow.
    Done,
    /// The peer has left without a word.
    Left,
}

impl Secure {
    /// A client has come.
    ///
    /// # Errors
    /// When the configuration makes no sense.
    pub fn accept(terms: &ServerTerms) -> io::Result<Secure> {
        Ok(Secure::of(Handshake::accept(terms)?))
    }

    /// A server is dialed, or was. What is to be said first waits in it.
    ///
    /// # Errors
    /// When there are no random numbers, or the configuration makes no sense.
    pub fn connect(terms: &ClientTerms, name: ServerName<'static>) -> io::Result<Secure> {
        let mut handshake = Handshake::connect(terms, name)?;
        let mut sealed = Vec::new();
        handshake.begin(&mut sealed)?;
        Ok(Secure { sealed, ..Secure::of(handshake) })
    }

    fn of(handshake: Handshake) -> Secure {
        Secure::new(State::Shaking(Box::new(handshake)))
    }

    pub(super) fn new(state: State) -> Secure {
        Secure {
            state,
            partial: Vec::new(),
            sealed: Vec::new(),
            promised: 0,
            end: None,
            more: false,
            has_sent: false,
            waits: false,
            is_deaf: false,
        }
    }

    /// Bytes that have come already.
    pub fn begin_with(&mut self, input: Vec<u8>) {
        self.partial = input;
    }

    /// Bytes that go out as they are, before anything else.
    pub fn send_first(&mut self, mut plain: Vec<u8>) {
        plain.append(&mut self.sealed);
        self.sealed = plain;
    }

    /// Whether another program could go on with it.
    pub fn can_be_carried(&self) -> bool {
        self.records().is_some_and(Records::can_be_carried)
    }

    /// What was agreed on, once it was.
    pub fn info(&self) -> Option<&TlsInfo> {
        match &self.state {
            State::Open(open) => Some(&open.1),
            _ => None,
        }
    }

    pub fn records(&self) -> Option<&Records> {
        match &self.state {
            State::Open(open) => Some(&open.0),
            _ => None,
        }
    }

    /// Nobody is interested any more in what the peer says.
    pub fn stop_listening(&mut self) {
        self.is_deaf = true;
        self.partial = Vec::new();
    }

    // In.

    /// Goes on with the handshake by one read. What is to be sent waits, see [`owes`](Self::owes).
    ///
    /// # Errors
    /// When the handshake has failed: a [`TlsError`]; or the system has something against the stream.
    pub fn shake(&mut self, wire: &mut impl Read, buffer: &mut [u8]) -> io::Result<Shaken> {
        let State::Shaking(handshake) = &mut self.state else { return Ok(Shaken::Waits) };
        let read = wire.read(buffer);
        let count = read.as_ref().copied().unwrap_or(0);
        self.more = count == buffer.len()
            || read.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::Interrupted);
        self.partial.extend_from_slice(&buffer[..count]);
        let (used, result) = handshake.feed(&mut self.partial, &mut self.sealed);
        self.partial.drain(..used);
        let is_silent = self.partial.is_empty() && handshake.has_heard_nothing();
        let progress = match result {
            Ok(Progress::Done) => self.open().map(|()| Progress::Done),
            other => other,
        };
        match (progress, read) {
            (Err(why), _) => {
                self.fail();
                Err(why.into())
            }
            (Ok(Progress::Done), _) => Ok(Shaken::Done),
            (Ok(Progress::Waits), Ok(0)) if is_silent => Ok(Shaken::Left),
            (Ok(Progress::Waits), Ok(0)) => Err(TlsError::HandshakeCut.into()),
            (Ok(Progress::Waits), Err(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                Ok(Shaken::HeardNothing)
            }
            (Ok(Progress::Waits), Err(e)) if !is_only_empty(&e) => Err(e),
            (Ok(Progress::Waits), _) => Ok(Shaken::Waits),
        }
    }

    fn fail(&mut self) {
        self.state = State::Failed;
        self.stop_listening();
    }

    /// The handshake is over.
    fn open(&mut self) -> Result<(), TlsError> {
        if let State::Shaking(handshake) = std::mem::replace(&mut self.state, State::Failed) {
            self.state = State::Open(handshake.finish()?);
            // What came behind it are records.
            self.more |= !self.partial.is_empty();
            trim(&mut self.partial);
        }
        Ok(())
    }

    /// One read. What is opened stands at the front of `buffer`, which has room for two records at least.
    ///
    /// # Errors
    /// As a plain stream's; `Interrupted` where something has come, and no data; and a [`TlsError`].
    pub fn read(&mut self, wire: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_deaf {
            return self.skim(wire, buffer);
        }
        let State::Open(open) = &mut self.state else { return Err(would_block()) };
        if let Some(end) = self.end {
            return self.tell_end(end);
        }
        let (filled, read) = fill(wire, &mut self.partial, buffer);
        let opened = open.0.open(&mut buffer[..filled]);
        self.end = opened.end;
        if opened.end.is_none() {
            self.partial.extend_from_slice(&buffer[opened.used..filled]);
        }
        trim(&mut self.partial);
        // What has come may be less than there was room for, and the end of it behind.
        let is_drained = match &read {
            Ok(count) => *count > 0 && filled < buffer.len(),
            Err(e) => is_only_empty(e),
        };
        self.more = !is_drained || self.end.is_some();
        match (opened.plain, self.end, read) {
            (1.., _, _) => Ok(opened.plain),
            (0, Some(end), _) => self.tell_end(end),
            (0, None, Ok(0)) => Err(TlsError::Truncated.into()),
            (0, None, Ok(_)) => Err(io::ErrorKind::Interrupted.into()),
            (0, None, Err(e)) => Err(e),
        }
    }

    /// One read of what nobody wants.
    fn skim(&mut self, wire: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let read = wire.read(buffer);
        self.more = read.as_ref().is_ok_and(|&count| count == buffer.len());
        read
    }

    fn tell_end(&mut self, end: End) -> io::Result<usize> {
        match end {
            End::Closed => Ok(0),
            End::Received(alert) => Err(TlsError::Received(alert).into()),
            End::Violated(alert) => {
                self.alert(alert);
                Err(TlsError::violated(alert).into())
            }
        }
    }

    /// Whether there may be more to read after the last read.
    pub fn has_more(&self) -> bool {
        self.more
    }

    // Out.

    /// Whether something waits to be sent that is nobody's output: of a handshake, an alert, the rest of a record.
    pub fn owes(&self) -> bool {
        let owes = |open: &(Records, TlsInfo)| open.0.owes();
        !self.sealed.is_empty() || matches!(&self.state, State::Open(open) if owes(open))
    }

    /// Whether bytes have gone out since the last call.
    pub fn take_has_sent(&mut self) -> bool {
        std::mem::take(&mut self.has_sent)
    }

    /// It waits for room. `true` when it did not before.
    pub fn begins_to_wait(&mut self) -> bool {
        !std::mem::replace(&mut self.waits, true)
    }

    /// Whether its key has sealed nearly as many records as it may, and there can be no other.
    pub fn is_worn(&self) -> bool {
        self.records().is_some_and(Records::is_worn)
    }

    /// Sends what it [owes](Self::owes).
    ///
    /// # Errors
    /// `WouldBlock` where not all of it was sent, and whatever the system says.
    pub fn flush(&mut self, wire: &mut impl Write) -> io::Result<()> {
        if let State::Open(open) = &mut self.state
            && open.0.owes()
        {
            open.0.seal_owed(&mut self.sealed).map_err(unsealed)?;
        }
        while !self.sealed.is_empty() {
            let count = write_some(wire, &self.sealed)?;
            if count == 0 {
                return Err(would_block());
            }
            self.has_sent = true;
            self.sealed.drain(..count);
        }
        self.sealed = Vec::new();
        self.waits = false;
        Ok(())
    }

    /// Seals all of it and sends as much as the socket takes. Answers of how many bytes every record was sent: what is
    /// written next has to begin with the rest.
    ///
    /// # Errors
    /// As a plain stream's, and a [`TlsError`] where nothing may be sealed any more.
    pub fn write_vectored(
        &mut self,
        wire: &mut impl Write,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.flush(wire)?;
        let State::Open(open) = &mut self.state else { return Err(would_block()) };
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let done = std::mem::take(&mut self.promised);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            // Where each record ends, and how much of what was offered is sent by then.
            let mut ends = [(0, done); WRITE_BUDGET / RECORD + 2];
            let (mut at, mut count) = (done, 0);
            while at < offered && count < ends.len() {
                at += open.0.seal(slices, at, scratch).map_err(unsealed)?;
                ends[count] = (scratch.len(), at);
                count += 1;
            }
            let written = write_some(wire, scratch)?;
            self.has_sent |= written > 0;
            if written == scratch.len() {
                return Ok(at);
            }
            let whole = ends[..count].iter().rev().find(|(end, _)| *end <= written);
            let sent = whole.map_or(done, |&(_, sent)| sent);
            self.sealed.extend_from_slice(&scratch[written..]);
            self.promised = at - sent;
            Ok(sent)
        })
    }

    /// Says that no more will come. `true` when that has to be sent first.
    pub fn close_notify(&mut self) -> bool {
        match &mut self.state {
            State::Open(open) => open.0.close_notify(&mut self.sealed),
            _ => false,
        }
    }

    fn alert(&mut self, alert: Alert) {
        if let State::Open(open) = &mut self.state {
            open.0.alert(alert, &mut self.sealed);
        }
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}

/// One read behind what was kept. Answers how much there is in all, and what the read has said.
fn fill(wire: &mut impl Read, kept: &mut Vec<u8>, buffer: &mut [u8]) -> (usize, io::Result<usize>) {
    let start = kept.len();
    buffer[..start].copy_from_slice(kept);
    kept.clear();
    let read = wire.read(&mut buffer[start..]);
    (start + read.as_ref().copied().unwrap_or(0), read)
}

/// Gives back the memory of what was kept. Who is idle has none.
fn trim(kept: &mut Vec<u8>) {
    if kept.capacity() / 4 >= kept.len() {
        kept.shrink_to_fit();
    }
}

/// As much as the socket takes at once, which may be nothing. What is sealed may not be sealed again, so an error is one
/// that ends the connection.
fn write_some(wire: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    match wire.write(bytes) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => write_some(wire, bytes),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        // The first write of a dial with fast open, where the peer has taken back its cookie.
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(0),
        result => result,
    }
}

fn is_only_empty(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

fn unsealed(why: crate::tls::Unsealed) -> io::Error {
    TlsError::Failed(why.to_string().into()).into()
}

#[cfg(test)]
#[path = "secure_tests.rs"]
mod tests;
