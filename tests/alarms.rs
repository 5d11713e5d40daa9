//! Who has the alarms: each goes off once, in the newest generation, whatever becomes of a restart.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client,
    journal::Journaled,
    restart::{Engine, slay},
    wait_for, wait_gone,
};
use heirloom::{Alarm, Connection, Net, Origin, Result, Service, Start, testing::Harness};

for_both_engines!(
    a_one_shot_alarm_that_spans_a_restart_comes_once_and_in_the_new_process,
    a_beat_goes_on_in_the_new_process_and_stops_in_the_old_one,
    what_went_off_in_the_probation_is_not_repeated_by_the_old_side_when_the_new_one_is_killed,
    what_went_off_in_the_probation_is_not_repeated_after_a_roll_back,
    a_new_side_that_never_serves_leaves_the_old_ones_alarms_as_they_were,
    an_alarm_whose_process_dies_of_it_is_called_again_and_not_lost,
    a_hundred_alarms_over_five_restarts_and_three_deaths_come_once_each,
);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn a_one_shot_alarm_that_spans_a_restart_comes_once_and_in_the_new_process(engine: Engine) {
    let lab = Journaled::with(50, |setup| setup);
    let begun = Instant::now();
    lab.lab.connect().ask("once 1 1500");
    let new = lab.lab.restart_by(engine);
    let came = lab.wait("alarm 1", 1);
    assert!(begun.elapsed() >= ms(1500), "it came after {:?}", begun.elapsed());
    assert_eq!((came[0].generation, came[0].pid), (1, new));
    wait_for_quiet(&lab, 300);
    assert_eq!(lab.of("alarm 1").len(), 1);
}

fn a_beat_goes_on_in_the_new_process_and_stops_in_the_old_one(engine: Engine) {
    let lab = Journaled::with(50, |setup| setup);
    let mut early = lab.lab.connect(); // it keeps the old process alive
    early.ask("every 1 50");
    lab.wait("alarm 1", 3);
    let new = lab.lab.restart_by(engine);
    assert_eq!((&*early.ask("alarms"), &*lab.lab.connect().ask("alarms")), ("", "1"));
    let before = lab.of("alarm 1").len();
    let came = lab.wait("alarm 1", before + 5);
    let first_new = came.iter().position(|entry| entry.generation == 1).expect("in the new one");
    assert!(came[first_new..].iter().all(|entry| entry.pid == new), "{came:?}");
    assert_eq!(early.ask("echo here"), "here");
}

fn what_went_off_in_the_probation_is_not_repeated_by_the_old_side_when_the_new_one_is_killed(
    engine: Engine,
) {
    let lab = Journaled::with(60_000, |setup| setup);
    let old = lab.lab.pid();
    lab.lab.connect().ask("once 1 2500 2 6000 3 60000");
    let new = lab.begin_restart(engine);
    let came = lab.wait("alarm 1", 1);
    assert_eq!(came[0].pid, new, "it came before the restart: too slow a test");
    // What the new side sets is not lost with it; what it clears stays cleared.
    let mut client = lab.lab.connect();
    assert_eq!(client.who().pid, new);
    client.ask("once 4 4000");
    client.ask("clear 3");
    slay(new);
    lab.lab.wait_line("restart: the new side ended in its probation");
    let mut client = lab.lab.connect();
    assert_eq!(client.who().pid, old);
    let set = client.ask("alarms");
    assert!(["2,4", "4"].contains(&&*set), "{set}");
    let (two, four) = (lab.wait("alarm 2", 1), lab.wait("alarm 4", 1));
    assert_eq!([two[0].pid, four[0].pid], [old, old]);
    wait_for_quiet(&lab, 300);
    let keys: Vec<_> = lab.entries().into_iter().map(|entry| entry.what).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
}

