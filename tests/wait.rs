//! `heirloom wait` lasts until a restart and the drain behind it are over, whoever is replaced, crashes or goes back
//! meanwhile, and its exit status says what it was that came first.

use std::{
    io::Read,
    ops::Deref,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, Dir, Setup,
    ops::{Control, Operated, Ran, heirloom, newcomer},
    restart::{Engine, slay, stop},
    run_to_end, wait_for, wait_gone,
};
use heirloom::limits::{CONTROL_CONNECTIONS, CONTROL_WAITERS};
use nix::sys::signal::Signal;

for_both_engines!(
    it_lasts_until_nobody_drains,
    whoever_would_have_answered_may_be_replaced_meanwhile,
    a_restart_that_is_taken_back_is_waited_for_to_the_end_of_both,
    a_generation_is_there_when_its_probation_is_over,
);

const PROVEN: u64 = 50;

/// A lab that says what operators ask.
struct Talkative(Operated);

impl Deref for Talkative {
    type Target = Operated;

    fn deref(&self) -> &Operated {
        &self.0
    }
}

impl Talkative {
    fn with(probation: u64, adjust: impl FnOnce(Setup) -> Setup) -> Talkative {
        let level = "info,heirloom::control=debug,heirloom::supervisor=debug";
        Talkative(Operated::with(probation, |setup| adjust(setup.env("RUST_LOG", level))))
    }

    /// Waits until this was asked so often altogether, and answers how often it was.
    fn wait_asked(&self, request: &str, count: usize) -> usize {
        self.wait_lines(&format!("control: request=\"{request}\""), count).len()
    }

    /// A client of this generation, which keeps its process.
    fn client_of(&self, generation: u64) -> Client {
        let mut client = self.connect();
        assert_eq!(client.who().generation, generation);
        client
    }

    /// How many generations live, of which the newest serves. One that has no time to answer is still one.
    fn living(&self) -> usize {
        let rows = self.status();
        assert_eq!(rows[0].get("phase"), "serving");
        rows.len()
    }
}

#[track_caller]
fn assert_done(ran: &Ran, said: &str) {
    assert_eq!((ran.status, &*ran.err), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.out, format!("{said}\n"));
}

/// What it says when it was so.
fn quiet(generation: u64) -> String {
    format!("generation {generation} serves, and no other is left")
}

#[test]
fn where_nothing_is_to_be_waited_for_it_is_over_at_once() {
    let lab = Talkative::with(PROVEN, |setup| setup);
    assert_done(&lab.heirloom(&["wait"]), &quiet(0));
    assert_done(&lab.heirloom(&["wait", "--generation", "0"]), "generation 0 serves");
    assert_eq!(lab.request("wait 0"), ["ok: generation 0 serves"]);
}

fn it_lasts_until_nobody_drains(engine: Engine) {
    let lab = Talkative::with(PROVEN, |setup| setup);
    let clients = [lab.client_of(0), lab.client_of(0)];
    lab.restart_by(engine);
    let wait = lab.heirloom_later(&["wait"]);
    lab.wait_asked("wait", 1);
    let mut other = Control::connect(&lab.control()).expect("it is there");
    assert!(other.ask("heartbeat 0.02")[0].starts_with("ok: every"));
    other.send("wait\n");
    for client in clients {
        let mut beat = [0; 2];
        other.stream.read_exact(&mut beat).expect("a heartbeat");
        assert_eq!(&beat, b"#\n", "it is waited for");
        assert_eq!(lab.living(), 2);
        drop(client);
    }
    assert_done(&wait.wait(), &quiet(1));
    assert_eq!(lab.living(), 1);
}

/// The next generation is asked, and knows of all that drain.
fn whoever_would_have_answered_may_be_replaced_meanwhile(engine: Engine) {
    let lab = Talkative::with(PROVEN, |setup| setup);
    let first = lab.client_of(0);
    lab.restart_by(engine);
    let second = lab.client_of(1);
    let wait = lab.heirloom_later(&["wait"]);
    lab.wait_asked("wait", 1);
    lab.restart_by(engine);
    lab.wait_asked("wait", 2);
    assert_eq!(lab.living(), 3);
    drop(second);
    wait_for("one of them to end", || lab.living() == 2);
    drop(first);
    assert_done(&wait.wait(), &quiet(2));
}

