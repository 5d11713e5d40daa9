//! Bugs that were there once, each by name.

mod common;

use std::{os::fd::AsRawFd, time::Duration};

use common::{Server, wait_for};
use heirloom::{ConnId, Hold, Io, Net, Origin, Reason, Result, Service, testing::Harness};
use nix::sys::{
    signal::Signal::{SIGCONT, SIGSTOP},
    socket::{MsgFlags, send},
};

/// Begins new work whenever a connection ends, as a client that reconnects does.
#[derive(Default)]
struct Restless(Vec<Hold>);

impl Service for Restless {
    type Session = ();

    fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_close(&mut self, net: &mut Net, _id: ConnId, _: (), _why: Reason) {
        self.0.push(net.hold());
    }
}

/// What `on_close` began during the abort was waited for, so a process that was stopped lived on.
#[test]
fn a_stop_is_the_end_whatever_on_close_begins() {
    let mut harness = Harness::new(Restless::default());
    harness.connect();
    harness.net().stop();
    harness.advance(Duration::ZERO);
    assert!(harness.has_ended());
    assert_eq!(harness.service().0.len(), 1, "on_close was called");
}

/// A paused connection neither reads nor writes, so a reset was found out only when it was resumed,
/// and it has no timeout.
#[test]
fn a_paused_connection_that_is_reset_ends() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("burst 10\nalarm 600000\n");
    let mut first = [0];
    wait_for("bytes that will stay unread", || client.stream.peek(&mut first).is_ok());
    drop(client); // with unread bytes the kernel sends a reset
    let mut other = server.connect();
    wait_for("the connection to end", || other.ask("closes").contains("broken"));
}

/// A read stops short before urgent data, as if that were all; and no further edge came for the rest.
#[test]
fn what_follows_urgent_data_is_read() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    assert_eq!(client.ask("echo first"), "first");
    server.signal(SIGSTOP);
    let stat = format!("/proc/{}/stat", server.pid());
    let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    wait_for("the server to be stopped", is_stopped);
    client.send("echo before\n");
    send(client.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).expect("urgent data");
    client.send("echo behind\n");
    server.signal(SIGCONT);
    assert_eq!((client.line(), client.line()), ("before".to_owned(), "behind".to_owned()));
}
