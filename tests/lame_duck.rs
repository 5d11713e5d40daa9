//! A stop in two steps: a server that is told to leave accepts for a time while monitors are told, and then drains;
//! whichever process is told, whatever else is under way.

use std::{
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    Client, Server, Setup,
    monitors::Monitored,
    ops::AtEnd,
    restart::{Engine, Who, slay, tell},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::{self, SIGTERM};

for_both_engines!(
    whichever_side_of_a_restart_is_told_both_leave_when_the_time_is_over,
    a_stop_that_was_heard_is_not_undone_by_the_death_of_the_new_side,
    a_restart_that_is_being_made_is_given_up,
    a_roll_back_does_not_undo_it,
);

/// So long a lame duck lives here, in seconds; and so long that nobody sees the end of it.
const SHORT: f64 = 4.0;
const LONG: f64 = 600.0;

/// Ends a probation that is to be survived, in milliseconds; and one in which something happens.
const PROVEN: u64 = 50;
const IN_DOUBT: u64 = 20_000;

const SAYS_READY: (u16, u16, &str) = (200, 200, "ready up 100%");
const SAYS_DRAIN: (u16, u16, &str) = (200, 503, "drain");

fn lab(seconds: f64, probation: u64, adjust: impl FnOnce(Setup) -> Setup) -> Monitored {
    Monitored::with(probation, |setup| {
        adjust(setup.arg("--lame-duck").arg(seconds.to_string()).env("LAB_STOP", 60_000))
    })
}

#[track_caller]
fn assert_told(lab: &Monitored, (live, ready, line): (u16, u16, &str)) {
    assert_eq!(lab.told(), (live, ready, line.to_owned()));
}

fn wait_lame(server: &Server, count: usize) {
    server.wait_lines("lame duck: accepts for", count);
}

/// Clients are refused: nobody listens.
fn is_closed(address: &str) -> bool {
    std::net::TcpStream::connect(address).is_err()
}

#[test]
fn it_accepts_for_a_time_while_monitors_are_told_and_then_drains() {
    let mut lab = lab(SHORT, PROVEN, |setup| setup);
    let mut early = lab.connect();
    assert_eq!(early.ask("lame-duck"), "None");
    assert_told(&lab, SAYS_READY);
    let begun = Instant::now();
    lab.signal(SIGTERM);
    wait_lame(&lab, 1);
    assert_told(&lab, SAYS_DRAIN);
    let mut late = lab.connect();
    assert_eq!(late.who().generation, 0);
    assert!(late.ask("events").contains("lame duck for 4s"), "the service was told");
    assert!(late.ask("lame-duck").starts_with("Some("));
    assert_eq!(lab.status()[0].get("phase"), "lame-duck");
    lab.wait_line("draining: 2 connections are left");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs_f64(SHORT), "{took:?}");
    wait_for("the door to be closed", || is_closed(&lab.address));
    assert_told(&lab, SAYS_DRAIN);
    assert_eq!(early.who().generation, 0, "who is there is served");
    drop((early, late));
    assert!(lab.wait_exit().success());
}

#[test]
fn an_operator_asks_for_it_as_well_and_a_second_word_means_now() {
    for second in ["drain", "signal", "stop"] {
        let mut lab = lab(LONG, PROVEN, |setup| setup);
        let mut client = lab.connect();
        client.who();
        let ran = lab.heirloom(&["drain"]);
        assert_eq!((ran.status, ran.out.trim_end()), (Some(0), "accepts for 600s, then drains"));
        wait_lame(&lab, 1);
        assert_told(&lab, SAYS_DRAIN);
        match second {
            "signal" => lab.signal(SIGTERM),
            word => assert_eq!(lab.heirloom(&[word]).status, Some(0)),
        }
        assert!(lab.wait_exit().success(), "{second}");
        let _ = client.read_to_end(); // a reset, or a FIN
    }
}

/// Without it a stop is as it was.
#[test]
fn a_server_that_is_no_lame_duck_drains_at_once() {
    let mut lab = lab(0.0, PROVEN, |setup| setup);
    let mut client = lab.connect();
    client.who();
    lab.signal(SIGTERM);
    lab.wait_line("draining: 1 connections are left");
    assert_eq!(lab.count_lines("lame duck"), 0);
    assert_told(&lab, SAYS_DRAIN);
    drop(client);
    assert!(lab.wait_exit().success());
}

#[test]
fn a_restart_is_refused_meanwhile() {
    let lab = lab(LONG, PROVEN, |setup| setup);
    lab.signal(SIGTERM);
    wait_lame(&lab, 1);
    let ran = lab.heirloom(&["restart"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("this process is draining"), "{ran:?}");
    lab.signal(Signal::SIGHUP);
    lab.wait_lines("restart refused: this process is draining", 2);
    assert_told(&lab, SAYS_DRAIN);
    assert_eq!(lab.connect().who().generation, 0);
}

fn a_restart_that_is_being_made_is_given_up(engine: Engine) {
    let lab = lab(SHORT, PROVEN, |setup| setup);
    let old = lab.pid();
    let new = lab.hold(engine);
    lab.signal(SIGTERM);
    wait_lame(&lab, 1);
    wait_gone(new);
    lab.wait_line("given up, this process was told to stop");
    assert_eq!(lab.connect().who().pid, old, "it serves on");
    assert_told(&lab, SAYS_DRAIN);
    wait_gone(old);
}

/// Begins a restart and answers both sides, the new one in its probation.
fn begin(lab: &Monitored, engine: Engine) -> (i32, i32) {
    let old = lab.pid();
    lab.signal(engine.signal());
    wait_for("the new process to serve", || lab.pid() != old);
    (old, lab.pid())
}

fn whichever_side_of_a_restart_is_told_both_leave_when_the_time_is_over(engine: Engine) {
    thread::scope(|scope| {
        for told in ["old", "new", "both"] {
            scope.spawn(move || both_leave(engine, told));
        }
    });
}

fn both_leave(engine: Engine, told: &str) {
    let lab = lab(SHORT, IN_DOUBT, |setup| setup);
    let (old, new) = begin(&lab, engine);
    assert_told(&lab, SAYS_READY);
    let begun = Instant::now();
    if told != "new" {
        tell(old, SIGTERM);
    }
    if told != "old" {
        tell(new, SIGTERM);
    }
    wait_lame(&lab, 2);
    assert_told(&lab, SAYS_DRAIN);
    assert_eq!(lab.connect().who().pid, new, "it accepts");
    wait_gone(old);
    wait_gone(new);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs_f64(SHORT), "{told}: {took:?}");
    assert_eq!(lab.count_lines("rolled back"), 0, "{told}: {}", lab.log());
}

