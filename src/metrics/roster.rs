//! Who serves, of several workers, and how each process stands: what one of them is asked for is told of all. A process keeps
//! its place up to date once in a turn. One that has died counts no more: who reads looks whether the process of a place
//! is there, and who needs a place takes one whose process is gone. Knows no worker but by its number.

use std::{
    borrow::Cow,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::Duration,
};

use super::words::put_text;
#[cfg(any(test, feature = "metrics"))]
use super::words::text_of;
use crate::system::process::made_at;

/// Processes of all workers: a hundred workers, of which a few are being replaced.
const PLACES: usize = 128;
/// Words of a place.
const PLACE: usize = 14;
/// All of them.
pub(super) const WORDS: usize = PLACES * PLACE;

const AT_PID: usize = 0;
const AT_MADE: usize = 1;
const AT_WORKER: usize = 2;
const AT_GENERATION: usize = 3;
const AT_BEGUN: usize = 4;
const AT_CONNECTIONS: usize = 5;
const AT_HOLDS: usize = 6;
const AT_ENGINE: usize = 7;
const AT_PHASE: usize = 10;

/// How a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub pid: u32,
    pub worker: u32,
    pub generation: u64,
    pub connections: u64,
    pub holds: u64,
    /// A name of at most 24 bytes.
    pub engine: Cow<'static, str>,
    /// One of at most 32 bytes.
    pub phase: Cow<'static, str>,
}

/// The place of this process, once it has one.
#[derive(Debug, Default)]
pub(super) struct Place {
    index: Option<usize>,
    told: Option<Standing>,
}

fn places(words: &[AtomicU64]) -> impl Iterator<Item = &[AtomicU64]> {
    words.chunks_exact(PLACE)
}

/// Whether the process that a place is of lives.
fn lives(place: &[AtomicU64]) -> bool {
    let pid = place[AT_PID].load(Acquire);
    let made = place[AT_MADE].load(Relaxed);
    pid != 0 && u32::try_from(pid).is_ok_and(|pid| made_at(pid) == Some(made))
}

impl Place {
    /// Tells how this process stands, if that is news; `now` is since 1970. Where there is no place for it, nobody else tells of
    /// it.
    pub fn tell(
        &mut self,
        words: &[AtomicU64],
        standing: Standing,
        now: impl FnOnce() -> Duration,
    ) {
        if self.told.as_ref() == Some(&standing) {
            return;
        }
        let is_new = self.index.is_none();
        if is_new {
            self.index = take(words, standing.pid);
        }
        let Some(place) = self.index.and_then(|index| places(words).nth(index)) else { return };
        for (at, value) in [
            (AT_WORKER, u64::from(standing.worker)),
            (AT_GENERATION, standing.generation),
            (AT_CONNECTIONS, standing.connections),
            (AT_HOLDS, standing.holds),
        ] {
            place[at].store(value, Relaxed);
        }
        put_name(&place[AT_ENGINE..AT_PHASE], &standing.engine);
        put_name(&place[AT_PHASE..], &standing.phase);
        if is_new {
            place[AT_BEGUN].store(now().as_millis() as u64, Relaxed);
            place[AT_MADE].store(made_at(standing.pid).unwrap_or(0), Release); // it counts
        }
        self.told = Some(standing);
    }
}

fn put_name(words: &[AtomicU64], name: &str) {
    words.iter().for_each(|word| word.store(0, Relaxed));
    put_text(words, name.as_bytes());
}

#[cfg(any(test, feature = "metrics"))]
fn name(words: &[AtomicU64]) -> Option<Cow<'static, str>> {
    let text = String::from_utf8(text_of(words, words.len() * 8)).ok()?;
    Some(text.trim_end_matches('\0').to_owned().into())
}

/// Takes a place whose process is gone, or that nobody has had.
fn take(words: &[AtomicU64], pid: u32) -> Option<usize> {
    places(words).position(|place| {
        let before = place[AT_PID].load(Acquire);
        let is_free = !lives(place);
        let own = u64::from(pid);
        let is_taken = || place[AT_PID].compare_exchange(before, own, Acquire, Relaxed).is_ok();
        let is_ours = is_free && is_taken();
        if is_ours {
            place[AT_MADE].store(0, Relaxed); // what it says is another's yet
        }
        is_ours
    })
}

/// Those that live, and since when they have told, since 1970.
#[cfg(any(test, feature = "metrics"))]
pub(super) fn standings(words: &[AtomicU64]) -> Vec<(Standing, Duration)> {
    places(words).filter(|place| lives(place)).filter_map(standing).collect()
}

#[cfg(any(test, feature = "metrics"))]
fn standing(place: &[AtomicU64]) -> Option<(Standing, Duration)> {
    let value = |at: usize| place[at].load(Relaxed);
    let standing = Standing {
        pid: u32::try_from(value(AT_PID)).ok()?,
        worker: u32::try_from(value(AT_WORKER)).ok()?,
        generation: value(AT_GENERATION),
        connections: value(AT_CONNECTIONS),
        holds: value(AT_HOLDS),
        engine: name(&place[AT_ENGINE..AT_PHASE])?,
        phase: name(&place[AT_PHASE..])?,
    };
    Some((standing, Duration::from_millis(value(AT_BEGUN))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<AtomicU64> {
        (0..WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    fn own() -> Standing {
        Standing {
            pid: std::process::id(),
            worker: 1,
            generation: 2,
            connections: 4,
            holds: 5,
            engine: "fork-exec".into(),
            phase: "serving".into(),
        }
    }

    fn now() -> Duration {
        Duration::from_millis(3)
    }

    #[test]
    fn a_process_is_told_as_it_stands_now() {
        let (words, mut place) = (words(), Place::default());
        assert_eq!(standings(&words), []);
        place.tell(&words, own(), now);
        let later =
            Standing { connections: 0, engine: "fork".into(), phase: "end".into(), ..own() };
        place.tell(&words, later.clone(), || unreachable!("it has begun"));
        assert_eq!(standings(&words), [(later, now())]);
    }

    #[test]
    fn one_that_is_gone_counts_no_more_and_leaves_its_place() {
        let (words, mut gone) = (words(), Place::default());
        let mut child = std::process::Command::new("true").spawn().expect("it runs");
        gone.tell(&words, Standing { pid: child.id(), ..own() }, now);
        child.wait().expect("it ends");
        assert_eq!(standings(&words), []);
        let mut place = Place::default();
        place.tell(&words, own(), now);
        assert_eq!((place.index, standings(&words)), (Some(0), vec![(own(), now())]));
    }

    #[test]
    fn what_is_no_process_is_nobody() {
        let words = words();
        words[AT_PID].store(u64::MAX, Relaxed);
        words[PLACE + AT_PID].store(u64::from(std::process::id()), Relaxed); // made at another time
        assert_eq!(standings(&words), []);
        let mut places: Vec<_> = (0..PLACES + 1).map(|_| Place::default()).collect();
        places.iter_mut().for_each(|place| place.tell(&words, own(), now));
        assert_eq!(standings(&words).len(), PLACES, "the last one finds none");
    }
}
