//! A connection written down: all that the next program needs to go on with it, as bytes. Pure: the
//! socket itself travels beside it, and times are times left or passed.
//!
//! ```text
//! record = length u32  field*                      (fields as in `wire`)
//! ```
//!
//! A reader skips fields that it does not know, so either program may be the newer one. What it may not skip
//! it has to ask for: a new program says which [`VERSION`] it reads, and the old one writes no later one.
//!
//! Behind the records of all connections of a batch there may be some of dials to names, which have no socket yet.

use std::{rc::Rc, time::Duration};

use super::silence::Silence;
use crate::restart::link::wire::{
    self, Fields, Malformed, from_micros, micros, put, put_number, put_numbered, put_time,
};

/// What this program reads and writes: in version 2 output may be of a buffer that others have as well, in version 3
/// a connection may await the header of a proxy, and a record may be of a dial; in version 4, which is that of a program with
/// the feature `tls`, it may have TLS. A program that does not say what it reads
/// means version 1.
pub(crate) const VERSION: u64 = if cfg!(feature = "tls") { TLS_FROM } else { 3 };

/// Who reads an earlier version is sent the whole output of each connection in its own record.
pub(crate) const SHARES_FROM: u64 = 2;

/// A connection that awaits the header of a proxy stays where it is, if the reader knows no such thing.
pub(crate) const AWAITS_FROM: u64 = 3;

/// A connection with TLS stays where it is, if the reader knows no such thing.
pub(crate) const TLS_FROM: u64 = 4;

/// Who reads an earlier version is sent no dial: it stays, and ends where it is.
pub(crate) const DIALS_FROM: u64 = 3;

/// A part of what is queued and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Own(Vec<u8>),
    /// No output by itself: a buffer to which this record and later ones refer by its number.
    New {
        number: u64,
        bytes: Rc<[u8]>,
    },
    /// What follows the first `sent` bytes of such a buffer; none were unless it is the first part.
    Shared {
        number: u64,
        sent: u64,
    },
}

/// One connection that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The name that its author may have kept ([`ConnId`](crate::ConnId)). A dial to a name has none.
    pub id: u64,
    /// Who is at the other end, for the case that the kernel cannot tell any more.
    pub peer: Vec<u8>,
    /// What `export` answered; `None` for a connection that is nothing to the service yet.
    pub session: Option<Vec<u8>>,
    /// What was given to `dial`, while the connection is not established.
    pub dialing: Option<u64>,
    /// The listener by which it came, while it awaits the header of a proxy.
    pub awaits: Option<(u64, String)>,
    /// Whether it shakes hands behind that.
    pub awaits_tls: bool,
    /// The proxy through which it came: who that is, as of a peer, and what it has said.
    pub proxy: Option<Vec<u8>>,
    pub proxy_said: (Option<String>, Vec<u8>),
    /// Where it was dialed to, if it was.
    pub destination: Option<String>,
    /// What of its TLS is no secret, if it has any: see [`Secrets`](super::secrets::Secrets).
    pub tls: Option<Vec<u8>>,
    /// Read and not taken.
    pub input: Vec<u8>,
    /// Queued and not sent, in this order.
    pub output: Vec<Part>,
    /// `on_data` is not called with less input than this.
    pub at_least: u64,
    /// The author's timers, and how much of each is left.
    pub timers: Vec<(u64, Duration)>,
    /// Time since it was opened, since a byte came or went, and since output was sent or began to wait.
    pub age: Duration,
    pub idle: Duration,
    pub stalled: Duration,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Bits that [`Flags`](crate::net::Flags) gives a meaning.
    pub flags: u64,
    /// What else there is to know about its timeouts.
    pub silence: Silence,
}

// Tags are never given a second meaning.
const ID: u16 = 1;
const PEER: u16 = 2;
const SESSION: u16 = 3;
const DIALING: u16 = 4;
const INPUT: u16 = 5;
const OUTPUT: u16 = 6;
const AT_LEAST: u16 = 7;
const TIMER: u16 = 8;
const AGE: u16 = 9;
const IDLE: u16 = 10;
const STALLED: u16 = 11;
const BYTES_IN: u16 = 12;
const BYTES_OUT: u16 = 13;
const FLAGS: u16 = 14;
const DESTINATION: u16 = 20;
const AWAITS: u16 = 21;
const PROXY: u16 = 22;
/// Of the proxy: where its client has connected to, and the fields of its header.
const PROXY_DESTINATION: u16 = 23;
const PROXY_FIELDS: u16 = 24;
const AWAITS_TLS: u16 = 25;
const TLS: u16 = 60;
const NEW_BUFFER: u16 = 90;
const SHARED: u16 = 91;

