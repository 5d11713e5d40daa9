//! The demo clients as the observer counts them: where each was answered last, and how long it took. Knows no
//! socket.

use std::{collections::BTreeMap, time::Duration};

use super::place::Place;

/// Clients are numbered from 1 on; a number is a dot on the page.
#[derive(Debug, Default)]
pub struct Clients {
    /// How many there are to be.
    pub wanted: usize,
    /// Connections that stand or are being made, with the process that has answered last.
    pub here: BTreeMap<u64, Option<Place>>,
    last: u64,
    /// Answers since the last picture, by generation, of all workers together.
    answers: BTreeMap<u64, Vec<Duration>>,
    pub answered: u64,
    /// Connections that were refused, and those that ended without an answer that was due.
    pub failed: u64,
}

/// The answers of one generation between two pictures, times in microseconds.
#[derive(Debug, PartialEq, Eq)]
pub struct Answers {
    pub generation: u64,
    pub count: usize,
    pub median: u128,
    pub longest: u128,
}

impl Clients {
    pub fn new(wanted: usize) -> Clients {
        Clients { wanted, ..Clients::default() }
    }

    /// Numbers for the clients that are missing.
    pub fn missing(&mut self) -> Vec<u64> {
        let count = self.wanted.saturating_sub(self.here.len());
        (0..count)
            .map(|_| {
                self.last += 1;
                self.here.insert(self.last, None);
                self.last
            })
            .collect()
    }

    pub fn answered(&mut self, number: u64, place: Place, took: Duration) {
        self.here.insert(number, Some(place));
        self.answers.entry(place.generation).or_default().push(took);
        self.answered += 1;
    }

    pub fn gone(&mut self, number: u64) {
        self.here.remove(&number);
    }

    pub fn take_answers(&mut self) -> Vec<Answers> {
        let by_generation = std::mem::take(&mut self.answers).into_iter();
        by_generation
            .map(|(generation, mut times)| {
                times.sort_unstable();
                let (count, at) = (times.len(), times.len() / 2);
                let longest = times.last().map_or(0, Duration::as_micros);
                Answers { generation, count, median: times[at].as_micros(), longest }
            })
            .collect()
    }
}
