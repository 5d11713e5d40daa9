//! Holds: a process that drains stays for the work that it has in hand, says what that is, and not for
//! ever.

use std::time::{Duration, Instant};

use crate::common::{
    ops::Operated,
    restart::{Engine, Lab},
    wait_for, wait_gone,
};

for_both_engines!(
    a_draining_process_stays_until_its_last_hold_is_released,
    a_new_generation_begins_without_holds,
);

fn a_draining_process_stays_until_its_last_hold_is_released(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let mut client = lab.connect();
    client.ask("hold one job");
    client.ask("hold another");
    client.ask("release another");
    lab.restart_by(engine);
    // The drain deadline is an hour away. An alarm is the event after which it is clear that it stays.
    client.ask("echo still here");
    client.send("unhold 500\nclose\n");
    assert_eq!(client.line(), "ok");
    assert_eq!(client.read_to_end().unwrap(), b"");
    drop(client);
    let closed = Instant::now();
    wait_gone(old);
    assert!(closed.elapsed() >= Duration::from_millis(400), "after {:?}", closed.elapsed());
}

fn a_new_generation_begins_without_holds(engine: Engine) {
    let lab = Operated::with(50, |setup| setup);
    let mut client = lab.connect();
    client.ask("hold import 42");
    client.ask("hold job");
    let old = lab.pid();
    lab.restart_by(engine);
    wait_for("the old one to drain", || {
        lab.status().len() == 2 && lab.status()[1].get("phase") == "draining"
    });
    let rows = lab.status();
    assert_eq!((rows[0].get("holds"), rows[0].get("held")), ("0", "-"));
    assert_eq!((rows[1].get("holds"), rows[1].get("held")), ("2", "import_42,job"));
    client.ask("release import 42");
    client.send("release job\n");
    drop(client);
    wait_gone(old);
    assert_eq!(lab.status().len(), 1);
}

#[test]
fn the_oldest_holds_are_named_and_the_rest_is_counted() {
    let lab = Operated::with(50, |setup| setup);
    let mut client = lab.connect();
    for n in 0..10 {
        client.ask(&format!("hold job,{n}"));
    }
    client.ask("release job,1");
    let rows = lab.status();
    assert_eq!((rows[0].get("holds"), rows[0].get("held")), ("9", "job_0,job_2,job_3"));
    let table = lab.heirloom(&["status"]).out;
    assert!(table.contains("job_0,job_2,job_3"), "{table}");
}

#[test]
fn a_hold_is_given_up_when_its_time_is_over_and_the_process_goes() {
    let lab = Lab::start();
    let old = lab.pid();
    let mut client = lab.connect();
    let begun = Instant::now();
    client.ask("hold-within 3000 a slow job");
    client.ask("hold-within 60000 a quick one");
    client.ask("release a quick one");
    lab.restart_by(Engine::Fork);
    assert_eq!(client.stat("holds_expired"), 0);
    drop(client);
    wait_gone(old);
    assert!(begun.elapsed() >= Duration::from_millis(3000), "after {:?}", begun.elapsed());
    lab.wait_line("hold \"a slow job\" is given up: its time is over");
    assert_eq!(lab.count_lines("is given up"), 1);
}

#[test]
fn a_hold_that_was_released_in_time_is_not_given_up() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.ask("hold-within 100 job");
    client.ask("release job");
    client.ask("hold-within 100 late");
    lab.wait_line("hold \"late\" is given up");
    assert_eq!(client.stat("holds_expired"), 1);
    client.ask("release late"); // too late, and no harm
    client.ask("hold another");
    assert_eq!(lab.count_lines("is given up"), 1);
}

#[test]
fn the_deadline_of_a_drain_ends_every_hold() {
    let lab = Lab::with(|setup| setup.env("LAB_DRAIN", 300));
    let old = lab.pid();
    lab.connect().ask("hold for ever");
    lab.restart_by(Engine::Fork);
    wait_gone(old);
}