fn a_restart_that_is_taken_back_is_waited_for_to_the_end_of_both(engine: Engine) {
    let lab = Talkative::with(60_000, |setup| setup);
    let mut early = Control::connect(&lab.control()).expect("it is there");
    early.ask("help");
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let late = lab.client_of(1);
    // One asks the old side, and one the new.
    early.send("heartbeat 0.02\nwait\n");
    assert!(early.reply()[0].starts_with("ok: every"));
    let wait = lab.heirloom_later(&["wait"]);
    lab.wait_asked("wait", 2);
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    assert_eq!(restart.wait().status, Some(1));
    lab.wait_asked("wait", 3); // of whoever serves now
    if lab.living() == 2 {
        drop(late); // it has stayed with the side that drains
    }
    assert_done(&wait.wait(), &quiet(0));
    let reply = early.reply();
    assert_eq!(reply.iter().find(|line| *line != "#"), Some(&format!("ok: {}", quiet(0))));
}

#[test]
fn a_restart_that_fails_is_over_when_it_is_given_up() {
    let lab = Talkative::with(PROVEN, |setup| setup.env("LAB_READY", "1000"));
    lab.break_programs("hang");
    let restart = lab.heirloom_later(&["restart", "--fork-exec"]);
    lab.wait_line("by fork-exec is pid");
    let wait = lab.heirloom(&["wait"]);
    assert_done(&wait, &quiet(0));
    assert_eq!(restart.wait().status, Some(1));
}

fn a_generation_is_there_when_its_probation_is_over(engine: Engine) {
    let lab = Talkative::with(400, |setup| setup);
    let client = lab.client_of(0);
    let early = lab.heirloom_later(&["wait", "--generation", "1"]);
    lab.wait_asked("wait 1", 1);
    lab.signal(engine.signal());
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let late = lab.heirloom_later(&["wait", "--generation", "1"]);
    for wait in [late, early] {
        assert_done(&wait.wait(), "generation 1 serves");
        assert_eq!(lab.living(), 2);
    }
    drop(client);
}

// What else may come first.

#[test]
fn its_time_is_over_to_the_moment_and_the_exit_status_says_so() {
    let lab = Talkative::with(PROVEN, |setup| setup);
    let client = lab.client_of(0);
    lab.restart_by(Engine::Fork);
    let begun = Instant::now();
    let ran = lab.heirloom(&["wait", "--timeout", "0.7"]);
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_eq!((ran.status, &*ran.out), (Some(3), ""), "{ran:?}");
    assert!(ran.err.contains("the time is over") && ran.err.lines().count() == 1, "{ran:?}");
    // One that hangs cannot make it longer; nor is it waited for, if the silence has its own limit.
    stop(lab.pid());
    assert_eq!(lab.heirloom(&["wait", "--timeout", "0.2"]).status, Some(3));
    let ran = lab.heirloom(&["--timeout", "0.2", "wait", "--timeout", "600"]);
    assert!(ran.status == Some(2) && ran.err.contains("says nothing for 200ms"), "{ran:?}");
    common::restart::resume(lab.pid());
    drop(client);
    assert_done(&lab.heirloom(&["wait", "--timeout", "600"]), &quiet(1));
}

#[test]
fn a_server_that_leaves_is_waited_for_until_it_is_gone() {
    let lab = Talkative::with(PROVEN, |setup| setup.env("LAB_STOP", "60000"));
    let clients = [lab.client_of(0), {
        lab.restart_by(Engine::Fork);
        lab.client_of(1)
    }];
    let early = lab.heirloom_later(&["wait"]);
    lab.wait_asked("wait", 1);
    assert_eq!(lab.heirloom(&["drain"]).status, Some(0));
    lab.wait_line("draining: 1 connections are left");
    let late = lab.heirloom_later(&["wait"]);
    lab.wait_asked("wait", 2);
    assert_eq!(lab.status().len(), 2, "both have a client");
    drop(clients);
    for wait in [early, late] {
        let ran = wait.wait();
        assert_eq!((ran.status, &*ran.out), (Some(4), ""), "{ran:?}");
        assert!(ran.err.contains("no server has this control socket"), "{ran:?}");
    }
    wait_for("all to leave", || lab.generations().is_empty());
}

#[test]
fn a_server_that_is_killed_and_one_that_was_never_there_are_gone() {
    let lab = Talkative::with(PROVEN, |setup| setup);
    let wait = lab.heirloom_later(&["wait", "--generation", "7"]);
    lab.wait_asked("wait 7", 1);
    slay(lab.pid());
    let ran = wait.wait();
    assert!(ran.status == Some(4) && ran.err.contains("Connection refused"), "{ran:?}");
    let dir = Dir::new();
    let ran = Ran::of(run_to_end(heirloom(&dir.path("nobody")).arg("wait")));
    assert!(ran.status == Some(4) && ran.err.contains("No such file"), "{ran:?}");
}

// With a supervisor, and with workers.

