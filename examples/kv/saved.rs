//! What goes to the next program: the keys with the time that each has left, the counters, what has changed
//! since, and what one connection must remember. Pure but for the stream; time is an argument.
//!
//! ```text
//! state   = version  head  entry*                (as in `records`)
//! changes = version  changes  change*
//! session = version  session
//! ```
//!
//! Keys come in the order of their hashes, so the next program can build its store while they are still on
//! their way. What has changed is told by hash, too: all that has this hash now, or nothing.
//! A program of another version refuses it: the restart is then given up, and the old program
//! serves on with all that it has.

mod changes;

use std::{
    hint::black_box,
    io::{BufRead, Write},
    time::{Duration, Instant},
};

use heirloom::{Error, Result};
use serde::{Deserialize, Serialize};

pub use self::changes::{load_changes, save_changes};
use super::{
    commands::{Session, State},
    records::{Reader, Writer},
    store::{Item, Loading, Seed},
};

/// Of all formats; it changes when one does.
const VERSION: u16 = 2;

#[derive(Serialize, Deserialize)]
struct Head {
    seed: Seed,
    /// Of the service, whose first process has begun then.
    age: Duration,
    counters: Counters,
}

#[derive(Serialize, Deserialize)]
struct Counters {
    clients: u64,
    commands: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    #[serde(borrow, with = "serde_bytes")]
    key: &'a [u8],
    #[serde(borrow, with = "serde_bytes")]
    value: &'a [u8],
    /// Microseconds until it expires. Each process counts them from when it writes or reads this.
    left: Option<u64>,
}

impl<'a> Entry<'a> {
    /// `None`: it has expired. Most keys never do, and need no time.
    fn of(item: &'a Item, clock: impl Fn() -> Instant) -> Option<Entry<'a>> {
        let left = match item.due {
            None => None,
            Some(due) => {
                let left = due.checked_duration_since(clock()).filter(|left| !left.is_zero())?;
                Some(left.as_micros() as u64)
            }
        };
        Some(Entry { key: &item.key, value: &item.value, left })
    }

    fn item(&self, clock: impl Fn() -> Instant) -> Result<Item> {
        let due = match self.left {
            None => None,
            Some(left) => Some(later(clock(), left)?),
        };
        Ok(Item { key: self.key.into(), value: self.value.into(), due })
    }
}

fn later(now: Instant, micros: u64) -> Result<Instant> {
    Ok(now.checked_add(Duration::from_micros(micros)).ok_or("no such time")?)
}

impl Counters {
    fn of(state: &State) -> Counters {
        Counters { clients: state.clients, commands: state.commands }
    }

    fn tell(&self, state: &mut State) {
        (state.clients, state.commands) = (self.clients, self.commands);
    }
}

pub fn save(state: &State, out: &mut dyn Write, clock: impl Fn() -> Instant + Copy) -> Result {
    let mut out = Writer::new(out);
    out.put(&VERSION)?;
    let age = clock().saturating_duration_since(state.since);
    out.put(&Head { seed: state.store.seed(), age, counters: Counters::of(state) })?;
    let mut items = state.store.items();
    let mut near = Vec::with_capacity(NEAR);
    loop {
        near.extend(items.by_ref().take(NEAR));
        if near.is_empty() {
            return out.end();
        }
        near.iter().for_each(|item| touch(item));
        for entry in near.drain(..).filter_map(|item| Entry::of(item, clock)) {
            out.put(&entry)?;
        }
    }
}

/// So many items are fetched from memory together. Keys and values are wherever there was room for them, so
/// one after the other would wait two or three times for each: that takes twice the time of all else.
const NEAR: usize = 32;

fn touch(item: &Item) {
    black_box((item.key.first().copied(), item.value.first().copied(), item.value.last().copied()));
}

/// Subscriptions stay: they are those of the connections that are here.
pub fn load(
    state: &mut State,
    saved: &mut dyn BufRead,
    clock: impl Fn() -> Instant + Copy,
) -> Result {
    let mut saved = Reader::new(saved);
    check(saved.expect()?)?;
    let Head { seed, age, counters } = saved.expect()?;
    let now = clock();
    let mut store = Loading::new(seed);
    while let Some(entry) = saved.next::<Entry<'_>>()? {
        store.push(entry.item(clock)?)?;
    }
    state.store = store.finish();
    state.since = now.checked_sub(age).unwrap_or(now);
    counters.tell(state);
    Ok(())
}

pub fn save_session(session: &Session) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(VERSION, session)).map_err(Error::other)
}

pub fn load_session(saved: &[u8]) -> Result<Session> {
    let (version, rest) = postcard::take_from_bytes(saved).map_err(Error::other)?;
    check(version)?;
    match postcard::take_from_bytes(rest).map_err(Error::other)? {
        (session, []) => Ok(session),
        _ => Err("more than a session".into()),
    }
}

fn check(version: u16) -> Result {
    if version == VERSION {
        return Ok(());
    }
    Err(format!("written in format {version}, this program reads {VERSION}").into())
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
