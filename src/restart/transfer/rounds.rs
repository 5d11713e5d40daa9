//! The rounds of changes behind a snapshot: how many changes the next piece has, and when so few are left that
//! the last piece may come. Pure: times are arguments.
//!
//! A round is as many changes as were left when it began. While it is sent, others are made; if they are made
//! more slowly than they are sent, each round is shorter than the one before. Where they are not, the number of
//! rounds is the bound.

use std::{collections::VecDeque, time::Duration};

use crate::limits::{CHANGES_IN_FLIGHT, CHANGES_PIECE, LAST_CHANGES, ROUNDS};

/// Of the first piece, when nobody knows how long a change takes.
const FIRST: usize = 64;

/// A piece grows to this many times the one before, at most.
const GROWTH: f64 = 4.0;

/// How far the changes have been copied.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// Changes in the next piece, at most.
    most: usize,
    /// Rounds that have begun, and what of the last one is still to be sent.
    begun: u32,
    left: usize,
    /// Changes in all pieces so far.
    changes: u64,
    /// How many each of the pieces has that are not applied yet.
    in_flight: VecDeque<usize>,
    /// Seconds that a call takes which writes nothing. However few changes a piece has, it takes as long.
    asking: f64,
    /// Seconds that a change takes here, to be written, and there, to be read; the latest that is known.
    writing: f64,
    reading: f64,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<Most = usize> {
    /// Nothing, before a piece was applied.
    Wait,
    /// Write so many, at most.
    Piece(Most),
    /// What is left is little: the last piece.
    Last,
}

/// What comes next where so many pieces are under way, where all of this round `is_sent`, and where there is to be
/// no other one when it `is_over`. Then the next piece is the last, and waits for those before it.
pub(crate) fn next(in_flight: usize, is_sent: bool, is_over: bool) -> Next<()> {
    match in_flight {
        0 if is_over => Next::Last,
        1.. if is_over || is_sent => Next::Wait,
        CHANGES_IN_FLIGHT.. => Next::Wait,
        _ => Next::Piece(()),
    }
}

impl Rounds {
    pub fn new() -> Rounds {
        let (most, begun, left, changes) = (FIRST, 0, 0, 0);
        let in_flight = VecDeque::new();
        let (asking, writing, reading) = (0.0, 0.0, 0.0);
        Rounds { most, begun, left, changes, in_flight, asking, writing, reading }
    }

    /// It took so long to ask how many are to be copied.
    pub fn asked(&mut self, took: Duration) {
        self.asking = took.as_secs_f64();
    }

    /// So many are to be copied by now. With `hurry` there is no time for more rounds.
    pub fn next(&mut self, waiting: usize, hurry: bool) -> Next {
        if self.left == 0 && self.in_flight.is_empty() && self.begun <= ROUNDS {
            (self.left, self.begun) = (waiting, self.begun + u32::from(waiting > 0));
        }
        let last = waiting as f64 * (self.writing + self.reading);
        let is_measured = self.writing > 0.0 && self.reading > 0.0;
        let is_short = waiting == 0 || (is_measured && last <= LAST_CHANGES.as_secs_f64());
        let is_over = is_short || hurry || self.begun > ROUNDS;
        match next(self.in_flight.len(), self.left == 0, is_over) {
            Next::Piece(()) => Next::Piece(self.most),
            Next::Wait => Next::Wait,
            Next::Last => Next::Last,
        }
    }

    /// A piece of so many changes is on its way; it took so long to be written.
    pub fn sent(&mut self, count: usize, took: Duration) {
        self.in_flight.push_back(count);
        self.changes += count as u64;
        self.left = self.left.saturating_sub(count);
        if count == 0 {
            return;
        }
        self.writing = (took.as_secs_f64() - self.asking).max(1e-9) / count as f64;
        let fits = CHANGES_PIECE.as_secs_f64() / self.writing;
        self.most = (fits.min(self.most as f64 * GROWTH) as usize).max(1);
    }

    /// The oldest that is on its way has been applied, which took so long.
    pub fn applied(&mut self, took: Duration) {
        let count = self.in_flight.pop_front().unwrap_or(0);
        if count > 0 {
            self.reading = took.as_secs_f64().max(1e-9) / count as f64;
        }
    }