#[test]
fn a_crash_is_no_end_where_a_supervisor_makes_another_generation() {
    let lab = Talkative::with(PROVEN, |setup| setup.arg("--supervised"));
    let main = || newcomer(&lab).pid;
    let client = lab.client_of(0);
    lab.restart_by(Engine::ForkExec);
    let wait = lab.heirloom_later(&["wait", "--generation", "2"]);
    lab.wait_asked("wait 2", 1);
    let old = main();
    slay(old);
    wait_gone(old);
    assert_done(&wait.wait(), "generation 2 serves");
    assert_ne!(main(), old);
    drop(client);
    assert_eq!(lab.heirloom(&["wait"]).status, Some(0));
}

fn pair(probation: u64) -> Talkative {
    let lab = Talkative::with(probation, |setup| setup.arg("--workers").arg("2"));
    wait_for("both workers to stay", || lab.count_lines("committed: generation 0") == 2);
    lab
}

const ALL_QUIET: &str = "all 2 workers serve, and no older generation is left";

#[test]
fn of_several_workers_all_are_waited_for() {
    let lab = pair(PROVEN);
    assert_done(&lab.heirloom(&["wait"]), ALL_QUIET);
    let clients: Vec<_> = (0..8).map(|_| lab.client_of(0)).collect();
    let asked = lab.wait_asked("wait", 2);
    assert_eq!(lab.heirloom(&["restart", "--fork"]).status, Some(0));
    let wait = lab.heirloom_later(&["wait"]);
    lab.wait_asked("wait", asked + 2);
    let older = || lab.rows().iter().filter(|row| row.get("phase") != "serving").count();
    for client in clients {
        assert!(older() > 0);
        drop(client);
    }
    assert_done(&wait.wait(), ALL_QUIET);
    assert_eq!((older(), lab.rows().len()), (0, 2));
}

#[test]
fn a_restart_of_all_workers_is_waited_for_to_the_last() {
    let lab = pair(400);
    let restart = lab.heirloom_later(&["restart", "--fork-exec"]);
    lab.wait_line("by fork-exec is pid");
    let number = lab.heirloom_later(&["wait", "--generation", "1"]);
    assert_done(&lab.heirloom(&["wait"]), ALL_QUIET);
    assert!(lab.rows().iter().all(|row| row.get("generation") == "1"));
    assert_done(&number.wait(), "all 2 workers serve, each with generation 1 or a later one");
    assert_eq!(restart.wait().status, Some(0));
}

#[test]
fn a_worker_that_crashes_meanwhile_is_asked_when_it_is_back() {
    let lab = pair(PROVEN);
    let wait = lab.heirloom_later(&["wait", "--generation", "1"]);
    let mut asked = lab.wait_asked("wait 1", 2);
    let first = lab.rows()[0].pid();
    let second = lab.rows()[1].pid();
    for pid in [first, second] {
        slay(pid);
        asked = lab.wait_asked("wait 1", asked + 1);
    }
    assert_done(&wait.wait(), "all 2 workers serve, each with generation 1 or a later one");
}

#[test]
fn workers_that_leave_are_gone_as_one_server_is() {
    let lab = pair(PROVEN);
    let clients: Vec<_> = (0..8).map(|_| lab.client_of(0)).collect();
    let early = lab.heirloom_later(&["wait", "--generation", "9"]);
    lab.wait_asked("wait 9", 2);
    lab.signal(Signal::SIGTERM);
    lab.wait_lines("draining: ", 2);
    let late = lab.heirloom_later(&["wait"]);
    drop(clients);
    for wait in [early, late] {
        let ran = wait.wait();
        assert_eq!(ran.status, Some(4), "{ran:?}");
    }
}

// So many, and no more.

#[test]
fn who_has_waited_longest_makes_room_and_an_operator_always_comes_in() {
    for lab in [Talkative::with(PROVEN, |setup| setup), pair(PROVEN)] {
        let come = || {
            let mut control = Control::connect(&lab.control()).expect("it is there");
            control.send("heartbeat 0.02\nwait 9\n");
            assert!(control.reply()[0].starts_with("ok: every"));
            control
        };
        let mut waiters: Vec<_> = (0..CONTROL_WAITERS).map(|_| come()).collect();
        // Those who have left hold no place, or make room first.
        drop(waiters.split_off(CONTROL_WAITERS / 2));
        let mut more: Vec<_> = (0..CONTROL_CONNECTIONS).map(|_| come()).collect();
        let told = |control: &mut Control| {
            let reply = control.reply();
            let words = reply.iter().find(|line| *line != "#").cloned();
            assert!(words.is_some_and(|it| it.contains("others wait by now")), "{reply:?}");
        };
        waiters.iter_mut().for_each(told);
        more[..CONTROL_CONNECTIONS - CONTROL_WAITERS].iter_mut().for_each(told);
        assert!(lab.request("status")[0].starts_with("ok: "), "there is room for others");
    }
}