fn a_stop_that_was_heard_is_not_undone_by_the_death_of_the_new_side(engine: Engine) {
    thread::scope(|scope| {
        for told in ["old", "new"] {
            scope.spawn(move || the_old_side_leaves(engine, told));
        }
    });
}

fn the_old_side_leaves(engine: Engine, told: &str) {
    let lab = lab(10.0, IN_DOUBT, |setup| setup);
    let (old, new) = begin(&lab, engine);
    tell(if told == "old" { old } else { new }, SIGTERM);
    wait_lame(&lab, 2);
    slay(new);
    lab.wait_line("restart: the new side ended in its probation");
    assert_told(&lab, SAYS_DRAIN);
    assert_eq!(lab.connect().who().pid, old, "{told}: the old side serves again");
    wait_gone(old);
}

fn a_roll_back_does_not_undo_it(engine: Engine) {
    let lab = lab(10.0, IN_DOUBT, |setup| setup);
    let (old, new) = begin(&lab, engine);
    tell(new, SIGTERM);
    wait_lame(&lab, 2);
    let ran = lab.heirloom(&["rollback"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_eq!(lab.connect().who().pid, old);
    assert_told(&lab, SAYS_DRAIN);
    wait_gone(new);
    wait_gone(old);
}

/// A new side that stays while both are lame ducks goes on as one.
#[test]
fn a_commit_does_not_undo_it() {
    let lab = lab(10.0, 1_500, |setup| setup);
    let (old, new) = begin(&lab, Engine::Fork);
    tell(old, SIGTERM);
    wait_lame(&lab, 2);
    wait_gone(old);
    assert_eq!(lab.connect().who().pid, new);
    assert_told(&lab, SAYS_DRAIN);
    wait_gone(new);
}

/// A supervisor passes the signal on, ends with the service, and closes nothing before.
#[test]
fn a_supervisor_is_part_of_it() {
    let mut lab = lab(SHORT, PROVEN, |setup| setup.arg("--supervised"));
    tell(lab.child.id() as i32, SIGTERM);
    wait_lame(&lab, 1);
    assert_told(&lab, SAYS_DRAIN);
    let Who { generation, .. } = lab.connect().who();
    assert_eq!(generation, 0);
    assert!(lab.wait_exit().success());
}

/// A crash does not undo what was told, either, by whomever: no other is made that would serve again, and say that it is ready.
#[test]
fn a_lame_duck_that_crashes_is_not_made_anew() {
    for by in ["signal", "operator"] {
        let mut lab = lab(LONG, PROVEN, |setup| setup.arg("--supervised"));
        let mut client = lab.connect();
        let main = client.who().pid;
        match by {
            "signal" => lab.signal(SIGTERM),
            _ => assert_eq!(lab.heirloom(&["drain"]).status, Some(0)),
        }
        wait_lame(&lab, 1);
        slay(main);
        let status = lab.wait_exit();
        assert_eq!(status.code(), Some(137), "{by}: that of the one that has died");
        assert_eq!(lab.count_lines("ready: generation"), 1, "{by}");
    }
}

/// Who kills a whole group tells each process of it.
#[test]
fn a_signal_to_the_whole_group_is_one_word() {
    let mut lab = lab(SHORT, PROVEN, |setup| setup.arg("--supervised"));
    let group = format!("-{}", lab.child.id());
    let killed = std::process::Command::new("kill").args(["-TERM", "--", &group]).status();
    assert!(killed.expect("kill runs").success());
    wait_lame(&lab, 1);
    let mut client: Client = lab.connect();
    assert_eq!(client.who().generation, 0);
    lab.wait_line("draining: 1 connections are left");
    assert_eq!(client.who().generation, 0, "and is not cut off");
    drop(client);
    assert!(lab.wait_exit().success());
}

/// Nobody is refused, and no answer is missing, from the word to the end of the time.
#[test]
fn monitors_and_clients_find_the_door_open_to_the_end_of_the_time() {
    let lab = lab(8.0, PROVEN, |setup| setup);
    let done = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let watching = lab.watch(scope, &done);
        lab.signal(SIGTERM);
        wait_lame(&lab, 1);
        let until = Instant::now() + Duration::from_secs_f64(1.5);
        while Instant::now() < until {
            assert_eq!(lab.connect().who().generation, 0);
        }
        drop(at_end);
        watching.map(|thread| thread.join().expect("it counts"))
    });
    let [live, ready, agents] = answers.map(|all| all.into_keys().collect::<Vec<_>>());
    assert_eq!(live, ["200 ok"]);
    assert!(
        ready.iter().all(|said| ["200 ok", "503 lame duck"].contains(&said.as_str())),
        "{ready:?}"
    );
    assert!(
        agents.iter().all(|said| ["ready up 100%", "drain"].contains(&said.as_str())),
        "{agents:?}"
    );
}