fn what_went_off_in_the_probation_is_not_repeated_after_a_roll_back(engine: Engine) {
    let files = common::Dir::new();
    let control = files.path("control");
    let lab =
        Journaled::with(60_000, |setup| setup.arg("--control").arg(control.display().to_string()));
    let old = lab.lab.pid();
    let mut early = lab.lab.connect();
    early.ask("once 1 2500 2 5500");
    early.ask("every 3 40");
    lab.wait("alarm 3", 2);
    let new = lab.begin_restart(engine);
    let mut late = lab.lab.connect(); // it keeps the new process alive
    assert_eq!(lab.wait("alarm 1", 1)[0].pid, new, "too slow a test");
    let mut control = common::ops::Control::connect(&control).expect("it is there");
    let answer = control.ask("rollback");
    assert!(answer[0].starts_with("ok: generation 0 serves again"), "{answer:?}");
    assert_eq!(lab.wait("alarm 2", 1)[0].pid, old);
    assert_eq!((&*early.ask("alarms"), &*late.ask("alarms")), ("3", ""));
    wait_for_quiet(&lab, 200);
    for what in ["alarm 1", "alarm 2"] {
        assert_eq!(lab.of(what).len(), 1, "{what}");
    }
    // The beat went to the new side and came back, and was never served by both.
    let beat: Vec<_> = lab.of("alarm 3").into_iter().map(|entry| entry.pid).collect();
    let mut holders = beat.clone();
    holders.dedup();
    assert_eq!(holders, [old, new, old]);
}

fn a_new_side_that_never_serves_leaves_the_old_ones_alarms_as_they_were(engine: Engine) {
    let lab = Journaled::with(50, |setup| setup);
    let old = lab.lab.pid();
    let begun = Instant::now();
    lab.lab.connect().ask("once 1 1500");
    let new = lab.lab.hold(engine);
    slay(new);
    lab.lab.wait_line("restart: the new side ended before it was ready");
    assert_eq!(lab.lab.connect().ask("alarms"), "1");
    assert_eq!(lab.wait("alarm 1", 1)[0].pid, old);
    assert!(begun.elapsed() >= ms(1500));
    assert_eq!(lab.of("alarm 1").len(), 1);
}

/// The one exception: nobody can know how far it came.
fn an_alarm_whose_process_dies_of_it_is_called_again_and_not_lost(engine: Engine) {
    let lab = Journaled::with(60_000, |setup| setup);
    let old = lab.lab.pid();
    lab.lab.connect().ask("once 1 2500 2 3500");
    let new = lab.begin_restart(engine);
    assert_eq!(lab.of("alarm 1").len(), 0, "too slow a test");
    lab.lab.break_programs("die in alarm");
    let came = lab.wait("alarm 1", 2);
    assert_eq!([came[0].pid, came[1].pid], [new, old]);
    assert_eq!(lab.wait("alarm 2", 1)[0].pid, old);
    wait_for_quiet(&lab, 200);
    assert_eq!((lab.of("alarm 1").len(), lab.of("alarm 2").len()), (2, 1));
}

/// Sets an alarm that comes when all others have, and waits for it.
fn wait_for_quiet(lab: &Journaled, millis: u64) {
    lab.lab.connect().ask(&format!("once 9999 {millis}"));
    lab.wait("alarm 9999", 1);
}

/// The whole promise at once: one-shot alarms all over six seconds, and meanwhile restarts that
/// succeed, and new sides that are killed in their probation.
fn a_hundred_alarms_over_five_restarts_and_three_deaths_come_once_each(engine: Engine) {
    const COUNT: u64 = 100;
    let lab = Journaled::with(500, |setup| setup);
    let mut client = lab.lab.connect();
    let pairs: Vec<_> = (0..COUNT).map(|n| format!("{n} {}", 300 + 60 * n)).collect();
    client.ask(&format!("once {}", pairs.join(" ")));
    drop(client);
    for round in 0..8 {
        let (done, failed) = (lab.lab.count_lines("restart: done"), deaths(&lab));
        let new = lab.begin_restart(engine);
        if round % 3 == 1 {
            // It has done some, and an answer says that the old side was told.
            wait_for("an alarm in the new side", || {
                lab.entries().iter().any(|entry| entry.pid == new)
            });
            assert_eq!(lab.lab.connect().who().pid, new);
            slay(new);
            wait_for("a verdict", || {
                lab.lab.count_lines("restart: done") > done || deaths(&lab) > failed
            });
        } else {
            lab.lab.wait_lines("restart: done", done + 1);
        }
        if lab.lab.generations().is_empty() {
            panic!("it was killed after it had committed: too slow a test");
        }
    }
    let last = format!("alarm {}", COUNT - 1);
    lab.wait(&last, 1);
    wait_for_quiet(&lab, 300);
    for n in 0..COUNT {
        let what = format!("alarm {n}");
        assert_eq!(lab.of(&what).len(), 1, "{what}: {:?}", lab.of(&what));
    }
    let mut generations: Vec<_> = lab.entries().iter().map(|entry| entry.generation).collect();
    generations.dedup();
    assert!(generations.len() > 2, "it was all done by {generations:?}");
}

