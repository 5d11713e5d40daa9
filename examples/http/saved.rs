//! A session written down for the next program, and read there: a version, then the session itself by
//! serde and postcard. Pure.
//!
//! A program that reads another version refuses the session, which ends that connection alone.

use heirloom::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{exchange::Session, reply::Refusal, route::REFUSALS};

/// It changes when a session does, or anything in it.
const VERSION: u8 = 4;

/// The session as bytes. `None`: it waits for the end of a body that is refused in words which no other
/// program has; it stays until it has said them.
pub fn write(session: &Session) -> Option<Vec<u8>> {
    postcard::to_stdvec(&(VERSION, session)).ok()
}

pub fn read(saved: &[u8]) -> Result<Session> {
    let (version, rest) = postcard::take_from_bytes::<u8>(saved).map_err(Error::other)?;
    if version != VERSION {
        return Err(format!("written in format {version}, not in {VERSION}").into());
    }
    match postcard::take_from_bytes(rest).map_err(Error::other)? {
        (session, []) => Ok(session),
        _ => Err("more than a session".into()),
    }
}

/// By its place among those that every program knows: its words are part of the program.
impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let place = REFUSALS.iter().position(|known| known == self);
        place.ok_or_else(|| ser::Error::custom("not one of the known"))?.serialize(to)
    }
}

impl<'a> Deserialize<'a> for Refusal {
    fn deserialize<D: Deserializer<'a>>(from: D) -> std::result::Result<Refusal, D::Error> {
        let place = usize::deserialize(from)?;
        REFUSALS.get(place).copied().ok_or_else(|| de::Error::custom("not one of the known"))
    }
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
