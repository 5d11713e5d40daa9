//! What the clients have seen: answers and how long they took, what was noticed, and for how long nobody was
//! served. Times are counted from the start of the run. Knows no socket.

use std::time::Duration;

use super::notice::Notice;

/// What comes so soon after the end of a restart counts as of it: an old process may still have had to go.
const AFTERMATH: Duration = Duration::from_millis(100);

/// The first things that were noticed are kept in words, each once.
const STORIES: usize = 8;

/// What a picture shows as one.
pub const PIECE: Duration = Duration::from_millis(10);

/// A restart, or an attempt.
#[derive(Clone, Debug)]
pub struct Window {
    pub began: Duration,
    pub ended: Option<Duration>,
    /// The longest time without an answer to anybody that has to do with it.
    pub gap: Duration,
    /// What was noticed from then on until the next one.
    pub noticed: u64,
}

/// A time without an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    pub from: Duration,
    pub length: Duration,
    /// For so long at once this program itself was late in it.
    pub own: Duration,
}

/// Times without an answer: the longest, during restarts and in the calm between them.
#[derive(Debug, Default)]
pub struct Gaps {
    last: Duration,
    own: Duration,
    pub restarts: Gap,
    pub calm: Gap,
}

impl Gaps {
    fn answered(&mut self, now: Duration, in_restart: bool) -> Duration {
        let gap = Gap { from: self.last, length: now.saturating_sub(self.last), own: self.own };
        let longest = if in_restart { &mut self.restarts } else { &mut self.calm };
        if gap.length > longest.length {
            *longest = gap;
        }
        (self.last, self.own) = (now, Duration::ZERO);
        gap.length
    }
}

/// What the picture shows of 10 ms of one sort of client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Piece {
    /// Microseconds of the slowest answer.
    pub slowest: u32,
    pub noticed: u32,
}

/// One sort of client.
#[derive(Debug, Default)]
pub struct Sort {
    counts: [u64; Notice::ALL.len()],
    /// Microseconds of each answer that had to do with a restart, and of each other.
    pub in_restarts: Vec<u32>,
    pub calm: Vec<u32>,
    pub connects: u64,
    pub gaps: Gaps,
    pub pieces: Vec<Piece>,
}

impl Sort {
    pub fn count(&self, notice: Notice) -> u64 {
        self.counts[notice as usize]
    }

    pub fn answered(&self) -> u64 {
        (self.in_restarts.len() + self.calm.len()) as u64
    }

    fn piece(&mut self, now: Duration) -> &mut Piece {
        let at = (now.as_nanos() / PIECE.as_nanos()) as usize;
        if self.pieces.len() <= at {
            self.pieces.resize(at + 1, Piece::default());
        }
        &mut self.pieces[at]
    }
}

/// All sorts.
#[derive(Debug, Default)]
pub struct Tally {
    pub sorts: Vec<Sort>,
    /// Of all together: nobody was served.
    pub gaps: Gaps,
    pub windows: Vec<Window>,
    /// The longest time for which this program was late.
    pub own: Duration,
    pub stories: Vec<(Duration, String)>,
    /// Whether an orderly close of an idle connection is nothing to notice.
    pub may_close: bool,
}

impl Tally {
    /// An answer to what was due at `due`.
    pub fn answered(&mut self, sort: usize, due: Duration, now: Duration) {
        let in_restart = self.touches(due, now);
        self.close_gap(now);
        self.close_gap_of(sort, now);
        let sort = &mut self.sorts[sort];
        let took = u32::try_from(now.saturating_sub(due).as_micros()).unwrap_or(u32::MAX);
        if in_restart { &mut sort.in_restarts } else { &mut sort.calm }.push(took);
        let piece = sort.piece(now);
        piece.slowest = piece.slowest.max(took);
    }

    /// Somebody is served.
    fn close_gap(&mut self, now: Duration) {
        let last = self.gaps.last;
        let in_restart = self.touches(last, now);
        let gap = self.gaps.answered(now, in_restart);
        let window = self.windows.iter_mut().rev().find(|window| window.touches(last, now));
        if let Some(window) = window {
            window.gap = window.gap.max(gap);
        }
    }

    fn close_gap_of(&mut self, sort: usize, now: Duration) {
        let in_restart = self.touches(self.sorts[sort].gaps.last, now);
        self.sorts[sort].gaps.answered(now, in_restart);
    }

