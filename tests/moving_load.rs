//! Not a byte is lost, repeated or swapped, however often connections move in the middle of everything,
//! and whenever the new process is killed before it serves.
//!
//! A client here is always in the middle of a reply, and never where one of `common::load` would stop to compare.

use crate::common::{
    Dir, Server,
    readers::{Load, PIECE},
};
use nix::sys::signal::Signal;

fn engine(round: usize) -> Signal {
    [Signal::SIGHUP, Signal::SIGUSR2][round % 2]
}

#[test]
fn a_thousand_connections_move_twenty_times_and_no_byte_is_wrong() {
    let count = 1000;
    let server = Server::of("lab")
        .arg("--move")
        .env("LAB_PROBATION", 0)
        .env("LAB_MAX_DOWNTIME", 10_000)
        .start();
    let load = Load::start(&server, count);
    load.goes_on(count as u64 * PIECE as u64);
    for round in 0..20 {
        server.restart(engine(round));
        load.goes_on(4 * 1024 * 1024);
    }
    let bytes = load.stop();
    assert!(bytes > 20 * 4 * 1024 * 1024);
    assert_eq!(server.count_lines(&format!("moved: {count} connections, 0 stay")), 20);
}

/// Wherever it is killed before it has said that it serves, the old one goes on with every connection.
#[test]
fn a_new_process_that_is_killed_before_it_serves_takes_no_byte_along() {
    let dir = Dir::new();
    let fault = dir.path("fault");
    let server = Server::of("lab")
        .arg("--move")
        .env("LAB_PROBATION", 0)
        .env("LAB_MAX_DOWNTIME", 10_000)
        .env("HEIRLOOM_FAULT", fault.display())
        .start();
    let load = Load::start(&server, 200);
    load.goes_on(200 * PIECE as u64);
    let mut killed = 0;
    for round in 0..3 {
        for (signal, steps) in [
            (Signal::SIGHUP, &["NewMade", "NewClaimed", "NewReady", "NewReleased"][..]),
            (Signal::SIGUSR2, &["NewClaimed", "NewTaken", "NewReady", "NewReleased"]),
        ] {
            for step in steps {
                let old = server.pid();
                std::fs::write(&fault, format!("{step} die")).expect("a file");
                server.signal(signal);
                killed += 1;
                server.wait_lines("ERROR: restart", killed);
                load.goes_on(1024 * 1024);
                assert_eq!(server.pid(), old, "{signal} {step}");
            }
        }
        server.restart(engine(round));
        load.goes_on(1024 * 1024);
    }
    load.stop();
    assert_eq!(server.count_lines("moved: 200 connections, 0 stay"), 3);
}
