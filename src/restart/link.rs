//! What the two sides of a restart say to each other, as bytes. Pure: no descriptor, no clock.
//!
//! ```text
//! message = magic "hrlm"  version u16  kind u16  field*
//! field   = tag u16  length u32  bytes            (numbers are little-endian: one machine)
//! ```
//!
//! A side skips kinds and fields that it does not know, so either side may be the newer program.
//! What cannot be skipped is a new version, and a side that meets one refuses with a reason.

use std::fmt;

use crate::plan::Engine;

const MAGIC: [u8; 4] = *b"hrlm";

/// Raised when an old program could not follow a new one even by skipping.
const VERSION: u16 = 1;

/// No message is longer. The longest is a batch of listener names: 253 of them, 255 bytes each.
pub(crate) const MESSAGE_MAX: usize = 128 * 1024;

/// A reason is cut to this many bytes.
const REASON_MAX: usize = 4096;

/// One message. The descriptors that go with it travel beside it (see `pass`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Old to new, first: who you are to be. With it: the stderr to use once you are ready.
    Hello { generation: u64, engine: Engine, last_serial: u64 },
    /// Old to new: listening sockets, a name for each descriptor that comes along.
    Listeners { names: Vec<String> },
    /// Old to new: that was all.
    Offered,
    /// New to old: I can serve.
    Ready { pid: u32 },
    /// New to old: I cannot serve.
    Failed { reason: String },
    /// Old to new: I have stopped accepting, it is yours.
    Released,
    /// New to old: I serve and will stay. You may go.
    Committed,
}

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

// Kinds and tags are never given a second meaning. Kind 3 is kept for the service's state, 9 for a
// batch of connections.
const HELLO: u16 = 1;
const LISTENERS: u16 = 2;
const OFFERED: u16 = 4;
const READY: u16 = 5;
const FAILED: u16 = 6;
const RELEASED: u16 = 7;
const COMMITTED: u16 = 8;

const GENERATION: u16 = 1;
const ENGINE: u16 = 2;
const LAST_SERIAL: u16 = 3;
const NAME: u16 = 4;
const PID: u16 = 5;
const REASON: u16 = 6;

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Message::Hello { .. } => HELLO,
            Message::Listeners { .. } => LISTENERS,
            Message::Offered => OFFERED,
            Message::Ready { .. } => READY,
            Message::Failed { .. } => FAILED,
            Message::Released => RELEASED,
            Message::Committed => COMMITTED,
        };
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(kind.to_le_bytes());
        match self {
            Message::Hello { generation, engine, last_serial } => {
                put(&mut out, GENERATION, &generation.to_le_bytes());
                put(&mut out, ENGINE, &[*engine as u8]);
                put(&mut out, LAST_SERIAL, &last_serial.to_le_bytes());
            }
            Message::Listeners { names } => {
                names.iter().for_each(|name| put(&mut out, NAME, name.as_bytes()));
            }
            Message::Ready { pid } => put(&mut out, PID, &pid.to_le_bytes()),
            Message::Failed { reason } => {
                let cut = reason.floor_char_boundary(REASON_MAX);
                put(&mut out, REASON, &reason.as_bytes()[..cut]);
            }
            Message::Offered | Message::Released | Message::Committed => {}
        }
        out
    }

    /// The message in `bytes`; `None` for one of a kind that this program does not know.
    pub fn decode(bytes: &[u8]) -> Result<Option<Message>, Malformed> {
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
        Ok(Some(match u16::from_le_bytes(*kind) {
            HELLO => Message::Hello {
                generation: fields.number(GENERATION, "generation")?,
                engine: match fields.one(ENGINE, "engine")? {
                    [0] => Engine::Fork,
                    [1] => Engine::ForkExec,
                    _ => return Err(Malformed::Field("engine")),
                },
                last_serial: fields.number(LAST_SERIAL, "last serial")?,
            },
            LISTENERS => Message::Listeners { names: fields.texts(NAME, "listener name")? },
            OFFERED => fields.check().map(|()| Message::Offered)?,
            READY => Message::Ready {
                pid: u32::from_le_bytes(
                    fields.one(PID, "pid")?.try_into().map_err(|_| Malformed::Field("pid"))?,
                ),
            },
            FAILED => Message::Failed {
                reason: String::from_utf8_lossy(fields.one(REASON, "reason")?).into_owned(),
            },
            RELEASED => fields.check().map(|()| Message::Released)?,
            COMMITTED => fields.check().map(|()| Message::Committed)?,
            _ => return fields.check().map(|()| None),
        }))
    }
}

