//! What the clients have counted: how long answers took, and what failed. Data only.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::Tally;

/// The longest time a histogram keeps apart, in microseconds: more than any deadline.
const LONGEST_US: u64 = 120_000_000;

/// The times of one sort of request.
#[derive(Debug)]
pub struct Latency {
    /// All of them, in microseconds.
    pub all: Histogram<u64>,
    /// Those that were under way during a restart.
    pub restarts: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Latency {
        let empty = || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that are valid");
        Latency { all: empty(), restarts: empty() }
    }
}

impl Latency {
    pub fn record(&mut self, took: Duration, in_restart: bool) {
        let us = took.as_micros() as u64;
        self.all.saturating_record(us);
        if in_restart {
            self.restarts.saturating_record(us);
        }
    }
}

#[derive(Debug, Default)]
pub struct Score {
    /// From when a new connection was due until the server's FIN.
    pub new: Latency,
    /// From when a held connection was due to ask until its answer.
    pub held: Latency,
    /// Connections that have ended with a process that was killed on purpose.
    pub cut: u64,
    pub failures: Tally,
}

impl Score {
    /// Requests that were answered, to the byte.
    pub fn answered(&self) -> u64 {
        self.new.all.len() + self.held.all.len()
    }
}
