//! A process that leaves serves what it has, no longer than it may, and goes when nothing is left.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::common::{
    Client,
    restart::{Engine, Lab, tell},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;

use Signal::{SIGINT, SIGTERM};

const DRAIN: Duration = Duration::from_millis(500);

fn deadline_lab() -> Lab {
    Lab::with(|setup| setup.env("LAB_DRAIN", DRAIN.as_millis()))
}

/// Nobody listens there any more.
fn assert_refuses(lab: &Lab) {
    let error = TcpStream::connect(&lab.address).expect_err("a closed listener");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// The server ends the connection; a reset is an end as well.
fn assert_ended(client: &mut Client) {
    match client.read_to_end() {
        Ok(rest) => assert_eq!(rest, b""),
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}"),
    }
}

#[test]
fn the_first_term_drains() {
    let mut lab = Lab::start();
    let (mut one, mut two) = (lab.connect(), lab.connect());
    one.who();
    two.who();
    lab.signal(SIGTERM);
    wait_for("the drain to begin", || one.ask("events") == "Fresh,retire,drain,drain");
    assert_refuses(&lab);
    drop(one);
    assert_eq!(two.ask("echo still here"), "still here");
    let pid_file = lab.dir.path("pid");
    assert!(pid_file.exists());
    drop(two);
    assert!(lab.wait_exit().success());
    assert!(!pid_file.exists());
}

#[test]
fn the_second_term_stops_at_once() {
    for signals in [[SIGTERM, SIGTERM], [SIGINT, SIGTERM]] {
        let mut lab = Lab::start();
        let mut client = lab.connect();
        client.who();
        lab.signal(signals[0]);
        wait_for("the drain to begin", || client.ask("events").contains("retire"));
        lab.signal(signals[1]);
        assert_ended(&mut client);
        assert!(lab.wait_exit().success());
    }
}

#[test]
fn without_connections_it_goes_at_once() {
    let mut lab = Lab::start();
    lab.signal(SIGTERM);
    assert!(lab.wait_exit().success());
    let mut lab = Lab::start();
    let new = lab.restart_by(Engine::Fork);
    assert!(lab.wait_exit().success());
    // What is the new generation's stays.
    assert_eq!(lab.pid(), new);
    assert_eq!(lab.connect().who().pid, new);
}

#[test]
fn at_the_deadline_what_is_left_is_aborted() {
    let mut lab = deadline_lab();
    let (mut idle, mut slow) = (lab.connect(), lab.connect());
    idle.who();
    slow.send("burst 8000000\n"); // and it does not read them
    wait_for("the burst to be queued", || idle.stat("messages") >= 2);
    let begun = Instant::now();
    lab.restart_by(Engine::Fork);
    assert_ended(&mut idle);
    assert!(begun.elapsed() >= DRAIN, "after {:?} already", begun.elapsed());
    assert!(lab.wait_exit().success());
    lab.wait_lines("reason=\"drain deadline\"", 2);
    assert_eq!(lab.connect().who().generation, 1);
}

/// What a restart leaves behind has an hour; told to stop, it has the time of a stop.
#[test]
fn a_retired_process_that_is_told_to_stop_hurries() {
    let mut lab = deadline_lab();
    let old = lab.pid();
    let mut client = lab.connect();
    client.who();
    let new = lab.restart_by(Engine::ForkExec);
    tell(old, SIGTERM);
    lab.wait_line("SIGTERM: heard");
    tell(old, SIGTERM);
    assert_ended(&mut client);
    assert!(lab.wait_exit().success());
    lab.wait_line("reason=\"stopped\"");
    assert_eq!(lab.connect().who().pid, new);
}

#[test]
fn a_retired_process_does_not_restart() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.who();
    lab.restart_by(Engine::Fork);
    let answer = client.ask("restart fork");
    assert_eq!(answer, "error restart refused: this process is draining");
    assert_eq!(lab.connect().who().generation, 1);
}

#[test]
fn a_hold_keeps_a_process_until_it_is_given_back() {
    for how_it_leaves in ["restart fork", "restart fork-exec", "drain"] {
        let mut lab = Lab::start();
        let (mut client, mut asker) = (lab.connect(), lab.connect());
        client.ask("hold");
        asker.ask(how_it_leaves);
        wait_for("the drain to begin", || client.ask("events").contains("retire"));
        let begun = Instant::now();
        client.ask("unhold 300");
        drop((client, asker));
        assert!(lab.wait_exit().success());
        let held = begun.elapsed();
        assert!(held >= Duration::from_millis(300), "{how_it_leaves}: gone after {held:?}");
    }
}

/// A hold is the work of one process: the child has none of it.
#[test]
fn a_hold_is_not_inherited() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.ask("hold");
    let new = lab.restart_by(Engine::Fork);
    tell(new, SIGTERM);
    wait_gone(new);
    assert_eq!(client.ask("echo still here"), "still here");
}

#[test]
fn a_callback_may_ask_for_the_drain_and_for_the_stop() {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    client.ask("drain");
    wait_for("the drain to begin", || client.ask("events") == "Fresh,retire,drain");
    assert_refuses(&lab);
    client.send("stop\n");
    assert_ended(&mut client);
    assert!(lab.wait_exit().success());
}