    /// Whether a piece is on its way.
    pub fn is_under_way(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Rounds that were needed, and the changes in them.
    pub fn told(&self) -> (u32, u64) {
        (self.begun.min(ROUNDS), self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// A service whose changes take so long to be written and read, while others make so many each second. Answers
    /// the rounds, the changes, and how many were left for the last piece.
    fn copy(mut waiting: f64, writing: Duration, reading: Duration, rate: f64) -> (u32, u64, f64) {
        let mut rounds = Rounds::new();
        for _ in 0..1_000_000 {
            let took = match rounds.next(waiting as usize, false) {
                Next::Last => {
                    let (begun, changes) = rounds.told();
                    return (begun, changes, waiting);
                }
                Next::Wait => {
                    let took = reading * rounds.in_flight[0] as u32;
                    rounds.applied(took);
                    took
                }
                Next::Piece(most) => {
                    let count = most.min(waiting as usize);
                    let took = writing * count as u32;
                    rounds.sent(count, took);
                    waiting -= count as f64;
                    took
                }
            };
            waiting += rate * took.as_secs_f64();
        }
        panic!("it goes on for ever");
    }

    #[test]
    fn what_does_not_change_is_copied_at_once() {
        assert_eq!(copy(0.0, MICRO, MICRO, 0.0), (0, 0, 0.0));
    }

    #[test]
    fn rounds_become_shorter_where_changes_are_slower_than_the_copy() {
        let (rounds, changes, left) = copy(1e6, MICRO, 2 * MICRO, 50_000.0);
        assert!((2..ROUNDS).contains(&rounds), "{rounds} rounds");
        assert!((1_000_000..1_400_000).contains(&changes), "{changes} changes");
        assert!(left * 3e-6 <= LAST_CHANGES.as_secs_f64(), "{left} are left");
    }

    /// Of one key that changes all the time there is never more than one change.
    #[test]
    fn where_changes_are_faster_the_number_of_rounds_is_the_bound() {
        let (rounds, _, left) = copy(10_000.0, 5 * MICRO, 5 * MICRO, 250_000.0);
        assert_eq!(rounds, ROUNDS);
        assert!(left > 1000.0, "{left} are left");
    }

    #[test]
    fn a_piece_takes_about_a_millisecond() {
        let mut rounds = Rounds::new();
        for writing in [MICRO, 10 * MICRO, 500 * MICRO] {
            for _ in 0..10 {
                let Next::Piece(most) = rounds.next(1 << 30, false) else { panic!() };
                rounds.sent(most, writing * most as u32);
                rounds.applied(MICRO);
            }
            let time = writing * rounds.most as u32;
            assert!(time <= CHANGES_PIECE && time * 2 > CHANGES_PIECE, "{time:?}");
        }
    }

    /// Were it divided by fewer and fewer changes, each of them would seem to take longer than the one before.
    #[test]
    fn what_a_call_takes_by_itself_makes_no_piece_smaller() {
        let (mut rounds, call) = (Rounds::new(), 60 * CHANGES_PIECE);
        for _ in 0..20 {
            rounds.asked(call);
            let Next::Piece(most) = rounds.next(1 << 30, false) else { panic!() };
            rounds.sent(most, call + MICRO * most as u32);
            rounds.applied(MICRO);
        }
        assert!((500..=1001).contains(&rounds.most), "{} changes", rounds.most);
    }

    #[test]
    fn no_more_than_two_are_under_way_and_the_last_waits_for_both() {
        let mut rounds = Rounds::new();
        for _ in 0..CHANGES_IN_FLIGHT {
            assert!(matches!(rounds.next(1000, false), Next::Piece(_)));
            rounds.sent(10, MICRO);
        }
        assert_eq!(rounds.next(1000, false), Next::Wait);
        rounds.applied(MICRO);
        assert_eq!(rounds.next(1000, true), Next::Wait, "in a hurry");
        rounds.applied(MICRO);
        assert_eq!(rounds.next(1000, true), Next::Last);
    }

    /// Nobody knows how long it will take, so one is tried.
    #[test]
    fn the_first_piece_is_never_the_last() {
        assert_eq!(Rounds::new().next(1, false), Next::Piece(FIRST));
    }
}
