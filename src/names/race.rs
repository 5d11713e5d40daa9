//! Happy eyeballs: which address of a host is tried when (RFC 8305). Pure.
//!
//! Addresses of both kinds are tried in turns, IPv6 first; each has a quarter of a second before the next one is
//! tried beside it, and one that fails makes room at once. Whoever calls this begins the attempts, and ends the
//! race when one of them has connected.

use std::{collections::VecDeque, net::IpAddr};

use super::host::Family;
use crate::{
    clock::Stamp,
    limits::{ATTEMPT_DELAY, RESOLUTION_DELAY},
};

/// The addresses of one kind.
#[derive(Debug, Default)]
struct Lane {
    left: VecDeque<IpAddr>,
    /// No more will come.
    complete: bool,
}

/// One race.
#[derive(Debug, Default)]
pub(crate) struct Race {
    v6: Lane,
    v4: Lane,
    /// Before that no IPv4 address is tried, since those of IPv6 may come yet.
    v6_until: Option<Stamp>,
    /// Of which kind the last attempt was.
    last: Option<Family>,
    /// When the next attempt may begin although none has failed.
    next_at: Option<Stamp>,
    /// Attempts under way.
    running: usize,
}

impl Race {
    fn lane(&mut self, family: Family) -> &mut Lane {
        match family {
            Family::V6 => &mut self.v6,
            Family::V4 => &mut self.v4,
        }
    }

    /// These are all addresses of this kind that the host has; there may be none.
    pub fn found(&mut self, family: Family, addresses: &[IpAddr], now: Stamp) {
        let lane = self.lane(family);
        lane.complete = true;
        lane.left.extend(addresses);
        if family == Family::V4 && !addresses.is_empty() && !self.v6.complete {
            self.v6_until.get_or_insert(now + RESOLUTION_DELAY);
        }
    }

    /// An attempt has failed.
    pub fn failed(&mut self) {
        self.running -= 1;
        self.next_at = None;
    }

    /// The address with which an attempt is to begin now, if there is one. Ask until there is none.
    pub fn next(&mut self, now: Stamp) -> Option<IpAddr> {
        if self.next_at.is_some_and(|at| now < at) || self.waits_for_v6(now) {
            return None;
        }
        let first = self.last.map_or(Family::V6, Family::other);
        let found = [first, first.other()]
            .into_iter()
            .find_map(|family| self.lane(family).left.pop_front().map(|address| (family, address)));
        let (family, address) = found?;
        (self.last, self.next_at) = (Some(family), Some(now + ATTEMPT_DELAY));
        self.running += 1;
        Some(address)
    }

    /// The addresses of IPv4 are there first, and nothing was tried yet.
    fn waits_for_v6(&self, now: Stamp) -> bool {
        self.last.is_none() && !self.v6.complete && self.v6_until.is_some_and(|until| now < until)
    }

    fn has_left(&self) -> bool {
        !self.v6.left.is_empty() || !self.v4.left.is_empty()
    }

    /// When [`next`](Self::next) is to be asked again, unless something happens before. It may have been by now.
    pub fn deadline(&self) -> Option<Stamp> {
        if !self.has_left() {
            return None;
        }
        let v6_until = self.v6_until.filter(|_| self.last.is_none() && !self.v6.complete);
        self.next_at.max(v6_until)
    }

    /// Nothing is under way any more, and nothing will be.
    pub fn is_lost(&self) -> bool {
        self.running == 0 && !self.has_left() && self.v6.complete && self.v4.complete
    }

    /// Whether addresses were found.
    pub fn has_begun(&self) -> bool {
        self.last.is_some() || self.has_left()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        time::{Duration, Instant},
    };

    use proptest::prelude::*;

