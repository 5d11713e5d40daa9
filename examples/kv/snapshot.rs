//! Everything written down for the next program: the keys with the time that each has left, the counters,
//! and what one connection must remember. Pure: time is an argument.
//!
//! ```text
//! state   = version u16  age u64  clients u64  commands u64  keys u64  key*
//! key     = left u64  name  value                (milliseconds, all ones: it never expires)
//! session = version u16  number u64  name  channels u64  channel*  patterns u64  pattern*
//! name, value, channel, pattern = length u32  bytes
//! ```
//!
//! All numbers are little-endian. One pass writes it and one pass reads it, whatever its size; every length
//! is checked before anything is taken. A program of another version refuses it: the restart is then given
//! up, and the old program serves on with all that it has.

use std::{
    hash::RandomState,
    time::{Duration, Instant},
};

use heirloom::Result;

use super::{
    commands::{Session, State},
    pubsub::{Hub, Topic},
    store::{Item, Store},
};

/// Of both formats; it changes when either does.
const VERSION: u16 = 1;

/// No time is left for ever.
const NEVER: u64 = u64::MAX;

pub fn write_state(state: &State, now: Instant) -> Vec<u8> {
    let mut out = Vec::with_capacity(state.store.bytes() + HEAD);
    out.extend(VERSION.to_le_bytes());
    let age = now.saturating_duration_since(state.since).as_millis() as u64;
    for number in [age, state.clients, state.commands, 0] {
        out.extend(number.to_le_bytes());
    }
    let mut count = 0u64;
    for item in state.store.items(now) {
        let left = item.due.map(|due| due.saturating_duration_since(now).as_millis() as u64);
        out.extend(left.unwrap_or(NEVER).to_le_bytes());
        put(&mut out, &item.key);
        put(&mut out, &item.value);
        count += 1;
    }
    out[HEAD - 8..HEAD].copy_from_slice(&count.to_le_bytes());
    out
}

/// The version and four numbers.
const HEAD: usize = 2 + 4 * 8;

pub fn read_state(saved: &[u8], now: Instant) -> Result<State> {
    let mut rest = Rest::open(saved)?;
    let since = now.checked_sub(Duration::from_millis(rest.number()?)).unwrap_or(now);
    let (clients, commands, count) = (rest.number()?, rest.number()?, rest.number()?);
    // Not taken from a number that may be wrong: no key is shorter than its three lengths.
    let mut items = Vec::with_capacity((count as usize).min(rest.0.len() / 16));
    for _ in 0..count {
        let due = match rest.number()? {
            NEVER => None,
            left => Some(now.checked_add(Duration::from_millis(left)).ok_or("no such time")?),
        };
        let (key, value) = (rest.bytes()?.into(), rest.bytes()?.to_vec());
        items.push(Item { key, value, due });
    }
    rest.end()?;
    Ok(State {
        store: Store::of(items, RandomState::new()),
        hub: Hub::default(),
        clients,
        commands,
        since,
    })
}

pub fn write_session(session: &Session) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
    out.extend(session.number.to_le_bytes());
    put(&mut out, &session.name);
    for names in [&session.subscriptions.channels, &session.subscriptions.patterns] {
        out.extend((names.len() as u64).to_le_bytes());
        names.iter().for_each(|name| put(&mut out, name));
    }
    out
}

pub fn read_session(saved: &[u8]) -> Result<Session> {
    let mut rest = Rest::open(saved)?;
    let mut session =
        Session { number: rest.number()?, name: rest.bytes()?.to_vec(), ..Session::default() };
    for topic in [Topic::Channel, Topic::Pattern] {
        for _ in 0..rest.number()? {
            session.subscriptions.of(topic).insert(rest.bytes()?.to_vec());
        }
    }
    rest.end()?;
    Ok(session)
}

/// A key or a value is no longer than a command, so its length fits.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// What follows the version, if it is ours.
    fn open(saved: &'a [u8]) -> Result<Rest<'a>> {
        let (version, rest) = saved.split_first_chunk().ok_or(CUT_SHORT)?;
        match u16::from_le_bytes(*version) {
            VERSION => Ok(Rest(rest)),
            other => Err(format!("written in format {other}, this program reads {VERSION}").into()),
        }
    }

    fn number(&mut self) -> Result<u64> {
        let (number, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (bytes, rest) = rest.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn end(&self) -> Result {
        if self.0.is_empty() { Ok(()) } else { Err("more than was announced".into()) }
    }
}

const CUT_SHORT: &str = "cut short";

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
