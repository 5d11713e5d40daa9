//! Who is told to leave when, and who is ended when: the schedule of a drain. Pure: no socket, time
//! is an argument.
//!
//! ```text
//!  begin                begin + window                     begin + deadline
//!   |--- told, one after the other ---|                             |
//!   |--- each is ended, deadline - window after it was told --------|
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{net::ConnId, plan::Drain};

/// The rest of a schedule.
#[derive(Debug, Default)]
pub(crate) struct DrainSchedule {
    /// To be told, soonest first.
    tell: VecDeque<(Instant, ConnId)>,
    /// To be ended, soonest first.
    end: VecDeque<(Instant, ConnId)>,
    /// How long each has from when it is told, where they are told one after the other.
    patience: Option<Duration>,
    /// All that is left is ended then: connections that were told, and those that came since.
    deadline: Option<Instant>,
    /// There is no time at all.
    at_once: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// And when it is ended, if that is known.
    Tell(ConnId, Option<Instant>),
    End(ConnId),
    EndAll,
}

impl DrainSchedule {
    /// A schedule for `ids`, which are in the order in which they are to go. `jitter` is any number for
    /// each of them: it moves one within its own part of the window.
    pub fn plan(
        how: &Drain,
        now: Instant,
        ids: &[ConnId],
        jitter: impl Fn(ConnId) -> u64,
    ) -> DrainSchedule {
        let share = how.spread / u32::try_from(ids.len().max(1)).unwrap_or(u32::MAX);
        let moment = |(index, id): (usize, ConnId)| {
            let within = share.mul_f64(jitter(id) as f64 / u64::MAX as f64);
            let begins = how.spread.mul_f64(index as f64 / ids.len() as f64);
            (now + begins + within, id)
        };
        let tell: VecDeque<_> = ids.iter().copied().enumerate().map(moment).collect();
        let patience = how.deadline.map(|deadline| deadline.saturating_sub(how.spread));
        // Without a window all end together, at the deadline.
        let patience = patience.filter(|_| how.spread > Duration::ZERO);
        let end =
            patience.map(|patience| tell.iter().map(|&(at, id)| (at + patience, id)).collect());
        DrainSchedule {
            tell,
            end: end.unwrap_or_default(),
            patience,
            deadline: how.deadline.map(|deadline| now + deadline),
            at_once: how.deadline == Some(Duration::ZERO),
        }
    }

    /// Goes on by another plan; but the end does not come later than it was to come. Answers whether it comes sooner.
    pub fn replace(&mut self, plan: DrainSchedule) -> bool {
        let before = self.deadline;
        let deadline = before.into_iter().chain(plan.deadline).min();
        *self = DrainSchedule { deadline, ..plan };
        deadline != before
    }

    /// Whether it ends with its beginning, so that nobody could make use of being told.
    pub fn is_at_once(&self) -> bool {
        self.at_once
    }

    /// When `id` is ended.
    pub fn end_of(&self, id: ConnId) -> Option<Instant> {
        let own = self.end.iter().find(|&&(_, other)| other == id).map(|&(at, _)| at);
        own.into_iter().chain(self.deadline).min()
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        let fronts = [self.tell.front(), self.end.front()];
        let soonest = fronts.into_iter().flatten().map(|&(at, _)| at);
        soonest.chain(self.deadline).min()
    }