fn put(out: &mut Vec<u8>, tag: u16, bytes: &[u8]) {
    out.extend(tag.to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// The fields of a message, read one after the other; each item may be a malformation.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

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
    /// Walks over all fields, so that a message that is cut short is found out.
    fn check(mut self) -> Result<(), Malformed> {
        self.try_for_each(|field| field.map(drop))
    }

    fn all(self, tag: u16) -> Result<Vec<&'a [u8]>, Malformed> {
        let mut found = Vec::new();
        for field in self {
            let (at, value) = field?;
            if at == tag {
                found.push(value);
            }
        }
        Ok(found)
    }

    fn one(self, tag: u16, name: &'static str) -> Result<&'a [u8], Malformed> {
        match self.all(tag)?[..] {
            [value] => Ok(value),
            _ => Err(Malformed::Field(name)),
        }
    }

    fn number(self, tag: u16, name: &'static str) -> Result<u64, Malformed> {
        let bytes = self.one(tag, name)?.try_into().map_err(|_| Malformed::Field(name))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn texts(self, tag: u16, name: &'static str) -> Result<Vec<String>, Malformed> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
        self.all(tag)?
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map_err(|_| Malformed::Field(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_message() -> impl Strategy<Value = Message> {
        let engine = prop_oneof![Just(Engine::Fork), Just(Engine::ForkExec)];
        prop_oneof![
            (any::<u64>(), engine, any::<u64>()).prop_map(|(generation, engine, last_serial)| {
                Message::Hello { generation, engine, last_serial }
            }),
            proptest::collection::vec(".{0,40}", 0..20)
                .prop_map(|names| Message::Listeners { names }),
            Just(Message::Offered),
            any::<u32>().prop_map(|pid| Message::Ready { pid }),
            ".{0,200}".prop_map(|reason| Message::Failed { reason }),
            Just(Message::Released),
            Just(Message::Committed),
        ]
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = Message::Offered.encode();
        bytes[4] = 9;
        assert_eq!(Message::decode(&bytes), Err(Malformed::Version(9)));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "ö".repeat(REASON_MAX);
        let bytes = Message::Failed { reason }.encode();
        let Ok(Some(Message::Failed { reason })) = Message::decode(&bytes) else { panic!() };
        assert!(reason.len() <= REASON_MAX && reason.ends_with('ö'));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(message in any_message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(Some(message)));
        }

        #[test]
        fn unknown_fields_are_skipped(message in any_message(), value in proptest::collection::vec(any::<u8>(), 0..50)) {
            let mut bytes = message.encode();
            put(&mut bytes, 999, &value);
            prop_assert_eq!(Message::decode(&bytes), Ok(Some(message)));
        }

        #[test]
        fn a_cut_message_is_never_another(message in any_message(), cut in 0usize..200) {
            let bytes = message.encode();
            let cut = cut.min(bytes.len().saturating_sub(1));
            if let Ok(Some(other)) = Message::decode(&bytes[..cut]) {
                // Only a list may lose its tail at a field's border; the descriptors tell.
                let list = matches!(other, Message::Listeners { .. });
                prop_assert!(list);
            }
        }

        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u16..12) {
            let _ = Message::decode(&bytes);
            let mut framed = MAGIC.to_vec();
            framed.extend(VERSION.to_le_bytes());
            framed.extend(kind.to_le_bytes());
            framed.extend(&bytes);
            let _ = Message::decode(&framed);
        }
    }
}
