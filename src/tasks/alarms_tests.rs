//! Alarms against the plainest models: a beat, a copy that stands still, news from the other side.

use super::*;
use proptest::prelude::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The alarms of a process, and its clock.
struct Clocked {
    alarms: Alarms,
    now: Instant,
    coalesced: u64,
}

impl Clocked {
    fn new(now: Instant) -> Clocked {
        Clocked { alarms: Alarms::default(), now, coalesced: 0 }
    }

    fn set(&mut self, key: u64, after: Duration) {
        self.alarms.set(Alarm(key), after, self.now);
    }

    fn set_interval(&mut self, key: u64, every: Duration) {
        self.alarms.set_interval(Alarm(key), every, self.now);
    }

    /// What goes off by `now`.
    fn due(&mut self) -> Vec<u64> {
        let popped = std::iter::from_fn(|| self.alarms.pop(self.now));
        let due = popped.map(|(Alarm(key), missed)| {
            self.coalesced += missed;
            key
        });
        due.collect()
    }
}

/// The new side's changes reach the old one.
fn report(new: &mut Clocked, old: &mut Clocked) {
    let changes = new.alarms.take_changes(new.now);
    old.alarms.apply_changes(changes, old.now);
}

#[test]
fn an_interval_keeps_its_beat_and_coalesces_what_it_missed() {
    let start = Instant::now();
    let mut net = Clocked::new(start);
    net.set_interval(1, seconds(10));
    for (at, expected) in [(9, 0), (10, 1), (19, 0), (20, 1), (57, 1), (59, 0), (60, 1)] {
        net.now = start + seconds(at);
        assert_eq!(net.due().len(), expected, "after {at} s");
    }
    assert_eq!(net.coalesced, 2); // those of 40 and 50
    net.alarms.cancel(Alarm(1));
    net.now = start + seconds(100);
    assert_eq!(net.due(), [] as [u64; 0]);
}

#[test]
fn what_the_new_side_reports_is_neither_repeated_nor_lost() {
    let start = Instant::now();
    let (mut old, mut new) = (Clocked::new(start), Clocked::new(start));
    for net in [&mut old, &mut new] {
        net.set(1, seconds(1));
        net.set(5, seconds(5));
        net.set_interval(2, seconds(2));
    }
    old.alarms.suspend_all();
    new.alarms.track_changes();
    new.now = start + seconds(3);
    assert_eq!(new.due(), [1, 2]);
    new.set(7, seconds(1)); // as `on_alarm` would
    old.now = start + seconds(3);
    report(&mut new, &mut old);
    assert_eq!(old.due(), []);
    old.alarms.resume_all();
    assert_eq!(old.due(), []);
    old.now = start + seconds(5);
    assert_eq!(old.due(), [2, 7, 5]); // 2 and 7 since the fourth second
}

#[test]
fn what_is_set_after_the_copy_is_the_old_sides_own() {
    let start = Instant::now();
    let mut net = Clocked::new(start);
    net.set(1, seconds(1));
    net.set(2, seconds(1));
    net.set(3, seconds(1));
    net.alarms.suspend_all();
    net.set(1, seconds(3));
    net.alarms.cancel(Alarm(2));
    net.now = start + seconds(2);
    assert_eq!(net.due(), [] as [u64; 0]);
    net.alarms.resume_all();
    assert_eq!(net.due(), [3]);
    net.now = start + seconds(3);
    assert_eq!(net.due(), [1]);
}

proptest! {
    /// Against the plainest model: step from tick to tick.
    #[test]
    fn the_next_tick_is_the_first_of_the_beat_that_is_still_to_come(every in 1u64..50, late in 0u64..500) {
        let at = Instant::now();
        let now = at + Duration::from_millis(late);
        let every = Duration::from_millis(every);
        let (mut next, mut missed) = (at + every, 0);
        while next <= now {
            next += every;
            missed += 1;
        }
        prop_assert_eq!(next_tick(at, every, now), (next, missed));
    }

    /// The baton goes to a new side and back at any time, any number of times: every tick is served
    /// once, by one of them.
    #[test]
    fn a_beat_survives_any_roll_back(holders in proptest::collection::vec(any::<bool>(), 1..40)) {
        let start = Instant::now();
        let (mut old, mut new) = (Clocked::new(start), Clocked::new(start));
        old.set_interval(1, seconds(1));
        let mut with_old = true;
        let mut served = 0;
        for (second, &to_old) in holders.iter().enumerate() {
            let now = start + seconds(second as u64 + 1);
            old.now = now;
            new.now = now;
            match (with_old, to_old) {
                (true, false) => {
                    old.alarms.suspend_all();
                    new = Clocked::new(now);
                    new.alarms.inherit(old.alarms.suspended(now), now);
                    new.alarms.track_changes();
                    new.alarms.take_up_inherited();
                    report(&mut new, &mut old);
                }
                (false, true) => old.alarms.resume_all(),
                _ => {}
            }
            with_old = to_old;
            served += old.due().len();
            new.now = now + Duration::from_nanos(1); // what is due at once is due a moment later
            if !with_old {
                served += new.due().len();
                report(&mut new, &mut old);
            }
        }
        prop_assert_eq!(served as u64 + old.coalesced + new.coalesced, holders.len() as u64);
    }
}
