//! What goes to the next program: the keys and when each expires, the counters, what has changed
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
    mem,
    time::{Duration, Instant},
};

use heirloom::{Error, Result};
use serde::{Deserialize, Serialize};

pub use self::changes::{load_changes, save_changes};
use super::{
    commands::State,
    records::{Reader, Writer},
    session::Session,
    store::{Item, Loading, Seed},
    wall::Wall,
};

/// Of all formats; it changes when one does.
const VERSION: u16 = 3;

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
    /// When it expires, in milliseconds since 1970: on its way its time runs on.
    due: Option<i64>,
}

impl<'a> Entry<'a> {
    /// `None`: it has expired.
    fn of(item: &'a Item, wall: &Wall, now: Instant) -> Option<Entry<'a>> {
        let is_live = item.due.is_none_or(|due| now < due);
        let due = item.due.map(|due| wall.millis(due));
        is_live.then_some(Entry { key: &item.key, value: &item.value, due })
    }

    fn item(&self, wall: &Wall) -> Result<Item> {
        let due = match self.due {
            None => None,
            Some(due) => Some(wall.moment(due).ok_or("no such time")?),
        };
        Ok(Item { key: self.key.into(), value: self.value.into(), due })
    }
}

impl Counters {
    fn of(state: &State) -> Counters {
        Counters { clients: state.clients, commands: state.commands }
    }

    fn tell(&self, state: &mut State) {
        (state.clients, state.commands) = (self.clients, self.commands);
    }
}

pub fn save(state: &State, out: &mut dyn Write, now: Instant) -> Result {
    let mut out = Writer::new(out);
    out.put(&VERSION)?;
    let age = now.saturating_duration_since(state.since);
    out.put(&Head { seed: state.store.seed(), age, counters: Counters::of(state) })?;
    let mut items = state.store.items();
    let mut near = Vec::with_capacity(NEAR);
    loop {
        near.extend(items.by_ref().take(NEAR));
        if near.is_empty() {
            return out.end();
        }
        near.iter().for_each(|item| touch(item));
        for entry in near.drain(..).filter_map(|item| Entry::of(item, &state.wall, now)) {
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

/// Subscriptions stay, and so does who waits for keys: they are those of the connections that are here.
pub fn load(state: &mut State, saved: &mut dyn BufRead, now: Instant) -> Result {
    let mut saved = Reader::new(saved);
    check(saved.expect()?)?;
    let Head { seed, age, counters } = saved.expect()?;
    let mut store = Loading::new(seed);
    while let Some(entry) = saved.next::<Entry<'_>>()? {
        store.push(entry.item(&state.wall)?)?;
    }
    let mut store = store.finish();
    store.watches = mem::take(&mut state.store.watches);
    state.store = store;
    state.since = now.checked_sub(age).unwrap_or(now);
    counters.tell(state);
    Ok(())
}

/// With it goes whether a key that it watches has changed: that is known here alone.
pub fn save_session(session: &Session, is_spoiled: bool) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(VERSION, session, is_spoiled)).map_err(Error::other)
}

pub fn load_session(saved: &[u8]) -> Result<(Session, bool)> {
    let (version, rest) = postcard::take_from_bytes(saved).map_err(Error::other)?;
    check(version)?;
    let (loaded, rest): ((Session, bool), _) =
        postcard::take_from_bytes(rest).map_err(Error::other)?;
    if !rest.is_empty() {
        return Err("more than a session".into());
    }
    if loaded.0.transaction.as_ref().is_some_and(|transaction| !transaction.is_sound()) {
        return Err("a transaction of what are no commands".into());
    }
    Ok(loaded)
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
