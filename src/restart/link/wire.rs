//! How a message between generations is written. Pure, and knows no message.
//!
//! ```text
//! message = magic "hrlm"  version u16  kind u16  field*
//! field   = tag u16  length u32  bytes            (numbers are little-endian: one machine)
//! ```
//!
//! A side skips kinds and fields that it does not know, so either side may be the newer program.
//! What cannot be skipped is a new version, and a side that meets one refuses with a reason.

use std::{fmt, time::Duration};

use crate::limits::FAR_FUTURE;

const MAGIC: [u8; 4] = *b"hrlm";

/// Raised when an old program could not follow a new one even by skipping.
pub(in crate::restart) const VERSION: u16 = 1;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The other side is no heirloom.
    Magic,
    /// The other side speaks another version of the protocol.
    Version(u16),
    /// The message ends before it should, or a field has the wrong form.
    Field(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Magic => f.write_str("the other side does not speak heirloom's protocol"),
            Malformed::Version(theirs) => {
                write!(f, "the other side speaks version {theirs}, this one version {VERSION}")
            }
            Malformed::Field(name) => write!(f, "malformed message: {name}"),
        }
    }
}

/// The beginning of a message; its fields follow.
pub(in crate::restart) fn begin(kind: u16) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out
}

/// The kind and the fields of a message, all of which are whole.
pub(in crate::restart) fn open(bytes: &[u8]) -> Result<(u16, Fields<'_>), Malformed> {
    let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::Magic)?;
    if *magic != MAGIC {
        return Err(Malformed::Magic);
    }
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(Malformed::Field("version"))?;
    if u16::from_le_bytes(*version) != VERSION {
        return Err(Malformed::Version(u16::from_le_bytes(*version)));
    }
    let (kind, rest) = rest.split_first_chunk::<2>().ok_or(Malformed::Field("kind"))?;
    let fields = Fields(rest);
    fields.check()?;
    Ok((u16::from_le_bytes(*kind), fields))
}

pub(in crate::restart) fn put_number(out: &mut Vec<u8>, tag: u16, number: u64) {
    put(out, tag, &number.to_le_bytes());
}

pub(in crate::restart) fn put_time(out: &mut Vec<u8>, tag: u16, time: Duration) {
    put_number(out, tag, micros(time));
}

/// A time as it is written.
pub(in crate::restart) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time as it was written; an `Instant` must be able to move by it.
pub(in crate::restart) fn from_micros(micros: u64) -> Duration {
    Duration::from_micros(micros).min(FAR_FUTURE)
}

/// A number as it was written; `name` is what an error calls it.
pub(in crate::restart) fn number(value: &[u8], name: &'static str) -> Result<u64, Malformed> {
    let bytes = value.try_into().map_err(|_| Malformed::Field(name))?;
    Ok(u64::from_le_bytes(bytes))
}

/// A number, and bytes that belong to it.
pub(in crate::restart) fn put_numbered(out: &mut Vec<u8>, tag: u16, number: u64, bytes: &[u8]) {
    out.extend(tag.to_le_bytes());
    out.extend((bytes.len() as u32 + 8).to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend(bytes);
}

pub(in crate::restart) fn put(out: &mut Vec<u8>, tag: u16, bytes: &[u8]) {
    out.extend(tag.to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// The fields of a message, read one after the other; each item may be a malformation.
#[derive(Clone, Copy)]
pub(in crate::restart) struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let split = || {
            let (tag, rest) = bytes.split_first_chunk::<2>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            Some((u16::from_le_bytes(*tag), value, rest))
        };
        match split() {
            Some((tag, value, rest)) => {
                self.0 = rest;
                Some(Ok((tag, value)))
            }
            None => Some(Err(Malformed::Field("cut short"))),
        }
    }
}

impl<'a> Fields<'a> {
    /// Fields that stand somewhere else than in a message. Nobody has looked yet whether they are whole.
    pub fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
    }

    /// Walks over all fields, so that a message that is cut short is found out.
    fn check(mut self) -> Result<(), Malformed> {
        self.try_for_each(|field| field.map(drop))
    }

    pub fn all(self, tag: u16) -> Result<Vec<&'a [u8]>, Malformed> {
        let mut found = Vec::new();
        for field in self {
            let (at, value) = field?;
            if at == tag {
                found.push(value);
            }
        }
        Ok(found)
    }

    pub fn maybe(self, tag: u16, name: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        match self.all(tag)?[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Malformed::Field(name)),
        }
    }

    pub fn one(self, tag: u16, name: &'static str) -> Result<&'a [u8], Malformed> {
        self.maybe(tag, name)?.ok_or(Malformed::Field(name))
    }

    pub fn number(self, tag: u16, name: &'static str) -> Result<u64, Malformed> {
        number(self.one(tag, name)?, name)
    }

    pub fn maybe_number(self, tag: u16, name: &'static str) -> Result<Option<u64>, Malformed> {
        self.maybe(tag, name)?.map(|value| number(value, name)).transpose()
    }

    pub fn numbers(self, tag: u16, name: &'static str) -> Result<Vec<u64>, Malformed> {
        self.all(tag)?.into_iter().map(|value| number(value, name)).collect()
    }

    pub fn maybe_time(self, tag: u16, name: &'static str) -> Result<Option<Duration>, Malformed> {
        match self.maybe(tag, name)? {
            None => Ok(None),
            Some(_) => self.time(tag, name).map(Some),
        }
    }

    pub fn time(self, tag: u16, name: &'static str) -> Result<Duration, Malformed> {
        self.number(tag, name).map(from_micros)
    }

    pub fn text(self, tag: u16, name: &'static str) -> Result<String, Malformed> {
        Ok(String::from_utf8_lossy(self.one(tag, name)?).into_owned())
    }

    pub fn texts(self, tag: u16, name: &'static str) -> Result<Vec<String>, Malformed> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
        self.all(tag)?
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map_err(|_| Malformed::Field(name))
    }
}