    use super::*;

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn v6(last: u16) -> IpAddr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into()
    }

    fn start() -> Stamp {
        Instant::now().into()
    }

    #[test]
    fn both_kinds_are_tried_in_turns_a_quarter_of_a_second_apart() {
        let (mut race, mut now) = (Race::default(), start());
        race.found(Family::V6, &[v6(1), v6(2), v6(3)], now);
        race.found(Family::V4, &[v4(1)], now);
        for expected in [v6(1), v4(1), v6(2), v6(3)] {
            assert_eq!(race.next(now), Some(expected));
            let before = now + ATTEMPT_DELAY.saturating_sub(Duration::from_nanos(1));
            assert_eq!(race.next(before), None);
            now = now + ATTEMPT_DELAY;
        }
        assert_eq!((race.next(now), race.deadline()), (None, None));
        (0..3).for_each(|_| race.failed());
        assert!(!race.is_lost());
        race.failed();
        assert!(race.is_lost());
    }

    #[test]
    fn who_fails_makes_room_at_once() {
        let (mut race, now) = (Race::default(), start());
        race.found(Family::V6, &[v6(1)], now);
        race.found(Family::V4, &[v4(1)], now);
        assert_eq!(race.next(now), Some(v6(1)));
        race.failed();
        assert_eq!(race.next(now), Some(v4(1)));
        race.failed();
        assert!(race.is_lost());
    }

    #[test]
    fn ipv4_waits_fifty_milliseconds_for_ipv6_and_ipv6_for_nobody() {
        let (mut race, now) = (Race::default(), start());
        race.found(Family::V4, &[v4(1)], now);
        assert_eq!((race.next(now), race.deadline()), (None, Some(now + RESOLUTION_DELAY)));
        race.found(Family::V6, &[v6(1)], now);
        assert_eq!(race.next(now), Some(v6(1)));

        let mut race = Race::default();
        race.found(Family::V4, &[v4(1)], now);
        assert_eq!(race.deadline(), Some(now + RESOLUTION_DELAY), "also when that is over");
        assert_eq!(race.next(now + RESOLUTION_DELAY), Some(v4(1)));
        assert!(!race.is_lost(), "IPv6 may come yet");

        let mut race = Race::default();
        race.found(Family::V6, &[v6(1)], now);
        assert_eq!(race.next(now), Some(v6(1)));

        // That there is none of it is an answer, too.
        let mut race = Race::default();
        race.found(Family::V4, &[v4(1)], now);
        race.found(Family::V6, &[], now);
        assert_eq!(race.next(now), Some(v4(1)));
    }

    #[test]
    fn addresses_that_come_late_are_tried_in_turns_with_those_that_are_left() {
        let (mut race, now) = (Race::default(), start());
        race.found(Family::V4, &[v4(1), v4(2)], now);
        let now = now + RESOLUTION_DELAY;
        assert_eq!(race.next(now), Some(v4(1)));
        race.failed();
        race.found(Family::V6, &[v6(1)], now);
        assert_eq!(race.next(now), Some(v6(1)));
        race.failed();
        assert_eq!(race.next(now), Some(v4(2)));
    }

    proptest! {
        /// Whatever comes when: each address is tried once, no two sooner after each other than they may, and
        /// while something is left there is always a reason to come back.
        #[test]
        fn each_address_has_its_turn(
            sixes in 0..5u16, fours in 0..5u8, six_at in 0..400u64, four_at in 0..400u64,
            failures in proptest::collection::vec(any::<bool>(), 12), step in 1..90u64,
        ) {
            let begun = start();
            let (mut race, mut tried) = (Race::default(), Vec::new());
            let (mut failures, mut last, mut running) = (failures.into_iter(), None, 0);
            for millis in (0..4000u64).step_by(step as usize) {
                let now = begun + Duration::from_millis(millis);
                if six_at <= millis && !race.v6.complete {
                    race.found(Family::V6, &(0..sixes).map(v6).collect::<Vec<_>>(), now);
                }
                if four_at <= millis && !race.v4.complete {
                    race.found(Family::V4, &(0..fours).map(v4).collect::<Vec<_>>(), now);
                }
                while let Some(address) = race.next(now) {
                    prop_assert!(last.is_none_or(|last| now.since(last) >= ATTEMPT_DELAY));
                    tried.push(address);
                    (last, running) = (Some(now), running + 1);
                    if failures.next() == Some(true) {
                        race.failed();
                        (last, running) = (None, running - 1);
                    }
                }
                if race.has_left() {
                    prop_assert!(race.deadline().is_some_and(|at| at > now));
                }
                prop_assert_eq!(race.running, running);
            }
            prop_assert_eq!(tried.len(), sixes as usize + fours as usize);
            prop_assert_eq!(race.is_lost(), running == 0);
            tried.sort();
            tried.dedup();
            prop_assert_eq!(tried.len(), sixes as usize + fours as usize);
        }
    }
}
