//! Alarms against the plainest models: a beat, a copy that stands still, news from the other side.

use super::*;
use proptest::prelude::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn due(net: &mut Net) -> Vec<u64> {
    let keys = std::iter::from_fn(|| net.next_due());
    keys.filter_map(|key| if let Key::Alarm(Alarm(key)) = key { Some(key) } else { None }).collect()
}

/// The new side's news reach the old one.
fn report(new: &mut Net, old: &mut Net) {
    let news = new.take_alarm_news();
    old.hear_alarm_news(news);
}

#[test]
fn an_interval_keeps_its_beat_and_coalesces_what_it_missed() {
    let start = Instant::now();
    let mut net = Net::new(None, start);
    net.set_interval(Alarm(1), seconds(10));
    for (at, expected) in [(9, 0), (10, 1), (19, 0), (20, 1), (57, 1), (59, 0), (60, 1)] {
        net.set_now(start + seconds(at));
        assert_eq!(due(&mut net).len(), expected, "after {at} s");
    }
    assert_eq!(net.stats.ticks_missed, 2); // those of 40 and 50
    net.clear_alarm(Alarm(1));
    net.set_now(start + seconds(100));
    assert_eq!(due(&mut net), []);
}

#[test]
fn what_the_new_side_reports_is_neither_repeated_nor_lost() {
    let start = Instant::now();
    let (mut old, mut new) = (Net::new(None, start), Net::new(None, start));
    for net in [&mut old, &mut new] {
        net.set_alarm(Alarm(1), seconds(1));
        net.set_alarm(Alarm(5), seconds(5));
        net.set_interval(Alarm(2), seconds(2));
    }
    old.suspend_alarms();
    new.note_alarms();
    new.set_now(start + seconds(3));
    assert_eq!(due(&mut new), [1, 2]);
    new.set_alarm(Alarm(7), seconds(1)); // as `on_alarm` would
    old.set_now(start + seconds(3));
    report(&mut new, &mut old);
    assert_eq!(due(&mut old), []);
    old.resume_alarms();
    assert_eq!(due(&mut old), []);
    old.set_now(start + seconds(5));
    assert_eq!(due(&mut old), [2, 7, 5]); // 2 and 7 since the fourth second
}

#[test]
fn what_is_set_after_the_copy_is_the_old_sides_own() {
    let start = Instant::now();
    let mut net = Net::new(None, start);
    net.set_alarm(Alarm(1), seconds(1));
    net.set_alarm(Alarm(2), seconds(1));
    net.set_alarm(Alarm(3), seconds(1));
    net.suspend_alarms();
    net.set_alarm(Alarm(1), seconds(3));
    net.clear_alarm(Alarm(2));
    net.set_now(start + seconds(2));
    assert_eq!(due(&mut net), []);
    net.resume_alarms();
    assert_eq!(due(&mut net), [3]);
    net.set_now(start + seconds(3));
    assert_eq!(due(&mut net), [1]);
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
        let (mut old, mut new) = (Net::new(None, start), Net::new(None, start));
        old.set_interval(Alarm(1), seconds(1));
        let mut with_old = true;
        let mut served = 0;
        for (second, &to_old) in holders.iter().enumerate() {
            let now = start + seconds(second as u64 + 1);
            old.set_now(now);
            new.set_now(now);
            match (with_old, to_old) {
                (true, false) => {
                    old.suspend_alarms();
                    new = Net::new(None, now);
                    new.inherit_alarms(old.suspended_alarms());
                    new.note_alarms();
                    new.inherited_alarms().into_iter().for_each(|alarm| new.resume_alarm(alarm));
                    report(&mut new, &mut old);
                }
                (false, true) => old.resume_alarms(),
                _ => {}
            }
            with_old = to_old;
            served += due(&mut old).len();
            new.set_now(now + Duration::from_nanos(1)); // what is due at once is due a moment later
            if !with_old {
                served += due(&mut new).len();
                report(&mut new, &mut old);
            }
        }
        prop_assert_eq!(served as u64 + old.stats.ticks_missed + new.stats.ticks_missed, holders.len() as u64);
    }
}
