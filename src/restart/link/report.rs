//! How a generation is, as it tells another one that was asked.

use std::time::Duration;

use super::wire::{Fields, Malformed, put, put_number, put_time};

/// How a generation is, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub phase: String,
    pub age: Duration,
    pub connections: u64,
    /// The age of its oldest connection.
    pub oldest: Option<Duration>,
    /// Work in hand that is no connection.
    pub holds: u64,
    /// The names of the oldest few.
    pub held: Vec<String>,
    /// How many things it holds that it does not know; an older program does not say.
    pub unknown: Option<u64>,
    /// Some of them, each as the control socket has it.
    pub findings: Vec<String>,
}

// Tags, of the same table as those of `message`. Times are in microseconds.
const AGE: u16 = 9;
const OLDEST: u16 = 10;
const PHASE: u16 = 11;
pub(super) const CONNECTIONS: u16 = 12;
const HOLDS: u16 = 13;
const HELD: u16 = 41;
const UNKNOWN: u16 = 75;
const FINDING: u16 = 76;

impl Report {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, PHASE, self.phase.as_bytes());
        put_time(out, AGE, self.age);
        put_number(out, CONNECTIONS, self.connections);
        self.oldest.iter().for_each(|time| put_time(out, OLDEST, *time));
        put_number(out, HOLDS, self.holds);
        self.held.iter().for_each(|name| put(out, HELD, name.as_bytes()));
        self.unknown.iter().for_each(|count| put_number(out, UNKNOWN, *count));
        self.findings.iter().for_each(|finding| put(out, FINDING, finding.as_bytes()));
    }

    pub(super) fn of(fields: Fields<'_>) -> Result<Report, Malformed> {
        Ok(Report {
            phase: fields.text(PHASE, "phase")?,
            age: fields.time(AGE, "age")?,
            connections: fields.number(CONNECTIONS, "connections")?,
            oldest: fields.maybe_time(OLDEST, "oldest")?,
            holds: fields.number(HOLDS, "holds")?,
            held: fields.texts(HELD, "held")?,
            unknown: fields.maybe_number(UNKNOWN, "unknown")?,
            findings: fields.texts(FINDING, "finding")?,
        })
    }
}