    /// `count` requests that have come to this.
    pub fn noticed(&mut self, sort: usize, notice: Notice, count: u64, why: &str, now: Duration) {
        let sort = &mut self.sorts[sort];
        sort.counts[notice as usize] += count;
        if notice == Notice::Retried || (notice == Notice::Closed && self.may_close) {
            return;
        }
        if notice != Notice::Untried {
            sort.piece(now).noticed += count as u32;
            self.windows.iter_mut().rev().take(1).for_each(|window| window.noticed += count);
        }
        let story = format!("{}: {why}", notice.name());
        if self.stories.len() < STORIES && self.stories.iter().all(|(_, known)| *known != story) {
            self.stories.push((now, story));
        }
    }

    /// This program looked so much later than it had meant to.
    pub fn was_late(&mut self, by: Duration) {
        self.own = self.own.max(by);
        for gaps in self.sorts.iter_mut().map(|sort| &mut sort.gaps).chain([&mut self.gaps]) {
            gaps.own = gaps.own.max(by);
        }
    }

    /// The run is over: what has not ended by then ends now.
    pub fn end(&mut self, now: Duration) {
        self.close_gap(now);
        (0..self.sorts.len()).for_each(|sort| self.close_gap_of(sort, now));
    }

    pub fn began(&mut self, now: Duration) {
        self.windows.push(Window { began: now, ended: None, gap: Duration::ZERO, noticed: 0 });
    }

    pub fn ended(&mut self, now: Duration) {
        if let Some(window) = self.windows.last_mut() {
            window.ended = Some(now);
        }
    }

    /// What counts against the server.
    pub fn total(&self) -> u64 {
        let counts =
            |notice: &Notice| self.sorts.iter().map(|sort| sort.count(*notice)).sum::<u64>();
        let mut none = vec![Notice::Untried, Notice::Retried];
        none.extend(self.may_close.then_some(Notice::Closed));
        Notice::ALL.iter().filter(|notice| !none.contains(notice)).map(counts).sum()
    }

    /// Whether a restart has to do with this time.
    fn touches(&self, from: Duration, to: Duration) -> bool {
        self.windows.iter().rev().any(|window| window.touches(from, to))
    }
}

impl Window {
    fn touches(&self, from: Duration, to: Duration) -> bool {
        self.began <= to && self.ended.is_none_or(|ended| ended + AFTERMATH >= from)
    }
}

/// What a share of all is not above, in microseconds.
pub fn share(sorted: &[u32], share: f64) -> u32 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn a_time_without_an_answer_is_of_the_restart_that_it_touches() {
        let mut tally = Tally { sorts: vec![Sort::default()], ..Tally::default() };
        [5, 10].into_iter().for_each(|at| tally.answered(0, ms(at), ms(at)));
        tally.began(ms(12));
        tally.was_late(ms(3));
        tally.answered(0, ms(11), ms(40));
        tally.ended(ms(41));
        (3..=9).for_each(|at| tally.answered(0, ms(20 * at), ms(20 * at)));
        for gaps in [&tally.gaps, &tally.sorts[0].gaps] {
            let Gap { from, length, own } = gaps.restarts;
            assert_eq!((from, length, own), (ms(10), ms(30), ms(3)));
            assert_eq!((gaps.calm.from, gaps.calm.length), (ms(160), ms(20)));
        }
        assert_eq!((tally.windows[0].gap, tally.windows[0].noticed), (ms(30), 0));
        // Those at 40 to 140.
        assert_eq!((tally.sorts[0].in_restarts.len(), tally.sorts[0].calm.len()), (6, 4));
        tally.end(ms(300));
        assert_eq!(tally.gaps.calm.length, ms(120));
    }

    #[test]
    fn what_counts_against_the_server_is_neither_untried_nor_allowed() {
        let mut tally = Tally { sorts: vec![Sort::default()], ..Tally::default() };
        Notice::ALL.into_iter().for_each(|notice| tally.noticed(0, notice, 2, "why", ms(1)));
        assert_eq!(tally.total(), 16);
        tally.may_close = true;
        assert_eq!(tally.total(), 14);
        assert_eq!((share(&[], 0.5), share(&[1, 2, 3, 4], 0.5), share(&[1, 2, 3], 1.0)), (0, 2, 3));
    }
}