fn deaths(lab: &Journaled) -> usize {
    lab.lab.count_lines("the new side ended")
}

/// A fork of a process that stands still takes as long as it takes: what came due meanwhile comes then,
/// once, however often it would have.
#[test]
fn what_came_due_while_a_restart_was_on_its_way_comes_late_and_once() {
    let lab = Journaled::with(50, |setup| setup);
    lab.lab.connect().ask("once 1 400");
    lab.lab.connect().ask("every 2 50");
    lab.wait("alarm 2", 2);
    let new = lab.lab.hold(Engine::Fork);
    let before = lab.of("alarm 2").len();
    thread::sleep(ms(600)); // time that passes is what is tested
    assert_eq!((lab.of("alarm 1").len(), lab.of("alarm 2").len()), (0, before), "they stand still");
    common::restart::resume(new);
    lab.lab.wait_line("restart: done");
    let mut late = lab.lab.connect();
    assert_eq!(lab.wait("alarm 1", 1)[0].pid, new);
    lab.wait("alarm 2", before + 2);
    assert!(late.stat("ticks_missed") >= 8, "{}", late.ask("stats"));
    assert_eq!(lab.of("alarm 1").len(), 1);
}

/// The old side dies in mid-restart: its successor has the alarms.
#[test]
fn an_old_side_that_dies_leaves_its_alarms_to_its_child() {
    let lab = Journaled::with(50, |setup| setup);
    let old = lab.lab.pid();
    lab.lab.connect().ask("once 1 800");
    let new = lab.lab.hold_old(Engine::Fork);
    slay(old);
    wait_gone(old);
    assert_eq!(lab.wait("alarm 1", 1)[0].pid, new);
}

/// Set by hand in a retired process they are its own.
#[test]
fn what_a_draining_process_sets_goes_off_there() {
    let lab = Journaled::with(50, |setup| setup);
    let mut early: Client = lab.lab.connect();
    let old = early.who().pid;
    lab.lab.restart_by(Engine::Fork);
    early.ask("once 1 100");
    assert_eq!(lab.wait("alarm 1", 1)[0].pid, old);
}

/// Sets and counts.
#[derive(Default)]
struct Clock {
    came: Vec<u64>,
}

impl Service for Clock {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        net.set_interval(Alarm(1), ms(10));
        net.set_alarm(Alarm(2), ms(25));
    }

    fn on_alarm(&mut self, _net: &mut Net, key: Alarm) {
        self.came.push(key.0);
    }
}

#[test]
fn an_interval_comes_at_each_of_its_times_and_can_be_cleared() {
    let mut harness = Harness::new(Clock::default());
    harness.advance(ms(45));
    assert_eq!(harness.service().came, [1, 1, 2, 1, 1]);
    harness.net().cancel_alarm(Alarm(1));
    harness.advance(ms(1000));
    assert_eq!(harness.service().came.len(), 5);
    harness.net().set_interval(Alarm(3), Duration::ZERO); // as often as there is
    harness.advance(ms(5));
    assert_eq!(harness.service().came[5..], [3; 5]);
}

#[test]
fn alarms_are_listed_with_their_time_left_and_resumed_from_that() {
    let mut harness = Harness::new(Clock::default());
    harness.advance(ms(4));
    let listed = harness.net().alarms();
    let plain: Vec<_> = listed.iter().map(|alarm| (alarm.key.0, alarm.left, alarm.every)).collect();
    assert_eq!(plain, [(1, ms(6), Some(ms(10))), (2, ms(21), None)]);
    let mut other = Harness::new(Clock::default());
    other.net().cancel_alarm(Alarm(2));
    listed.into_iter().for_each(|alarm| other.net().resume_alarm(alarm));
    other.advance(ms(22));
    assert_eq!(other.service().came, [1, 1, 2]);
}
