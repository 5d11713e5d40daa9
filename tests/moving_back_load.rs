//! Not a byte is lost, repeated or swapped, however often connections move to a new process and back.

use crate::common::{
    Dir, Server,
    ops::Control,
    readers::{Load, PIECE},
};
use nix::sys::signal::Signal;

fn engine(round: usize) -> Signal {
    [Signal::SIGHUP, Signal::SIGUSR2][round % 2]
}

/// Each time those that have moved, and those that have come to the new side.
#[test]
fn two_hundred_connections_move_there_and_back_twenty_times_and_no_byte_is_wrong() {
    let count = 200;
    let dir = Dir::new();
    let control = dir.path("control");
    let server = Server::of("lab")
        .arg("--move")
        .arg("--control")
        .arg(control.display().to_string())
        .env("LAB_PROBATION", 600_000)
        .env("LAB_MAX_DOWNTIME", 10_000)
        .start();
    let old = server.pid();
    let mut loads = vec![Load::start(&server, count - 40)];
    loads[0].goes_on(count as u64 * PIECE as u64);
    for round in 0..20 {
        server.signal(engine(round));
        server.wait_lines("ready: generation", 2 * round + 2);
        if round % 2 == 0 && round < 8 {
            loads.push(Load::start(&server, 10));
        }
        loads.iter().for_each(|load| load.goes_on(256 * 1024));
        let mut operator = Control::connect(&control).expect("it listens");
        assert_eq!(operator.ask("rollback"), ["ok: generation 0 serves again"]);
        loads.iter().for_each(|load| load.goes_on(256 * 1024));
        assert_eq!(server.pid(), old);
    }
    let bytes: u64 = loads.into_iter().map(Load::stop).sum();
    assert!(bytes > 20 * 512 * 1024);
    let back = server.count_lines("taken back: ");
    assert_eq!((back, server.count_lines("taken back: 200 connections")), (20, 14));
}
