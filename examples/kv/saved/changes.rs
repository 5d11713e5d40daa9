//! What has changed about the keys, for a process that has a copy of them. A piece is made of the hashes that were
//! noted, each with all that stands there now: so a key that is gone needs no word of its own, and whatever
//! happened to a key meanwhile travels once.

use std::{
    io::{BufRead, Write},
    time::Instant,
};

use heirloom::Result;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        commands::State,
        records::{Reader, Writer},
        store::Seed,
    },
    Counters, Entry, VERSION, check,
};

#[derive(Serialize, Deserialize)]
struct ChangesHead {
    /// That by which hashes are meant.
    seed: Seed,
    counters: Counters,
    /// All keys of before have gone.
    cleared: bool,
}

#[derive(Serialize, Deserialize)]
struct Change<'a> {
    hash: u64,
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

/// Answers how many are left.
pub fn save_changes(
    state: &mut State,
    out: &mut dyn Write,
    most: usize,
    now: Instant,
) -> Result<usize> {
    if most == 0 {
        return Ok(state.store.touched.len());
    }
    let mut out = Writer::new(out);
    out.put(&VERSION)?;
    let (seed, counters) = (state.store.seed(), Counters::of(state));
    let cleared = state.store.touched.take_clear();
    out.put(&ChangesHead { seed, counters, cleared })?;
    for _ in 0..most {
        let Some(hash) = state.store.touched.next() else { break };
        let items = state.store.at(hash);
        let entries = items.filter_map(|item| Entry::of(item, &state.wall, now)).collect();
        out.put(&Change { hash, entries })?;
    }
    out.end()?;
    Ok(state.store.touched.len())
}

pub fn load_changes(state: &mut State, saved: &mut dyn BufRead, now: Instant) -> Result {
    let mut saved = Reader::new(saved);
    check(saved.expect()?)?;
    let ChangesHead { seed, counters, cleared } = saved.expect()?;
    if seed != state.store.seed() {
        return Err("changes of other keys".into());
    }
    counters.tell(state);
    if cleared {
        state.store.clear(now);
    }
    while let Some(Change { hash, entries }) = saved.next()? {
        let items: Result<Vec<_>> = entries.iter().map(|entry| entry.item(&state.wall)).collect();
        state.store.replace(hash, items?)?;
    }
    Ok(())
}