impl Record {
    /// Appends the record. What is empty or zero takes no place.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        put_number(out, ID, self.id);
        put(out, PEER, &self.peer);
        if let Some(session) = &self.session {
            put(out, SESSION, session);
        }
        if let Some(tag) = self.dialing {
            put_number(out, DIALING, tag);
        }
        if let Some(address) = &self.destination {
            put(out, DESTINATION, address.as_bytes());
        }
        self.put_proxy(out);
        if let Some(tls) = &self.tls {
            put(out, TLS, tls);
        }
        if !self.input.is_empty() {
            put(out, INPUT, &self.input);
        }
        self.output.iter().for_each(|part| part.encode(out));
        for &(timer, left) in &self.timers {
            let mut value = timer.to_le_bytes().to_vec();
            value.extend(micros(left).to_le_bytes());
            put(out, TIMER, &value);
        }
        put_time(out, AGE, self.age);
        put_time(out, IDLE, self.idle);
        put_time(out, STALLED, self.stalled);
        let numbers = [
            (AT_LEAST, self.at_least),
            (BYTES_IN, self.bytes_in),
            (BYTES_OUT, self.bytes_out),
            (FLAGS, self.flags),
        ];
        for (tag, number) in numbers.into_iter().filter(|&(_, number)| number != 0) {
            put_number(out, tag, number);
        }
        self.silence.encode(out);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn put_proxy(&self, out: &mut Vec<u8>) {
        if let Some((number, name)) = &self.awaits {
            put_numbered(out, AWAITS, *number, name.as_bytes());
        }
        if self.awaits_tls {
            put(out, AWAITS_TLS, &[]);
        }
        if let Some(proxy) = &self.proxy {
            put(out, PROXY, proxy);
        }
        let (destination, fields) = &self.proxy_said;
        if let Some(address) = destination {
            put(out, PROXY_DESTINATION, address.as_bytes());
        }
        if !fields.is_empty() {
            put(out, PROXY_FIELDS, fields);
        }
    }

    /// Takes the first record off `bytes`, in one pass; `None` at their end.
    pub fn decode(bytes: &mut &[u8]) -> Result<Option<Record>, Malformed> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let cut_short = Malformed::Field("record cut short");
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Err(cut_short) };
        let Some((fields, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)
        else {
            return Err(cut_short);
        };
        *bytes = rest;
        let mut record = Record::default();
        for field in Fields::of(fields) {
            let (tag, value) = field?;
            record.set(tag, value)?;
        }
        let is = [record.session.is_some(), record.dialing.is_some(), record.awaits.is_some()];
        match (record.id, is.into_iter().filter(|&is| is).count()) {
            (0, _) if !record.is_of_dial() => Err(Malformed::Field("record without an id")),
            (_, 1) => Ok(Some(record)),
            _ => Err(Malformed::Field("record with not one of session, dialing and awaiting")),
        }
    }

    /// Whether it is of a dial to a name, which has no socket.
    pub fn is_of_dial(&self) -> bool {
        self.id == 0 && self.dialing.is_some() && self.destination.is_some()
    }

    fn set(&mut self, tag: u16, value: &[u8]) -> Result<(), Malformed> {
        match tag {
            ID => self.id = number(value)?,
            PEER => self.peer = value.to_vec(),
            SESSION => self.session = Some(value.to_vec()),
            DIALING => self.dialing = Some(number(value)?),
            DESTINATION => self.destination = Some(String::from_utf8_lossy(value).into_owned()),
            AWAITS => {
                let (number, name) = numbered(value)?;
                self.awaits = Some((number, String::from_utf8_lossy(name).into_owned()));
            }
            AWAITS_TLS => self.awaits_tls = true,
            PROXY => self.proxy = Some(value.to_vec()),
            PROXY_DESTINATION => {
                self.proxy_said.0 = Some(String::from_utf8_lossy(value).into_owned());
            }
            PROXY_FIELDS => self.proxy_said.1 = value.to_vec(),
            TLS => self.tls = Some(value.to_vec()),
            INPUT => self.input = value.to_vec(),
            OUTPUT => self.output.push(Part::Own(value.to_vec())),
            NEW_BUFFER => {
                let (number, bytes) = numbered(value)?;
                self.output.push(Part::New { number, bytes: bytes.into() });
            }
            SHARED => {
                let (number, sent) = numbered(value)?;
                self.output.push(Part::Shared { number, sent: self::number(sent)? });
            }
            AT_LEAST => self.at_least = number(value)?,
            TIMER => {
                let malformed = Malformed::Field("timer");
                let (timer, left) = value.split_at_checked(8).ok_or(malformed)?;
                self.timers.push((number(timer)?, time(left)?));
            }
            AGE => self.age = time(value)?,
            IDLE => self.idle = time(value)?,
            STALLED => self.stalled = time(value)?,
            BYTES_IN => self.bytes_in = number(value)?,
            BYTES_OUT => self.bytes_out = number(value)?,
            FLAGS => self.flags = number(value)?,
            _ => self.silence.set(tag, value)?,
        }
        Ok(())
    }
}

impl Part {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Part::Own(own) => put(out, OUTPUT, own),
            Part::New { number, bytes } => put_numbered(out, NEW_BUFFER, *number, bytes),
            Part::Shared { number, sent } => {
                put_numbered(out, SHARED, *number, &sent.to_le_bytes());
            }
        }
    }
}

/// What belongs to the number of a shared buffer or of a listener.
fn numbered(value: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let malformed = Malformed::Field("number with bytes");
    let (buffer, rest) = value.split_at_checked(8).ok_or(malformed)?;
    Ok((number(buffer)?, rest))
}

fn number(value: &[u8]) -> Result<u64, Malformed> {
    wire::number(value, "number in a record")
}

/// Bounded, so that an `Instant` can be moved by it.
fn time(value: &[u8]) -> Result<Duration, Malformed> {
    number(value).map(from_micros)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
