//! A session written down for the next program, and read there. Pure.
//!
//! ```text
//! session  = version u8  half_read u8  stage
//! stage    = 0                                                    a head
//!          | 1  answer  head_only u8  framing  after u8  begun u8  body      an upload
//!          | 2  left u64  after u8                                a download
//! answer   = 0 | 1 | 2 | 3 | 4 count u64 | 5 refusal u8
//! framing  = 0 length u64 | 1
//! body     = (0 left u64 | 1 | 2 left u64 | 3 | 4)  room u64  extras u64  received u64
//! ```
//!
//! Numbers are little-endian. A program that reads another version refuses the session, which ends that
//! connection alone.

use heirloom::Result;

use super::{
    body::{self, Body},
    exchange::{Exchange, Session, Stage},
    reply::After,
    request::Framing,
    route::{REFUSALS, Route},
};

const VERSION: u8 = 1;

/// The session as bytes. `None`: it waits for the end of a body that is refused in words which no other
/// program has; it stays until it has said them.
pub fn write(session: &Session) -> Option<Vec<u8>> {
    let mut out = vec![VERSION, session.half_read.into()];
    match &session.stage {
        Stage::Head => out.push(0),
        Stage::Upload(exchange, body) => {
            out.push(1);
            write_exchange(&mut out, exchange)?;
            write_body(&mut out, body);
        }
        Stage::Download { left, after } => {
            put(&mut out, 2, *left);
            out.push(*after as u8);
        }
    }
    Some(out)
}

fn write_exchange(out: &mut Vec<u8>, exchange: &Exchange) -> Option<()> {
    let Exchange { answer, head_only, framing, after, begun } = exchange;
    match answer {
        Ok(Route::Hello) => out.push(0),
        Ok(Route::Generation) => out.push(1),
        Ok(Route::Echo) => out.push(2),
        Ok(Route::Count) => out.push(3),
        Ok(Route::Bytes(count)) => put(out, 4, *count),
        Err(refusal) => {
            let place = REFUSALS.iter().position(|known| known == refusal)?;
            out.extend([5, place as u8]);
        }
    }
    out.push((*head_only).into());
    match framing {
        Framing::Length(length) => put(out, 0, *length),
        Framing::Chunked => out.push(1),
    }
    out.extend([*after as u8, (*begun).into()]);
    Some(())
}

fn write_body(out: &mut Vec<u8>, body: &Body) {
    match body.stage {
        body::Stage::Plain { left } => put(out, 0, left),
        body::Stage::Size => out.push(1),
        body::Stage::Chunk { left } => put(out, 2, left),
        body::Stage::ChunkEnd => out.push(3),
        body::Stage::Trailer => out.push(4),
    }
    for number in [body.room, body.extras as u64, body.received] {
        out.extend(number.to_le_bytes());
    }
}

fn put(out: &mut Vec<u8>, tag: u8, number: u64) {
    out.push(tag);
    out.extend(number.to_le_bytes());
}

pub fn read(saved: &[u8]) -> Result<Session> {
    let mut rest = Rest(saved);
    match rest.byte()? {
        VERSION => {}
        other => return Err(format!("written in format {other}, not in {VERSION}").into()),
    }
    let half_read = rest.flag()?;
    let stage = match rest.byte()? {
        0 => Stage::Head,
        1 => Stage::Upload(rest.exchange()?, rest.body()?),
        2 => Stage::Download { left: rest.number()?, after: rest.after()? },
        _ => return Err(UNKNOWN.into()),
    };
    if rest.0.is_empty() {
        Ok(Session { stage, half_read, grace_ends: None })
    } else {
        Err(UNKNOWN.into())
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

const UNKNOWN: &str = "not a session of this program";

impl Rest<'_> {
    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or(UNKNOWN)?;
        self.0 = rest;
        Ok(byte)
    }

    fn flag(&mut self) -> Result<bool> {
        Ok(self.byte()? != 0)
    }

    fn number(&mut self) -> Result<u64> {
        let (number, rest) = self.0.split_first_chunk().ok_or(UNKNOWN)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn after(&mut self) -> Result<After> {
        let byte = self.byte()?;
        let all = [After::Keep, After::SayKeepAlive, After::Close];
        Ok(all.into_iter().find(|&after| after as u8 == byte).ok_or(UNKNOWN)?)
    }

    fn exchange(&mut self) -> Result<Exchange> {
        let answer = match self.byte()? {
            0 => Ok(Route::Hello),
            1 => Ok(Route::Generation),
            2 => Ok(Route::Echo),
            3 => Ok(Route::Count),
            4 => Ok(Route::Bytes(self.number()?)),
            5 => Err(*REFUSALS.get(usize::from(self.byte()?)).ok_or(UNKNOWN)?),
            _ => return Err(UNKNOWN.into()),
        };
        let head_only = self.flag()?;
        let framing = match self.byte()? {
            0 => Framing::Length(self.number()?),
            1 => Framing::Chunked,
            _ => return Err(UNKNOWN.into()),
        };
        Ok(Exchange { answer, head_only, framing, after: self.after()?, begun: self.flag()? })
    }

    fn body(&mut self) -> Result<Body> {
        let stage = match self.byte()? {
            0 => body::Stage::Plain { left: self.number()? },
            1 => body::Stage::Size,
            2 => body::Stage::Chunk { left: self.number()? },
            3 => body::Stage::ChunkEnd,
            4 => body::Stage::Trailer,
            _ => return Err(UNKNOWN.into()),
        };
        let (room, extras, received) = (self.number()?, self.number()?, self.number()?);
        Ok(Body { stage, room, extras: extras as usize, received })
    }
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
