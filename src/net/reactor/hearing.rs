//! How far this process has heard its peers, and for how much of its time it could not. Pure: time is an
//! argument.
//!
//! A deadline may only be judged when all that had come before it was reported by a poll and used: a
//! process that was stopped, or held up in a callback, finds deadlines passed and words unread at the same
//! moment. So deadlines are compared with the time up to which everything was heard, and not with the clock.

use std::time::{Duration, Instant};

use crate::limits::{EVENTS, LONG_TURN, POLL_SLACK};

/// How a poll went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// A signal came first: SIGCONT, or one of the author's own.
    Interrupted,
    /// Nothing has happened for as long as the poll was to wait.
    Nothing,
    /// Everything that there was to report.
    All,
    /// As many events as there is room for; so many sources are watched.
    Full { watched: usize },
}

/// Up to when everything that had come is known here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    /// It was reported.
    pub heard: Instant,
    /// It was offered to the service as well. Stands still while connections are frozen.
    pub used: Instant,
    /// Since when reports are full, and how many sources may not have been reported since.
    backlog: Option<(Instant, usize)>,
}

impl Hearing {
    pub fn begin(now: Instant) -> Hearing {
        Hearing { heard: now, used: now, backlog: None }
    }

    /// A poll that was asked for at `asked`, and was to wait for `wait`, has ended by `now`. It tells of
    /// everything that has come before it was asked or, if it has slept to its end, before that. Between its
    /// end and `now` the process may have been stopped.
    pub fn polled(&mut self, asked: Instant, wait: Option<Duration>, report: Report, now: Instant) {
        let heard = match report {
            Report::Interrupted => return,
            Report::Nothing => {
                wait.and_then(|wait| asked.checked_add(wait)).filter(|end| *end <= now)
            }
            Report::All => None,
            Report::Full { watched } => match self.backlog.take() {
                // epoll reports in the order of arrival, so one round brings what was there at its beginning.
                Some((since, left)) if left <= EVENTS => Some(since),
                backlog => {
                    let (since, left) = backlog.unwrap_or((asked, watched + EVENTS));
                    self.backlog = Some((since, left - EVENTS));
                    return;
                }
            },
        };
        self.backlog = None;
        let heard = heard.unwrap_or(asked) + POLL_SLACK;
        self.heard = self.heard.max(heard.min(now));
    }
}

/// How much of the time since `begun`, when the last turn began, this process could hear nobody: in author's
/// code that has blocked, or because it was stopped, which shows as work, as a poll that ends by a signal, or
/// as one that ends too late.
pub(super) fn deaf_for(
    begun: Instant,
    asked: Instant,
    wait: Option<Duration>,
    report: Report,
    now: Instant,
) -> Duration {
    let worked = asked.saturating_duration_since(begun);
    let polled = now.saturating_duration_since(asked);
    let listened = match (report, wait) {
        (Report::Interrupted, _) => Duration::ZERO,
        (_, Some(wait)) => wait,
        (_, None) => polled,
    };
    let missed = |time: Duration| time.saturating_sub(LONG_TURN);
    missed(worked) + missed(polled.saturating_sub(listened))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_poll_that_a_signal_ends_has_heard_nothing() {
        let start = Instant::now();
        let mut hearing = Hearing::begin(start);
        hearing.polled(start, Some(SECOND), Report::Interrupted, start + 9 * SECOND);
        assert_eq!(hearing.heard, start);
        let asked = start + 9 * SECOND;
        hearing.polled(asked, Some(Duration::ZERO), Report::All, asked);
        assert_eq!(hearing.heard, asked);
    }

    #[test]
    fn one_that_sleeps_to_its_end_has_heard_up_to_there() {
        let start = Instant::now();
        let mut hearing = Hearing::begin(start);
        hearing.polled(start, Some(SECOND), Report::Nothing, start + SECOND + POLL_SLACK / 2);
        assert_eq!(hearing.heard, start + SECOND + POLL_SLACK / 2);
    }

    /// It was stopped between the end of the poll and its look at the clock.
    #[test]
    fn what_comes_after_its_end_is_not_heard() {
        let start = Instant::now();
        for report in [Report::Nothing, Report::All] {
            let mut hearing = Hearing::begin(start);
            hearing.polled(start, Some(SECOND), report, start + 9 * SECOND);
            assert!(hearing.heard <= start + SECOND + POLL_SLACK, "{report:?}");
        }
    }

    #[test]
    fn a_stop_is_deafness_wherever_it_comes_and_a_poll_that_sleeps_is_none() {
        let start = Instant::now();
        let at = |seconds: u32| start + seconds * SECOND;
        let wait = |seconds: u32| Some(seconds * SECOND);
        let deaf = |asked, wait, report, now| deaf_for(start, at(asked), wait, report, at(now));
        assert_eq!(deaf(0, wait(9), Report::Nothing, 9), Duration::ZERO);
        assert_eq!(deaf(0, None, Report::All, 9), Duration::ZERO);
        let missed = 8 * SECOND - LONG_TURN;
        assert_eq!(deaf(8, wait(1), Report::All, 9), missed, "in the turn");
        assert_eq!(deaf(0, wait(1), Report::All, 9), missed, "behind the poll");
        assert_eq!(deaf(0, wait(60), Report::Interrupted, 8), missed, "within the poll");
    }

    #[test]
    fn full_reports_are_heard_when_a_round_is_over() {
        let start = Instant::now();
        let mut hearing = Hearing::begin(start);
        let full = Report::Full { watched: 2 * EVENTS + 1 };
        for second in 1..=4 {
            let asked = start + second * SECOND;
            hearing.polled(asked, None, full, asked);
            let expected = if second < 4 { start } else { start + SECOND + POLL_SLACK };
            assert_eq!(hearing.heard, expected, "after {second} reports");
        }
    }
}
