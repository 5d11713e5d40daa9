//! A new generation that is bad, and found out only when it serves already.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    Client, DEADLINE,
    churn::{Churn, LAB, assert_only_cut},
    ops::{AtEnd, Operated, Row, newcomer, restart_to_the_end, wait_settled},
    restart::Engine,
    wait_for, wait_gone,
};

for_both_engines!(
    scenario_02_bad_only_after_ready,
    a_roll_back_on_request_brings_the_old_one_back_and_lets_the_new_one_drain,
    a_service_that_finds_itself_unfit_hands_back,
    the_old_side_waits_through_the_probation_although_it_has_nothing_to_do,
);

/// Longer than any of these tests: no commit comes by itself.
const LONG: u64 = 15_000;

fn flag(engine: Engine) -> String {
    format!("--{}", engine.name())
}

/// From the death of the new side to the first client that the old one serves.
const BACK_WITHIN: Duration = Duration::from_millis(100);

fn scenario_02_bad_only_after_ready(engine: Engine) {
    let lab = Operated::with(LONG, |setup| setup);
    let mut outage = Duration::MAX;
    // A loaded machine may stand still for a moment: the best of some counts.
    for _ in 0..5 {
        outage = outage.min(outage_of_one(&lab, engine).unwrap_or(Duration::MAX));
        if outage < BACK_WITHIN {
            break;
        }
    }
    assert!(outage < BACK_WITHIN, "back after {outage:?}");
    let later = lab.heirloom_later(&["restart", &flag(engine)]);
    // A number is used once: the generation that died had served.
    wait_for("the next restart to reach its probation", || newcomer(&lab).generation > 1);
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    assert_eq!(later.wait().status, Some(1));
}

/// One restart to a generation that aborts in its probation; the time in which nobody answered, if there
/// was an answer of the new one.
fn outage_of_one(lab: &Operated, engine: Engine) -> Option<Duration> {
    let old = lab.pid();
    let traffic = Churn::start(&lab.address, LAB);
    let done = AtomicBool::new(false);
    lab.break_programs("abort");
    let (ran, outage) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&lab.address, old, &done));
        let at_end = AtEnd(&done);
        let ran = lab.heirloom(&["restart", &flag(engine)]);
        drop(at_end);
        (ran, watch.join().expect("no panic"))
    });
    lab.mend_programs();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("restart: the new side ended "), "{ran:?}");
    assert!(ran.err.contains(": killed by SIGABRT"), "{ran:?}");
    if engine == Engine::ForkExec {
        assert!(ran.err.contains("its stderr ends: ") && ran.err.contains("lab: aborts as told"));
    }
    assert_only_cut(&traffic.stop());
    assert_eq!(wait_settled(lab).pid, old);
    outage
}

/// Asks new connections who serves, one after the other. Answers how long after the last word of
/// another process than `old` that one was heard again, if there was such a word before all was `done`.
fn watch(address: &str, old: i32, done: &AtomicBool) -> Option<Duration> {
    let (mut last_of_new, mut back) = (None::<Instant>, None::<Instant>);
    let until = Instant::now() + DEADLINE;
    while !done.load(Ordering::Relaxed) || (last_of_new.is_some() && back.is_none()) {
        assert!(Instant::now() < until, "the old one does not serve again");
        let mut client = Client::connect(address);
        client.send("who\n");
        let mut line = Vec::new();
        // The one that dies takes this client with it, if it has it.
        if let Ok(bytes) = client.read_line() {
            line = bytes;
        }
        match String::from_utf8_lossy(&line).split(' ').nth(1).and_then(|pid| pid.parse().ok()) {
            Some::<i32>(pid) if pid != old => (last_of_new, back) = (Some(Instant::now()), None),
            Some(_) if last_of_new.is_some() => back = back.or(Some(Instant::now())),
            _ => {}
        }
    }
    Some(back? - last_of_new?)
}

fn a_roll_back_on_request_brings_the_old_one_back_and_lets_the_new_one_drain(engine: Engine) {
    let lab = Operated::with(LONG, |setup| setup);
    let old = lab.pid();
    let traffic = Churn::start(&lab.address, LAB);
    let restart = lab.heirloom_later(&["restart", &flag(engine)]);
    wait_for("the new one to serve", || newcomer(&lab).pid != old);
    let mut client = lab.connect();
    let new = client.who().pid;
    let phases = |rows: &[Row]| rows.iter().map(|row| row.get("phase").to_owned()).collect();
    let both: Vec<String> = phases(&lab.status());
    assert_eq!(both, ["probation", "released"]);
    let ran = lab.heirloom(&["rollback"]);
    assert_eq!((ran.status, &*ran.out), (Some(0), "generation 0 serves again\n"), "{ran:?}");
    let ran = restart.wait();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(ran.err, "heirloom: restart: rolled back: on request\n");
    assert_eq!(newcomer(&lab).pid, old);
    assert_eq!(lab.pid(), old, "the pid file");
    // Its clients are served to their end, however long that takes.
    let both: Vec<String> = phases(&lab.status());
    assert_eq!(both, ["serving", "draining"]);
    assert_eq!(client.who().pid, new);
    let failed = traffic.stop();
    assert_eq!(failed.total(), 0, "{failed:?}");
    drop(client);
    wait_gone(new);
    assert_eq!(wait_settled(&lab).pid, old);
}

fn a_service_that_finds_itself_unfit_hands_back(engine: Engine) {
    let lab = Operated::with(LONG, |setup| setup);
    let old = lab.pid();
    let traffic = Churn::start(&lab.address, LAB);
    lab.break_programs("roll back");
    let ran = lab.heirloom(&["restart", &flag(engine)]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(ran.err, "heirloom: restart: rolled back: lab: as told\n");
    lab.mend_programs();
    let failed = traffic.stop();
    assert_eq!(failed.total(), 0, "{failed:?}");
    assert_eq!(wait_settled(&lab).pid, old);
    assert_eq!(lab.connect().ask("events"), "Fresh,retire,Resumed,error");
}

/// No connection, no hold, and still there: somebody may need its listeners.
fn the_old_side_waits_through_the_probation_although_it_has_nothing_to_do(engine: Engine) {
    let lab = Operated::with(700, |setup| setup);
    let old = lab.pid();
    let begun = Instant::now();
    let new = restart_to_the_end(&lab, engine).pid;
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_ne!(new, old);
}

#[test]
fn a_roll_back_after_the_commit_is_refused_with_its_reason() {
    let lab = Operated::with(50, |setup| setup);
    restart_to_the_end(&lab, Engine::Fork);
    let ran = lab.heirloom(&["rollback"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let reason = "heirloom: there is nothing to roll back: no restart is in its probation\n";
    assert_eq!(ran.err, reason);
}

/// The new one decides, since it alone knows whether it has committed.
#[test]
fn a_roll_back_asked_of_the_old_side_is_told_where_to_go() {
    let lab = Operated::with(LONG, |setup| setup);
    let mut early = crate::common::ops::Control::connect(&lab.control()).expect("it is there");
    early.ask("help");
    let restart = lab.heirloom_later(&["restart", "--fork"]);
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let reply = early.ask("rollback");
    assert_eq!(reply, ["error: the new generation decides about that: ask on a new connection"]);
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    assert_eq!(restart.wait().status, Some(1));
}