    /// Takes out one thing that is due. Nobody is ended before being told.
    pub fn pop(&mut self, now: Instant) -> Option<Due> {
        let over = self.deadline.is_some_and(|deadline| deadline <= now);
        if let Some(&(at, id)) = self.tell.front()
            && (over || at <= now)
        {
            self.tell.pop_front();
            let end = self.patience.map(|patience| at + patience);
            return Some(Due::Tell(id, end.into_iter().chain(self.deadline).min()));
        }
        if over {
            *self = DrainSchedule::default();
            return Some(Due::EndAll);
        }
        let &(at, id) = self.end.front()?;
        (at <= now).then(|| {
            self.end.pop_front();
            Due::End(id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(count: u64) -> Vec<ConnId> {
        (1..=count).map(|serial| ConnId::new(serial as usize, serial)).collect()
    }

    fn run(schedule: &mut DrainSchedule) -> Vec<(Instant, Due)> {
        let mut events = Vec::new();
        while let Some(at) = schedule.next() {
            while let Some(due) = schedule.pop(at) {
                events.push((at, due));
            }
        }
        events
    }

    #[test]
    fn without_a_window_all_are_told_at_once_and_ended_at_the_deadline() {
        let now = Instant::now();
        let limit = Duration::from_secs(9);
        let mut schedule = DrainSchedule::plan(&Drain::deadline(limit), now, &ids(3), |_| u64::MAX);
        let events = run(&mut schedule);
        let told = events.iter().filter(|(at, due)| *at == now && matches!(due, Due::Tell(..)));
        assert_eq!(told.count(), 3);
        assert_eq!(events.last(), Some(&(now + limit, Due::EndAll)));
        assert_eq!(events.len(), 4);
    }

    #[test]
    fn another_plan_may_hurry_and_may_not_dawdle() {
        let now = Instant::now();
        let plan = |limit: u64| {
            DrainSchedule::plan(&Drain::deadline(Duration::from_secs(limit)), now, &ids(1), |_| 0)
        };
        for limits in [[5, 9], [9, 5]] {
            let mut schedule = DrainSchedule::default();
            let sooner: Vec<_> = limits.into_iter().map(|it| schedule.replace(plan(it))).collect();
            assert_eq!(sooner, [true, limits[1] < limits[0]]);
            let last = run(&mut schedule).pop();
            assert_eq!(last, Some((now + Duration::from_secs(5), Due::EndAll)));
        }
    }

    #[test]
    fn nobody_to_wait_for_and_no_deadline_is_nothing_to_do() {
        let schedule = DrainSchedule::plan(&Drain::unlimited(), Instant::now(), &[], |_| 0);
        assert_eq!(schedule.next(), None);
    }

    proptest! {
        #[test]
        fn everybody_is_told_once_in_order_within_the_window_and_ended_in_time(
            count in 1u64..50, window in 0u64..100_000, rest in 0u64..100_000, seed: u64,
        ) {
            let now = Instant::now();
            let (window, rest) = (Duration::from_micros(window), Duration::from_micros(rest));
            let how = Drain::deadline(window + rest).spread(window);
            let ids = ids(count);
            let jitter = |id: ConnId| id.to_bits().wrapping_mul(seed | 1);
            let events = run(&mut DrainSchedule::plan(&how, now, &ids, jitter));
            let told: Vec<_> = events.iter().filter_map(|(at, due)| match due {
                Due::Tell(id, end) => Some((*at, *id, *end)),
                _ => None,
            }).collect();
            prop_assert_eq!(told.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(), ids);
            for &(at, id, end) in &told {
                let ends = |(_, due): &&(Instant, Due)| matches!(due, Due::End(it) if *it == id);
                let ended = events.iter().find(ends).map(|(at, _)| *at);
                // As it was told; but the deadline for all may come first, by rounding.
                let by = ended.into_iter().chain([now + window + rest]).min();
                prop_assert!(end.is_some() && end <= by.map(|by| by + Duration::from_micros(1)));
                prop_assert!(end >= Some(at) || rest.is_zero());
                prop_assert!(at <= now + window + Duration::from_micros(1));
                let end = events.iter().find(|(_, due)| *due == Due::End(id));
                // The deadline for all may come first, by rounding.
                if let Some((ended, _)) = end {
                    prop_assert!(*ended >= at + rest && *ended <= now + window + rest);
                }
            }
            let deadline = (now + window + rest, Due::EndAll);
            prop_assert!(events.contains(&deadline));
        }
    }
}
